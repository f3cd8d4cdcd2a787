//! JSON and protobuf.
//! JSON: a text message of commands or replies, one a line. Protobuf: a binary message of them, each after its length as a varint.
//! Unknown fields are ignored. Memory is allocated for bytes that have arrived, never for a length that they announce.

use prost::Message as _;
use sansws_core::hub::{ChannelOptions, Encoding};
use sansws_core::message::Message;
use thiserror::Error;

use super::{Command, Reply};

/// How a connection encodes its messages.
///
/// ```
/// use sansws_centrifuge::protocol::{Codec, DecodeError};
/// use sansws_core::message::Message;
///
/// let message = Message::from("{\"id\":1,\"connect\":{}}\n{\"id\":2,\"ping\":{}}");
/// assert_eq!(Codec::Json.decode(&message, 10)?.len(), 2);
/// assert_eq!(Codec::Json.decode(&message, 1).unwrap_err(), DecodeError::TooMany);
/// assert!(Codec::Protobuf.decode(&message, 10).is_err()); // it is text
/// # Ok::<(), DecodeError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Text messages.
    Json,
    /// Binary messages, for clients that offer the subprotocol `centrifuge-protobuf`.
    Protobuf,
}

/// Why a message of a client cannot be parsed.
///
/// For an example see [`Codec`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// It is not a sequence of commands in the codec of the connection.
    #[error("the message has no commands of the protocol")]
    Malformed,
    /// It has more commands than allowed.
    #[error("the message has too many commands")]
    TooMany,
}

impl Codec {
    /// The subprotocol that selects protobuf.
    pub const PROTOBUF: &'static str = "centrifuge-protobuf";

    /// Returns the codec of a client that offers these subprotocols, the value of `Sec-WebSocket-Protocol`.
    pub(crate) fn of_offers(offers: &str) -> Self {
        let mut offers = offers.split(',').map(str::trim);
        if offers.any(|offer| offer == Self::PROTOBUF) {
            Self::Protobuf
        } else {
            Self::Json
        }
    }

    /// Returns the subprotocol that its answer names.
    pub(crate) fn subprotocol(self) -> Option<String> {
        (self == Self::Protobuf).then(|| Self::PROTOBUF.to_owned())
    }

    /// Returns the options of the channel of a user's connection, whose publications are pushes in this codec.
    pub(crate) fn channel(self, user: Option<String>) -> ChannelOptions {
        ChannelOptions {
            user,
            encoding: Encoding::Format(self.format()),
            ..ChannelOptions::default()
        }
    }

    /// Returns the number of its format in the hub.
    pub(crate) const fn format(self) -> u8 {
        match self {
            Self::Json => 0,
            Self::Protobuf => 1,
        }
    }

    /// Returns the number of its format with differences.
    pub(crate) const fn delta_format(self) -> u8 {
        self.format() + 2
    }

    /// Parses a message of a client, with at most `most` commands.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode(self, message: &Message, most: usize) -> Result<Vec<Command>, DecodeError> {
        let mut commands = Vec::new();
        let mut add = |command| {
            if commands.len() >= most {
                return Err(DecodeError::TooMany);
            }
            commands.push(command);
            Ok(())
        };
        match (self, message) {
            (Self::Json, Message::Text(text)) => {
                for line in text.lines().filter(|line| !line.trim().is_empty()) {
                    add(serde_json::from_str(line).map_err(|_| DecodeError::Malformed)?)?;
                }
            }
            (Self::Protobuf, Message::Binary(bytes)) => {
                let mut rest = bytes.as_slice();
                while !rest.is_empty() {
                    let command = Command::decode_length_delimited(&mut rest);
                    add(command.map_err(|_| DecodeError::Malformed)?)?;
                }
            }
            _ => return Err(DecodeError::Malformed),
        }
        if commands.is_empty() {
            return Err(DecodeError::Malformed);
        }
        Ok(commands)
    }

    /// Encodes a reply, or a push, as a message of its own.
    pub fn encode(self, reply: &Reply) -> Message {
        match self {
            Self::Json => {
                // Serialization of these types does not fail.
                Message::Text(serde_json::to_string(reply).unwrap_or_else(|_| "{}".to_owned()))
            }
            Self::Protobuf => Message::Binary(reply.encode_length_delimited_to_vec()),
        }
    }

    /// Returns a payload of a client as it is published: text if it is JSON, so that clients of both codecs and plain members understand it.
    pub(crate) fn to_message(data: Vec<u8>) -> Message {
        let is_json = serde_json::from_slice::<&serde_json::value::RawValue>(&data).is_ok();
        match String::from_utf8(data) {
            Ok(text) if is_json => Message::Text(text),
            Ok(text) => Message::Binary(text.into_bytes()),
            Err(error) => Message::Binary(error.into_bytes()),
        }
    }

    /// Returns a payload as this codec carries it. JSON has no bytes: what is not JSON becomes a string, of the text or in base64.
    pub(crate) fn payload(self, data: &[u8]) -> Vec<u8> {
        match self {
            Self::Protobuf => data.to_vec(),
            Self::Json => raw::json(data),
        }
    }
}

