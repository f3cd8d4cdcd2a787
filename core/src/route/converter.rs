//! The values that a parameter accepts, and the precedence between parameters.
//! RFC 3986 section 3.3; `uuid` is the text form of RFC 9562 section 4.
//! Knows no tree: it looks at one decoded segment. Values are parsed by `params`.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;

/// The test of a custom converter: `{year:year}` after [`Router::converter`](super::Router::converter)`("year", …)`.
///
/// Any `Fn(&str) -> bool` is one. Equal texts must always get equal answers.
///
/// ```
/// use sansws_core::route::{Converter, Router};
///
/// struct OneOf(&'static [&'static str]);
///
/// impl Converter for OneOf {
///     fn accepts(&self, segment: &str) -> bool {
///         self.0.contains(&segment)
///     }
/// }
///
/// let routes = Router::new()
///     .converter("unit", OneOf(&["celsius", "kelvin"]))
///     .converter("year", |segment: &str| segment.len() == 4 && segment.parse::<u16>().is_ok())
///     .route("/heat/{unit:unit}/{year:year}", "heat")
///     .build()?;
/// assert!(routes.find("GET", "/heat/kelvin/2024").is_ok());
/// assert!(routes.find("GET", "/heat/kelvin/24").is_err());
/// # Ok::<(), sansws_core::route::RouteErrors>(())
/// ```
pub trait Converter: Send + Sync + 'static {
    /// Returns whether a segment, decoded and not empty, is a value.
    fn accepts(&self, segment: &str) -> bool;
}

impl<F: Fn(&str) -> bool + Send + Sync + 'static> Converter for F {
    fn accepts(&self, segment: &str) -> bool {
        self(segment)
    }
}

/// The converter of a parameter.
#[derive(Clone)]
pub(super) enum Kind {
    Custom(Box<str>, Arc<dyn Converter>),
    Uuid,
    Uint,
    Int,
    Float,
    Slug,
    Str,
    /// The rest of the path, including slashes; always the last segment.
    Path,
}

impl Kind {
    pub(super) fn built_in(name: &str) -> Option<Self> {
        Some(match name {
            "uuid" => Self::Uuid,
            "uint" => Self::Uint,
            "int" => Self::Int,
            "float" => Self::Float,
            "slug" => Self::Slug,
            "str" => Self::Str,
            "path" => Self::Path,
            _ => return None,
        })
    }

    pub(super) fn accepts(&self, segment: &str) -> bool {
        match self {
            _ if segment.is_empty() => false,
            Self::Custom(_, converter) => converter.accepts(segment),
            Self::Uuid => is_uuid(segment),
            Self::Uint => is_digits(segment) && segment.parse::<u64>().is_ok(),
            Self::Int => is_digits(unsigned(segment)) && segment.parse::<i64>().is_ok(),
            Self::Float => is_decimal(unsigned(segment)) && is_finite(segment),
            Self::Slug => segment
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)),
            Self::Str | Self::Path => true,
        }
    }

    /// The precedence among parameters: the one that accepts less comes first. Custom ones are ordered by name.
    pub(super) fn key(&self) -> (u8, &str) {
        match self {
            Self::Custom(name, _) => (1, name),
            Self::Uuid => (2, ""),
            Self::Uint => (3, ""),
            Self::Int => (4, ""),
            Self::Float => (5, ""),
            Self::Slug => (6, ""),
            Self::Str => (7, ""),
            Self::Path => (8, ""),
        }
    }

    /// Returns whether both are the same: a name may stand for different custom converters in different routers.
    pub(super) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Custom(_, own), Self::Custom(_, other)) => Arc::ptr_eq(own, other),
            _ => self.key() == other.key(),
        }
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Custom(name, _) => name,
            Self::Uuid => "uuid",
            Self::Uint => "uint",
            Self::Int => "int",
            Self::Float => "float",
            Self::Slug => "slug",
            Self::Str => "str",
            Self::Path => "path",
        })
    }
}

fn unsigned(text: &str) -> &str {
    text.strip_prefix('-').unwrap_or(text)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Exponents, `inf` and `nan` are not accepted: a fraction has digits on both sides of its point.
fn is_decimal(text: &str) -> bool {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    is_digits(whole) && is_digits(fraction)
}

fn is_finite(text: &str) -> bool {
    text.parse::<f64>().is_ok_and(f64::is_finite)
}

/// Accepts hexadecimal digits in groups of 8, 4, 4, 4 and 12.
fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}
