//! Routers of handlers and pages, in the making.
//! RFC 3986 section 3.3 for paths; the rules of matching are those of `sansws_core::route`.
//! Knows what is inherited from router to router; matching is left to `sansws_core::route`.

use std::any::Any;
use std::sync::Arc;

use crate::app::handler::{IntoHandler, IntoPage, Page};
use crate::app::layer::{Layer, Layers};
use crate::app::service::App;
use crate::app::target::{Goal, Target, WEBSOCKET};
use crate::error::{Error, Result};
use crate::hub::HubRef;
use crate::server::options::ServerOptions;
use crate::server::scope::Attached;
use crate::server::service::IntoService;
use crate::socket::policy::ConnectionPolicy;
use crate::transport::Transport;
use sansws_core::route;
use sansws_core::route::{Converter, RouteErrors};

/// A pattern and the handler it leads to.
#[derive(Debug)]
pub struct Route<T: Transport> {
    pattern: String,
    name: Option<String>,
    target: Target<T>,
}

impl<T: Transport> Route<T> {
    /// A route to a handler of WebSockets.
    pub fn new<H, K>(pattern: impl Into<String>, handler: H) -> Self
    where
        H: IntoHandler<T, K> + Send + Sync + 'static,
        H::Running: Future<Output = Result> + Send + 'static,
    {
        Self::to(pattern.into(), Goal::WebSocket(handler.into_handler()))
    }

    /// A route to a page, for GET and HEAD.
    pub fn get<K>(pattern: impl Into<String>, page: impl IntoPage<K>) -> Self {
        Self::page(["GET", "HEAD"], pattern, page)
    }

    /// A route to a page, for POST. Its body is read before the page begins; see [`page`](Self::page).
    pub fn post<K>(pattern: impl Into<String>, page: impl IntoPage<K>) -> Self {
        Self::page(["POST"], pattern, page)
    }

    /// A route to a page, for any methods. Once the layers have let it through, the body of a request is read, at most
    /// [`Limits::body`](sansws_core::config::Limits::body) octets of the route's policy (413 beyond), and is there as
    /// [`Scope::body`](crate::server::scope::Scope::body).
    ///
    /// With other methods than GET, HEAD and OPTIONS, pages of other hosts are refused as for WebSockets: see
    /// [`OriginPolicy`](sansws_core::handshake::OriginPolicy).
    pub fn page<M: Into<String>, K>(
        methods: impl IntoIterator<Item = M>,
        pattern: impl Into<String>,
        page: impl IntoPage<K>,
    ) -> Self {
        let methods = methods.into_iter().map(Into::into).collect();
        Self::to(pattern.into(), Goal::Page(page.into_page(), methods))
    }

    fn to(pattern: String, goal: Goal<T>) -> Self {
        Self {
            pattern,
            name: None,
            target: Target::new(goal),
        }
    }

    /// Gives it a name, for [`App::url_for`].
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Adds a layer, behind those added before.
    #[must_use]
    pub fn layer(mut self, layer: impl Layer) -> Self {
        self.target.layers.push(layer);
        self
    }

    /// Sets what holds for its connections; what is not said is inherited.
    #[must_use]
    pub fn policy(mut self, policy: ConnectionPolicy) -> Self {
        let hub = self.target.policy.hub.take();
        self.target.policy = policy;
        self.target.policy.hub = self.target.policy.hub.or(hub);
        self
    }

    /// Gives its connections a hub, whose groups they can join.
    #[must_use]
    pub fn hub(mut self, hub: impl Into<HubRef>) -> Self {
        self.target.policy.hub = Some(hub.into());
        self
    }

    /// Answers a page also to those who are not let in, while the server is full or drains: what operators ask, such as whether it
    /// is up. Those answers wait for the request, so others who are not let in are told so when they have said something, or after
    /// [`Timeouts::close`](sansws_core::config::Timeouts::close).
    #[must_use]
    pub fn always(mut self) -> Self {
        self.target.always = matches!(self.target.goal, Goal::Page(..));
        self
    }

