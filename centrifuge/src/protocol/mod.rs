//! The messages of the Centrifuge client protocol, version 2, and their two codecs.
//! The types follow the public protobuf definitions of the protocol; in JSON their fields have the same names.
//! Knows no session: bytes in, values out, and back.

mod codec;
mod types;

pub use codec::{Codec, DecodeError};
pub use types::*;
