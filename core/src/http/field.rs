//! Field values: tokens, lists, quoted strings.
//! RFC 9110 sections 5.6.1 (lists), 5.6.2 (tokens), 5.6.4 (quoted strings).
//! Knows no field by name.

use alloc::borrow::Cow;
use alloc::string::String;

/// The value violates its grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Returns whether `byte` is allowed in a token.
pub const fn is_token_byte(byte: u8) -> bool {
    matches!(byte,
        b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z')
}

/// Returns whether `text` is a token: not empty, and only of token bytes.
pub fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

/// Returns whether `value` is allowed in a field: no control byte but the tab, no whitespace at its ends.
pub fn is_value(value: &[u8]) -> bool {
    value
        .iter()
        .all(|byte| matches!(byte, b'\t' | b' '..=b'~' | 0x80..))
        && value.trim_ascii().len() == value.len()
}

/// Returns whether the comma-separated list in `fields` contains `token`, in any case.
pub fn has_token<'a>(fields: impl Iterator<Item = &'a [u8]>, token: &str) -> bool {
    let is_token = |item: &[u8]| item.eq_ignore_ascii_case(token.as_bytes());
    let mut fields = fields;
    // Most fields hold one element.
    fields.any(|field| {
        is_token(field)
            || field
                .split(|byte| *byte == b',')
                .any(|item| is_token(item.trim_ascii()))
    })
}

/// A reader of one field value. Whitespace between elements is skipped.
#[derive(Clone, Debug)]
pub struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    /// Starts at the front of `value`.
    pub const fn new(value: &'a [u8]) -> Self {
        Self(value)
    }

    /// Skips commas; returns whether the end is reached.
    pub fn skip_commas(&mut self) -> bool {
        while self.take(b',') {}
        self.0.is_empty()
    }

    /// Takes `byte` if it comes next.
    pub fn take(&mut self, byte: u8) -> bool {
        self.0 = self.0.trim_ascii_start();
        let Some((_, rest)) = self.0.split_first().filter(|(first, _)| **first == byte) else {
            return false;
        };
        self.0 = rest;
        true
    }

    /// Takes a token.
    pub fn token(&mut self) -> Result<&'a str, Malformed> {
        self.0 = self.0.trim_ascii_start();
        let length = self
            .0
            .iter()
            .take_while(|byte| is_token_byte(**byte))
            .count();
        let (token, rest) = self.0.split_at(length);
        self.0 = rest;
        core::str::from_utf8(token)
            .ok()
            .filter(|token| !token.is_empty())
            .ok_or(Malformed)
    }

    /// Takes a token, or a quoted string whose content is a token (RFC 6455 section 9.1).
    pub fn value(&mut self) -> Result<Cow<'a, str>, Malformed> {
        if !self.take(b'"') {
            return self.token().map(Cow::Borrowed);
        }
        let mut value = String::new();
        loop {
            let [byte, rest @ ..] = self.0 else {
                return Err(Malformed);
            };
            self.0 = rest;
            let byte = match (byte, rest) {
                (b'"', _) => break,
                (b'\\', [escaped, rest @ ..]) => {
                    self.0 = rest;
                    *escaped
                }
                (byte, _) => *byte,
            };
            // 9.1: "the value after quoted-string unescaping MUST conform to the 'token' ABNF"
            if !is_token_byte(byte) {
                return Err(Malformed);
            }
            value.push(char::from(byte));
        }
        if value.is_empty() {
            Err(Malformed)
        } else {
            Ok(Cow::Owned(value))
        }
    }

    /// Requires a comma or the end.
    pub fn end_of_element(&mut self) -> Result<(), Malformed> {
        if self.0.trim_ascii_start().is_empty() || self.take(b',') {
            Ok(())
        } else {
            Err(Malformed)
        }
    }
}

/// Returns whether `value` is allowed in `Host`: `uri-host [ ":" port ]` (RFC 9110 section 7.2, RFC 3986 section 3.2.2). It may be empty.
pub fn is_host(value: &[u8]) -> bool {
    let port_from = |rest: &[u8]| match rest {
        [] => true,
        [b':', port @ ..] => port.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(byte);
    if let [b'[', rest @ ..] = value {
        let end = rest.iter().position(|byte| *byte == b']');
        let parts = end.and_then(|end| Some((rest.get(..end)?, rest.get(end + 1..)?)));
        return parts.is_some_and(|(address, rest)| {
            let address_like = |byte: &u8| plain(byte) || *byte == b':';
            !address.is_empty() && address.iter().all(address_like) && port_from(rest)
        });
    }
    let end = value
        .iter()
        .position(|byte| *byte == b':')
        .unwrap_or(value.len());
    let (name, rest) = value.split_at(end);
    name.iter().all(plain) && port_from(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_lists_in_any_case_over_several_fields() {
        let cases: &[(&[&str], bool)] = &[
            (&["Upgrade"], true),
            (&["keep-alive, uPgRaDe"], true),
            (&["keep-alive", "Upgrade"], true),
            (&["keep-alive ,\tUpgrade ,"], true),
            (&["Upgraded"], false),
            (&["not upgrade"], false),
            (&[], false),
        ];
        for (fields, want) in cases {
            assert_eq!(
                has_token(fields.iter().map(|field| field.as_bytes()), "upgrade"),
                *want,
                "{fields:?}"
            );
        }
    }

    #[test]
    fn values_that_would_split_a_head_are_refused() {
        assert!(is_value(b"a b\tc") && is_value("ä".as_bytes()) && is_value(b""));
        assert!(
            !is_value(b"a\r\nb: c") && !is_value(b"a\0") && !is_value(b" a") && !is_value(b"a\t")
        );
    }

    #[test]
    fn hosts_with_and_without_ports() {
        for good in [
            "",
            "a",
            "a.example:8080",
            "127.0.0.1:",
            "[::1]:80",
            "[fe80::1%25en0]",
            "x_y",
        ] {
            assert!(is_host(good.as_bytes()), "{good}");
        }
        for bad in [
            "a b", "a/b", "u@a", "a:b", "a:1:2", "[::1", "[]", "[::1]x", "\u{e4}", "a?b",
        ] {
            assert!(!is_host(bad.as_bytes()), "{bad}");
        }
    }
}