    /// Shares a state with its handler: [`Scope::state`](crate::server::scope::Scope::state).
    #[must_use]
    pub fn state<S: Any + Send + Sync>(mut self, state: S) -> Self {
        self.target.states.put(Arc::new(state));
        self
    }
}

/// Routes under a prefix, with layers, policies and states that hold for all of them, whenever they were added.
///
/// A prefix may hold parameters, and ends where a segment ends. See [`sansws_core::route`] for patterns and for which route wins.
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
    /// A router without a prefix.
    pub fn new() -> Self {
        Self::default()
    }

    /// A router whose routes all stand behind `prefix`.
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

    /// Adds a page for GET and HEAD: an async function, or a response as it is. A path may have both a page and a WebSocket.
    #[must_use]
    pub fn get<K>(self, pattern: impl Into<String>, page: impl IntoPage<K>) -> Self {
        self.add(Route::get(pattern, page))
    }

    /// Adds a page for POST: see [`Route::page`], also for other methods.
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

    /// Answers requests that no route leads to, whatever their method, in the place of a 404; also those for WebSockets, which are
    /// rejected with the answer. That of the router that is served counts, not those of routers in it.
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

    /// Adds the routes of another router, behind its own prefix.
    #[must_use]
    pub fn merge(mut self, router: Self) -> Self {
        self.routes = self.routes.merge(router.seal());
        self
    }

    /// Adds the routes of another router behind `prefix`, which **replaces** its own.
    #[must_use]
    pub fn mount(mut self, prefix: impl Into<String>, router: Self) -> Self {
        self.routes = self.routes.mount(prefix, router.seal());
        self
    }

    /// Gives this router, and the routers in it, a [`Converter`].
    #[must_use]
    pub fn converter(mut self, name: impl Into<String>, converter: impl Converter) -> Self {
        self.routes = self.routes.converter(name, converter);
        self
    }

    /// Adds a [`Layer`], behind those added before.
    #[must_use]
    pub fn layer(mut self, layer: impl Layer) -> Self {
        self.layers.push(layer);
        self
    }

    /// Sets what holds for the connections of its routes; what is not said is inherited.
    #[must_use]
    pub fn policy(mut self, policy: ConnectionPolicy) -> Self {
        let hub = self.policy.hub.take();
        self.policy = policy;
        self.policy.hub = self.policy.hub.or(hub);
        self
    }

    /// Gives the connections of all routes a hub, whose groups they can join; a route may have another.
    #[must_use]
    pub fn hub(mut self, hub: impl Into<HubRef>) -> Self {
        self.policy.hub = Some(hub.into());
        self
    }

    /// Shares a state with all handlers: [`Scope::state`](crate::server::scope::Scope::state). One of a type; an inner one hides an outer.
    #[must_use]
    pub fn state<S: Any + Send + Sync>(self, state: S) -> Self {
        self.shared_state(Arc::new(state))
    }

    /// Attaches a state that others hold too.
    #[must_use]
    pub fn shared_state<S: Any + Send + Sync>(mut self, state: Arc<S>) -> Self {
        self.states.put(state);
        self
    }

    /// Checks all routes, and makes them ready to be served.
    ///
    /// # Errors
    /// All that is wrong with them at once, such as two patterns that no path can tell apart.
    pub fn build(self) -> Result<App<T>, RouteErrors> {
        self.build_under(&ConnectionPolicy::default())
    }

    pub(super) fn build_under(mut self, outer: &ConnectionPolicy) -> Result<App<T>, RouteErrors> {
        self.policy.inherit(outer);
        // These run before a route is looked for, so not once more with it.
        let layers = std::mem::take(&mut self.layers);
        let (policy, states) = (self.policy.clone(), self.states.clone());
        let fallback = self.fallback.take();
        let routes = self.seal().build()?;
        Ok(App::new(routes, layers, policy, states, fallback))
    }

    /// The routes, with what they inherit from this router.
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
