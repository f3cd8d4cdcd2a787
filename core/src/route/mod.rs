//! Routes: which endpoint a path leads to, and with which parameters.
//! RFC 3986 section 3.3 (segments of a path); RFC 9110 sections 9.1, 15.5.5 and 15.5.6 (methods, 404, 405).
//! Knows no connection, no request and no handler: an endpoint can be of any type. This module can be used without the rest of the crate.
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
//! | converter | accepts a decoded, non-empty segment of |
//! | --- | --- |
//! | `uuid` | 8-4-4-4-12 hexadecimal digits |
//! | `uint` | digits that fit a `u64` |
//! | `int` | digits, optionally after `-`, that fit an `i64` |
//! | `float` | digits, optionally after `-`, optionally with `.` and digits, that make a finite `f64` |
//! | `slug` | ASCII letters, digits, `-` and `_` |
//! | `str` | anything; `{name}` is `{name:str}` |
//! | `path` | the rest of the path, of any number of segments |
//!
//! **Precedence** does not depend on the order in which routes are added. Patterns are compared segment by segment from the left: a literal
//! wins, then a custom converter (among several, the one whose name sorts first), then `uuid`, `uint`, `int`, `float`, `slug`, `str`,
//! `path`. If the rest of the path does not match a winner, the next one is tried. Two routes that match the same paths are a build error.
//!
//! **Paths are not normalized.** `/rooms` and `/rooms/` are two paths; `//` contains an empty segment, which only an empty literal matches;
//! `.` and `..` are not resolved. The empty path is `/`. Escapes are decoded within a segment.
//!
//! **The path decides before the method**: if the winning pattern has routes, but none for the method, the answer is 405, even if another
//! pattern would allow the method.

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

/// The result of a lookup.
///
/// For an example see [`Routes`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Match<'r, 'p, E> {
    /// The endpoint of the route.
    pub endpoint: &'r E,
    /// The whole pattern, including prefixes.
    pub pattern: &'r Pattern,
    /// The values of its parameters.
    pub params: Params<'r, 'p>,
}

/// Why a path leads to no endpoint.
///
/// For an example see [`Routes`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Miss {
    /// The path is invalid.
    #[error(transparent)]
    BadPath(#[from] PathError),
    /// RFC 9110 15.5.5: there is no such resource.
    #[error("no route matches the path")]
    NotFound,
    /// RFC 9110 15.5.6: "The origin server MUST generate an Allow header field in a 405 response containing a list of the
    /// target resource's currently supported methods."
    #[error("the route does not allow the method")]
    MethodNotAllowed(
        /// The allowed methods, sorted.
        Vec<String>,
    ),
}

impl Miss {
    /// Returns the status of the response.
    pub const fn status(&self) -> u16 {
        match self {
            Self::BadPath(_) => 400,
            Self::NotFound => 404,
            Self::MethodNotAllowed(_) => 405,
        }
    }
}
