//! The interface between a server's loop and its application.
//! RFC 6455 section 4.2.2; RFC 9110 section 15.
//! Knows no route: a service decides on a request, and runs the handler it chose.

use std::fmt;
use std::future::{Future, Ready, ready};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;

use crate::error::HandlerError;
use crate::error::{Error, Result};
use crate::hub::HubRef;
use crate::server::options::ServerOptions;
use crate::server::scope::Scope;
use crate::server::streaming::PageReply;
use crate::server::upgrade::Upgrade;
use crate::socket::policy::ConnectionPolicy;
use crate::transport::Transport;
use sansws_core::http::{RequestHead, Response};
use sansws_core::route::Pattern;

/// Decides on each request of a server, and runs the handlers of accepted ones.
///
/// Applications do not implement it: for examples see [`IntoService`].
pub trait Service<T: Transport> {
    /// The type of a handler.
    type Handler;
    /// The future of a decision.
    type Deciding: Future<Output = Decision<Self::Handler>>;
    /// The future of a handler.
    type Running: Future<Output = Result>;

    /// Whether the service also decides on plain HTTP requests; otherwise they are refused.
    const PLAIN: bool;

    /// Returns the hubs that its connections may use, each once: the server drives their timers.
    fn hubs(&self) -> Vec<HubRef> {
        Vec::new()
    }

    /// Returns whether any page is served even while the server is full or drains.
    fn has_always(&self) -> bool {
        false
    }

    /// Returns whether a request is for such a page.
    fn is_always(&self, _: &RequestHead) -> bool {
        false
    }

    /// Decides on a request.
    fn decide(&self, scope: Scope) -> Self::Deciding;

    /// Runs a handler.
    fn run(handler: Self::Handler, upgrade: Upgrade<T>) -> Self::Running;
}

/// The decision on a request.
pub enum Decision<H> {
    /// Run this handler.
    Handle {
        /// The request, with attached values.
        scope: Scope,
        /// The handler.
        handler: H,
        /// The policy of its connection.
        policy: Arc<ConnectionPolicy>,
    },
    /// Answer with this response.
    Answer(Response),
    /// Answer with the response of a page, which may take any time.
    Page {
        /// The request; its body is read for the page.
        scope: Scope,
        /// The page.
        page: Answer,
        /// Its policy.
        policy: Arc<ConnectionPolicy>,
    },
    /// The decision failed: the request is answered as [`HandlerError`] describes, and the failure counted and logged.
    Failed {
        /// The error.
        error: HandlerError,
        /// The pattern of the route, if one matched before.
        route: Option<Pattern>,
    },
}

impl<H> fmt::Debug for Decision<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Handle { scope, .. } => f.debug_tuple("Handle").field(scope).finish(),
            Self::Answer(response) => f.debug_tuple("Answer").field(response).finish(),
            Self::Failed { error, .. } => f.debug_tuple("Failed").field(error).finish(),
            Self::Page { scope, .. } => f.debug_tuple("Page").field(scope).finish(),
        }
    }
}

/// A page.
pub type Answer = Box<dyn FnOnce(Scope) -> Answering + Send>;

/// The future of a response; an error is answered as [`HandlerError`] describes.
pub type Answering = Pin<Box<dyn Future<Output = Result<PageReply>> + Send>>;

/// A type that a server can serve: a handler for all paths, or a router.
///
/// ```
/// use sansws_async::test_kit::{MemoryTransport, TestServer};
/// use sansws_async::{IntoService, Result, Router, ServerOptions, Upgrade};
///
/// async fn echo(upgrade: Upgrade<MemoryTransport>) -> Result {
///     let mut socket = upgrade.accept().await?;
///     while let Some(message) = socket.receive().await? {
///         socket.send(message).await?;
///     }
///     Ok(())
/// }
///
/// fn serve(service: impl IntoService<MemoryTransport> + 'static) -> Result<TestServer> {
///     Ok(TestServer::over(service, ServerOptions::default(), MemoryTransport::new)?)
/// }
///
/// serve(echo)?; // for all paths
/// serve(Router::new().route("/echo", echo))?;
/// # Ok::<(), sansws_async::HandlerError>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be served",
    label = "neither a handler nor a router",
    note = "a server serves a `Router`, or for all paths one `async fn(upgrade: Upgrade) -> Result`; an `Endpoint` is served by a route"
)]
pub trait IntoService<T: Transport> {
    /// The service it becomes.
    type Service: Service<T> + Clone;

    /// Checks it, and makes a service of it.
    ///
    /// # Errors
    /// When routes conflict.
    fn into_service(self, options: &ServerOptions) -> Result<Self::Service, Error>;
}

/// Wraps one handler for all paths.
#[derive(Debug)]
pub struct Single<H, F> {
    handler: H,
    policy: Arc<ConnectionPolicy>,
    future: PhantomData<fn() -> F>,
}

impl<H: Clone, F> Clone for Single<H, F> {
    fn clone(&self) -> Self {
        Self {
            handler: self.handler.clone(),
            policy: Arc::clone(&self.policy),
            future: PhantomData,
        }
    }
}

impl<T, H, F> IntoService<T> for H
where
    T: Transport,
    H: Fn(Upgrade<T>) -> F + Clone,
    F: Future<Output = Result>,
{
    type Service = Single<H, F>;

    fn into_service(self, options: &ServerOptions) -> Result<Self::Service, Error> {
        Ok(Single {
            handler: self,
            policy: Arc::new(options.policy.clone()),
            future: PhantomData,
        })
    }
}

impl<T, H, F> Service<T> for Single<H, F>
where
    T: Transport,
    H: Fn(Upgrade<T>) -> F + Clone,
    F: Future<Output = Result>,
{
    type Handler = H;
    type Deciding = Ready<Decision<H>>;
    type Running = F;

    const PLAIN: bool = false;

    fn hubs(&self) -> Vec<HubRef> {
        self.policy.hub.clone().into_iter().collect()
    }

    fn decide(&self, scope: Scope) -> Self::Deciding {
        ready(match self.policy.check(&scope) {
            Ok(()) => Decision::Handle {
                scope,
                handler: self.handler.clone(),
                policy: Arc::clone(&self.policy),
            },
            Err(response) => Decision::Answer(response),
        })
    }

    fn run(handler: H, upgrade: Upgrade<T>) -> F {
        handler(upgrade)
    }
}
