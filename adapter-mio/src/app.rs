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

use sansws_common::app;
use sansws_common::error::{Error, Result};
use sansws_common::hub::HubRef;

use crate::ServerOptions;
use crate::endpoint::Endpoint;
use crate::event_loop::Handler;

/// A pattern and its endpoint or page.
pub type Route = app::Route<Handler, HubRef>;

/// Routes, perhaps under a prefix, with layers, policies and states that apply to all of them. It belongs to one loop.
pub type Router = app::Router<Handler, HubRef>;

/// A service whose routes were checked.
pub type App = app::App<Handler, HubRef>;

/// A type that a server can serve: an endpoint for all paths, or a router.
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
