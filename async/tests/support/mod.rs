//! Shared by the tests of sockets, servers and clients.

#[cfg(feature = "test-kit")]
pub mod app;
pub mod exposition;
#[path = "../../../core/tests/support/frames.rs"]
mod frames;
pub mod net;
pub mod server;
pub mod wire;

pub use frames::*;
