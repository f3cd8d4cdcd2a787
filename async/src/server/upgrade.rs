//! A WebSocket request that waits for its answer.
//! RFC 6455 section 4.2.2.
//! Knows how to answer; the handler decides.

use std::fmt;
use std::io;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::{Mutex, PoisonError};
use std::task::Poll;

use crate::error::{Error, Result};
use crate::metrics::trace;
use crate::server::scope::{Head, Scope};
use crate::socket::buffer::Unread;
use crate::socket::exchange::{WriteAll, answer_and_end, within};
use crate::socket::policy::ConnectionPolicy;
use crate::socket::shared::Shared;
use crate::socket::websocket::WebSocket;
use crate::transport::Transport;
use sansws_core::config::Config;
use sansws_core::handshake::{AcceptOptions, Refusal};
use sansws_core::http::Response;
use sansws_core::time::Duration;

/// The outcome of an [`Upgrade`], for the task that drives the connection.
#[derive(Debug)]
pub(crate) enum UpgradeOutcome<T> {
    /// Undecided.
    Open,
    /// Accepted.
    Accepted(Arc<Shared<T>>),
    /// Dropped without an answer.
    Dropped(T),
    /// The transport failed while the answer was written.
    Lost,
    /// Rejected, and answered with this status.
    Rejected(u16),
    /// The outcome has been processed.
    Noted,
}

/// The answer to a request that a handler did not accept.
const NOT_ACCEPTED: &str = "the request was not accepted\n";

pub(crate) type Slot<T> = Arc<Mutex<UpgradeOutcome<T>>>;

/// A WebSocket request that is not yet answered. It has no method to send messages, so nothing can be sent before it is accepted.
///
/// ```
/// use sansws_async::test_kit::{MemoryTransport, TestServer};
/// use sansws_async::{AcceptOptions, ConnectOptions, Response, Result, ServerOptions, Upgrade};
///
/// async fn chat(upgrade: Upgrade<MemoryTransport>) -> Result {
///     let Some(user) = upgrade.cookie("user").map(String::from) else {
///         return Ok(upgrade.reject(Response::text(401, "sign in first\n")).await?);
///     };
///     let subprotocol = upgrade.select_subprotocol(["chat.v2", "chat.v1"]);
///     let options = AcceptOptions::default().subprotocol(subprotocol);
///     let mut socket = upgrade.accept_with(options).await?;
///     socket.send_text(format!("hello, {user}")).await?;
///     Ok(())
/// }
///
/// # async fn run() -> Result {
/// # let server = TestServer::over(chat, ServerOptions::default(), MemoryTransport::new)?;
/// server.expect_reject("/", 401).await;
/// let options = ConnectOptions::default().cookie("user", "ada")?.subprotocol("chat.v1");
/// let mut socket = server.connect_with("/", options).await?;
/// assert_eq!(socket.socket().subprotocol(), Some("chat.v1"));
/// socket.expect_text("hello, ada").await;
/// # Ok(())
/// # }
/// # let mut run = std::pin::pin!(run());
/// # let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
/// # for _ in 0..100_000 {
/// #     if let std::task::Poll::Ready(done) = run.as_mut().poll(&mut cx) { return done.unwrap(); }
/// # }
/// # panic!("it does not end");
/// ```
pub struct Upgrade<T: Transport> {
    /// Boxed, because it is part of each handler's future for as long as the connection lives.
    inner: Box<Unanswered<T>>,
}

struct Unanswered<T> {
    scope: Scope,
    config: Arc<Config>,
    /// Present until it is answered.
    parts: Option<(T, Unread)>,
    /// The rest of the handshake's timeout; the handler's own time does not count.
    left: Option<Duration>,
    /// Part of an answer was written: no other may follow.
    begun: bool,
    slot: Option<Slot<T>>,
    policy: Option<Arc<ConnectionPolicy>>,
}

/// The data of the request: its head, parameters, state.
impl<T: Transport> Deref for Upgrade<T> {
    type Target = Scope;

    fn deref(&self) -> &Scope {
        &self.inner.scope
    }
}

impl<T: Transport> Upgrade<T> {
    pub(crate) fn new(
        scope: Scope,
        config: Arc<Config>,
        (transport, unread): (T, Unread),
        left: Option<Duration>,
    ) -> Self {
        Self {
            inner: Box::new(Unanswered {
                scope,
                config,
                parts: Some((transport, unread)),
                left,
                begun: false,
                slot: None,
                policy: None,
            }),
        }
    }

    /// Creates one that a server's task drives, under a policy.
    pub(crate) fn on_a_task(mut self, slot: Slot<T>, policy: Arc<ConnectionPolicy>) -> Self {
        self.inner.slot = Some(slot);
        self.inner.policy = Some(policy);
        self
    }

