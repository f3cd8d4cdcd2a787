//! What the tests of sockets, servers and clients share.
#![allow(dead_code, reason = "each test crate uses its own part")]

#[cfg(feature = "test-kit")]
pub mod app;
pub mod exposition;
#[path = "../../../core/tests/support/frames.rs"]
mod frames;
pub mod net;
pub mod server;
pub mod wire;

pub use frames::*;
