//! Routers of endpoints and pages.
//!
//! ```
//! use sansws_mio::{Incoming, Result, Router, Scope, Socket};
//!
//! fn room(socket: &mut Socket<'_, ()>, message: Incoming<'_>) -> Result {
//!     let _ = socket.send(message);
//!     Ok(())
//! }
//!
//! let router = Router::new()
//!     .route("/rooms/{room}", room)
//!     .get("/health", |_: Scope| Ok(sansws_mio::Response::text(200, "fine\n")));
//! # drop(router);
//! ```

use std::rc::Rc;

use sansws_common::app;
use sansws_common::error::{Error, Result};
use sansws_common::hub::HubRef;
use sansws_core::http::Response;

use crate::endpoint::Endpoint;
use crate::event_loop::Handler;
use crate::{Scope, ServerOptions};

/// A pattern and its endpoint or page.
///
/// For its methods and an example see [`sansws_common::app::Route`].
pub type Route = app::Route<Handler, HubRef>;

/// Creates a route to a page whose answer takes time, for any methods: its future is polled on the loop, which goes on meanwhile. Otherwise
/// it is a page like any other, see [`Route::page`]. If it has not answered when the time for the handshake is over
/// ([`Timeouts::handshake`](crate::Timeouts::handshake)), the client is answered with 503 and the future is dropped.
///
/// ```
/// # let hub = sansws_mio::Hub::new();
/// use sansws_mio::{Response, Router, Scope, app};
///
/// let router = Router::new().add(app::deferred(["GET"], "/rooms/{room}", move |scope: Scope| {
///     let hub = hub.clone();
///     async move {
///         let room: String = scope.param("room")?;
///         let presence = hub.presence(&room).await?;
///         Ok(Response::text(200, format!("{}\n", presence.count)))
///     }
/// }));
/// # drop(router);
/// ```
pub fn deferred<F, M: Into<String>>(
    methods: impl IntoIterator<Item = M>,
    pattern: impl Into<String>,
    page: impl Fn(Scope) -> F + 'static,
) -> Route
where
    F: Future<Output = Result<Response>> + 'static,
{
    let page = Handler::of_page(Rc::new(move |scope| Box::pin(page(scope))));
    Route::handled(methods, pattern, page)
}

/// Routes, perhaps under a prefix, with layers, policies and states that apply to all of them. It belongs to one loop.
///
/// For its methods see [`sansws_common::app::Router`], for an example the [module](self).
pub type Router = app::Router<Handler, HubRef>;

/// A service whose routes were checked.
pub type App = app::App<Handler, HubRef>;

/// A type that a server can serve: an endpoint for all paths, or a router.
///
/// ```
/// use sansws_mio::{Incoming, IntoService, Result, Router, ServerOptions, Socket};
///
/// fn echo(socket: &mut Socket<'_, ()>, message: Incoming<'_>) -> Result {
///     let _ = socket.send(message);
///     Ok(())
/// }
///
/// let options = ServerOptions::default();
/// assert!(echo.into_service(&options).is_ok());
/// let twice = Router::new().route("/{room}", echo).route("/{name}", echo);
/// assert!(twice.into_service(&options).is_err());
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be served",
    label = "neither an endpoint nor a router",
    note = "a server serves a `Router`, or for all paths one `Endpoint`, such as `fn(&mut Socket<'_, ()>, Incoming<'_>) -> Result`"
)]
pub trait IntoService {
    /// Checks it, and makes a service of it.
    ///
    /// # Errors
    /// When routes conflict.
    fn into_service(self, options: &ServerOptions) -> Result<App, Error>;
}

/// One endpoint for all paths.
impl<E: Endpoint> IntoService for E {
    fn into_service(self, options: &ServerOptions) -> Result<App, Error> {
        Ok(App::single(self.into(), options.policy.clone()))
    }
}

impl IntoService for Router {
    fn into_service(self, options: &ServerOptions) -> Result<App, Error> {
        self.build(options)
    }
}
