//! The targets of routes: handlers of WebSockets, and pages.
//! RFC 6455 section 4.2.2; RFC 9110 section 9.3.1 (GET).
//! Knows no path.

use std::fmt;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;

use crate::app::endpoint;
use crate::app::endpoint::Endpoint;
use crate::error::Result;
use crate::server::scope::Scope;
use crate::server::service::Answering;
use crate::server::streaming::{PageReply, StreamedResponse};
use crate::server::upgrade::Upgrade;
use crate::transport::Transport;
use sansws_common::app::IntoResponse;

/// The future of a handler.
pub(super) type Running = Pin<Box<dyn Future<Output = Result> + Send>>;

/// A handler of WebSockets, with its type erased.
///
/// For an example see [`IntoHandler`].
pub struct Handler<T: Transport>(Arc<dyn Fn(Upgrade<T>) -> Running + Send + Sync>);

impl<T: Transport> Handler<T> {
    pub(super) fn run(&self, upgrade: Upgrade<T>) -> Running {
        self.0(upgrade)
    }
}

impl<T: Transport> Clone for Handler<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Transport> fmt::Debug for Handler<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handler")
    }
}

/// A type that handles WebSockets: an async function, a closure, or an [`Endpoint`] that is cloned for each connection.
///
/// `Kind` distinguishes these, and is always inferred. A handler and its future are `Send`; `Server::serve_local` takes one that is not.
///
/// ```
/// use std::sync::Arc;
/// use sansws_async::app::{Handler, IntoHandler, Router};
/// use sansws_async::test_kit::{MemoryTransport, TestServer};
/// use sansws_async::{Result, ServerOptions, Upgrade};
///
/// async fn time(upgrade: Upgrade<MemoryTransport>) -> Result {
///     Ok(upgrade.accept().await?.send_text("noon").await?)
/// }
///
/// # async fn run() -> Result {
/// let greeting: Arc<str> = "good morning".into();
/// let router = Router::new()
///     .route("/time", time)
///     .route("/greeting", move |upgrade: Upgrade<MemoryTransport>| {
///         let greeting = Arc::clone(&greeting);
///         async move { Ok(upgrade.accept().await?.send_text(&*greeting).await?) }
///     });
/// // From a list, for example one that a configuration says.
/// let noon: Handler<MemoryTransport> = time.into_handler();
/// let router = ["/utc", "/cet"].iter().fold(router, |router, path| router.route(*path, noon.clone()));
/// let server = TestServer::over(router, ServerOptions::default(), MemoryTransport::new)?;
/// server.connect("/time").await?.expect_text("noon").await;
/// server.connect("/cet").await?.expect_text("noon").await;
/// server.connect("/greeting").await?.expect_text("good morning").await;
/// # Ok(())
/// # }
/// # let mut run = std::pin::pin!(run());
/// # let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
/// # for _ in 0..100_000 {
/// #     if let std::task::Poll::Ready(done) = run.as_mut().poll(&mut cx) { return done.unwrap(); }
/// # }
/// # panic!("it does not end");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not handle WebSockets",
    label = "not a handler",
    note = "a handler is an `async fn(upgrade: Upgrade) -> Result`, or a closure like it: it takes the `Upgrade` alone, and asks it for \
            parameters (`upgrade.param(\"room\")`), states (`upgrade.state::<Db>()`) and the query",
    note = "a value whose type implements `Endpoint` is one too, if it is `Clone` and `Sync`: each connection has a clone"
)]
pub trait IntoHandler<T: Transport, Kind>: Sized {
    /// The handler it becomes. Bounds are on the methods, so that the compiler reports which one is not met, and why.
    #[doc(hidden)]
    type Running;

    /// Converts it.
    fn into_handler(self) -> Handler<T>
    where
        Self: Send + Sync + 'static,
        Self::Running: Future<Output = Result> + Send + 'static;
}

/// A function from an [`Upgrade`] to a future.
#[derive(Debug)]
pub enum Function {}

/// An [`Endpoint`].
#[derive(Debug)]
pub enum Object {}

/// A [`Handler`].
#[derive(Debug)]
pub enum Erased {}

