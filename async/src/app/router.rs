//! Builders of routers for handlers and pages.
//! RFC 3986 section 3.3 for paths; `sansws_core::route` defines matching.
//! Knows what nested routers inherit; leaves matching to `sansws_core::route`.

use std::any::Any;
use std::future::Future;
use std::sync::Arc;

use crate::app::handler::{IntoHandler, IntoPage, Page};
use crate::app::layer::{Layer, Layers};
use crate::app::service::App;
use crate::app::target::{Goal, Target};
use crate::error::{Error, Result};
use crate::hub::HubRef;
use crate::server::options::ServerOptions;
use crate::server::scope::Attached;
use crate::server::scope::Scope;
use crate::server::service::IntoService;
use crate::server::streaming::StreamedResponse;
use crate::socket::policy::ConnectionPolicy;
use crate::transport::Transport;
use sansws_common::server::answer::WEBSOCKET;
use sansws_core::route;
use sansws_core::route::{Converter, RouteErrors};

/// A pattern and its handler.
///
/// ```
/// use std::time::Duration;
/// use sansws_async::app::{Auth, Credential, Route, Router};
/// use sansws_async::{ConnectionPolicy, Result, Scope, Transport, Upgrade};
///
/// async fn prices<T: Transport>(upgrade: Upgrade<T>) -> Result {
///     let market: String = upgrade.param("market")?;
///     Ok(upgrade.accept().await?.send_text(market).await?)
/// }
///
/// async fn trader(credential: Credential) -> Option<String> {
///     (credential.secret == "s3cret").then(|| "ada".into())
/// }
///
/// # fn check<T: Transport + Send + 'static>() -> Result {
/// let prices = Route::<T>::new("/prices/{market}", prices)
///     .named("prices")
///     .layer(Auth::bearer(trader))
///     .policy(ConnectionPolicy::default().lifetime(Duration::from_secs(8 * 3600)));
/// let health = Route::get("/health", async |_: Scope| "up\n").always();
/// let app = Router::new().add(prices).add(health).build()?;
/// assert_eq!(app.url_for("prices", &[("market", &"oslo")])?, "/prices/oslo");
/// # Ok(())
/// # }
/// # check::<sansws_async::test_kit::MemoryTransport>().unwrap();
/// ```
#[derive(Debug)]
pub struct Route<T: Transport> {
    pattern: String,
    name: Option<String>,
    target: Target<T>,
}

impl<T: Transport> Route<T> {
    /// Creates a route to a handler of WebSockets.
    pub fn new<H, K>(pattern: impl Into<String>, handler: H) -> Self
    where
        H: IntoHandler<T, K> + Send + Sync + 'static,
        H::Running: Future<Output = Result> + Send + 'static,
    {
        Self::to(pattern.into(), Goal::WebSocket(handler.into_handler()))
    }

    /// Creates a route to a page, for GET and HEAD.
    pub fn get<K>(pattern: impl Into<String>, page: impl IntoPage<K>) -> Self {
        Self::page(["GET", "HEAD"], pattern, page)
    }

    /// Creates a route to a page, for POST. Its body is read before the page runs; see [`page`](Self::page).
    pub fn post<K>(pattern: impl Into<String>, page: impl IntoPage<K>) -> Self {
        Self::page(["POST"], pattern, page)
    }

    /// Creates a route to a page, for any methods. Once the layers have passed a request, its body is read, at most
    /// [`Limits::body`](sansws_core::config::Limits::body) bytes of the route's policy (413 beyond), and available as
    /// [`Scope::body`](crate::server::scope::Scope::body).
    ///
    /// It may take its time: no timeout applies to it, but its future is dropped when its client closes the connection, or shuts
    /// down its sending side.
    ///
    /// For methods other than GET, HEAD and OPTIONS, pages of other hosts are refused as for WebSockets: see
    /// [`OriginPolicy`](sansws_core::handshake::OriginPolicy).
    pub fn page<M: Into<String>, K>(
        methods: impl IntoIterator<Item = M>,
        pattern: impl Into<String>,
        page: impl IntoPage<K>,
    ) -> Self {
        let methods = methods.into_iter().map(Into::into).collect();
        Self::to(pattern.into(), Goal::Page(page.into_page(), methods))
    }

