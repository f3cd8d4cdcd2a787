//! A conformance suite for WebSocket, in any language, in both roles.

pub mod case;
pub mod cases;
pub mod deflate;
pub mod engine;
pub mod frame;
pub mod http;
pub mod inbox;
pub mod opening;
mod outbox;
pub mod record;
pub mod report;
pub mod run;
pub mod script;
pub mod serve;
#[cfg(feature = "cli")]
pub mod subjects;
pub mod suite;
pub mod target;
pub mod verdict;

pub use script::Peer;
pub use suite::Suite;
pub use verdict::Verdict;
