//! Endpoints: handlers with a method for each phase of a connection's life.
//! RFC 6455 sections 4.2.2, 6.2 and 7.1.
//! Knows the order of the phases, but not their code.

use std::future::{Future, ready};
use std::pin::pin;
use std::task::{Context, Waker};

use crate::contain::{contain, contained};
use crate::error::Result;
use crate::server::upgrade::Upgrade;
use crate::socket::from_message::FromMessage;
use crate::socket::websocket::WebSocket;
use crate::transport::Transport;
use sansws_core::close::Closed;

/// A handler in three methods. A clone of the routed value lives as long as its connection.
///
/// ```
/// use sansws_async::app::{Endpoint, Router};
/// use sansws_core::close::Closed;
/// use sansws_async::{Result, Transport, WebSocket};
///
/// #[derive(Clone, Default)]
/// struct Counter {
///     received: u64,
/// }
///
/// impl<T: Transport + Send + 'static> Endpoint<T> for Counter {
///     type Message = String; // text messages; another kind closes with 1003
///
///     async fn on_receive(&mut self, socket: &mut WebSocket<T>, text: String) -> Result {
///         self.received += 1;
///         socket.send_text(format!("{}: {text}", self.received)).await?;
///         Ok(())
///     }
///
///     async fn on_disconnect(&mut self, closed: Option<&Closed>) {
///         println!("{} messages, then {closed:?}", self.received);
///     }
/// }
///
/// # fn check<T: Transport + Send + 'static>() {
/// let router = Router::<T>::new().route("/count", Counter::default());
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an endpoint",
    label = "`Endpoint` is not implemented for this transport",
    note = "write `impl Endpoint<Wire> for {Self}`, or for all transports `impl<T: Transport + Send + 'static> Endpoint<T> for {Self}`"
)]
pub trait Endpoint<T: Transport + Send + 'static>: Send + 'static {
    /// The type of received messages: `String` (text), `Vec<u8>` (binary), `Json<V>`, or `Message` (either kind).
    type Message: FromMessage + Send;

    /// Accepts the connection, or rejects it by an error, as [`HandlerError`](crate::HandlerError) describes. By
    /// default it is accepted.
    fn on_connect(
        &mut self,
        upgrade: Upgrade<T>,
    ) -> impl Future<Output = Result<WebSocket<T>>> + Send {
        async { Ok(upgrade.accept().await?) }
    }

    /// Handles a message. An error closes the connection, as [`HandlerError`](crate::HandlerError) describes.
    fn on_receive(
        &mut self,
        socket: &mut WebSocket<T>,
        message: Self::Message,
    ) -> impl Future<Output = Result> + Send;

    /// Cleans up. It runs exactly once if `on_connect` started: after the peer closed or vanished, after an error or a panic, after a
    /// rejection (`closed` is `None`), and when the server shuts down. When the server drops connections that have not ended in time,
    /// it is polled once: code after its first wait does not run.
    fn on_disconnect(&mut self, closed: Option<&Closed>) -> impl Future<Output = ()> + Send {
        let _ = closed;
        ready(())
    }
}

/// Runs an endpoint.
pub(super) async fn run<T, E>(endpoint: E, upgrade: Upgrade<T>) -> Result
where
    T: Transport + Send + 'static,
    E: Endpoint<T>,
{
    let mut life = Life::<T, E> {
        endpoint,
        socket: None,
        over: false,
    };
    // Caught here already, so that cleanup runs after a panic.
    let lived = contained(life.live(upgrade)).await;
    let result = lived.unwrap_or_else(|panic| Err(panic.into()));
    if let (Some(socket), Err(error)) = (&life.socket, &result) {
        // The peer need not wait for the cleanup.
        socket.close_for(error);
    }
    life.end().await;
    result
}

/// An endpoint, its connection, and whether it was cleaned up.
struct Life<T: Transport + Send + 'static, E: Endpoint<T>> {
    endpoint: E,
    socket: Option<WebSocket<T>>,
    over: bool,
}

impl<T: Transport + Send + 'static, E: Endpoint<T>> Life<T, E> {
    async fn live(&mut self, upgrade: Upgrade<T>) -> Result {
        let socket = self.endpoint.on_connect(upgrade).await?;
        let socket = self.socket.insert(socket);
        while let Some(message) = socket.receive().await? {
            let message = socket.parse(message)?;
            self.endpoint.on_receive(socket, message).await?;
        }
        Ok(())
    }

    async fn end(&mut self) {
        self.over = true;
        let closed = self.socket.as_ref().and_then(WebSocket::closed);
        self.endpoint.on_disconnect(closed.as_ref()).await;
    }
}

impl<T: Transport + Send + 'static, E: Endpoint<T>> Drop for Life<T, E> {
    fn drop(&mut self) {
        if !self.over {
            // A panic here would escape the task, and end the thread that polls others.
            let ended = contain(|| {
                let mut end = pin!(self.end());
                let _ = end.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            });
            if let Err(error) = ended {
                tracing::error!(%error, "`on_disconnect` panicked");
            }
        }
    }
}