    /// Creates a route to a page whose response is written while it is made, for any methods other than HEAD; for the rest see
    /// [`page`](Self::page). It also works behind other HTTP stacks (`hyper`, `axum`).
    pub fn streamed<M: Into<String>, F>(
        methods: impl IntoIterator<Item = M>,
        pattern: impl Into<String>,
        page: impl Fn(Scope) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<StreamedResponse>> + Send + 'static,
    {
        let methods = methods.into_iter().map(Into::into).collect();
        let mut route = Self::to(pattern.into(), Goal::Page(Page::streamed(page), methods));
        route.target.is_streamed = true;
        route
    }

    fn to(pattern: String, goal: Goal<T>) -> Self {
        Self {
            pattern,
            name: None,
            target: Target::new(goal),
        }
    }

    /// Sets its name, for [`App::url_for`].
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Adds a layer, after those added before.
    #[must_use]
    pub fn layer(mut self, layer: impl Layer) -> Self {
        self.target.layers.push(layer);
        self
    }

    /// Sets the policy of its connections; fields that are not set are inherited.
    #[must_use]
    pub fn policy(mut self, policy: ConnectionPolicy) -> Self {
        let hub = self.target.policy.hub.take();
        self.target.policy = policy;
        self.target.policy.hub = self.target.policy.hub.or(hub);
        self
    }

    /// Sets the hub of its connections, whose groups they can join.
    #[must_use]
    pub fn hub(mut self, hub: impl Into<HubRef>) -> Self {
        self.target.policy.hub = Some(hub.into());
        self
    }

    /// Serves a page even while the server is full or drains: for operators, such as a health check. The server must then read the
    /// request of a refused connection, so other refused clients get their 503 after they have sent one, or after
    /// [`Timeouts::close`](sansws_core::config::Timeouts::close).
    ///
    /// Has no effect on other routes: handlers of WebSockets, and pages whose responses are streamed.
    #[must_use]
    pub fn always(mut self) -> Self {
        self.target.always = matches!(self.target.goal, Goal::Page(..)) && !self.target.is_streamed;
        self
    }

    /// Shares a state with its handler: [`Scope::state`](crate::server::scope::Scope::state).
    #[must_use]
    pub fn state<S: Any + Send + Sync>(mut self, state: S) -> Self {
        self.target.states.put(Arc::new(state));
        self
    }
}

/// Routes under a prefix, with layers, policies and states that apply to all of them, whenever they were added.
///
/// A prefix may contain parameters, and ends with a whole segment. See [`sansws_core::route`] for patterns and precedence.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use sansws_async::app::Router;
/// use sansws_async::test_kit::{MemoryTransport, TestServer};
/// use sansws_async::{Response, Result, Scope, ServerOptions, Upgrade};
///
/// #[derive(Default)]
/// struct Visits(AtomicU64);
///
/// async fn room(upgrade: Upgrade<MemoryTransport>) -> Result {
///     upgrade.state::<Visits>()?.0.fetch_add(1, Ordering::Relaxed);
///     let number: u32 = upgrade.param("number")?;
///     let mut socket = upgrade.accept().await?;
///     Ok(socket.send_text(format!("room {number}")).await?)
/// }
///
/// async fn visits(scope: Scope) -> Result<String> {
///     Ok(scope.state::<Visits>()?.0.load(Ordering::Relaxed).to_string())
/// }
///
/// # async fn run() -> Result {
/// let rooms = Router::new().route("/{number:int}", room);
/// let app = Router::new()
///     .mount("/rooms", rooms)
///     .get("/visits", visits)
///     .fallback(Response::text(404, "there is no such page\n"))
///     .state(Visits::default());
/// # let server = TestServer::over(app, ServerOptions::default(), MemoryTransport::new)?;
/// server.connect("/rooms/7").await?.expect_text("room 7").await;
/// server.expect_reject("/rooms/lobby", 404).await;
/// assert_eq!(server.get("/visits").await?.body, b"1");
/// # Ok(())
/// # }
/// # let mut run = std::pin::pin!(run());
/// # let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
/// # for _ in 0..100_000 {
/// #     if let std::task::Poll::Ready(done) = run.as_mut().poll(&mut cx) { return done.unwrap(); }
/// # }
/// # panic!("it does not end");
/// ```
#[derive(Debug)]
pub struct Router<T: Transport> {
    routes: route::Router<Target<T>>,
    layers: Layers,
    policy: ConnectionPolicy,
    states: Attached,
    fallback: Option<Page>,
}

impl<T: Transport> Default for Router<T> {
    fn default() -> Self {
        Self::over(route::Router::new())
    }
}

impl<T: Transport, const N: usize> From<[Route<T>; N]> for Router<T> {
    fn from(routes: [Route<T>; N]) -> Self {
        routes.into_iter().collect()
    }
}

impl<T: Transport> FromIterator<Route<T>> for Router<T> {
    fn from_iter<I: IntoIterator<Item = Route<T>>>(routes: I) -> Self {
        routes.into_iter().fold(Self::new(), Self::add)
    }
}

impl<T: Transport> Router<T> {
    /// Creates a router without a prefix.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates a router whose routes all start with `prefix`.
    pub fn with_prefix(prefix: impl Into<String>) -> Self {
        Self::over(route::Router::with_prefix(prefix))
    }

