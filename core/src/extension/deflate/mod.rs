//! permessage-deflate.
//! RFC 7692.
//! `params` negotiates, `codec` compresses. Knows of frames only the bit that marks a compressed message.

#[cfg(feature = "deflate")]
mod codec;
mod params;

#[cfg(feature = "deflate")]
pub(crate) use codec::{Deflater, Inflater};
pub use params::{Agreed, DeflateParamError, NAME, answer, check_answer, offer, window_bits};
