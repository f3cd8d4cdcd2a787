//! The Centrifuge client protocol, version 2, over the hub of sansws: public client libraries connect to a route of a server.
//!
//! A channel of the protocol is a group of the hub. [`Options::configure`] prepares the options of a hub, and [`Centrifuge`] is the endpoint; the
//! guide is `docs/clients.md`. [`session::Session`] is one client as a pure state machine, for use without `sansws-async`.
//!
//! | module | contents |
//! | --- | --- |
//! | [`protocol`] | commands, replies and pushes, in JSON and protobuf |
//! | [`session`] | one client, as a state machine |

mod api;
mod application;
mod carrier;
mod codes;
mod connection;
mod connections;
mod emulation;
mod endpoint;
mod fallback;
mod farewell;
mod format;
mod fossil;
#[cfg(feature = "mio")]
mod on_loop;
mod options;
pub mod protocol;
pub mod session;
mod ticket;
mod token;
mod websocket;

#[cfg(feature = "mio")]
pub use on_loop::LoopClient;

pub use codes::{ClientError, Disconnect, Refusal, Unsubscribe};
pub use endpoint::Centrifuge;
pub use options::{Access, Namespace, Options};
pub use session::{Connect, Subscribe};
pub use ticket::TicketKey;
pub use token::{KeyError, TokenError, TokenKeys};
pub use websocket::Protocol;

/// The code of the guide to client libraries compiles.
#[cfg(all(doctest, feature = "mio"))]
#[doc = include_str!("../../docs/clients.md")]
struct ClientsGuide;

/// The code of the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
