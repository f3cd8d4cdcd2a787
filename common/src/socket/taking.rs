//! How a received message is taken: copied, or lent.
//! Knows no connection.

use std::mem;

use sansws_core::message::{Message, Payload};

use super::outbox::Handle;

/// How to take a message that lies in a read buffer.
pub enum Taking<'a, 'h> {
    /// As a copy.
    Owned,
    /// As a copy in the memory of this message, which is replaced by an empty one.
    Into(&'a mut Message),
    /// It is lent to this closure.
    Lent(&'a mut Handle<'h>),
}

/// Copies a payload into this memory if it fits and is at most twice as much as needed; else into new memory.
#[inline]
pub fn copied(spare: &mut Vec<u8>, payload: Payload<'_>) -> Message {
    let length = payload.as_bytes().len();
    if length == 0 || !(length..=2 * length).contains(&spare.capacity()) {
        payload.to_message()
    } else {
        payload.to_message_in(mem::take(spare))
    }
}

/// Copies a payload, into the memory of a message that is there.
pub fn copied_into(spare: &mut Message, payload: Payload<'_>) -> Message {
    spare.assign(payload);
    mem::replace(spare, Message::Binary(Vec::new()))
}

impl std::fmt::Debug for Taking<'_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Owned => "Owned",
            Self::Into(_) => "Into",
            Self::Lent(_) => "Lent",
        })
    }
}
