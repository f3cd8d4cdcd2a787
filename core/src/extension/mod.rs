//! Extensions: the grammar of offers and answers.
//! RFC 6455 section 9.1.
//! Knows no extension by name; [`deflate`] is the only one.

pub mod deflate;

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::http::field::{Cursor, Malformed};

/// One extension with its parameters, as offered or answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Extension<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// Its parameters, in order, including repeated ones.
    pub(crate) params: Vec<Param<'a>>,
}

/// A parameter of an extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Param<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// Its value, without quotes.
    pub(crate) value: Option<Cow<'a, str>>,
}

/// Parses all `Sec-WebSocket-Extensions` fields of a head, in order.
pub(crate) fn parse<'a>(
    fields: impl Iterator<Item = &'a [u8]>,
) -> Result<Vec<Extension<'a>>, Malformed> {
    let mut all = Vec::new();
    for field in fields {
        let mut cursor = Cursor::new(field);
        // 9.1: extension-list = 1#extension; RFC 9110 5.6.1: empty elements are skipped
        while !cursor.skip_commas() {
            let name = cursor.token()?;
            let mut params = Vec::new();
            while cursor.take(b';') {
                let name = cursor.token()?;
                let value = if cursor.take(b'=') {
                    Some(cursor.value()?)
                } else {
                    None
                };
                params.push(Param { name, value });
            }
            all.push(Extension { name, params });
            cursor.end_of_element()?;
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::String;

    fn shown(field: &str) -> Result<String, Malformed> {
        let all = parse([field.as_bytes()].into_iter())?;
        Ok(all
            .iter()
            .map(|extension| {
                let params: String = extension
                    .params
                    .iter()
                    .map(|p| format!(" {}={}", p.name, p.value.as_deref().unwrap_or("-")))
                    .collect();
                format!("[{}{params}]", extension.name)
            })
            .collect())
    }

    #[test]
    fn nine_one_grammar() {
        let cases: &[(&str, Result<&str, Malformed>)] = &[
            ("", Ok("")),
            (" , ,", Ok("")),
            ("a", Ok("[a]")),
            ("a, b;c, d;e=1;f", Ok("[a][b c=-][d e=1 f=-]")),
            ("a ; b = \"1\\5\" , c", Ok("[a b=15][c]")),
            ("a;b=\"x y\"", Err(Malformed)),
            ("a;", Err(Malformed)),
            ("a;b=", Err(Malformed)),
            ("a b", Err(Malformed)),
            ("a;b=\"1", Err(Malformed)),
            ("\u{e4}", Err(Malformed)),
        ];
        for (field, want) in cases {
            assert_eq!(
                shown(field).as_deref().map_err(|_| Malformed),
                *want,
                "{field}"
            );
        }
    }
}
