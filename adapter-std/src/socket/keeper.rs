//! A thread that serves a connection between the calls of its application.
//! RFC 6455 sections 5.5.2 and 5.5.3: pings are sent, and answered.
//! Knows no messages: they are read ahead and kept unchanged.

use std::io;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use super::engine::HangUp;
use super::shared::Shared;
use super::websocket::WebSocket;
use crate::clock::now;
use crate::poll::{Interest, wait};
use crate::stream::{Socket, Stream};

/// Maximum time until the keeper notices what a call changed.
const GLANCE: Duration = Duration::from_secs(1);

/// Tells that a thread keeps a connection alive; see [`WebSocket::keep_alive`]. Dropping it stops the thread.
///
/// ```
/// # fn connect_to(
/// #     handler: fn(sansws_std::Upgrade) -> sansws_std::Result,
/// #     url: &str,
/// # ) -> Result<sansws_std::WebSocket, sansws_std::Error> {
/// #     let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
/// #     std::thread::spawn(move || -> sansws_std::Result {
/// #         handler(sansws_std::accept(sansws_std::Stream::unix(theirs)?, Default::default())?)
/// #     });
/// #     sansws_std::connect_over(sansws_std::Stream::unix(ours)?, url, Default::default())
/// # }
/// use sansws_std::{Result, Upgrade};
///
/// fn slow(upgrade: Upgrade) -> Result {
///     let mut socket = upgrade.accept()?;
///     let keeper = socket.keep_alive()?; // pings are answered meanwhile
///     let sum: u64 = (0..1_000_000).sum();
///     drop(keeper);
///     Ok(socket.send_text(sum.to_string())?)
/// }
///
/// # fn main() -> Result {
/// let mut socket = connect_to(slow, "ws://localhost/")?;
/// assert_eq!(socket.receive_text()?.as_deref(), Some("499999500000"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "dropping it stops the thread"]
pub struct Keeper(Arc<()>);

impl WebSocket<Stream> {
    /// Starts a thread that serves this connection while no call does: it answers pings, sends keepalive pings, keeps the deadlines, and
    /// reads ahead about [`Limits::read_ahead`](sansws_core::config::Limits::read_ahead) bytes, which `receive` then returns. It
    /// ends with the connection, or when the [`Keeper`] is dropped.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn keep_alive(&self) -> io::Result<Keeper> {
        let keeper = Keeper(Arc::new(()));
        if let Some(socket) = self.shared().socket() {
            let mut engine = self.shared().engine();
            engine.flags.shared = true;
            // One that is replaced would hang up.
            engine.kept.get_or_insert_with(|| HangUp::new(socket));
        }
        let (shared, wanted) = (Arc::downgrade(self.shared()), Arc::downgrade(&keeper.0));
        thread::Builder::new()
            .name("sansws-keeper".into())
            .spawn(move || keep(&shared, &wanted))?;
        Ok(keeper)
    }
}

/// Serves the connection until it has ended, or nobody wants it any more. Its handles are not kept alive.
fn keep(shared: &Weak<Shared<Stream>>, wanted: &Weak<()>) {
    while wanted.strong_count() > 0 {
        let Some(connection) = shared.upgrade() else {
            return;
        };
        let Some(socket) = connection.socket().map(Arc::downgrade) else {
            return;
        };
        let (interest, timeout) = {
            let mut engine = connection.engine();
            if engine.is_over() {
                return;
            }
            engine.may_have_input();
            (engine.pump(), engine.deadline())
        };
        drop(connection);
        let timeout = timeout.map_or(GLANCE, |at| at.since(now()).min(GLANCE));
        rest(&socket, interest, timeout);
    }
}

/// Waits for the socket, which is closed meanwhile if its last handle is dropped: the thread holds it for no longer than a glance.
fn rest(socket: &Weak<Socket>, interest: Interest, timeout: Duration) {
    if let Some(socket) = socket.upgrade()
        && wait(&[(socket.source(), interest)], Some(timeout)).is_err()
    {
        thread::sleep(timeout);
    }
}
