//! The async shell: one task moves the octets of one connection.
//! RFC 6455 sections 4 to 7 are decided below; this layer reads, writes, sleeps and wakes.
//! Knows no runtime: an adapter brings a [`Transport`], a few verbs over its sockets and timers.
//!
//! What both adapters need is written here once. In tests the same code runs over a scripted wire and virtual time.
//!
//! - **Flushing.** On a server's task what a handler sends gathers, and one vectored write sends it when the handler waits.
//!   Elsewhere, on a client or from another task, each send writes at once; `Sink::feed` gathers until a flush.
//! - **Buffers.** A read buffer is lent by the thread while there is unread input, a write buffer while there is unsent
//!   output. An idle connection holds neither.
//! - **Cancel safety.** No future of this module holds octets or half-done work: all of it lies in the connection. Dropping
//!   one at any await point loses no message and tears no frame (`tests/main/drive.rs` polls and drops at random).
//! - **Wakers.** Whoever waits is remembered by what it waits as: reading, writing, or driving. When these are different
//!   tasks, the transport wakes them all, so that none can lose another's wake-up.

mod accept;
mod ahead;
mod buffer;
mod client;
pub(crate) mod contain;
mod dial;
mod dial_options;
mod engine;
mod error;
mod exchange;
mod follow;
#[cfg(feature = "http")]
mod foreign;
mod handle;
mod handler_error;
mod health;
mod hub;
mod kinds;
mod metrics;
mod opening;
mod options;
mod parties;
mod proxied;
mod race;
pub(crate) mod scope;
mod serve;
pub(crate) mod service;
mod stream;
mod tally;
#[cfg(feature = "tls")]
pub mod tls;
mod trace;
mod tunnel;
mod upgrade;
pub(crate) mod verdict;
mod websocket;

pub use accept::{Listen, accept, obey_signals};
pub use client::{Client, ClientState, Connector, Stop};
pub use dial::{connect, connect_until};
pub use dial_options::ConnectOptions;
pub use engine::Counters;
#[cfg(feature = "json")]
pub use error::JsonError;
pub use error::{ConnectionTag, Error, Result};
pub use follow::follow;
#[cfg(feature = "http")]
pub use foreign::{AcceptedUpgrade, ExternalUpgrade};
pub use handle::{Admission, ConnectionPermit, RefusalPermit, ServerHandle};
pub use handler_error::HandlerError;
pub use health::{Health, Status};
pub use hub::{
    BackplaneState, Events, Hub, HubEnv, HubMetrics, HubRef, Lagged, Link, OnThisThread, Publish,
    Subscription, both, caught, drive_hub_beside, drive_hubs, hubs_on_this_thread, panic_message,
};
#[cfg(feature = "json")]
pub use kinds::Json;
pub use kinds::{FromMessage, Messages, SocketEvent};
pub use metrics::{
    Asked, Closer, CodeClass, Failed, ServerMetrics, StatusClass, TurnedAway, scrape,
};
pub use opening::{ConnectInfo, receive_request, refuse};
pub use options::{ConnectionPolicy, ServerOptions};
pub use proxied::receive_proxy_header;
pub use race::first_to_connect;
pub use scope::{RequestError, Scope};
pub use serve::{Outcome, serve};
pub use service::{Answer, Answering, Decision, IntoService, Service, Single};
pub use stream::{MessageReader, MessageWriter};
pub use tunnel::tunnel;
pub use upgrade::Upgrade;
pub use websocket::{ReadHalf, WebSocket, WriteHalf};

use core::task::{Context, Poll};
use std::io::{self, IoSlice};

use crate::connection::SendProgress;
use crate::time::Instant;

/// What a runtime's adapter brings: an octet stream, a clock and an alarm.
///
/// `poll_read` and `poll_write` register the waker of the context when they are pending, each for itself, the newest only:
/// what sockets of tokio and smol do. The clock decides whether a deadline has passed, the alarm only wakes.
pub trait Transport {
    /// Reads into `into`; 0 is the end of input.
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Writes from the front of `from`, and says how much.
    fn poll_write(&mut self, cx: &mut Context<'_>, from: &[IoSlice<'_>])
    -> Poll<io::Result<usize>>;

    /// Sends what was written but is still buffered, as under TLS.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Ends the writing side; reading goes on.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// How far the peer has taken what was written, if the operating system tells. Asked before a silent peer is judged, not for
    /// each write.
    fn send_progress(&self) -> Option<SendProgress> {
        None
    }

    /// What time it is. The epoch is the adapter's.
    fn now(&self) -> Instant;

    /// Sets the one alarm, in place of the one before.
    fn set_alarm(&mut self, at: Instant);

    /// Ready once the alarm's moment has passed. Never called before an alarm is set.
    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}
