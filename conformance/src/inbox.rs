//! Turns received bytes into events, and checks the rules that hold in every case.
//! RFC 6455 sections 4 to 8; RFC 7692 section 6.
//! Knows no case: the run decides whether an event was expected.

use std::time::Duration;

use crate::deflate::{Agreed, Inflater, Wrong};
use crate::frame::{Read, Reader, opcode};
use crate::http::Head;
use crate::http2::Incident;
use crate::keys::Keys;
use crate::record::{Record, Who};

/// Maximum length of a message or frame from a peer, in bytes.
pub const LONGEST: usize = 80 << 20;

/// Maximum length of an HTTP head from a peer, in bytes.
const LONGEST_HEAD: usize = 64 << 10;

/// How TCP ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The peer shut down its side in order.
    Fin,
    /// The peer reset the connection.
    Reset,
    /// The peer reset the stream of HTTP/2, with this error code.
    Stream(u32),
    /// The peer ended the connection of HTTP/2 with GOAWAY and this error code.
    GoAway(u32),
}

/// An event caused by the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The head of a request or a response.
    Head(Head),
    /// A whole message.
    Message {
        /// Whether it is text.
        text: bool,
        /// The content, inflated.
        payload: Vec<u8>,
        /// Whether it was compressed.
        compressed: bool,
    },
    /// A ping.
    Ping(Vec<u8>),
    /// A pong.
    Pong(Vec<u8>),
    /// A Close frame: its code, if it has one, and its reason.
    Close(Option<u16>, String),
    /// It broke a rule that holds in all cases, in this way.
    Breach(String),
    /// It sent more than the suite takes, which breaks no rule by itself.
    Excess(String),
    /// TCP ended, or the stream of HTTP/2.
    End(End),
    /// Something happened beside the stream of HTTP/2.
    Beside(Incident),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// A request or a response is expected.
    Head,
    Frames,
    /// After a response that refuses, or after a violation: nothing more is parsed.
    Deaf,
}

/// Reads what a peer sends.
#[derive(Debug)]
pub struct Inbox {
    mode: Mode,
    /// The bytes of an incomplete head.
    head: Vec<u8>,
    /// How far they were searched for its end.
    searched: usize,
    reader: Reader,
    /// Whether the peer is a client, which masks.
    masked: bool,
    message: Option<Message>,
    agreed: Option<Agreed>,
    inflater: Option<Inflater>,
    closed: bool,
    ended: bool,
    /// Masking keys so far.
    keys: Keys,
}

#[derive(Debug)]
struct Message {
    text: bool,
    compressed: bool,
    payload: Vec<u8>,
}

impl Inbox {
    /// Creates one that expects a head. `masked` tells that the peer is a client.
    pub fn new(masked: bool) -> Self {
        Self {
            mode: Mode::Head,
            head: Vec::new(),
            searched: 0,
            reader: Reader::default(),
            masked,
            message: None,
            agreed: None,
            inflater: None,
            closed: false,
            ended: false,
            keys: Keys::default(),
        }
    }

    /// From now on frames arrive.
    pub fn open(&mut self, agreed: Option<Agreed>) {
        self.mode = Mode::Frames;
        self.agreed = agreed;
        self.inflater = agreed.map(|agreed| Inflater::new(agreed.peer_bits, agreed.peer_takeover));
    }

    /// Returns the masking keys so far.
    pub const fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Takes bytes from the front of `input` until there is an event.
    pub fn next(&mut self, now: Duration, input: &mut &[u8], record: &mut Record) -> Option<Event> {
        while !input.is_empty() {
            let event = match self.mode {
                Mode::Head => self.next_head(now, input, record),
                Mode::Frames if self.is_request(input) => Some(Event::Breach(
                    "it sent another HTTP request, and did not end the connection".into(),
                )),
                Mode::Frames => match self.reader.next(input, LONGEST as u64) {
                    Ok(Some(frame)) => {
                        record.receives(now, &frame);
                        self.frame(frame)
                            .unwrap_or_else(|breach| Some(Event::Breach(breach)))
                    }
                    Ok(None) => None,
                    Err(long) => Some(Event::Excess(format!(
                        "the header of a frame of {} octets",
                        long.length
                    ))),
                },
                Mode::Deaf => {
                    *input = &[];
                    None
                }
            };
            if matches!(event, Some(Event::Breach(_) | Event::Excess(_))) {
                self.mode = Mode::Deaf;
            }
            if event.is_some() {
                return event;
            }
        }
        None
    }

    /// The peer's input ended.
    pub fn end(&mut self, end: End) -> Option<Event> {
        if std::mem::replace(&mut self.ended, true) {
            return None;
        }
        let rest = self.closed && self.mode == Mode::Frames && self.reader.is_inside();
        Some(match rest {
            true => {
                Event::Breach("octets that are no frame came after its Close frame (5.5.1)".into())
            }
            false => Event::End(end),
        })
    }

    /// Returns whether a client goes on with HTTP where its frames should start.
    fn is_request(&self, input: &[u8]) -> bool {
        self.masked
            && self.keys.is_empty()
            && !self.reader.is_inside()
            && input.starts_with(b"GET /")
    }

