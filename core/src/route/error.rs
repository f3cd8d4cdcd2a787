//! Why routes do not build.
//! RFC 9110 section 9.1 for methods; the rest is our own.
//! Knows no router: each error names the patterns it is about.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use thiserror::Error;

use super::pattern::PatternError;

/// One mistake in a set of routes.
///
/// For an example see [`RouteErrors`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RouteError {
    /// A pattern or a prefix is invalid.
    #[error("`{pattern}`: {error}")]
    Pattern {
        /// As written, after its prefixes.
        pattern: String,
        /// The fault.
        error: PatternError,
    },
    /// A path and a method would match both.
    #[error("`{first}` and `{second}` match the same paths")]
    Conflict {
        /// The one that was added first.
        first: String,
        /// The other one.
        second: String,
    },
    /// Two routes have one name.
    #[error("`{first}` and `{second}` are both named `{name}`")]
    NameTaken {
        /// The name.
        name: String,
        /// The pattern that was added first.
        first: String,
        /// The other one.
        second: String,
    },
    /// A router has two converters with one name, or one with the name of a built-in one.
    #[error("the converter `{0}` is already registered")]
    ConverterTaken(String),
    /// RFC 9110 9.1: a method is a token.
    #[error("`{pattern}`: `{method}` is not a method")]
    Method {
        /// The pattern of the route.
        pattern: String,
        /// The invalid method.
        method: String,
    },
}

/// All mistakes in a set of routes, so that they can be fixed at once. There is at least one.
///
/// ```
/// use sansws_core::route::{RouteError, Router};
///
/// let router = Router::new().route("/{room}", 1).route("/{name}", 2).route("/{id:uid}", 3);
/// let errors = router.build().unwrap_err();
/// let all: Vec<_> = errors.iter().collect();
/// assert!(matches!(all[..], [RouteError::Pattern { .. }, RouteError::Conflict { .. }]));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteErrors(pub(super) Vec<RouteError>);

impl RouteErrors {
    /// Iterates over them.
    pub fn iter(&self) -> impl Iterator<Item = &RouteError> {
        self.0.iter()
    }
}

impl fmt::Display for RouteErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, error) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { "; " };
            write!(f, "{comma}{error}")?;
        }
        Ok(())
    }
}

impl core::error::Error for RouteErrors {}
