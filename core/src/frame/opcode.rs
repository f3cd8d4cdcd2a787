//! Opcodes, and the two kinds of message.
//! RFC 6455 sections 5.2, 5.5 and 5.6.
//! Knows no frame: the four bits alone.

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Opcode {
    /// 0: more of the message that was begun.
    Continuation = 0x0,
    /// 1: text begins.
    Text = 0x1,
    /// 2: octets begin.
    Binary = 0x2,
    /// 8: the closing handshake.
    Close = 0x8,
    /// 9: a question whether the peer lives.
    Ping = 0x9,
    /// 10: the answer.
    Pong = 0xA,
}

impl Opcode {
    /// Reads the low four bits; the reserved values are `None`.
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

    /// Whether this is a control frame (section 5.5).
    pub const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// The kind of a message (section 5.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageKind {
    /// UTF-8.
    Text,
    /// Any octets.
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
