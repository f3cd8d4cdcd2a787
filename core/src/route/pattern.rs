//! Patterns: `/rooms/{room}/messages/{id:int}`.
//! RFC 3986 section 3.3: segments between slashes.
//! Knows no other pattern and no endpoint.
//!
//! ```text
//! pattern  = *( "/" segment )              the empty pattern is "/", or the prefix itself under a prefix
//! segment  = literal / "{" name [ ":" converter ] "}"
//! literal  = text, or %-escapes; %7B is a brace, %25 a percent, %3F a question mark
//! name     = ( letter / "_" ) *( letter / digit / "_" )
//! ```

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use thiserror::Error;

use super::converter::{Converter, Kind};
use super::escape::{self, PathError, decode};

/// A parsed pattern; cheap to clone.
///
/// ```
/// use sansws_core::route::Pattern;
///
/// let pattern: Pattern = "/rooms/{room}/{id:int}".parse()?;
/// let params = pattern.matches("/rooms/caf%C3%A9/7")?.expect("it matches");
/// assert_eq!(params.text("room").as_deref(), Some("café"));
/// assert_eq!(params.get::<i64>("id")?, 7);
/// assert!(pattern.matches("/rooms/x/seven")?.is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Pattern {
    text: Arc<str>,
    segments: Arc<[Segment]>,
}

/// The part between two slashes.
#[derive(Clone, Debug)]
pub(super) enum Segment {
    /// Decoded.
    Literal(Box<str>),
    Param {
        name: Box<str>,
        kind: Kind,
    },
}

/// Why a pattern is invalid.
///
/// ```
/// use sansws_core::route::{Pattern, PatternError};
///
/// let error = "/rooms/{room}{id}".parse::<Pattern>().unwrap_err();
/// assert!(matches!(error, PatternError::Brace(segment) if segment == "{room}{id}"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PatternError {
    /// It would merge with the last segment of its prefix.
    #[error("the pattern does not begin with a slash")]
    NoSlash,
    /// `a{b}`, `{a}{b}`, `{a`: a parameter must be a whole segment. A literal brace is written `%7B` or `%7D`.
    #[error("`{0}` has a brace that is not at its start or end")]
    Brace(String),
    /// `{}`, `{x-y}`, `{*rest}`.
    #[error("`{0}` is not a name: use letters, digits and `_`, and no digit first")]
    Name(String),
    /// Two parameters have one name; one of them may be in a prefix.
    #[error("two parameters are called `{0}`")]
    DuplicateName(String),
    /// The converter is neither built in nor added by [`Router::converter`](super::Router::converter).
    #[error("there is no converter `{0}`")]
    UnknownConverter(String),
    /// Something follows a `path`.
    #[error("`{0}` matches the rest of the path, but is not last")]
    TailNotLast(String),
    /// A literal has a bad escape.
    #[error(transparent)]
    Escape(#[from] PathError),
    /// A path ends where the query or the fragment begins (RFC 3986 section 3.3).
    #[error("`{0}` has a `?` or `#`, which a path never contains; escape it")]
    Query(String),
    /// Clients resolve `.` and `..` before they send (RFC 3986 section 5.2.4).
    #[error("`{0}` never occurs in a path")]
    Dots(String),
    /// It has more than 1 024 segments, together with its prefixes: each is a level of the tree of routes.
    #[error("the pattern has more than {MOST} segments")]
    TooLong,
}

/// Maximum number of segments of a pattern.
const MOST: usize = 1_024;

/// Custom converters by name; the first one with a name counts.
pub(super) type Known = Vec<(Box<str>, Arc<dyn Converter>)>;

impl Pattern {
    /// Returns the pattern as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Iterates over the names of the parameters, from the left.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Literal(_) => None,
            Segment::Param { name, .. } => Some(&**name),
        })
    }

    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    pub(super) fn parse(pattern: &str, known: &Known) -> Result<Self, PatternError> {
        let text = if pattern.is_empty() { "/" } else { pattern };
        let inner = text.strip_prefix('/').ok_or(PatternError::NoSlash)?;
        if inner.split('/').nth(MOST).is_some() {
            return Err(PatternError::TooLong);
        }
        let mut segments: Vec<Segment> = Vec::new();
        for text in inner.split('/') {
            let segment = Segment::parse(text, known)?;
            for before in &segments {
                before.allow(&segment)?;
            }
            segments.push(segment);
        }
        Ok(Self {
            text: text.into(),
            segments: segments.into(),
        })
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    /// Parses a pattern without custom converters.
    fn from_str(text: &str) -> Result<Self, PatternError> {
        Self::parse(text, &Known::new())
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Segment {
    fn parse(text: &str, known: &Known) -> Result<Self, PatternError> {
        let inner = text
            .strip_prefix('{')
            .and_then(|text| text.strip_suffix('}'));
        if inner.unwrap_or(text).contains(['{', '}']) {
            return Err(PatternError::Brace(text.to_owned()));
        }
        let Some(inner) = inner else {
            return Self::literal(text);
        };
        let (name, converter) = inner.split_once(':').unwrap_or((inner, "str"));
        if !is_name(name) {
            return Err(PatternError::Name(name.to_owned()));
        }
        let custom = || {
            let (name, converter) = known.iter().find(|(name, _)| **name == *converter)?;
            Some(Kind::Custom(name.clone(), converter.clone()))
        };
        let kind = Kind::built_in(converter)
            .or_else(custom)
            .ok_or_else(|| PatternError::UnknownConverter(converter.to_owned()))?;
        Ok(Self::Param {
            name: name.into(),
            kind,
        })
    }

    fn literal(text: &str) -> Result<Self, PatternError> {
        if text.contains(['?', '#']) {
            return Err(PatternError::Query(text.to_owned()));
        }
        let decoded = decode(text)?;
        if escape::is_dots(&decoded) {
            return Err(PatternError::Dots(text.to_owned()));
        }
        Ok(Self::Literal(decoded.into()))
    }

    /// Returns whether `later` may follow.
    fn allow(&self, later: &Self) -> Result<(), PatternError> {
        match (self, later) {
            (
                Self::Param {
                    name,
                    kind: Kind::Path,
                },
                _,
            ) => Err(PatternError::TailNotLast((**name).to_owned())),
            (Self::Param { name, .. }, Self::Param { name: other, .. }) if name == other => {
                Err(PatternError::DuplicateName((**name).to_owned()))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn accepts(&self, text: &str) -> bool {
        match self {
            Self::Literal(literal) => **literal == *text,
            Self::Param { kind, .. } => kind.accepts(text),
        }
    }

    /// Returns whether both accept the same values.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Param { kind, .. }, Self::Param { kind: other, .. }) => kind.is(other),
            _ => self.key() == other.key(),
        }
    }

    /// The precedence: a literal comes first, then the parameter that accepts least. Names of parameters do not matter.
    pub(super) fn key(&self) -> (u8, &str) {
        match self {
            Self::Literal(text) => (0, text),
            Self::Param { kind, .. } => kind.key(),
        }
    }
}

fn is_name(text: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    text.starts_with(is_letter) && text.chars().all(|c| is_letter(c) || c.is_ascii_digit())
}
