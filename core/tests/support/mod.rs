//! What the tests of a connection share.

mod frames;
pub mod twin;

pub use frames::*;
