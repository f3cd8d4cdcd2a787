//! What drives a run: memory, or a stream.

pub mod memory;
pub mod stream;
