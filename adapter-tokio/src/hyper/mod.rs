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
//! A whole [`Router`](crate::Router), with its layers, pages and handlers, becomes one service: see [`RouterService`].
//!
//! In a plain hyper service, `Upgrade::from_request(&mut request)` makes one. The server must allow upgrades:
//! `serve_connection(..).with_upgrades()` for HTTP/1.1, `enable_connect_protocol()` for HTTP/2; axum's `serve` does both.

mod answer;
pub(crate) mod bridge;
mod extensions;
mod service;

pub use answer::Answer;
pub use service::{Answering, RouterExt, RouterService};

use std::fmt;
use std::time::Duration;

use ::hyper::ext::Protocol;
use ::hyper::upgrade::{OnUpgrade, Upgraded};
use http::Extensions;
use hyper_util::rt::TokioIo;
use sansws_async::external::ExternalUpgrade;
use sansws_async::runtime::{Runtime, sleep};
use sansws_async::{ConnectionPolicy, HubRef, Result, ServerHandle};
use sansws_core::handshake::{Refusal, Request};
use sansws_core::http::Response;

use crate::{Compat, Io, Tokio};

/// An open connection that another stack has upgraded.
///
/// For an example see the [module](self).
pub type WebSocket = sansws_async::WebSocket<Io<TokioIo<Upgraded>>>;

/// A valid WebSocket request that another stack has parsed; see [`ExternalUpgrade`], which decides on it.
///
/// For an example see the [module](self).
#[must_use]
pub struct Upgrade {
    foreign: ExternalUpgrade,
    on_upgrade: OnUpgrade,
}

impl Upgrade {
    /// Takes a request, and removes the upgrade handle from it.
    ///
    /// # Errors
    /// The response to return when it is not a valid WebSocket request: 400, 405, 426, 501.
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
            return Err(Response::text(500, NOT_UPGRADABLE));
        };
        let foreign = ExternalUpgrade::new(request);
        let foreign = match extensions::peer(extensions) {
            Some(peer) => foreign.peer(peer),
            None => foreign,
        };
        Ok(Self {
            foreign,
            on_upgrade,
        })
    }

    /// Returns the request: path, query, header fields, cookies, offered subprotocols.
    pub const fn request(&self) -> &Request {
        self.foreign.request()
    }

    /// See [`ExternalUpgrade::subprotocols`].
    pub fn subprotocols<'a>(mut self, ours: impl IntoIterator<Item = &'a str>) -> Self {
        self.foreign = self.foreign.subprotocols(ours);
        self
    }

    /// See [`ExternalUpgrade::header`].
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.foreign = self.foreign.header(name, value);
        self
    }

    /// See [`ExternalUpgrade::policy`].
    pub fn policy(mut self, policy: ConnectionPolicy) -> Self {
        self.foreign = self.foreign.policy(policy);
        self
    }

    /// See [`ExternalUpgrade::handle`].
    pub fn handle(mut self, handle: ServerHandle) -> Self {
        self.foreign = self.foreign.handle(handle);
        self
    }

    /// Sets the pattern of the matched route, for spans and events. In axum it is set automatically.
    pub fn route(mut self, pattern: &str) -> Self {
        self.foreign = self.foreign.route(pattern);
        self
    }

    /// Accepts, and runs `handler` in its own task, as [`Server`](crate::Server) would: pings are answered while it waits, and its result
    /// decides the close code. From then on, the timers of the policy's hub are driven for as long as the runtime lives. Return the response
    /// to the stack; it may also be a refusal, such as 403 for a page of another host.
    pub fn on_upgrade<R, H, F>(self, handler: H) -> http::Response<R>
    where
        R: Default + From<Vec<u8>>,
        H: FnOnce(WebSocket) -> F + Send + 'static,
        F: Future<Output = Result> + Send + 'static,
    {
        drive_hub(self.foreign.hub());
        let (response, admitted) = match self.foreign.accept() {
            Ok(accepted) => accepted,
            Err(response) => return respond(response),
        };
        let on_upgrade = self.on_upgrade;
        tokio::spawn(async move {
            match on_upgrade.await {
                Ok(upgraded) => {
                    let transport = Io::new(Compat(TokioIo::new(upgraded)));
                    admitted.run(transport, handler).await;
                }
                Err(error) => tracing::debug!(%error, "upgrade failed"),
            }
        });
        response.map(|()| R::default())
    }
}

