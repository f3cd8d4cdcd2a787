//! Frames: the unit on the wire.
//! RFC 6455 section 5.2.
//! Knows bytes and headers; [`crate::connection`] interprets sequences of frames.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-------+-+-------------+-------------------------------+
//! |F|R|R|R| opcode|M| length (7)  |  length, if 126 (16), 127 (64)|
//! |I|S|S|S|  (4)  |A|             |                               |
//! |N|V|V|V|       |S|             |                               |
//! | |1|2|3|       |K|             |                               |
//! +-+-+-+-+-------+-+-------------+-------------------------------+
//! |       masking key, if MASK is set (32)        | payload ...   |
//! +-----------------------------------------------+---------------+
//! ```

mod header;
mod opcode;

pub(crate) use header::WholeMessage;
pub use header::{Expect, Header, MAX_HEADER};
pub use opcode::{MessageKind, Opcode};
