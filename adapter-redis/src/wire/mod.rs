//! The wire format: messages, and notifications between nodes.
//! This describes version 1, which is fixed by the vectors in `vectors.tsv`.
//! Knows no Redis. Bytes that are not understood are an error, never a panic, and no memory is reserved for a number in them.
//!
//! Numbers are big-endian. A *payload* is sent to a channel; scripts in Redis write the first two kinds.
//!
//! ```text
//! payload  = %x01 kind body
//! kind 1   messages    epoch(8) before(8) time(8) *( length(4) message )       before: the number before the first
//! kind 2   (presence without an epoch, before the first release)
//! kind 3   close       code(2) reason                                          all channels in the group
//! kind 4   direct      slot(4) generation(4) form(1) content                   form 0: text, 1: binary
//! kind 5   close one   slot(4) generation(4) code(2) reason
//! kind 6   watched     name payload                                            what was sent to the group of this name
//! kind 7   watching    (nothing)                                               some node watches filters now
//! kind 8   presence    epoch(8) version(8) count(8) n(4) *present n(4) *present n(4) *name      before kind 11: who came, changed, went
//! kind 9   instruct    slot(4) generation(4) instruction                       one channel
//! kind 10  instruct    instruction                                             all channels of the user whose group it is
//! kind 11  presence    epoch(8) version(8) count(8) n(4) *present n(4) *present n(4) *present   who came, changed, went
//! kind 12  several     *( length(4) payload )                                  for one node, in order
//!
//! message  = flags [sender] [key] [expires] [exclude] [users] [attributes] content
//! flags      1 unsaved   2 binary   4 sender   8 key   16 expires   32 exclude   64 users   128 attributes
//! sender   = channel         channel = node(8) slot(4) generation(4)
//! key      = name            name    = length(2) bytes
//! expires  = duration(8)     from when it was published, in microseconds; so are all times
//! exclude  = n(4) *channel
//! users    = n(4) *name n(4) *name                                             who does not receive it, to whom it is not replayed
//! attributes = form(1) [length(4) info] n(4) *( length(4) name length(4) value )        form 1: information of the publisher; tags
//! present  = name said(8) form(1) [length(4) metadata]                         form 0: no metadata, 1: metadata
//! instruction = 1 name / 2 name / 3 form(1) [name] / 4 metadata / 5 form(1) [time(8)] / 6 text     join, leave, user, metadata, expiry, signal
//! ```
//!
//! A receiver skips and counts a payload of another version or an unknown kind: a newer server may send more. A message with an unknown
//! flag is skipped too; its number is then missing, which is reported.

mod instruction;
mod message;
mod presence;
mod read;

use sansws_core::close::CloseCode;
use sansws_core::hub::{ChannelId, Instruction, NodeId, Position, PresenceChange, PublishRequest};
use sansws_core::message::{Payload as Content, PreparedMessage};
use thiserror::Error;

pub use instruction::{instruct, instruct_channel};
pub use message::{UNSAVED, decode, encode};
pub use presence::write as presence;
use read::Reader;

use crate::name::Name;

/// The version that is written.
pub const VERSION: u8 = 1;

/// Why bytes from Redis cannot be parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WireError {
    /// An unknown version, kind or flag: a newer server wrote it.
    #[error("a newer version wrote the message")]
    Unknown,
    /// The bytes end too soon, or do not match their kind.
    #[error("the message is malformed")]
    Malformed,
}

