//! WebSocket servers and clients for any async runtime.
//!
//! `sansws-core` decides what happens on a connection; this crate moves its bytes. It names no runtime: an adapter implements
//! [`Transport`] over its sockets and timers. Applications depend on an adapter, `sansws-tokio` or `sansws-smol`, which re-exports
//! everything that an application needs.
//!
//! | module | contents |
//! | --- | --- |
//! | [`transport`] | the byte stream, clock and alarm under a connection |
//! | [`socket`] | an open connection: [`WebSocket`], its halves, streams and counters |
//! | [`server`] | accepting, upgrading, running handlers, draining: [`ServerHandle`], [`Upgrade`] |
//! | [`client`] | connecting, tunnels, redirects, and [`Client`], which reconnects |
//! | [`hub`] | channels and groups for connections and tasks: [`hub::Hub`] |
//! | [`app`] | routers of handlers, layers, endpoints, pages |
//! | [`metrics`] | counters, their Prometheus text, health, tracing spans |
//! | `external` | upgrades that another HTTP stack parsed (feature `http`) |
//! | `tls` | TLS settings from PEM (feature `tls`) |
//! | `test_kit` | a server in memory and in virtual time, for tests (feature `test-kit`) |

#![cfg_attr(docsrs, feature(doc_cfg))]

mod adapter;
pub mod app;
pub mod client;
#[cfg(feature = "http")]
pub mod external;
pub mod hub;
pub mod runtime;
pub mod server;
pub mod socket;
#[cfg(feature = "test-kit")]
pub mod test_kit;
pub mod transport;

// The blocking adapter uses these too.
pub use sansws_common::metrics;
#[cfg(feature = "tls")]
pub use sansws_common::tls;
use sansws_common::{contain, error};

pub use app::{
    Auth, Credential, Endpoint, IntoHandler, IntoPage, IntoResponse, Layer, PerAddress, Route,
    Router, Verifier,
};
pub use client::{Client, ClientState, ConnectOptions, Connector, Dialer, IntoRequest, Stop};
#[cfg(feature = "json")]
pub use error::JsonError;
pub use error::{Error, HandlerError, KindError, RequestError, Result};
pub use hub::{Events, HubEnv, HubRef, Lagged, Subscription};
pub use metrics::{BackplaneState, Health, HubMetrics, ServerMetrics, Status, prometheus_response};
pub use runtime::{ByteStream, Io, Runtime, Stream};
pub use server::{
    IntoService, Listener, LocalTask, Scope, Server, ServerHandle, ServerOptions, Service,
    StreamedResponse, Upgrade,
};
#[cfg(feature = "json")]
pub use socket::Json;
pub use socket::{
    ConnectionPolicy, Counters, FromMessage, MessageReader, MessageWriter, Messages, Outbox,
    ReadHalf, SocketEvent, WebSocket, WriteHalf,
};
pub use transport::Transport;

// Values of the core that applications name.
pub use sansws_core as core;
pub use sansws_core::close::{CloseCode, Closed, LossCause};
pub use sansws_core::config::{Config, Deflate, Limits, Timeouts};
pub use sansws_core::error::{InvalidInput, SendError, Violation};

pub use sansws_core::handshake::{AcceptOptions, Failure, OriginPolicy, Refusal, Request};
pub use sansws_core::http::forwarded::Trusted;
pub use sansws_core::http::{Headers, RequestHead, Response, Url};
pub use sansws_core::hub::{
    ChannelId, ChannelOptions, Compress, Encoding, Filter, Format, GroupOptions, History,
    HistoryOptions, HistoryQuery, HubError, HubEvent, HubOptions, Instruction, JoinDecision,
    JoinOptions, JoinReply, Joined, Left, Notice, OutagePolicy, Position, Presence, PresenceChange,
    PresenceMode, Present, Publication, Published, QueueLimits, Recovered, RecoveryFailure, Sent,
    Signal, SlowConsumerPolicy, Target,
};
pub use sansws_core::limits::{AddressLimits, LimitAction, Rate, TrafficLimits};
pub use sansws_core::message::{Message, MessageKind, Payload, PreparedMessage};

/// Parts that adapters are made of. Applications do not need them, and they may change in any release.
#[doc(hidden)]
pub mod internal {
    pub use crate::client::connect::connect;
    pub use crate::client::{connect_until, first_to_connect, follow, tunnel};
    pub use crate::hub::{
        OnThisThread, both, caught, drive_hub_beside, drive_hubs, hub_now, hubs_on_this_thread,
        panic_message, unix_time,
    };
    pub use crate::runtime::now;
    #[cfg(target_os = "linux")]
    pub use crate::runtime::send_progress;
    pub use crate::server::{
        Admission, ConnectInfo, Listen, accept, obey_signals, receive_proxy_header,
        receive_request, refuse, serve, until_told,
    };
}

/// The code of the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
