//! Builds paths from patterns.
//! RFC 3986 section 2.1: characters that are not allowed in a segment are escaped.
//! Knows no host and no query. The pattern matches the result, with equal values.

use alloc::borrow::ToOwned;
use alloc::string::{String, ToString};
use core::fmt::Display;

use thiserror::Error;

use super::converter::Kind;
use super::escape::{encode, is_dots};
use super::pattern::{Pattern, Segment};

/// Why a path cannot be built.
///
/// For an example see [`Routes::url_for`](super::Routes::url_for).
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UrlError {
    /// No route has the name.
    #[error("no route is named `{0}`")]
    UnknownRoute(String),
    /// A parameter has no value.
    #[error("the parameter `{0}` has no value")]
    Missing(String),
    /// A value belongs to no parameter.
    #[error("the pattern has no parameter `{0}`")]
    Unknown(String),
    /// The converter does not accept the value, or clients resolve it (`.` and `..`) and never send it.
    #[error("`{value}` is not a valid value of the parameter `{name}`")]
    Unfit {
        /// The parameter.
        name: String,
        /// The value.
        value: String,
    },
}

impl Pattern {
    /// Returns the path that this pattern matches with `values`.
    ///
    /// ```
    /// use sansws_core::route::Pattern;
    ///
    /// let pattern: Pattern = "/rooms/{room}/{id:int}".parse()?;
    /// assert_eq!(pattern.url(&[("room", &"a/b c"), ("id", &7)])?, "/rooms/a%2Fb%20c/7");
    /// assert!(pattern.url(&[("room", &"x"), ("id", &"seven")]).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn url(&self, values: &[(&str, &dyn Display)]) -> Result<String, UrlError> {
        for (name, _) in values {
            if !self.names().any(|own| own == *name) {
                return Err(UrlError::Unknown((*name).to_owned()));
            }
        }
        let mut out = String::new();
        for segment in self.segments() {
            match segment {
                Segment::Literal(text) => push(text, &mut out),
                Segment::Param { name, kind } => {
                    let (_, value) = values
                        .iter()
                        .find(|(own, _)| *own == &**name)
                        .ok_or_else(|| UrlError::Missing((**name).to_owned()))?;
                    fill(name, kind, value.to_string(), &mut out)?;
                }
            }
        }
        Ok(out)
    }
}

fn fill(name: &str, kind: &Kind, value: String, out: &mut String) -> Result<(), UrlError> {
    let mut parts = value.split('/');
    let dots = match kind {
        Kind::Path => parts.any(is_dots),
        _ => is_dots(&value),
    };
    if dots || !kind.accepts(&value) {
        let name = name.to_owned();
        return Err(UrlError::Unfit { name, value });
    }
    match kind {
        Kind::Path => value.split('/').for_each(|part| push(part, out)),
        _ => push(&value, out),
    }
    Ok(())
}

fn push(segment: &str, out: &mut String) {
    out.push('/');
    encode(segment, out);
}