/// The content of a message to a channel.
#[derive(Clone, Debug)]
pub enum Payload<'a> {
    /// Messages of a group.
    Messages(Batch<'a>),
    /// Users came, went, or changed.
    Presence(PresenceChange),
    /// Close all channels of the group.
    Close {
        /// The close code.
        code: CloseCode,
        /// The reason.
        reason: &'a str,
    },
    /// A message for one channel of the node.
    Direct {
        /// Its slot.
        slot: u32,
        /// The generation of the slot.
        generation: u32,
        /// The message.
        message: PreparedMessage,
    },
    /// Close a channel of the node.
    CloseChannel {
        /// Its slot.
        slot: u32,
        /// The generation of the slot.
        generation: u32,
        /// The close code.
        code: CloseCode,
        /// The reason.
        reason: &'a str,
    },
    /// A payload that was sent to the channel of a group.
    Watched {
        /// The group.
        group: Name,
        /// The payload.
        payload: &'a [u8],
    },
    /// Some node watches filters now.
    Watching,
    /// An instruction to a channel of the node.
    InstructChannel {
        /// Its slot.
        slot: u32,
        /// The generation of the slot.
        generation: u32,
        /// The instruction.
        instruction: Instruction,
    },
    /// An instruction to all channels of the group.
    Instruct(Instruction),
    /// Several payloads for the node, in order.
    Several(Payloads<'a>),
}

/// Payloads that were sent in one step.
#[derive(Clone, Copy, Debug)]
pub struct Payloads<'a>(Split<'a>);

impl<'a> Iterator for Payloads<'a> {
    type Item = Result<&'a [u8], WireError>;

    /// Returns the next payload, in wire format; an error ends the iteration.
    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

/// Messages that were published in one step.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// The position of the group before them.
    pub before: Position,
    /// When they were published, in microseconds by the clock of Redis.
    pub time: u64,
    messages: Split<'a>,
}

impl<'a> Iterator for Batch<'a> {
    type Item = Result<&'a [u8], WireError>;

    /// Returns the next message, in wire format.
    fn next(&mut self) -> Option<Self::Item> {
        self.messages.next()
    }
}

/// Parses a payload; `group` is the one whose channel it was sent to.
///
/// # Errors
/// [`WireError`].
pub fn parse<'a>(group: &Name, bytes: &'a [u8]) -> Result<Payload<'a>, WireError> {
    let mut reader = Reader(bytes);
    if reader.u8()? != VERSION {
        return Err(WireError::Unknown);
    }
    let payload = match reader.u8()? {
        1 => {
            let before = reader.position()?;
            let time = reader.number()?;
            let messages = Split {
                rest: reader.rest(),
            };
            return Ok(Payload::Messages(Batch {
                before,
                time,
                messages,
            }));
        }
        3 => Payload::Close {
            code: reader.code()?,
            reason: reader.text_to_the_end()?,
        },
        4 => Payload::Direct {
            slot: reader.u32()?,
            generation: reader.u32()?,
            message: match reader.u8()? {
                0 => PreparedMessage::new(Content::Text(reader.text_to_the_end()?)),
                1 => PreparedMessage::new(Content::Binary(reader.rest())),
                _ => return Err(WireError::Unknown),
            },
        },
        5 => Payload::CloseChannel {
            slot: reader.u32()?,
            generation: reader.u32()?,
            code: reader.code()?,
            reason: reader.text_to_the_end()?,
        },
        6 => Payload::Watched {
            group: reader.name()?,
            payload: reader.rest(),
        },
        // Ignore anything that a newer server may append.
        7 => return Ok(Payload::Watching),
        kind @ (8 | 11) => Payload::Presence(presence::read(group, kind, &mut reader)?),
        9 => Payload::InstructChannel {
            slot: reader.u32()?,
            generation: reader.u32()?,
            instruction: instruction::read(&mut reader)?,
        },
        10 => Payload::Instruct(instruction::read(&mut reader)?),
        12 => Payload::Several(Payloads(Split {
            rest: reader.rest(),
        })),
        _ => return Err(WireError::Unknown),
    };
    if reader.0.is_empty() {
        Ok(payload)
    } else {
        Err(WireError::Malformed)
    }
}

fn payload(kind: u8) -> Vec<u8> {
    vec![VERSION, kind]
}

/// Returns the payload that the publishing script sends to the channel of a group.
pub fn messages(before: Position, time: u64, messages: &Messages) -> Vec<u8> {
    let mut out = payload(1);
    out.extend(before.epoch.to_be_bytes());
    out.extend(before.offset.to_be_bytes());
    out.extend(time.to_be_bytes());
    out.extend(&messages.bytes);
    out
}

