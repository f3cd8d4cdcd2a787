//! Shared by the tests of a connection.

mod frames;
pub mod twin;

pub use frames::*;