    pub(crate) fn scope_mut(&mut self) -> &mut Scope {
        &mut self.inner.scope
    }

    /// Returns the transport.
    pub fn transport(&self) -> Option<&T> {
        self.inner.parts.as_ref().map(|(transport, _)| transport)
    }

    /// Accepts, without a subprotocol.
    pub fn accept(self) -> impl Future<Output = Result<WebSocket<T>, Error>> {
        self.accept_with(AcceptOptions::default())
    }

    /// Accepts with a subprotocol or additional header fields.
    pub fn accept_with(
        self,
        accept: AcceptOptions,
    ) -> impl Future<Output = Result<WebSocket<T>, Error>> {
        // Boxed, so that a handler's future does not hold room for it for as long as the connection lives.
        Box::pin(self.inner.accept(accept))
    }

    /// Rejects with an HTTP response, such as `Response::text(403, "members only")`, and ends the connection.
    pub fn reject(self, response: Response) -> impl Future<Output = Result<(), Error>> {
        Box::pin(self.inner.reject(response))
    }
}

impl<T: Transport> Unanswered<T> {
    async fn accept(mut self: Box<Self>, accept: AcceptOptions) -> Result<WebSocket<T>, Error> {
        let Head::WebSocket(request) = &self.scope.head else {
            return Err(Refusal::NotWebSocket.into());
        };
        let fields = accept.fields.clone();
        let accepted = request.accept(&self.config, accept);
        let (response, agreement) = accepted.map_err(|misuse| Error::of_fields(misuse, &fields))?;
        if !self.is_awaited() {
            // Nothing would drive it: the server's task is done with the connection, and no longer counts it.
            let _ = self.reject(Response::text(403, NOT_ACCEPTED)).await;
            return Err(io::Error::from(io::ErrorKind::NotConnected).into());
        }
        let inner = &mut *self;
        if let Some((transport, _)) = &mut inner.parts {
            let deadline = inner.left.map(|left| transport.now() + left);
            let (begun, mut write) = (&mut inner.begun, WriteAll::new(&response));
            within(transport, deadline, Refusal::Timeout, |transport, cx| {
                let done = write.poll(transport, cx);
                *begun = write.left.len() < response.len() || matches!(done, Poll::Ready(Err(_)));
                done
            })
            .await?;
        }
        let Some((transport, unread)) = self.parts.take() else {
            return Err(io::Error::from(io::ErrorKind::NotConnected).into());
        };
        trace::agreed(agreement.subprotocol.as_deref());
        let config = Arc::clone(&self.config);
        let driven = self.slot.is_some();
        let policy = self.policy.as_deref();
        let socket = WebSocket::server(transport, unread, config, agreement, policy, driven);
        // The handler returned while another task wrote the answer: nobody drives the connection, or counts it.
        if !self.settle(UpgradeOutcome::Accepted(socket.shared())) {
            return Err(io::Error::from(io::ErrorKind::NotConnected).into());
        }
        Ok(socket)
    }

    async fn reject(mut self: Box<Self>, response: Response) -> Result<(), Error> {
        let mut bytes = Vec::new();
        let written = response.write(&mut bytes);
        written.map_err(|misuse| Error::of_fields(misuse, &response.fields))?;
        let Some((mut transport, unread)) = self.parts.take() else {
            return Ok(());
        };
        self.settle(UpgradeOutcome::Rejected(response.status));
        answer_and_end(&mut transport, unread, &bytes, &self.config).await
    }

    /// Returns whether the task of a server, if there is one, waits for the outcome: until its handler has returned.
    fn is_awaited(&self) -> bool {
        self.slot.as_ref().is_none_or(|slot| {
            let fate = slot.lock().unwrap_or_else(PoisonError::into_inner);
            matches!(&*fate, UpgradeOutcome::Open)
        })
    }

    /// Tells the task of a server, if there is one, the outcome. Returns whether it still waits for it.
    fn settle(&self, fate: UpgradeOutcome<T>) -> bool {
        self.slot.as_ref().is_none_or(|slot| {
            let mut known = slot.lock().unwrap_or_else(PoisonError::into_inner);
            let is_open = matches!(&*known, UpgradeOutcome::Open);
            if is_open {
                *known = fate;
            }
            is_open
        })
    }
}

impl<T> Drop for Unanswered<T> {
    fn drop(&mut self) {
        if let Some((transport, _)) = self.parts.take()
            && let Some(slot) = &self.slot
        {
            let fate = if self.begun {
                UpgradeOutcome::Lost
            } else {
                UpgradeOutcome::Dropped(transport)
            };
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = fate;
        }
    }
}

impl<T: Transport> fmt::Debug for Upgrade<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrade")
            .field("scope", &self.inner.scope)
            .finish_non_exhaustive()
    }
}
