//! Routers of handlers and pages.
//!
//! ```
//! use sansws_std::{AddressLimits, PerAddress, Router, Upgrade};
//!
//! fn room(upgrade: Upgrade) -> sansws_std::Result {
//!     let room: String = upgrade.param("room")?;
//!     let mut socket = upgrade.accept()?;
//!     socket.send_text(format!("welcome to {room}"))?;
//!     Ok(())
//! }
//!
//! let addresses = PerAddress::new(AddressLimits {
//!     connections: Some(50),
//!     ..AddressLimits::default()
//! });
//! let router = Router::new()
//!     .route("/rooms/{room}", room)
//!     .layer(addresses) // 429 beyond
//!     .get("/health", "fine\n");
//! # drop(router);
//! ```

#[cfg(feature = "json")]
mod events;

use std::fmt;
use std::sync::Arc;

use sansws_common::app;
use sansws_common::error::{Error, Result};

use crate::server::{StreamedPage, StreamedResponse, Upgrade};
use crate::{Scope, ServerOptions};

#[cfg(feature = "json")]
pub use events::EventSocket;
pub(crate) use sansws_common::app::Decision;
pub use sansws_common::app::{
    Auth, Credential, IntoPage, IntoResponse, Layer, PerAddress, Verifier,
};
#[cfg(feature = "json")]
pub use sansws_common::app::{ReceivedEvent, RequestRefused};

/// A pattern and its handler or page.
///
/// For its methods and an example see [`sansws_common::app::Route`].
pub type Route = app::Route<Handler>;

/// Creates a route to a page whose response is written while it is made, for any methods; for the rest see [`Route::page`]. HEAD gets the head
/// alone.
///
/// For an example see [`StreamedResponse`].
pub fn streamed<M: Into<String>>(
    methods: impl IntoIterator<Item = M>,
    pattern: impl Into<String>,
    page: impl Fn(Scope) -> Result<StreamedResponse> + Send + Sync + 'static,
) -> Route {
    let page = Handler(Kind::Streamed(Arc::new(page)));
    Route::handled(methods, pattern, page).streamed()
}

/// Routes, perhaps under a prefix, with layers, policies and states that apply to all of them.
///
/// For its methods see [`sansws_common::app::Router`], for an example the [module](self).
pub type Router = app::Router<Handler>;

/// A service whose routes were checked. Clones share it.
pub type App = app::App<Handler>;

/// A handler of WebSocket requests: any `fn(upgrade: Upgrade) -> Result`.
///
/// ```
/// use std::sync::Arc;
/// use sansws_std::app::{Handler, Router};
/// use sansws_std::{Result, Upgrade};
///
/// fn greet(words: &str) -> Handler {
///     let words: Arc<str> = words.into();
///     let handler = move |upgrade: Upgrade| -> Result {
///         Ok(upgrade.accept()?.send_text(&*words)?)
///     };
///     handler.into()
/// }
///
/// let router = Router::new().route("/en", greet("hello")).route("/no", greet("hei"));
/// # drop(router);
/// ```
#[derive(Clone)]
pub struct Handler(Kind);

#[derive(Clone)]
enum Kind {
    WebSocket(WebSocketHandler),
    Streamed(StreamedPage),
}

/// The function that serves a WebSocket.
pub(crate) type WebSocketHandler = Arc<dyn Fn(Upgrade) -> Result + Send + Sync>;

impl Handler {
    /// Returns the handler of a WebSocket request.
    ///
    /// # Errors
    /// It is a page whose responses are streamed.
    pub(crate) fn for_websocket(self) -> Result<WebSocketHandler, StreamedPage> {
        match self.0 {
            Kind::WebSocket(handler) => Ok(handler),
            Kind::Streamed(page) => Err(page),
        }
    }
}

impl<F: Fn(Upgrade) -> Result + Send + Sync + 'static> From<F> for Handler {
    fn from(handler: F) -> Self {
        Self(Kind::WebSocket(Arc::new(handler)))
    }
}

impl fmt::Debug for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handler").finish_non_exhaustive()
    }
}

/// A type that a server can serve: a handler for all paths, or a router.
///
/// ```
/// use sansws_std::{IntoService, Result, Router, ServerOptions, Upgrade};
///
/// fn chat(upgrade: Upgrade) -> Result {
///     Ok(upgrade.accept()?.send_text("welcome")?)
/// }
///
/// let options = ServerOptions::default();
/// assert!(chat.into_service(&options).is_ok());
/// let twice = Router::new().route("/{room}", chat).route("/{name}", chat);
/// assert!(twice.into_service(&options).is_err());
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be served",
    label = "neither a handler nor a router",
    note = "a server serves a `Router`, or for all paths one `fn(upgrade: Upgrade) -> Result`"
)]
pub trait IntoService {
    /// Checks it, and makes a service of it.
    ///
    /// # Errors
    /// When routes conflict.
    fn into_service(self, options: &ServerOptions) -> Result<App, Error>;
}

/// One handler for all paths.
impl<H: Fn(Upgrade) -> Result + Send + Sync + 'static> IntoService for H {
    fn into_service(self, options: &ServerOptions) -> Result<App, Error> {
        Ok(App::single(self.into(), options.policy.clone()))
    }
}

impl IntoService for Router {
    fn into_service(self, options: &ServerOptions) -> Result<App, Error> {
        Ok(self.build_under(&options.policy)?)
    }
}

/// Like a router that the server builds, it inherits the policy of the server's options.
impl IntoService for App {
    fn into_service(self, options: &ServerOptions) -> Result<App, Error> {
        Ok(self.under(&options.policy))
    }
}
