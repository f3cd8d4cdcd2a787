//! Routes: which endpoint a path leads to, and with which parameters.
//! RFC 3986 section 3.3 (segments of a path); RFC 9110 sections 9.1, 15.5.5 and 15.5.6 (methods, 404, 405).
//! Knows no connection, no request and no handler: an endpoint is whatever type the caller has. Nothing else of this
//! crate is needed to use it.
//!
//! ```
//! use sansws_core::route::{Miss, Route, Router};
//!
//! let admin = Router::with_prefix("/admin/{team}").route("/users/{id:uint}", "user of a team");
//! let routes = Router::new()
//!     .route("/rooms/{room}", "room")
//!     .route("/rooms/lobby", "lobby")
//!     .route("/files/{file:path}", "file")
//!     .add(Route::new("/health", "health").methods(["GET"]).named("health"))
//!     .merge(admin)
//!     .build()?;
//!
//! assert_eq!(routes.find("GET", "/rooms/lobby")?.endpoint, &"lobby");
//! let found = routes.find("GET", "/admin/red/users/7")?;
//! assert_eq!(found.params.text("team").as_deref(), Some("red"));
//! assert_eq!(found.params.get::<u64>("id")?, 7);
//! assert_eq!(routes.find("GET", "/rooms/").unwrap_err(), Miss::NotFound);
//! assert_eq!(routes.find("POST", "/health").unwrap_err().status(), 405);
//! assert_eq!(routes.url_for("health", &[])?, "/health");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | converter | accepts one segment, decoded and not empty, that is |
//! | --- | --- |
//! | `uuid` | 8-4-4-4-12 hexadecimal digits |
//! | `uint` | digits that fit a `u64` |
//! | `int` | digits, perhaps after `-`, that fit an `i64` |
//! | `float` | digits, perhaps after `-`, perhaps with `.` and digits, that make a finite `f64` |
//! | `slug` | ASCII letters, digits, `-` and `_` |
//! | `str` | anything; `{name}` is `{name:str}` |
//! | `path` | the rest of the path, of any number of segments |
//!
//! **Which route wins** does not depend on the order in which routes are added. Patterns are compared segment by segment
//! from the left: a literal wins, then a custom converter (among these the name that sorts first), then `uuid`, `uint`,
//! `int`, `float`, `slug`, `str`, `path`. A route that wins at first but does not fit the rest of the path gives way to
//! the next. Two routes that no path can tell apart don't build.
//!
//! **Paths are taken as they stand.** `/rooms` and `/rooms/` are two paths; `//` holds an empty segment, which only an
//! empty literal matches; `.` and `..` are not resolved. The empty path is `/`. Escapes are decoded within a segment.
//!
//! **The path decides before the method does**: when the winning pattern has routes, but none for the method, that is
//! 405, even if a pattern that lost would take it.

mod converter;
mod error;
mod escape;
mod params;
mod pattern;
mod router;
mod tree;
mod url;

use alloc::string::String;
use alloc::vec::Vec;

use thiserror::Error;

pub use converter::Converter;
pub use error::{RouteError, RouteErrors};
pub use escape::PathError;
pub use params::{ParamError, Params};
pub use pattern::{Pattern, PatternError};
pub use router::{Route, Router, Routes};
pub use url::UrlError;

/// Where a path leads.
#[derive(Debug)]
#[non_exhaustive]
pub struct Match<'r, 'p, E> {
    /// What the route was made with.
    pub endpoint: &'r E,
    /// The whole pattern, prefixes and all.
    pub pattern: &'r Pattern,
    /// The values of its parameters.
    pub params: Params<'r, 'p>,
}

/// A path that leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Miss {
    /// The path can't be read.
    #[error(transparent)]
    BadPath(#[from] PathError),
    /// RFC 9110 15.5.5: there is no such resource.
    #[error("no route matches the path")]
    NotFound,
    /// RFC 9110 15.5.6: "The origin server MUST generate an Allow header field in a 405 response containing a list of the
    /// target resource's currently supported methods."
    #[error("the route does not allow the method")]
    MethodNotAllowed(
        /// The methods it takes, sorted.
        Vec<String>,
    ),
}

impl Miss {
    /// The status of the response that says so.
    pub const fn status(&self) -> u16 {
        match self {
            Self::BadPath(_) => 400,
            Self::NotFound => 404,
            Self::MethodNotAllowed(_) => 405,
        }
    }
}