    fn over(routes: route::Router<Target<T>>) -> Self {
        Self {
            routes,
            layers: Layers::default(),
            policy: ConnectionPolicy::default(),
            states: Attached::default(),
            fallback: None,
        }
    }

    /// Adds a handler of WebSockets.
    #[must_use]
    pub fn route<H, K>(self, pattern: impl Into<String>, handler: H) -> Self
    where
        H: IntoHandler<T, K> + Send + Sync + 'static,
        H::Running: Future<Output = Result> + Send + 'static,
    {
        self.add(Route::new(pattern, handler))
    }

    /// Adds a page for GET and HEAD: an async function, or a response itself. A path may have both a page and a WebSocket.
    #[must_use]
    pub fn get<K>(self, pattern: impl Into<String>, page: impl IntoPage<K>) -> Self {
        self.add(Route::get(pattern, page))
    }

    /// Adds a page for POST; for other methods see [`Route::page`].
    ///
    /// ```
    /// use sansws_async::app::Router;
    /// use sansws_async::{HubEnv, Result, Scope, Transport};
    /// use sansws_async::hub::Hub;
    /// use sansws_core::http::Response;
    ///
    /// fn admin<T: Transport, O: HubEnv + 'static>(hub: &Hub<O>) -> Router<T> {
    ///     let hub = hub.clone();
    ///     Router::new().post("/announce", move |scope: Scope| {
    ///         let hub = hub.clone();
    ///         async move {
    ///             let text = std::str::from_utf8(scope.body())?;
    ///             hub.publish("all", text).await?;
    ///             Ok(Response::new(204))
    ///         }
    ///     })
    /// }
    /// ```
    #[must_use]
    pub fn post<K>(self, pattern: impl Into<String>, page: impl IntoPage<K>) -> Self {
        self.add(Route::post(pattern, page))
    }

    /// Answers requests that match no route, with any method, instead of a 404; WebSocket requests are rejected with the answer. Only
    /// the fallback of the served router counts, not those of nested routers.
    #[must_use]
    pub fn fallback<K>(mut self, page: impl IntoPage<K>) -> Self {
        self.fallback = Some(page.into_page());
        self
    }

