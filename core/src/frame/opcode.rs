//! Opcodes, and the two kinds of message.
//! RFC 6455 sections 5.2, 5.5 and 5.6.
//! Knows no frame: the four bits alone.

/// The type of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Opcode {
    /// 0: continues a message.
    Continuation = 0x0,
    /// 1: starts a text message.
    Text = 0x1,
    /// 2: starts a binary message.
    Binary = 0x2,
    /// 8: the closing handshake.
    Close = 0x8,
    /// 9: asks whether the peer is alive.
    Ping = 0x9,
    /// 10: answers a ping.
    Pong = 0xA,
}

impl Opcode {
    /// Parses the low four bits; reserved values give `None`.
    pub const fn from_bits(bits: u8) -> Option<Self> {
        match bits & 0x0f {
            0x0 => Some(Self::Continuation),
            0x1 => Some(Self::Text),
            0x2 => Some(Self::Binary),
            0x8 => Some(Self::Close),
            0x9 => Some(Self::Ping),
            0xA => Some(Self::Pong),
            _ => None,
        }
    }

    /// Returns whether this is a control frame (section 5.5).
    pub const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// The kind of a message (section 5.6).
///
/// ```
/// use sansws_core::message::{Message, MessageKind};
///
/// assert_eq!(Message::from("hello").kind(), MessageKind::Text);
/// assert_eq!(Message::from(vec![1, 2]).kind(), MessageKind::Binary);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageKind {
    /// UTF-8.
    Text,
    /// Any bytes.
    Binary,
}

impl From<MessageKind> for Opcode {
    fn from(kind: MessageKind) -> Self {
        match kind {
            MessageKind::Text => Self::Text,
            MessageKind::Binary => Self::Binary,
        }
    }
}
