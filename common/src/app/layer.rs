//! Layers between a request and its handler.
//! RFC 6455 section 4.2.2: "the server can perform additional client authentication".
//! Knows a request, but not its handler.

use sansws_core::http::Response;

use crate::server::scope::Scope;

/// A check before the upgrade: passes a request on, optionally with a state attached, or answers it.
///
/// A closure or function `Fn(&mut Scope) -> Result<(), Response>` is a layer. A type that implements the trait is one with a name:
///
/// ```
/// use sansws_common::Scope;
/// use sansws_common::app::{Layer, Router};
/// use sansws_core::http::Response;
///
/// /// Admits requests to this host alone.
/// struct Host(&'static str);
///
/// impl Layer for Host {
///     fn check(&self, scope: &mut Scope) -> Result<(), Response> {
///         match scope.header("host") {
///             Some(host) if host == self.0 => Ok(()),
///             _ => Err(Response::text(421, "another host\n")),
///         }
///     }
/// }
///
/// let router = Router::<()>::new()
///     .layer(Host("example.org"))
///     .layer(|scope: &mut Scope| Ok(scope.attach(scope.path().len())));
/// # let _ = router;
/// ```
///
/// Layers run from the outside in, and on one level in the order in which they were added: those of the served router (for every request,
/// even one without a route), those of routers nested in it, those of the route. They see requests for WebSockets and for pages;
/// [`Scope::is_websocket`] distinguishes them. What waits in a layer holds up its thread: on an event loop, all connections of the loop.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a layer",
    label = "not a layer",
    note = "a layer is a function `fn(scope: &mut Scope) -> Result<(), Response>`, or a type that implements `Layer`"
)]
pub trait Layer: Send + Sync + 'static {
    /// Checks a request. `Err` is the answer to it.
    fn check(&self, scope: &mut Scope) -> Result<(), Response>;
}

impl<F> Layer for F
where
    F: Fn(&mut Scope) -> Result<(), Response> + Send + Sync + 'static,
{
    fn check(&self, scope: &mut Scope) -> Result<(), Response> {
        self(scope)
    }
}