    fn next_head(
        &mut self,
        now: Duration,
        input: &mut &[u8],
        record: &mut Record,
    ) -> Option<Event> {
        self.head.extend_from_slice(input);
        *input = &[];
        let from = self.searched.saturating_sub(3);
        self.searched = self.head.len();
        let fresh = self.head.get(from..).unwrap_or_default();
        if !fresh.windows(4).any(|four| four == b"\r\n\r\n") {
            return (self.head.len() > LONGEST_HEAD).then(|| {
                Event::Breach(format!(
                    "its HTTP head is longer than {LONGEST_HEAD} octets"
                ))
            });
        }
        let (head, length) = Head::read(&self.head)?;
        record.http(now, Who::Peer, self.head.get(..length).unwrap_or_default());
        // Bytes that follow the head stay, for `take_rest`.
        self.head.drain(..length);
        self.searched = 0;
        if head.status().is_some_and(|status| status != 101) {
            self.mode = Mode::Deaf;
        }
        Some(Event::Head(head))
    }

    /// Returns whether frames arrive.
    pub fn is_open(&self) -> bool {
        self.mode == Mode::Frames
    }

    /// Keeps bytes that came before the connection is open, for [`take_rest`](Self::take_rest), up to a bound.
    pub fn keep(&mut self, bytes: &[u8]) {
        let room = LONGEST_HEAD.saturating_sub(self.head.len());
        let kept = bytes.get(..room).unwrap_or(bytes);
        self.head.extend_from_slice(kept);
    }

    /// Returns the bytes that followed the head, once the connection is open.
    pub fn take_rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.head)
    }

    fn frame(&mut self, frame: Read) -> Result<Option<Event>, String> {
        // 5.5.1: "The application MUST NOT send any more data frames after sending a Close frame."
        if self.closed && frame.opcode < opcode::CLOSE {
            return Err("it sent data after its Close frame (5.5.1)".into());
        }
        match (frame.key, self.masked) {
            (None, true) => {
                return Err("it sent a frame that is not masked, as a client must (5.1)".into());
            }
            (Some(_), false) => {
                return Err("it sent a frame that is masked, as a server must not (5.1)".into());
            }
            _ => {}
        }
        if let Some(key) = frame.key {
            self.keys.add(key);
        }
        if !frame.minimal {
            return Err("it wrote a length in more octets than needed (5.2)".into());
        }
        let may_compress =
            self.agreed.is_some() && matches!(frame.opcode, opcode::TEXT | opcode::BINARY);
        if frame.rsv != 0 && !(frame.rsv == 4 && may_compress) {
            return Err(format!(
                "it set RSV bits ({}) that nothing gives a meaning (5.2)",
                frame.rsv
            ));
        }
        if frame.opcode >= 8 {
            return self.control(frame).map(Some);
        }
        let mut message = match (self.message.take(), frame.opcode) {
            (None, opcode::TEXT | opcode::BINARY) => Message {
                text: frame.opcode == opcode::TEXT,
                compressed: frame.rsv == 4,
                payload: Vec::new(),
            },
            (Some(message), opcode::CONTINUATION) => message,
            (None, opcode::CONTINUATION) => {
                return Err("it sent a continuation of nothing (5.4)".into());
            }
            (_, code) if code > 2 => {
                return Err(format!(
                    "it sent a frame with the reserved opcode {code} (5.2)"
                ));
            }
            (Some(_), _) => return Err("it began a message inside a message (5.4)".into()),
            (None, code) => {
                return Err(format!(
                    "it sent a frame with the reserved opcode {code} (5.2)"
                ));
            }
        };
        if message.payload.is_empty() {
            message.payload = frame.payload;
        } else {
            message.payload.extend_from_slice(&frame.payload);
        }
        if message.payload.len() > LONGEST {
            let long = format!("a message longer than {LONGEST} octets");
            return Ok(Some(Event::Excess(long)));
        }
        if !frame.fin {
            self.message = Some(message);
            return Ok(None);
        }
        if message.compressed
            && let Some(inflater) = &mut self.inflater
        {
            match inflater.message(&message.payload, LONGEST) {
                Ok(payload) => message.payload = payload,
                Err(Wrong::Long(_)) => {
                    let long =
                        format!("a compressed message that inflates to more than {LONGEST} octets");
                    return Ok(Some(Event::Excess(long)));
                }
                Err(wrong) => {
                    return Err(format!(
                        "its compressed message cannot be inflated: {wrong} (RFC 7692 7.2.2)"
                    ));
                }
            }
        }
        if message.text && std::str::from_utf8(&message.payload).is_err() {
            return Err("it sent text that is not UTF-8 (5.6)".into());
        }
        Ok(Some(Event::Message {
            text: message.text,
            payload: message.payload,
            compressed: message.compressed,
        }))
    }

    fn control(&mut self, frame: Read) -> Result<Event, String> {
        if !frame.fin {
            return Err("it fragmented a control frame (5.5)".into());
        }
        if frame.payload.len() > 125 {
            return Err("it sent a control frame of more than 125 octets (5.5)".into());
        }
        match frame.opcode {
            opcode::PING => Ok(Event::Ping(frame.payload)),
            opcode::PONG => Ok(Event::Pong(frame.payload)),
            opcode::CLOSE => {
                self.closed = true;
                match frame.payload.as_slice() {
                    [] => Ok(Event::Close(None, String::new())),
                    [_] => Err("its Close frame holds half a code (5.5.1)".into()),
                    [high, low, reason @ ..] => {
                        let code = u16::from_be_bytes([*high, *low]);
                        if matches!(code, 1005 | 1006 | 1015) {
                            return Err(format!(
                                "it closed with {code}, which must not be sent (7.4.1)"
                            ));
                        }
                        let reason = std::str::from_utf8(reason)
                            .map_err(|_| "the reason of its Close frame is not UTF-8 (5.5.1)")?;
                        Ok(Event::Close(Some(code), reason.into()))
                    }
                }
            }
            code => Err(format!(
                "it sent a frame with the reserved opcode {code} (5.2)"
            )),
        }
    }
}
