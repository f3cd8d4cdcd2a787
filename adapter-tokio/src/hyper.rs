//! WebSockets in services of hyper 1 and axum, over HTTP/1.1 and HTTP/2 (RFC 8441).
//!
//! In axum, with the feature `axum`, [`Upgrade`] is an extractor. Route it by `any`: over HTTP/2 the method is CONNECT.
//!
//! ```
//! # #[cfg(feature = "axum")]
//! # mod example {
//! use sansws_tokio::hyper::{Upgrade, WebSocket};
//! use sansws_tokio::{Response, Result};
//!
//! async fn echo(upgrade: Upgrade) -> axum::response::Response {
//!     upgrade.on_upgrade(async |mut socket: WebSocket| {
//!         while let Some(message) = socket.receive().await? {
//!             socket.send(message).await?;
//!         }
//!         Ok(())
//!     })
//! }
//!
//! pub fn router() -> axum::Router {
//!     axum::Router::new().route("/echo", axum::routing::any(echo))
//! }
//! # }
//! ```
//!
//! In a bare service of hyper, `Upgrade::from_request(&mut request)` makes one. The server must let connections be upgraded:
//! `serve_connection(..).with_upgrades()` for HTTP/1.1, `enable_connect_protocol()` for HTTP/2; axum's `serve` does both.

use std::fmt;
use std::sync::Arc;

use ::hyper::ext::Protocol;
use ::hyper::upgrade::{OnUpgrade, Upgraded};
use http::Extensions;
use hyper_util::rt::TokioIo;
use sansws_core::config::Config;
use sansws_core::drive::{self, Gate, Policy, Result, Ticket};
use sansws_core::handshake::{Accept, Refusal, Request};
use sansws_core::http::Response;

use crate::Io;

/// An open connection that another stack has upgraded.
pub type WebSocket = drive::WebSocket<Io<TokioIo<Upgraded>>>;

/// A valid request for a WebSocket that a stack has parsed.
pub struct Upgrade {
    request: Request,
    on_upgrade: OnUpgrade,
    accept: Accept,
    policy: Policy,
    gate: Option<Gate>,
}

impl Upgrade {
    /// Takes a request; what makes it upgradable is taken out of it.
    ///
    /// # Errors
    /// The response to give when it is no valid request for a WebSocket: 400, 405, 426, 501.
    pub fn from_request<B, R: Default + From<Vec<u8>>>(
        request: &mut http::Request<B>,
    ) -> Result<Self, http::Response<R>> {
        let protocol = request.extensions().get::<Protocol>();
        let checked = Request::from_http(request, protocol.map(Protocol::as_str));
        Self::new(checked, request.extensions_mut()).map_err(respond)
    }

    fn new(
        checked: Result<Request, Refusal>,
        extensions: &mut Extensions,
    ) -> Result<Self, Response> {
        let request = checked.map_err(Refusal::response)?;
        let Some(on_upgrade) = extensions.remove::<OnUpgrade>() else {
            return Err(Response::text(
                500,
                "the server does not let this connection be upgraded\n",
            ));
        };
        Ok(Self {
            request,
            on_upgrade,
            accept: Accept::default(),
            policy: Policy::default(),
            gate: None,
        })
    }

    /// The request: path, query, header fields, cookies, offered subprotocols.
    pub const fn request(&self) -> &Request {
        &self.request
    }

    /// Chooses a subprotocol: the first of ours, the preferred one first, that the client offers.
    #[must_use]
    pub fn subprotocols<'a>(mut self, ours: impl IntoIterator<Item = &'a str>) -> Self {
        self.accept.subprotocol = self.request.choose(ours);
        self
    }

    /// Adds a field to the response, such as `Set-Cookie`.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.accept.fields.push(name, value.as_ref());
        self
    }

    /// Sets what holds for the connection: limits, times, origins, traffic. By default pages of other hosts are refused.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Lets it in by the door of a server of ours, or one made by [`Gate::new`]: it is counted, and closed when the door is.
    #[must_use]
    pub fn gate(mut self, gate: Gate) -> Self {
        self.gate = Some(gate);
        self
    }

    /// Accepts, and runs `handler` in a task of its own as a server of ours would: pings are answered while it waits, and what it
    /// returns decides the close code. The response is to be returned to the stack; it may also be a refusal, such as 403 for a
    /// page of another host.
    pub fn on_upgrade<R, H, F>(self, handler: H) -> http::Response<R>
    where
        R: Default + From<Vec<u8>>,
        H: FnOnce(WebSocket) -> F + Send + 'static,
        F: Future<Output = Result<()>> + Send + 'static,
    {
        match self.begin(handler) {
            Ok(response) => response.map(|()| R::default()),
            Err(response) => respond(response),
        }
    }

    fn begin<H, F>(self, handler: H) -> Result<http::Response<()>, Response>
    where
        H: FnOnce(WebSocket) -> F + Send + 'static,
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let policy = self.policy;
        policy.check_origin(&self.request, None)?;
        let gate = self.gate.unwrap_or_else(|| Gate::new(1));
        let ticket = gate.enter().ok_or_else(|| Refusal::Busy.response())?;
        let config = policy.config.clone().unwrap_or_default();
        let (response, agreement) =
            self.request
                .accept_http(&config, self.accept)
                .map_err(|error| {
                    tracing::error!(%error, "a request could not be accepted");
                    Response::text(500, "the request could not be accepted\n")
                })?;
        let on_upgrade = self.on_upgrade;
        tokio::spawn(async move {
            match on_upgrade.await {
                Ok(upgraded) => run(upgraded, config, agreement, policy, ticket, handler).await,
                Err(error) => tracing::debug!(%error, "a connection was not upgraded"),
            }
        });
        Ok(response)
    }
}

async fn run<H, F>(
    upgraded: Upgraded,
    config: Arc<Config>,
    agreement: sansws_core::handshake::Agreement,
    policy: Policy,
    ticket: Ticket,
    handler: H,
) where
    H: FnOnce(WebSocket) -> F,
    F: Future<Output = Result<()>>,
{
    let transport = Io::new(TokioIo::new(upgraded));
    drive::run(transport, config, agreement, policy, ticket, handler).await;
}

fn respond<R: Default + From<Vec<u8>>>(response: Response) -> http::Response<R> {
    response.into_http().map_or_else(
        |_| {
            let mut response = http::Response::new(R::default());
            *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
            response
        },
        |response| response.map(R::from),
    )
}

impl fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrade")
            .field("request", &self.request)
            .finish_non_exhaustive()
    }
}

#[cfg(feature = "axum")]
impl<S: Sync> axum_core::extract::FromRequestParts<S> for Upgrade {
    type Rejection = axum_core::response::Response;

    async fn from_request_parts(
        parts: &mut http::request::Parts,
        _: &S,
    ) -> Result<Self, Self::Rejection> {
        let protocol = parts.extensions.get::<Protocol>().cloned();
        let head = http::Request::from_parts(parts.clone(), ());
        let checked = Request::from_http(&head, protocol.as_ref().map(Protocol::as_str));
        Self::new(checked, &mut parts.extensions).map_err(respond)
    }
}
