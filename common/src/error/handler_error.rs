//! The error of a handler, which can be any error.
//! RFC 6455 section 7.4.1; `drive::verdict` decides what the peer is told.
//! Knows no connection.

use std::error::Error as StdError;
use std::fmt;

use crate::error::Error;

/// Any error, as returned by a handler, an endpoint or a page: `?` converts every `std::error::Error`, `anyhow::Error`, and texts.
///
/// The server treats it as follows:
/// - An error of the handler's own connection is nobody's failure: if the peer closed or vanished, the handler simply ends; a message of
///   another kind, or invalid JSON, closes with 1003 or 1007.
/// - [`Error::close`] and [`Error::reject`] set the answer to the peer.
/// - A [path parameter](crate::server::scope::Scope::param) that does not fit its type is the client's fault: 400.
/// - Any other error is a failure of the application, including errors of other connections, such as one to an upstream server: 1011, or
///   500 before the connection was accepted. It is counted, and logged with its route and all its sources. Its text is not sent to the
///   peer.
///
/// Like `anyhow::Error`, it does not implement `std::error::Error`: otherwise `?` could not convert all types that do.
///
/// ```
/// use sansws_common::Result;
///
/// fn settings() -> Result<u16> {
///     let text = std::fs::read_to_string("/nowhere/port")?;
///     let port = text.trim().parse()?;
///     if port < 1024 {
///         return Err("the port is reserved".into());
///     }
///     Ok(port)
/// }
/// # assert!(settings().is_err());
/// ```
pub struct HandlerError(Box<dyn StdError + Send + Sync>);

impl<E: Into<Box<dyn StdError + Send + Sync>>> From<E> for HandlerError {
    #[cold]
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

/// Keeps our own error as it is, and wraps any other as [`Error::Other`].
impl From<HandlerError> for Error {
    fn from(error: HandlerError) -> Self {
        match error.0.downcast() {
            Ok(error) => *error,
            Err(other) => Self::Other(other),
        }
    }
}

impl HandlerError {
    /// Iterates over the error and its sources, outermost first.
    pub fn chain(&self) -> impl Iterator<Item = &(dyn StdError + 'static)> {
        let mut next: Option<&(dyn StdError + 'static)> = Some(&*self.0);
        std::iter::from_fn(move || {
            let error = next?;
            // A transparent wrapper would hide the type of its error.
            next = match error.downcast_ref() {
                Some(Error::Other(inner)) => Some(&**inner),
                _ => error.source(),
            };
            Some(error)
        })
    }

    /// Returns the first error of this type in the chain.
    pub fn find<E: StdError + 'static>(&self) -> Option<&E> {
        self.chain().find_map(|error| error.downcast_ref())
    }

    /// Returns the error as a trait object.
    pub fn into_inner(self) -> Box<dyn StdError + Send + Sync> {
        self.0
    }
}

/// Prints the outermost text.
impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Prints the texts of the error and all its sources, as `main` does with an error it returns. `{:#?}` prints the error's own `Debug`.
impl fmt::Debug for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            return fmt::Debug::fmt(&self.0, f);
        }
        fmt::Display::fmt(&Chain(self), f)
    }
}

/// Prints an error with its sources, in one line. A source whose text already ends the error's is not repeated.
#[derive(Debug)]
pub struct Chain<'a>(pub &'a HandlerError);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before = String::new();
        for (at, error) in self.0.chain().enumerate() {
            let text = format!("{error}");
            if at > 0 && before.ends_with(&text) {
                continue;
            }
            write!(f, "{}{text}", if at > 0 { ": " } else { "" })?;
            before = text;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sansws_core::error::SendError;
    use std::format;
    use std::io;
    use std::string::ToString;

    #[derive(Debug)]
    struct Outer(io::Error);

    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the row could not be read")
        }
    }

    impl StdError for Outer {
        fn source(&self) -> Option<&(dyn StdError + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn any_error_becomes_one_and_nothing_is_said_twice() {
        let cases: [(HandlerError, &str); 6] = [
            ("a text".into(), "a text"),
            (format!("{} text", 2).into(), "2 text"),
            (SendError::Closing.into(), "the connection is closing"),
            (
                Outer(io::Error::other("disk")).into(),
                "the row could not be read: disk",
            ),
            (
                Error::Other(Outer(io::Error::other("disk")).into()).into(),
                "the row could not be read: disk",
            ),
            (Error::Io(io::Error::other("disk")).into(), "disk"),
        ];
        for (error, want) in cases {
            assert_eq!(format!("{error:?}"), want);
        }
    }

    #[test]
    fn its_source_is_found() {
        let error = HandlerError::from(Outer(io::ErrorKind::NotFound.into()));
        assert_eq!(
            error.find().map(io::Error::kind),
            Some(io::ErrorKind::NotFound)
        );
        assert!(error.find::<Error>().is_none());
        assert!(matches!(error.into(), Error::Other(_)));
        let error = HandlerError::from(Error::from(SendError::Closing));
        assert!(matches!(error.into(), Error::NotSent(SendError::Closing)));
        let text = HandlerError::from("a text").to_string();
        assert_eq!(text, "a text");
    }
}
