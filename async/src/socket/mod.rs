//! One task moves the bytes of one connection.
//! `sansws-core` decides everything in RFC 6455 sections 4 to 7; this layer reads, writes, sleeps and wakes.
//!
//! - **Flushing.** On a server's task the messages that a handler sends gather, and one vectored write sends them when the handler
//!   waits. Elsewhere, on a client or from another task, each send writes at once; `Sink::feed` gathers until a flush, and `receive_each` until it
//!   waits.
//! - **Buffers.** A thread lends its read buffer while there is unread input, a write buffer while there is unsent output. An idle
//!   connection holds neither.
//! - **Cancel safety.** No future of this module holds bytes or half-done work: both live in the connection. Dropping one at any await
//!   point loses no message and tears no frame (`tests/main/drive_futures.rs` polls and drops at random).
//! - **Wakers.** A waker is stored by its role: reading, writing, or driving. If the roles belong to different tasks, the transport wakes
//!   all of them, so that none loses another's wake-up.

pub(crate) mod buffer;
pub(crate) mod engine;
pub(crate) mod exchange;
mod lending;
pub(crate) mod messages;
mod observing;
pub(crate) mod policy;
pub(crate) mod shared;
pub(crate) mod streaming;
pub(crate) mod wakers;
pub(crate) mod websocket;

pub(crate) use sansws_common::socket::{from_message, read_ahead};

pub use engine::Counters;
#[cfg(feature = "json")]
pub use from_message::Json;
pub use from_message::{FromMessage, SocketEvent};
pub use messages::Messages;
pub use policy::ConnectionPolicy;
pub use sansws_common::socket::outbox::Outbox;
pub use streaming::{MessageReader, MessageWriter};
pub use websocket::{ReadHalf, WebSocket, WriteHalf};
