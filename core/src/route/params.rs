//! The values of a pattern's parameters in a path.
//! RFC 3986 section 2.1: a segment is decoded on request; one without escapes is borrowed.
//! Knows no tree: a pattern and a matching path are enough.

use alloc::borrow::{Cow, ToOwned};
use alloc::string::String;
use core::str::FromStr;

use thiserror::Error;

use super::converter::Kind;
use super::escape::{PathError, cut, decode};
use super::pattern::{Pattern, Segment};

/// The parameters of a match. It holds no values, only where to find them, so that creating it allocates nothing.
///
/// ```
/// use sansws_core::route::{ParamError, Pattern};
///
/// let pattern: Pattern = "/{room}/{id:int}/{file:path}".parse()?;
/// let params = pattern.matches("/a%2Fb/-7/x/y.txt")?.expect("it matches");
/// assert_eq!(params.get::<String>("room")?, "a/b");
/// assert_eq!(params.get::<i64>("id")?, -7);
/// assert_eq!(params.text("file").as_deref(), Some("x/y.txt"));
/// assert_eq!(params.get::<u8>("nope"), Err(ParamError::Unknown("nope".into())));
/// assert_eq!(params.iter().count(), 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Params<'r, 'p> {
    pattern: &'r Pattern,
    path: &'p str,
}

/// A parameter cannot be returned as requested.
///
/// ```
/// use sansws_core::route::{ParamError, Pattern};
///
/// let pattern: Pattern = "/rooms/{room}".parse()?;
/// let params = pattern.matches("/rooms/lobby")?.expect("it matches");
/// assert_eq!(params.get::<u32>("room"), Err(ParamError::Unfit("room".into())));
/// assert_eq!(params.get::<u32>("floor"), Err(ParamError::Unknown("floor".into())));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ParamError {
    /// The pattern has no such parameter.
    #[error("the pattern has no parameter `{0}`")]
    Unknown(String),
    /// The converter accepts more values than the type: for example `{id:int}` as a `u8`.
    #[error("the parameter `{0}` does not fit its type")]
    Unfit(String),
}

impl Pattern {
    /// Returns the parameters, if this pattern matches `path`. To look up one of many patterns, use
    /// [`Routes::find`](super::Routes::find).
    pub fn matches<'p>(&self, path: &'p str) -> Result<Option<Params<'_, 'p>>, PathError> {
        let path = if path.is_empty() { "/" } else { path };
        decode(path)?;
        let mut rest = path.strip_prefix('/');
        for segment in self.segments() {
            let Some(here) = rest else { return Ok(None) };
            let (text, next) = cut(here);
            let (text, next) = match segment {
                Segment::Param {
                    kind: Kind::Path, ..
                } => (here, None),
                Segment::Param { .. } | Segment::Literal(_) => (text, next),
            };
            if !segment.accepts(&decode(text)?) {
                return Ok(None);
            }
            rest = next;
        }
        Ok(rest.is_none().then(|| Params::new(self, path)))
    }
}

impl<'r, 'p> Params<'r, 'p> {
    /// Creates the parameters of a pattern that matches the path.
    pub(super) const fn new(pattern: &'r Pattern, path: &'p str) -> Self {
        Self { pattern, path }
    }

    /// Returns the value of a parameter, parsed.
    pub fn get<T: FromStr>(&self, name: &str) -> Result<T, ParamError> {
        let text = self
            .text(name)
            .ok_or_else(|| ParamError::Unknown(name.to_owned()))?;
        text.parse().map_err(|_| ParamError::Unfit(name.to_owned()))
    }

    /// Returns the value of a parameter, decoded. A `path` may contain `..`: never join it to a folder unchecked.
    pub fn text(&self, name: &str) -> Option<Cow<'p, str>> {
        let (_, raw) = self.raw().find(|(own, _)| *own == name)?;
        Some(plain(raw))
    }

    /// Iterates over names and decoded values, from the left.
    pub fn iter(&self) -> impl Iterator<Item = (&'r str, Cow<'p, str>)> + use<'r, 'p> {
        self.raw().map(|(name, raw)| (name, plain(raw)))
    }

    /// Iterates over names and undecoded values.
    fn raw(&self) -> impl Iterator<Item = (&'r str, &'p str)> + use<'r, 'p> {
        let mut rest = self.path.strip_prefix('/');
        self.pattern.segments().iter().filter_map(move |segment| {
            let here = rest?;
            let (text, next) = cut(here);
            rest = next;
            match segment {
                Segment::Literal(_) => None,
                Segment::Param {
                    name,
                    kind: Kind::Path,
                } => Some((&**name, here)),
                Segment::Param { name, .. } => Some((&**name, text)),
            }
        })
    }
}

/// The path was decoded before it matched, so this cannot fail.
fn plain(raw: &str) -> Cow<'_, str> {
    decode(raw).unwrap_or(Cow::Borrowed(raw))
}
