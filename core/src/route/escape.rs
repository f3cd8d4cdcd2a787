//! Segments of a path, and their percent-encoding.
//! RFC 3986 sections 2.1 and 3.3.
//! Knows no pattern and no query. A path is split at `/` first and decoded afterwards, so `%2F` never separates segments.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use thiserror::Error;

/// The path of a request is invalid; the answer is 400.
///
/// ```
/// use sansws_core::route::{PathError, Pattern};
///
/// let pattern: Pattern = "/users/{name}".parse()?;
/// assert_eq!(pattern.matches("/users/100%").unwrap_err(), PathError::Escape);
/// assert_eq!(pattern.matches("/users/%ff").unwrap_err(), PathError::Utf8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum PathError {
    /// 2.1: a percent-encoded octet is "the percent character "%" followed by the two hexadecimal digits".
    #[error("a `%` in the path is not followed by two hexadecimal digits")]
    Escape,
    /// 2.5: text in a path is UTF-8, then percent-encoded.
    #[error("the decoded path is not UTF-8")]
    Utf8,
}

/// Returns the first segment, and the rest after its slash, if there is one. Segments are short: a plain loop is the fastest.
pub(super) fn cut(rest: &str) -> (&str, Option<&str>) {
    let slash = rest.bytes().position(|byte| byte == b'/');
    match slash.and_then(|at| rest.split_at_checked(at)) {
        Some((segment, rest)) => (segment, rest.get(1..)),
        None => (rest, None),
    }
}

/// Decodes a segment. Nothing is copied unless something is escaped.
pub(super) fn decode(text: &str) -> Result<Cow<'_, str>, PathError> {
    if !text.as_bytes().contains(&b'%') {
        return Ok(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut parts = text.split('%');
    bytes.extend_from_slice(parts.next().unwrap_or_default().as_bytes());
    for part in parts {
        let [high, low, plain @ ..] = part.as_bytes() else {
            return Err(PathError::Escape);
        };
        bytes.push(byte(*high, *low).ok_or(PathError::Escape)?);
        bytes.extend_from_slice(plain);
    }
    String::from_utf8(bytes)
        .map(Cow::Owned)
        .map_err(|_| PathError::Utf8)
}

fn byte(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

/// Writes `text` as one segment: characters that are not `pchar` (3.3), and `/`, are escaped.
pub(super) fn encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for half in [byte >> 4, byte & 15] {
                let digit = char::from_digit(half.into(), 16).unwrap_or_default();
                out.push(digit.to_ascii_uppercase());
            }
        }
    }
}

/// 3.3: `.` and `..` are "intended for use [...] for relative position": clients resolve them, so they never arrive.
pub(super) fn is_dots(segment: &str) -> bool {
    matches!(segment, "." | "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes() {
        let cases: &[(&str, Result<&str, PathError>)] = &[
            ("", Ok("")),
            ("plain", Ok("plain")),
            ("caf\u{e9}", Ok("caf\u{e9}")),
            ("caf%C3%a9", Ok("caf\u{e9}")),
            ("%2F%25%00", Ok("/%\0")),
            ("%252F", Ok("%2F")),
            ("a+b", Ok("a+b")),
            ("%", Err(PathError::Escape)),
            ("%4", Err(PathError::Escape)),
            ("a%4g", Err(PathError::Escape)),
            ("%+4", Err(PathError::Escape)),
            ("%%41", Err(PathError::Escape)),
            ("%4\u{e9}", Err(PathError::Escape)),
            ("%C3", Err(PathError::Utf8)),
            ("%C0%AF", Err(PathError::Utf8)),
            ("%ED%A0%80", Err(PathError::Utf8)),
        ];
        for (text, want) in cases {
            assert_eq!(decode(text).as_deref(), want.as_deref(), "{text}");
        }
        let mut out = String::new();
        encode("a/b c%\u{e9}~@", &mut out);
        assert_eq!(out, "a%2Fb%20c%25%C3%A9~@");
    }
}
