//! HTTP/2 as far as a WebSocket on one of its streams needs it.
//! RFC 9113; RFC 8441 for WebSockets.
//! Knows no case and no frame of WebSocket: a session carries the bytes of one stream, and reports what happens beside it.

pub mod heads;
mod inbound;
pub mod session;
mod windows;
pub mod wire;

pub use self::heads::Fields;
pub use self::session::{Carried, Incident, Options, Session};
