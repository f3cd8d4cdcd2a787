//! Layers between a request and its handler.
//! RFC 6455 section 4.2.2: "the server can perform additional client authentication".
//! Knows a request, but not its handler.

use std::fmt;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;

use crate::server::scope::Scope;
use sansws_common::app::{Layer as Immediate, PerAddress};
use sansws_core::http::Response;

/// A check before the upgrade: passes a request on, optionally with a state attached, or answers it.
///
/// A closure or function `Fn(&mut Scope) -> Result<(), Response>` is a layer. One that must wait implements the trait:
///
/// ```
/// use sansws_async::app::Layer;
/// use sansws_async::Scope;
/// use sansws_core::http::Response;
///
/// struct Members;
///
/// impl Layer for Members {
///     async fn check(&self, scope: &mut Scope) -> Result<(), Response> {
///         let name = scope.query_value("name").ok_or_else(|| Response::text(400, "who?\n"))?;
///         let member = look_up(&name).await.ok_or_else(|| Response::text(403, "members only\n"))?;
///         scope.attach(member);
///         Ok(())
///     }
/// }
/// # struct Member;
/// # async fn look_up(_: &str) -> Option<Member> { None }
/// ```
///
/// Layers run from the outside in, and on one level in the order in which they were added: those of the served router (for every request,
/// even one without a route), those of routers nested in it, those of the route. They see requests for WebSockets and for pages;
/// [`Scope::is_websocket`] distinguishes them.
///
/// Together they may use the rest of [`Timeouts::handshake`](sansws_core::config::Timeouts::handshake); then the answer is 503.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a layer",
    label = "not a layer",
    note = "a layer is a function `fn(scope: &mut Scope) -> Result<(), Response>`; one that must wait implements `Layer` with an `async fn check`"
)]
pub trait Layer: Send + Sync + 'static {
    /// Checks a request. `Err` is the answer to it.
    fn check(&self, scope: &mut Scope) -> impl Future<Output = Result<(), Response>> + Send;
}

impl<F> Layer for F
where
    F: Fn(&mut Scope) -> Result<(), Response> + Send + Sync + 'static,
{
    fn check(&self, scope: &mut Scope) -> impl Future<Output = Result<(), Response>> + Send {
        ready(self(scope))
    }
}

impl Layer for PerAddress {
    fn check(&self, scope: &mut Scope) -> impl Future<Output = Result<(), Response>> + Send {
        ready(Immediate::check(self, scope))
    }
}

/// The future of a check.
type Checking<'a> = Pin<Box<dyn Future<Output = Result<(), Response>> + Send + 'a>>;

trait Erased: Send + Sync {
    fn check<'a>(&'a self, scope: &'a mut Scope) -> Checking<'a>;
}

impl<L: Layer> Erased for L {
    fn check<'a>(&'a self, scope: &'a mut Scope) -> Checking<'a> {
        Box::pin(Layer::check(self, scope))
    }
}

/// Layers with erased types, outermost first.
#[derive(Clone, Default)]
pub(super) struct Layers(Vec<Arc<dyn Erased>>);

impl Layers {
    pub(super) fn push(&mut self, layer: impl Layer) {
        self.0.push(Arc::new(layer));
    }

    /// Puts the layers of an enclosing router before these.
    pub(super) fn inherit(&mut self, outer: &Self) {
        self.0.splice(0..0, outer.0.iter().cloned());
    }

    pub(super) async fn check(&self, scope: &mut Scope) -> Result<(), Response> {
        for layer in &self.0 {
            layer.check(scope).await?;
        }
        Ok(())
    }
}

impl fmt::Debug for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} layers", self.0.len())
    }
}
