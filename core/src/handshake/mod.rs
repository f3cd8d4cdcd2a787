//! The opening handshake: what two endpoints agree on before the first frame.
//! RFC 6455 section 4; RFC 8441 section 5 for HTTP/2.
//! Knows no frame and no socket.
//!
//! ```text
//! client                                          server
//! ClientHandshake::new                            ServerHandshake::new
//!   request()  ──── GET /chat, Upgrade, Key ───▶    receive() ─▶ Request, or Refusal
//!                                                   (the caller decides; it may take its time)
//!   receive()  ◀─── 101, Accept ────────────────  Request::accept()    ─▶ Agreement
//!    ─▶ Open, Redirect, Refused                   Response::write()    (refused)
//! ```
//!
//! Both return how many bytes they consumed: the bytes after them belong to the connection.

mod client;
mod extended;
#[cfg(feature = "http")]
mod http_types;
mod key;
mod origin;
mod redirect;
mod refusal;
mod request;
mod server;

pub use client::{ClientHandshake, ClientOptions, Failure, Opened, ServerAnswer};
pub use extended::ExtendedConnect;
pub use key::{accept_key, is_key};
pub use origin::{Origin, OriginError, OriginPolicy};
pub use redirect::{RedirectError, Redirects};
pub use refusal::Refusal;
pub use request::{AcceptOptions, Request};
pub use server::ServerHandshake;

use alloc::string::String;

use crate::extension::deflate::Agreed;
use crate::http::Headers;

/// The result of a handshake.
///
/// For an example see [`Request`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agreement {
    /// The negotiated subprotocol, if there is one.
    pub subprotocol: Option<String>,
    /// The negotiated permessage-deflate, if both sides want it.
    pub deflate: Option<Agreed>,
}

/// The fields that the handshake itself writes.
const OWN: [&str; 10] = [
    "host",
    "upgrade",
    "connection",
    "sec-websocket-key",
    "sec-websocket-version",
    "sec-websocket-protocol",
    "sec-websocket-extensions",
    "sec-websocket-accept",
    "content-length",
    "transfer-encoding",
];

/// Returns whether the caller's fields contain one that the handshake itself writes: a duplicate would break the head.
fn hold_own(fields: &Headers) -> bool {
    fields.iter().any(|(name, _)| is_own(name))
}

#[doc(hidden)]
pub fn is_own(name: &str) -> bool {
    OWN.iter().any(|own| name.eq_ignore_ascii_case(own))
}