/// Drives the timers of a hub, unless that is done already.
fn drive_hub(hub: Option<&HubRef>) {
    if let Some(driving) =
        hub.and_then(|hub| sansws_async::internal::drive_hub_beside(hub, sleep::<Tokio>))
    {
        tokio::spawn(driving);
    }
}

/// Shuts down connections that other stacks have upgraded: waits for the signal, then [drains](ServerHandle::drain) over `window`. It returns
/// once all have ended, or 5 seconds after the window, when the remaining ones are dropped. If the signal panics, this is logged, and
/// counts as given. Pass it to axum's `with_graceful_shutdown`:
///
/// ```
/// # use std::time::Duration;
/// # use sansws_tokio::ServerHandle;
/// # use sansws_tokio::hyper::{drain_when, shutdown_signal};
/// # async fn run(listener: tokio::net::TcpListener, router: axum::Router, handle: ServerHandle) -> std::io::Result<()> {
/// axum::serve(listener, router)
///     .with_graceful_shutdown(drain_when(shutdown_signal(), handle, Duration::from_secs(10))) // Close 1012
///     .await
/// # }
/// ```
///
/// These are the connections that [`Upgrade::handle`] admits by this handle.
pub async fn drain_when<S: Future>(signal: S, handle: ServerHandle, window: Duration) {
    sansws_async::internal::until_told(signal, &handle).await;
    handle.drain(window);
    let emptied = std::future::poll_fn(|cx| handle.poll_empty(cx));
    if tokio::time::timeout(window.saturating_add(LATE), emptied)
        .await
        .is_err()
    {
        handle.drop_all();
    }
}

/// Waits for SIGTERM, as service managers and containers send it, or SIGINT (^C): a signal for [`drain_when`]. It never returns on
/// platforms without them, nor when the process cannot listen for them, which is logged at ERROR.
pub async fn shutdown_signal() {
    let mut signals = <Tokio as Runtime>::Signals::default();
    let signal = std::future::poll_fn(|cx| Tokio::poll_signal(&mut signals, cx));
    if let Err(error) = signal.await {
        tracing::error!(%error, "cannot listen for signals");
        std::future::pending::<()>().await;
    }
}

/// The answer to a request whose connection the stack, or a layer that makes requests anew, does not hand over.
const NOT_UPGRADABLE: &str = "the server does not allow this connection to be upgraded\n";

/// How long a connection has for its closing handshake after the drain window.
const LATE: Duration = Duration::from_secs(5);

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
            .field("request", self.request())
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
        let route = parts
            .extensions
            .get::<axum::extract::MatchedPath>()
            .cloned();
        let upgrade = Self::new(checked, &mut parts.extensions).map_err(respond)?;
        Ok(match route {
            Some(route) => upgrade.route(route.as_str()),
            None => upgrade,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The longest window there is; a signal that panics is one too.
    #[tokio::test]
    async fn any_window_drains_whatever_becomes_of_the_signal() {
        for panics in [false, true] {
            let handle = ServerHandle::new(1);
            let place = handle.enter().unwrap();
            let signal = async move { assert!(!panics, "on purpose") };
            let draining = tokio::spawn(drain_when(signal, handle.clone(), Duration::MAX));
            while !handle.is_closing() {
                assert!(!draining.is_finished());
                tokio::task::yield_now().await;
            }
            drop(place);
            draining.await.unwrap();
            assert_eq!(handle.metrics().handlers_failed, u64::from(panics));
        }
    }
}