impl<T, H, F> IntoHandler<T, Function> for H
where
    T: Transport,
    H: Fn(Upgrade<T>) -> F,
{
    type Running = F;

    fn into_handler(self) -> Handler<T>
    where
        Self: Send + Sync + 'static,
        F: Future<Output = Result> + Send + 'static,
    {
        Handler(Arc::new(move |upgrade| Box::pin(self(upgrade))))
    }
}

impl<T, E> IntoHandler<T, Object> for E
where
    T: Transport + Send + 'static,
    E: Endpoint<T> + Clone + Sync,
{
    type Running = Running;

    fn into_handler(self) -> Handler<T> {
        Handler(Arc::new(move |upgrade| {
            Box::pin(endpoint::run(self.clone(), upgrade))
        }))
    }
}

/// It stays what it is: a list of handlers of different types is routed like one of them.
#[diagnostic::do_not_recommend]
impl<T: Transport + 'static> IntoHandler<T, Erased> for Handler<T> {
    type Running = Running;

    fn into_handler(self) -> Self {
        self
    }
}

/// A page, with its type erased.
///
/// For an example see [`IntoPage`].
#[derive(Clone)]
pub struct Page(Arc<dyn Fn(Scope) -> Answering + Send + Sync>);

impl Page {
    pub(super) fn answer(&self, scope: Scope) -> Answering {
        self.0(scope)
    }
}

impl Page {
    /// Makes a page of a function whose responses are streamed.
    pub(super) fn streamed<F>(page: impl Fn(Scope) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<StreamedResponse>> + Send + 'static,
    {
        Self(Arc::new(move |mut scope| {
            let guards = scope.take_held();
            let answering = page(scope);
            Box::pin(async move { Ok(PageReply::Streamed(answering.await?.holding(guards))) })
        }))
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Page")
    }
}

/// A type that answers a plain request: an async function from a [`Scope`] to [a response](IntoResponse), or a response itself.
///
/// `Kind` distinguishes these, and is always inferred.
///
/// ```
/// use sansws_async::app::Router;
/// use sansws_async::test_kit::{MemoryTransport, TestServer};
/// use sansws_async::{Response, Result, Scope, ServerOptions};
///
/// async fn square(scope: Scope) -> Result<String> {
///     let number: i64 = scope.param("number")?;
///     Ok(number.pow(2).to_string())
/// }
///
/// # async fn run() -> Result {
/// let router = Router::new()
///     .get("/square/{number}", square)
///     .get("/", Response::html(200, "<h1>Squares</h1>"))
///     .get("/robots.txt", "User-agent: *\nDisallow: /\n");
/// let server = TestServer::over(router, ServerOptions::default(), MemoryTransport::new)?;
/// assert_eq!(server.get("/square/12").await?.body, b"144");
/// assert_eq!(server.get("/square/twelve").await?.status, 400);
/// assert_eq!(server.get("/").await?.body, b"<h1>Squares</h1>");
/// # Ok(())
/// # }
/// # let mut run = std::pin::pin!(run());
/// # let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
/// # for _ in 0..100_000 {
/// #     if let std::task::Poll::Ready(done) = run.as_mut().poll(&mut cx) { return done.unwrap(); }
/// # }
/// # panic!("it does not end");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a page",
    label = "not a page",
    note = "a page is an `async fn(scope: Scope) -> R`, where `R` is a `Response`, a text, or a `Result` of these; or such an answer as it is",
    note = "its future must be `Send`: nothing like an `Rc` or a lock's guard is held while it waits"
)]
pub trait IntoPage<Kind> {
    /// Converts it.
    fn into_page(self) -> Page;
}

impl<H, F> IntoPage<Function> for H
where
    H: Fn(Scope) -> F + Send + Sync + 'static,
    F: Future<Output: IntoResponse> + Send + 'static,
{
    fn into_page(self) -> Page {
        Page(Arc::new(move |scope| {
            let answering = self(scope);
            Box::pin(async move { answering.await.respond().map(PageReply::Whole) })
        }))
    }
}

impl<R: IntoResponse + Clone + Send + Sync + 'static> IntoPage<Object> for R {
    fn into_page(self) -> Page {
        Page(Arc::new(move |_| {
            Box::pin(ready(self.clone().respond().map(PageReply::Whole)))
        }))
    }
}
