//! A WebSocket request that another stack has parsed and will answer.
//! RFC 6455 section 4.2.2, RFC 8441 section 5.
//! Knows no stack: it decides, and runs the handler once the stack has released the connection.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::contain::contain;
use crate::error::{Error, Result};
use crate::hub::HubRef;
use crate::metrics::trace::Span;
use crate::server::connection_task::run;
use crate::server::handle::{ConnectionPermit, ServerHandle};
use crate::server::outcome::ConnectionOutcome;
use crate::socket::buffer::Unread;
use crate::socket::policy::ConnectionPolicy;
use crate::socket::websocket::WebSocket;
use crate::transport::Transport;
use sansws_core::config::Config;
use sansws_core::handshake::{AcceptOptions, Agreement, Refusal, Request};
use sansws_core::http::Response;

/// A valid request, and the terms on which to accept it.
///
/// ```
/// use sansws_async::ServerHandle;
/// use sansws_async::core::handshake::Request;
/// use sansws_async::external::ExternalUpgrade;
///
/// // Parsed by another HTTP stack.
/// let request = http::Request::get("/chat")
///     .header("Host", "example.org")
///     .header("Connection", "Upgrade")
///     .header("Upgrade", "websocket")
///     .header("Sec-WebSocket-Version", "13")
///     .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
///     .header("Sec-WebSocket-Protocol", "chat.v2, chat.v1")
///     .body(())?;
/// let request = Request::from_http(&request, None)?;
/// let handle = ServerHandle::new(10_000);
/// let upgrade = ExternalUpgrade::new(request).subprotocols(["chat.v1"]).handle(handle.clone());
/// let Ok((response, accepted)) = upgrade.accept() else { panic!("refused") };
/// assert_eq!(response.status(), 101);
/// assert_eq!(response.headers()["Sec-WebSocket-Protocol"], "chat.v1");
/// // Send the response, then `accepted.run(transport, handler)`.
/// assert_eq!(handle.open(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct ExternalUpgrade {
    request: Request,
    accept: AcceptOptions,
    policy: ConnectionPolicy,
    handle: Option<ServerHandle>,
    route: Option<Box<str>>,
    peer: Option<SocketAddr>,
}

impl ExternalUpgrade {
    /// Wraps a request, with default terms: pages of other hosts are refused.
    pub fn new(request: Request) -> Self {
        Self {
            request,
            accept: AcceptOptions::default(),
            policy: ConnectionPolicy::default(),
            handle: None,
            route: None,
            peer: None,
        }
    }

    /// Returns the request: path, query, header fields, cookies, offered subprotocols.
    pub const fn request(&self) -> &Request {
        &self.request
    }

    /// Selects a subprotocol: the first of ours, in order of preference, that the client offers.
    pub fn subprotocols<'a>(mut self, ours: impl IntoIterator<Item = &'a str>) -> Self {
        self.accept.subprotocol = self.request.select_subprotocol(ours);
        self
    }

    /// Adds a field to the response, such as `Set-Cookie`.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.accept = self.accept.header(name, value);
        self
    }

    /// Sets the policy of the connection: limits, timeouts, origins, traffic.
    pub fn policy(mut self, policy: ConnectionPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Admits the connection by this handle, of a server or made by [`ServerHandle::new`]: it is counted, and closed when the handle
    /// is.
    pub fn handle(mut self, handle: ServerHandle) -> Self {
        self.handle = Some(handle);
        self
    }

    /// Sets the pattern of the matched route, for spans and events.
    pub fn route(mut self, pattern: impl Into<Box<str>>) -> Self {
        self.route = Some(pattern.into());
        self
    }

    /// Sets the address of the other end of the socket, for the span.
    pub const fn peer(mut self, address: SocketAddr) -> Self {
        self.peer = Some(address);
        self
    }

    /// Returns the hub of its policy, whose timers the caller must drive: see [`drive_hub_beside`](crate::internal::drive_hub_beside).
    pub const fn hub(&self) -> Option<&HubRef> {
        self.policy.hub.as_ref()
    }

    /// Accepts: returns the response to send, and the connection to run afterwards.
    ///
    /// # Errors
    /// The response to send instead: 403 for a page of another host, 503 when there is no room, 500 for terms that break the response.
    pub fn accept(self) -> Result<(http::Response<()>, AcceptedUpgrade), Response> {
        self.policy.check_origin(&self.request, None)?;
        let handle = self.handle.unwrap_or_else(|| ServerHandle::new(1));
        let ticket = handle.enter().ok_or_else(|| {
            handle.counters().turned_away(handle.why_away());
            Refusal::Busy.response()
        })?;
        let config = self.policy.config.clone().unwrap_or_default();
        let fields = self.accept.fields.clone();
        let (response, agreement) =
            self.request
                .accept_http(&config, self.accept)
                .map_err(|misuse| {
                    let error = Error::of_fields(misuse, &fields);
                    tracing::error!(%error, "a request could not be accepted");
                    Response::text(500, "the request could not be accepted\n")
                })?;
        let span = contain(|| {
            Span::foreign(
                &self.request,
                self.peer,
                self.route.as_deref(),
                response.status().as_u16(),
                agreement.subprotocol.as_deref(),
            )
        });
        let admitted = AcceptedUpgrade {
            config,
            agreement,
            policy: self.policy,
            ticket,
            span: span.unwrap_or_default(),
            route: self.route,
        };
        Ok((response, admitted))
    }
}

/// An accepted request; dropping it releases its place.
///
/// For an example see [`ExternalUpgrade`].
#[derive(Debug)]
#[must_use]
pub struct AcceptedUpgrade {
    config: Arc<Config>,
    agreement: Agreement,
    policy: ConnectionPolicy,
    ticket: ConnectionPermit,
    span: Span,
    route: Option<Box<str>>,
}

impl AcceptedUpgrade {
    /// Runs a handler on the connection, as [`serve`](crate::internal::serve) would: it drives the socket beside the handler, closes with the
    /// code that the result maps to, and waits for the end.
    pub async fn run<T, H, F>(self, transport: T, handler: H) -> ConnectionOutcome
    where
        T: Transport,
        H: FnOnce(WebSocket<T>) -> F,
        F: Future<Output = Result>,
    {
        let Self {
            config,
            agreement,
            policy,
            ticket,
            span,
            route,
        } = self;
        let unread = Unread::default();
        let socket = WebSocket::server(transport, unread, config, agreement, Some(&policy), true);
        run(socket, ticket, span, route, handler).await
    }
}
