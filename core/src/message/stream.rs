//! Messages one after the other in the body of a response.
//! HTML section 9.2 (server-sent events).
//! Knows no connection.

use alloc::vec::Vec;

use crate::copy::append;
use crate::http::{Headers, Response};
use crate::message::MessageKind;

/// How the messages of a streamed response are told apart by its client.
///
/// ```
/// use sansws_core::http::Headers;
/// use sansws_core::message::{MessageKind, StreamFormat};
///
/// let mut body = Vec::new();
/// for text in ["rain\ntomorrow", "sun"] {
///     StreamFormat::Events.write(MessageKind::Text, text.as_bytes(), &mut body);
/// }
/// assert_eq!(body, b"data: rain\ndata: tomorrow\n\ndata: sun\n\n");
/// let head = StreamFormat::Events.head(&Headers::default());
/// assert_eq!(head.fields.get_str("content-type"), Some("text/event-stream"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StreamFormat {
    /// Messages are written as they are: the application separates them.
    Raw,
    /// A line feed follows each text, which has none itself: for example a value as JSON. Binary messages are written as they are.
    Lines,
    /// Server-sent events: each message is the data of one event. Text of several lines stays one event. An event with other fields is text
    /// that an application writes as [`Raw`](Self::Raw).
    Events,
}

impl StreamFormat {
    /// Returns the head of a response of this format, which nobody on the way stores or holds back. These fields replace others of their names.
    pub fn head(self, fields: &Headers) -> Response {
        let kind = match self {
            Self::Raw => "application/octet-stream",
            Self::Lines => "application/x-ndjson",
            Self::Events => "text/event-stream",
        };
        let own = [
            ("Content-Type", kind),
            ("Cache-Control", "no-store"),
            // nginx would hold the stream back.
            ("X-Accel-Buffering", "no"),
        ];
        let own = own.iter().filter(|(name, _)| fields.get(name).is_none());
        let own = own.fold(Response::new(200), |head, (name, value)| {
            head.with(name, value)
        });
        fields
            .iter()
            .fold(own, |head, (name, value)| head.with(name, value))
    }

    /// Appends a message of this kind to a body.
    pub fn write(self, kind: MessageKind, bytes: &[u8], body: &mut Vec<u8>) {
        match self {
            Self::Raw => append(body, bytes),
            Self::Lines => {
                append(body, bytes);
                if kind == MessageKind::Text {
                    body.push(b'\n');
                }
            }
            Self::Events => {
                for line in lines(bytes) {
                    for part in [b"data: ", line, b"\n"] {
                        append(body, part);
                    }
                }
                body.push(b'\n');
            }
        }
    }
}

/// HTML 9.2.5: "end-of-line = ( cr lf / cr / lf )". An empty message is one empty line.
fn lines(message: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(message);
    core::iter::from_fn(move || {
        let text = rest?;
        let end = text
            .iter()
            .position(|byte| matches!(byte, b'\r' | b'\n'))
            .unwrap_or(text.len());
        let (line, after) = text.split_at_checked(end)?;
        rest = match after {
            [b'\r', b'\n', after @ ..] | [_, after @ ..] => Some(after),
            [] => None,
        };
        Some(line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Payload;

    #[test]
    fn messages_are_told_apart_whatever_they_contain() {
        let bytes: &[u8] = b"\xff\n\x00";
        let cases: [(StreamFormat, Payload<'_>, &[u8]); 11] = [
            (StreamFormat::Raw, "a\nb".into(), b"a\nb"),
            (StreamFormat::Raw, "".into(), b""),
            (StreamFormat::Lines, "{}".into(), b"{}\n"),
            (StreamFormat::Lines, bytes.into(), bytes),
            (StreamFormat::Events, "".into(), b"data: \n\n"),
            (StreamFormat::Events, "a".into(), b"data: a\n\n"),
            (
                StreamFormat::Events,
                "a\r\nb\rc\nd".into(),
                b"data: a\ndata: b\ndata: c\ndata: d\n\n",
            ),
            (
                StreamFormat::Events,
                "a\n\nevent: b".into(),
                b"data: a\ndata: \ndata: event: b\n\n",
            ),
            (StreamFormat::Events, "\r\n".into(), b"data: \ndata: \n\n"),
            (
                StreamFormat::Events,
                "\n\r".into(),
                b"data: \ndata: \ndata: \n\n",
            ),
            (
                StreamFormat::Events,
                bytes.into(),
                b"data: \xff\ndata: \x00\n\n",
            ),
        ];
        for (format, message, want) in cases {
            let mut body = Vec::new();
            format.write(message.kind(), message.as_bytes(), &mut body);
            assert_eq!(body, want, "{format:?} {message:?}");
        }
    }
}
