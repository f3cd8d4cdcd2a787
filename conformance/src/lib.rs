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
#[cfg(feature = "cli")]
pub mod subjects;
pub mod verdict;