    /// Adds a route.
    #[must_use]
    #[expect(
        clippy::should_implement_trait,
        reason = "a list of routes grows, nothing is summed"
    )]
    pub fn add(mut self, route: Route<T>) -> Self {
        let bound = route::Route::new(route.pattern, route.target);
        let bound = match &bound.endpoint().goal {
            Goal::WebSocket(_) => bound.methods([WEBSOCKET]),
            Goal::Page(_, methods) => {
                let methods = Arc::clone(methods);
                bound.methods(methods.iter().map(String::as_str))
            }
        };
        let bound = match route.name {
            Some(name) => bound.named(name),
            None => bound,
        };
        self.routes = self.routes.add(bound);
        self
    }

    /// Adds the routes of another router, after its own prefix.
    #[must_use]
    pub fn merge(mut self, router: Self) -> Self {
        self.routes = self.routes.merge(router.seal());
        self
    }

    /// Adds the routes of another router after `prefix`, which **replaces** its own.
    #[must_use]
    pub fn mount(mut self, prefix: impl Into<String>, router: Self) -> Self {
        self.routes = self.routes.mount(prefix, router.seal());
        self
    }

    /// Adds a [`Converter`] for this router and those nested in it.
    #[must_use]
    pub fn converter(mut self, name: impl Into<String>, converter: impl Converter) -> Self {
        self.routes = self.routes.converter(name, converter);
        self
    }

    /// Adds a [`Layer`], after those added before.
    #[must_use]
    pub fn layer(mut self, layer: impl Layer) -> Self {
        self.layers.push(layer);
        self
    }

    /// Sets the policy of the connections of its routes; fields that are not set are inherited.
    #[must_use]
    pub fn policy(mut self, policy: ConnectionPolicy) -> Self {
        let hub = self.policy.hub.take();
        self.policy = policy;
        self.policy.hub = self.policy.hub.or(hub);
        self
    }

    /// Sets the hub of the connections of all routes, whose groups they can join; a route may have another.
    #[must_use]
    pub fn hub(mut self, hub: impl Into<HubRef>) -> Self {
        self.policy.hub = Some(hub.into());
        self
    }

    /// Shares a state with all handlers: [`Scope::state`](crate::server::scope::Scope::state). There is one per type; an inner one hides an
    /// outer one.
    #[must_use]
    pub fn state<S: Any + Send + Sync>(self, state: S) -> Self {
        self.shared_state(Arc::new(state))
    }

    /// Attaches a state that is already shared.
    #[must_use]
    pub fn shared_state<S: Any + Send + Sync>(mut self, state: Arc<S>) -> Self {
        self.states.put(state);
        self
    }

    /// Checks all routes, and builds the application.
    ///
    /// # Errors
    /// All mistakes at once, such as two patterns that match the same paths.
    pub fn build(self) -> Result<App<T>, RouteErrors> {
        self.build_under(&ConnectionPolicy::default())
    }

    pub(super) fn build_under(mut self, outer: &ConnectionPolicy) -> Result<App<T>, RouteErrors> {
        self.policy.inherit(outer);
        // These run before the lookup of a route, so not again with it.
        let layers = std::mem::take(&mut self.layers);
        let (policy, states) = (self.policy.clone(), self.states.clone());
        let fallback = self.fallback.take();
        let routes = self.seal().build()?;
        Ok(App::new(routes, layers, policy, states, fallback))
    }

    /// Returns the routes, with what they inherit from this router.
    fn seal(self) -> route::Router<Target<T>> {
        let Self {
            routes,
            layers,
            policy,
            states,
            fallback: _,
        } = self;
        routes.map(|mut target| {
            target.layers.inherit(&layers);
            target.policy.inherit(&policy);
            target.states.inherit(&states);
            target
        })
    }
}

impl<T: Transport + 'static> IntoService<T> for Router<T> {
    type Service = App<T>;

    fn into_service(self, options: &ServerOptions) -> Result<App<T>, Error> {
        Ok(self.build_under(&options.policy)?)
    }
}
