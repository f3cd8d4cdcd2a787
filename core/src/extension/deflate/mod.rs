//! permessage-deflate.
//! RFC 7692.
//! `params` negotiates, `deflater` compresses, `inflater` does the opposite; `history` and `pool` hold what lies between two messages.
//! Knows of frames only the bit that marks a compressed message.

#[cfg(feature = "deflate")]
mod deflater;
#[cfg(feature = "deflate")]
mod history;
#[cfg(feature = "deflate")]
mod inflater;
mod params;
#[cfg(feature = "deflate")]
mod pool;

#[cfg(feature = "deflate")]
pub(crate) use deflater::{Context, Deflater};
#[cfg(feature = "deflate")]
pub(crate) use inflater::Inflater;
pub use params::Agreed;
pub(crate) use params::{NAME, answer, check_answer, offer};