impl Codec {
    /// Returns the payload of a publication as this codec carries it. In JSON there is one even if it is empty: libraries parse it.
    pub(crate) fn published(self, data: &[u8]) -> Vec<u8> {
        match self {
            Self::Json if data.is_empty() => b"\"\"".to_vec(),
            _ => self.payload(data),
        }
    }

    /// Returns a payload, or a difference, as it is carried where there may be differences: in JSON as a string.
    pub(crate) fn quoted(self, data: Vec<u8>) -> Vec<u8> {
        match self {
            Self::Protobuf => data,
            // Payloads in JSON, and differences of text, are text.
            Self::Json => serde_json::to_vec(&String::from_utf8_lossy(&data)).unwrap_or_default(),
        }
    }
}

/// Bytes that are an embedded value in JSON.
pub(super) mod raw {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use serde_json::value::RawValue;

    /// Returns JSON without line breaks.
    pub(super) fn json(data: &[u8]) -> Vec<u8> {
        if data.is_empty() {
            return Vec::new();
        }
        match serde_json::from_slice::<&RawValue>(data) {
            // Replies are separated by line breaks: those between tokens are replaced, strings have none.
            Ok(_) => {
                let space = |byte: &u8| {
                    if matches!(byte, b'\n' | b'\r') {
                        b' '
                    } else {
                        *byte
                    }
                };
                data.iter().map(space).collect()
            }
            Err(_) => {
                let text = core::str::from_utf8(data);
                let text = text.map_or_else(|_| STANDARD.encode(data), str::to_owned);
                serde_json::to_vec(&text).unwrap_or_default()
            }
        }
    }

    pub(in crate::protocol) fn serialize<S: Serializer>(
        data: &[u8],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let text = String::from_utf8(json(data)).map_err(serde::ser::Error::custom)?;
        let raw = RawValue::from_string(text).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }

    pub(in crate::protocol) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Ok(String::from(Box::<str>::from(raw)).into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ConnectResult, Publication, Push};
    use super::*;

    #[test]
    fn json_has_a_command_on_each_line_and_ignores_what_it_does_not_know() {
        let text =
            "{\"id\":1,\"connect\":{\"data\":{\"a\": [1]},\"new\":7}}\n\n{\"id\":2,\"ping\":{}}\n";
        let commands = Codec::Json.decode(&text.into(), 2).unwrap();
        assert_eq!(commands.len(), 2);
        let connect = commands[0].connect.as_ref().unwrap();
        assert_eq!(connect.data, b"{\"a\": [1]}");
        let decode = |text: &str, most| Codec::Json.decode(&text.into(), most);
        assert_eq!(decode(text, 1), Err(DecodeError::TooMany));
        for text in ["", "\n", "7", "{\"id\":-1}", "{\"id\":1} {}", "[]x"] {
            assert_eq!(decode(text, 9), Err(DecodeError::Malformed), "{text}");
        }
    }

    #[test]
    fn a_ping_is_empty_and_results_are_there_even_when_empty() {
        let ping = Reply::default();
        assert_eq!(Codec::Json.encode(&ping), "{}".into());
        assert_eq!(Codec::Protobuf.encode(&ping), Message::Binary(vec![0]));
        let reply = Reply {
            id: 3,
            connect: Some(ConnectResult::default()),
            ..Reply::default()
        };
        assert_eq!(
            Codec::Json.encode(&reply),
            "{\"id\":3,\"connect\":{}}".into()
        );
    }

    #[test]
    fn payloads_are_one_line_of_json() {
        let push = |data: &[u8]| {
            let publication = Publication {
                data: data.to_vec(),
                ..Publication::default()
            };
            Codec::Json.encode(&Reply {
                push: Some(Push {
                    channel: "a".into(),
                    r#pub: Some(publication),
                    ..Push::default()
                }),
                ..Reply::default()
            })
        };
        for (data, want) in [
            (&b"{\n\"a\":\r1}"[..], "{ \"a\": 1}"),
            (b"tea\n", "\"tea\\n\""),
            (b"\xff\x00", "\"/wA=\""),
        ] {
            let all = format!("{{\"push\":{{\"channel\":\"a\",\"pub\":{{\"data\":{want}}}}}}}");
            assert_eq!(push(data), all.as_str().into());
        }
    }

    #[test]
    fn protobuf_survives_any_bytes() {
        for bytes in [&[0xff_u8; 12][..], &[5, 1], &[2, 8, 0x80], &[0x80]] {
            let decoded = Codec::Protobuf.decode(&Message::Binary(bytes.to_vec()), 9);
            assert_eq!(decoded, Err(DecodeError::Malformed));
        }
        let pong = Codec::Protobuf
            .decode(&Message::Binary(vec![0]), 9)
            .unwrap();
        assert_eq!(pong, [Command::default()]);
    }
}
