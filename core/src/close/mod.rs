//! Close codes, close frames and how a connection ended.
//! RFC 6455 sections 5.5.1, 7.1.5, 7.1.6 and 7.4.
//! Knows no connection: it turns bytes into values or a `Violation`.

mod code;
mod loss;

pub use code::CloseCode;
pub use loss::LossCause;

use alloc::string::String;
use core::fmt;

use crate::error::{InvalidInput, Violation};

impl TryFrom<u16> for CloseCode {
    type Error = InvalidInput;

    fn try_from(code: u16) -> Result<Self, InvalidInput> {
        Self::new(code).ok_or(InvalidInput::ReservedCode(code))
    }
}

/// Maximum length of a reason in a Close frame, in bytes (RFC 6455 section 5.5: 125 minus the code).
pub const MAX_REASON: usize = 123;

/// The content of a Close frame; it borrows its reason.
///
/// ```
/// use sansws_core::close::{CloseCode, CloseFrame};
/// use sansws_core::error::Violation;
///
/// let frame = CloseFrame::parse(b"\x03\xe9bye")?;
/// assert_eq!((frame.code, frame.reason), (Some(CloseCode::AWAY), "bye"));
/// assert_eq!(CloseFrame::parse(b"")?.code, None);
/// assert_eq!(CloseFrame::parse(b"\x03\xee"), Err(Violation::CloseCodeInvalid)); // 1006
/// # Ok::<(), Violation>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct CloseFrame<'a> {
    /// The code; `None` when the frame is empty.
    pub code: Option<CloseCode>,
    /// The reason: UTF-8 of at most 123 bytes.
    pub reason: &'a str,
}

impl<'a> CloseFrame<'a> {
    /// Parses the payload of a Close frame.
    pub fn parse(payload: &'a [u8]) -> Result<Self, Violation> {
        match payload {
            [] => Ok(Self::default()),
            // 5.5.1: "If there is a body, the first two bytes of the body MUST be a 2-byte unsigned integer"
            [_] => Err(Violation::CloseTooShort),
            [high, low, reason @ ..] => Ok(Self {
                code: Some(
                    CloseCode::new(u16::from_be_bytes([*high, *low]))
                        .ok_or(Violation::CloseCodeInvalid)?,
                ),
                reason: core::str::from_utf8(reason).map_err(|_| Violation::CloseReasonInvalid)?,
            }),
        }
    }
}

/// Cuts `reason` to the length that fits a Close frame, at a character boundary.
pub fn cut_reason(reason: &str) -> &str {
    let mut end = reason.len().min(MAX_REASON);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason.get(..end).unwrap_or("")
}

/// How a connection ended, as the application sees it (RFC 6455 sections 7.1.4 to 7.1.6).
///
/// ```
/// use sansws_core::close::{CloseCode, Closed, LossCause};
///
/// let kicked = Closed { code: CloseCode::new(4001), reason: "kicked".into(), clean: true, cause: None };
/// assert_eq!((kicked.code(), kicked.is_normal()), (4001, false));
/// let left = Closed { code: Some(CloseCode::AWAY), reason: String::new(), clean: true, cause: None };
/// assert!(left.is_normal());
/// let lost = Closed { code: None, reason: String::new(), clean: false, cause: Some(LossCause::Reset) };
/// assert_eq!(lost.code(), 1006);
/// assert_eq!(lost.to_string(), "the connection was lost (1006): TCP was reset");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// The code of the first Close frame that was received (7.1.5); `None` if it had none, or if no frame arrived.
    pub code: Option<CloseCode>,
    /// The reason in that frame.
    pub reason: String,
    /// Whether Close frames were sent in both directions (7.1.4).
    pub clean: bool,
    /// Why the connection was lost; `None` if it was not, or if that is unknown.
    pub cause: Option<LossCause>,
}

impl Closed {
    /// Returns the number that RFC 6455 section 7.1.5 defines: the code, or 1005 (closed without a code) or 1006 (connection lost).
    pub fn code(&self) -> u16 {
        match self.code {
            Some(code) => code.get(),
            None if self.clean => 1005,
            None => 1006,
        }
    }

    /// Returns whether the end was normal: clean, with 1000, 1001 or no code.
    pub fn is_normal(&self) -> bool {
        self.clean && matches!(self.code(), 1000 | 1001 | 1005)
    }
}

/// Describes the end, with the peer's reason in quotes, or why the connection was lost.
impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            None if self.clean => f.write_str("the peer closed the connection without a code")?,
            None => {
                f.write_str("the connection was lost (1006)")?;
                return self.cause.map_or(Ok(()), |cause| write!(f, ": {cause}"));
            }
            Some(code) => write!(f, "the peer closed the connection with code {code}")?,
        }
        if self.reason.is_empty() {
            return Ok(());
        }
        write!(f, ": {:?}", self.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seven_four_only_assigned_and_private_codes_exist() {
        let good = |code: u16| {
            (1000..=1003).contains(&code)
                || (1007..=1014).contains(&code)
                || (3000..=4999).contains(&code)
        };
        assert!((0..=u16::MAX).all(|code| CloseCode::new(code).is_some() == good(code)));
    }

    #[test]
    fn five_five_one_bodies() {
        let cases: &[(&str, &[u8], Result<(Option<u16>, &str), Violation>)] = &[
            ("empty body has no code", b"", Ok((None, ""))),
            (
                "one octet is no code",
                b"\x03",
                Err(Violation::CloseTooShort),
            ),
            ("code alone", b"\x03\xe8", Ok((Some(1000), ""))),
            ("code and reason", b"\x0f\xa0bye", Ok((Some(4000), "bye"))),
            (
                "1005 on the wire",
                b"\x03\xed",
                Err(Violation::CloseCodeInvalid),
            ),
            (
                "1015 on the wire",
                b"\x03\xf7",
                Err(Violation::CloseCodeInvalid),
            ),
            ("1014 is assigned", b"\x03\xf6", Ok((Some(1014), ""))),
            (
                "reason is not UTF-8",
                b"\x03\xe8\xce",
                Err(Violation::CloseReasonInvalid),
            ),
        ];
        for (name, payload, want) in cases {
            let got = CloseFrame::parse(payload)
                .map(|close| (close.code.map(CloseCode::get), close.reason));
            assert_eq!(got, *want, "{name}");
        }
    }

    #[test]
    fn a_long_reason_is_cut_at_a_character() {
        let reason = "ä".repeat(70);
        assert_eq!(cut_reason(&reason).len(), 122);
        assert_eq!(cut_reason("short"), "short");
    }
}