/// Messages as sent to and stored in Redis: each preceded by its length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Messages {
    bytes: Vec<u8>,
    count: usize,
}

impl Messages {
    /// Messages read from Redis. Their number is known once they are parsed.
    pub fn of(bytes: Vec<u8>, count: usize) -> Self {
        Self { bytes, count }
    }

    /// Appends a message.
    pub fn push(&mut self, draft: &PublishRequest) {
        let at = self.bytes.len();
        self.bytes.extend([0; 4]);
        message::encode_to(draft, &mut self.bytes);
        let length = length(self.bytes.len() - at - 4);
        if let Some(place) = self.bytes.get_mut(at..at + 4) {
            place.copy_from_slice(&length);
        }
        self.count += 1;
    }

    /// Returns their number.
    pub const fn count(&self) -> usize {
        self.count
    }

    /// Reads bytes without copying them.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Returns the bytes to send to Redis.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Iterates over the messages, in wire format; an error ends the iteration.
    pub fn iter(&self) -> impl Iterator<Item = Result<&[u8], WireError>> {
        Split { rest: &self.bytes }
    }
}

/// Bytes in which each message is preceded by its length.
#[derive(Clone, Copy, Debug)]
struct Split<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Split<'a> {
    type Item = Result<&'a [u8], WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let mut reader = Reader(self.rest);
        let message = reader.long();
        self.rest = if message.is_ok() { reader.0 } else { &[] };
        Some(message)
    }
}

/// Returns a payload that closes all channels of the group.
pub fn close(code: CloseCode, reason: &str) -> Vec<u8> {
    let mut out = payload(3);
    out.extend(code.get().to_be_bytes());
    out.extend(reason.as_bytes());
    out
}

/// Returns a payload with a message for one channel.
pub fn direct(to: ChannelId, message: &PreparedMessage) -> Vec<u8> {
    let mut out = payload(4);
    put_place(&mut out, to);
    out.push(u8::from(message::is_binary(message)));
    out.extend(message.payload());
    out
}

/// Returns a payload that closes a channel.
pub fn close_channel(channel: ChannelId, code: CloseCode, reason: &str) -> Vec<u8> {
    let mut out = payload(5);
    put_place(&mut out, channel);
    out.extend(code.get().to_be_bytes());
    out.extend(reason.as_bytes());
    out
}

/// Returns a payload that was sent to the channel of a group, for watchers of filters.
pub fn watched(group: &str, inner: &[u8]) -> Vec<u8> {
    let mut out = payload(6);
    put_name(&mut out, group);
    out.extend(inner);
    out
}

/// Returns a payload that announces that some node watches filters now.
pub fn watching() -> Vec<u8> {
    payload(7)
}

/// Returns a payload that holds these, for one node: if there is one, itself.
pub fn several(payloads: Vec<Vec<u8>>) -> Vec<u8> {
    match <[_; 1]>::try_from(payloads) {
        Ok([one]) => one,
        Err(payloads) => {
            let mut out = payload(12);
            for one in payloads {
                out.extend(length(one.len()));
                out.extend(one);
            }
            out
        }
    }
}

fn put_place(out: &mut Vec<u8>, id: ChannelId) {
    out.extend(id.slot().to_be_bytes());
    out.extend(id.generation().to_be_bytes());
}

fn put_channel(out: &mut Vec<u8>, id: ChannelId) {
    let NodeId(node) = id.node;
    out.extend(node.to_be_bytes());
    put_place(out, id);
}

/// Writes a name; the hub allows at most 255 bytes.
fn put_name(out: &mut Vec<u8>, name: &str) {
    let length = u16::try_from(name.len()).unwrap_or(u16::MAX);
    out.extend(length.to_be_bytes());
    out.extend(name.bytes().take(length.into()));
}

fn put_long(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(length(bytes.len()));
    out.extend(bytes);
}

/// Writes a length; the hub allows no message of 4 GiB or more.
fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}
