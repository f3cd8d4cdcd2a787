//! Drives a run: in memory, or over a stream.

pub mod memory;
pub mod stream;
