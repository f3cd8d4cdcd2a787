//! An open connection.
//! `sansws-core` decides everything in RFC 6455 sections 4 to 7; these files read, write and wait.
//!
//! - **Locks.** The handles of a connection share its engine behind a lock, which no call holds while it waits for the socket. A reader
//!   that waits thus does not hold up a writer, also over TLS.
//! - **Half-done work** lives in the engine: a call that ends with `WouldBlock` or `TimedOut` has lost nothing, and the next one goes on.
//! - **Streams that are not ours** are read and written as they are: whether a call blocks is theirs to decide.

mod engine;
mod keeper;
mod lending;
mod messages;
mod observing;
mod shared;
mod streaming;
mod websocket;

pub(crate) use engine::{Engine, Served};
pub use keeper::Keeper;
pub use messages::Messages;
pub use sansws_common::socket::outbox::Outbox;
pub(crate) use shared::{Shared, Until};
pub use streaming::{MessageReader, MessageWriter};
pub use websocket::{ReadHalf, WebSocket, WriteHalf};
