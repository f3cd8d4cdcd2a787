//! WebSocket on event loops: servers whose connections cost their buffers only while they have a turn, with callbacks that
//! borrow messages. No async, no task, no lock per message.
//!
//! The state machines are those of [`sansws_core`]; routers, options, metrics and handles are those of the other adapters.
//!
//! ```no_run
//! use sansws_mio::{AcceptOptions, Endpoint, Incoming, Result, Router, Scope, Server, Socket};
//!
//! struct Room;
//!
//! impl Endpoint for Room {
//!     type Data = String;
//!
//!     fn upgrade(&mut self, request: &mut Scope, _: &mut AcceptOptions) -> Result<String> {
//!         Ok(request.param("room")?)
//!     }
//!
//!     fn message(&mut self, socket: &mut Socket<'_, String>, message: Incoming<'_>) -> Result {
//!         let reply = format!("{}: {}", socket.data(), message.text()?);
//!         let _ = socket.send(reply); // leaves at the end of the turn
//!         Ok(())
//!     }
//! }
//!
//! fn main() -> Result {
//!     let router = Router::new().route("/rooms/{room}", Room);
//!     Server::bind("127.0.0.1:8080")?.serve(router)?;
//!     Ok(())
//! }
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod app;
mod client;
mod clock;
mod dialer;
mod endpoint;
mod event_loop;
mod groups;
pub mod hub;
mod id;
mod listener;
mod message;
mod server;
mod socket;
mod stream;
mod timers;

pub use app::{
    Auth, Credential, IntoPage, IntoResponse, IntoService, Layer, PerAddress, Route, Router,
};
pub use client::{Client, ClientHandle};
pub use dialer::Dialer;
pub use endpoint::Endpoint;
pub use event_loop::{EventLoop, Handle, Handler, Loop};
pub use hub::Hub;
pub use id::{ConnectionId, TimerId};
pub use listener::Listener;
pub use message::{Incoming, Outgoing, Sent};
pub use server::Server;
pub use socket::Socket;

#[cfg(feature = "json")]
pub use sansws_common::JsonError;
pub use sansws_common::hub::{Events, HubEnv, HubRef, Lagged, Publish, Subscription};
pub use sansws_common::metrics;
#[cfg(feature = "tls")]
pub use sansws_common::tls;
pub use sansws_common::{
    ClientState, ConnectOptions, Counters, Error, HandlerError, Health, IntoRequest, KindError,
    RequestError, Result, Scope, ServerHandle, ServerMetrics, Status, Stop,
};

// Values of the core that applications name.
pub use sansws_core as core;
pub use sansws_core::close::{CloseCode, Closed, LossCause};
pub use sansws_core::config::{Config, Deflate, Limits, Timeouts};
pub use sansws_core::error::{InvalidInput, SendError, Violation};
pub use sansws_core::handshake::{AcceptOptions, Failure, Opened, OriginPolicy, Refusal};
pub use sansws_core::http::forwarded::Trusted;
pub use sansws_core::http::{Headers, RequestHead, Response, Url};
pub use sansws_core::hub::{
    ChannelId, ChannelOptions, Compress, Encoding, Filter, Format, GroupOptions, History,
    HistoryOptions, HistoryQuery, HubError, HubEvent, HubOptions, Instruction, JoinDecision,
    JoinOptions, JoinReply, Joined, Left, Notice, OutagePolicy, Position, Presence, PresenceChange,
    PresenceMode, Present, Publication, PublishOptions, Published, QueueLimits, Recovered,
    RecoveryFailure, Signal, SlowConsumerPolicy, Target,
};
pub use sansws_core::limits::{AddressLimits, LimitAction, Rate, TrafficLimits};
pub use sansws_core::message::{Message, MessageKind, Payload, PreparedMessage, StreamFormat};
pub use sansws_core::time::{Duration, Instant};

/// Options of a server.
///
/// For an example see [`sansws_common::ServerOptions`].
pub type ServerOptions = sansws_common::ServerOptions<HubRef>;

/// The policy of the connections of a server, a router or a route. A field that is `None` is inherited: a route's policy overrides its
/// router's, which overrides the server's.
///
/// For an example see [`sansws_common::ConnectionPolicy`].
pub type ConnectionPolicy = sansws_common::ConnectionPolicy<HubRef>;

/// The code of the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
