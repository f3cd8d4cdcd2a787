//! Parts that the adapters of `sansws-core` share, async and blocking: errors, options, requests, metrics, TLS settings.
//!
//! Applications depend on an adapter, which re-exports what they need. Nothing here waits: this crate opens no connection, reads no
//! clock, and has no runtime in its dependency tree. Futures of a hub wait by the wakers of whoever polls them.

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod app;
#[doc(hidden)]
pub mod client;
#[doc(hidden)]
pub mod clock;
#[doc(hidden)]
pub mod contain;
#[doc(hidden)]
pub mod entropy;
#[doc(hidden)]
pub mod error;
#[cfg(feature = "hub")]
pub mod hub;
#[doc(hidden)]
pub mod listen;
pub mod metrics;
#[cfg(target_os = "linux")]
#[doc(hidden)]
pub mod progress;
#[doc(hidden)]
pub mod server;
#[doc(hidden)]
pub mod socket;
#[cfg(feature = "tls")]
pub mod tls;

pub use client::options::ConnectOptions;
pub use client::request::IntoRequest;
pub use client::state::{ClientState, Stop};
#[cfg(feature = "json")]
pub use error::JsonError;
pub use error::{Error, HandlerError, KindError, RequestError, Result};
pub use metrics::{BackplaneState, Health, HubMetrics, ServerMetrics, Status, prometheus_response};
pub use server::connect_info::ConnectInfo;
pub use server::handle::{Admission, ConnectionPermit, RefusalPermit, ServerHandle};
pub use server::options::ServerOptions;
pub use server::outcome::ConnectionOutcome;
pub use server::policy::ConnectionPolicy;
pub use server::scope::Scope;
pub use socket::counters::Counters;
#[cfg(feature = "json")]
pub use socket::from_message::Json;
pub use socket::from_message::{FromMessage, SocketEvent};
