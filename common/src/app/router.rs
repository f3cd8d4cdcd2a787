//! Builders of routers for handlers and pages.
//! RFC 3986 section 3.3 for paths; `sansws_core::route` defines matching.
//! Knows what routes inherit; leaves matching to `sansws_core::route`.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use sansws_core::route;
use sansws_core::route::{Converter, RouteErrors};

use super::NoHub;
use super::layer::Layer;
use super::page::{IntoPage, Page};
use super::service::{App, Goal};
use super::table::{RouteTable, Target};
use crate::server::answer::WEBSOCKET;
use crate::server::policy::ConnectionPolicy;
use crate::server::scope::Attached;

/// A pattern and its handler or page. `H` is what the adapter runs for a WebSocket, `B` refers to a hub.
///
/// ```
/// use sansws_common::app::{Route, Router};
/// use sansws_common::{Result, Scope};
/// use sansws_core::http::Response;
///
/// /// What an adapter runs for a WebSocket.
/// type Handler = fn();
///
/// fn upload(scope: Scope) -> Result<Response> {
///     Ok(Response::text(201, format!("{} bytes\n", scope.body().len())))
/// }
///
/// let upload = Route::<Handler>::page(["PUT", "POST"], "/files/{name}", upload)
///     .layer(|scope: &mut Scope| match scope.header("authorization") {
///         Some("Bearer s3cret") => Ok(()),
///         _ => Err(Response::text(401, "a token is missing\n")),
///     });
/// let router = Router::new().add(upload);
/// # let _ = router;
/// ```
pub struct Route<H, B = NoHub> {
    pattern: String,
    name: Option<String>,
    methods: Vec<String>,
    entry: Entry<H, B>,
}

/// The target of a route before it inherits.
struct Entry<H, B> {
    goal: Goal<H>,
    layers: Vec<Arc<dyn Layer>>,
    policy: ConnectionPolicy<B>,
    states: Attached,
    is_streamed: bool,
    always: bool,
}

impl<H, B: Clone> Route<H, B> {
    /// Creates a route to a handler of WebSockets.
    pub fn new(pattern: impl Into<String>, handler: impl Into<H>) -> Self {
        Self::to(pattern, Goal::Handler(handler.into()), [WEBSOCKET])
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
    /// For methods other than GET, HEAD and OPTIONS, pages of other hosts are refused as for WebSockets: see
    /// [`OriginPolicy`](sansws_core::handshake::OriginPolicy).
    pub fn page<M: Into<String>, K>(
        methods: impl IntoIterator<Item = M>,
        pattern: impl Into<String>,
        page: impl IntoPage<K>,
    ) -> Self {
        Self::to(pattern, Goal::Page(page.into_page()), methods)
    }

    /// Creates a route to a handler for plain requests with these methods.
    #[doc(hidden)]
    pub fn handled<M: Into<String>>(
        methods: impl IntoIterator<Item = M>,
        pattern: impl Into<String>,
        handler: impl Into<H>,
    ) -> Self {
        Self::to(pattern, Goal::Handler(handler.into()), methods)
    }

    /// Says that its responses are streamed.
    #[doc(hidden)]
    #[must_use]
    pub const fn streamed(mut self) -> Self {
        self.entry.is_streamed = true;
        self
    }

    fn to<M: Into<String>>(
        pattern: impl Into<String>,
        goal: Goal<H>,
        methods: impl IntoIterator<Item = M>,
    ) -> Self {
        let entry = Entry {
            goal,
            layers: Vec::new(),
            policy: ConnectionPolicy::default(),
            states: Attached::default(),
            is_streamed: false,
            always: false,
        };
        Self {
            pattern: pattern.into(),
            name: None,
            methods: methods.into_iter().map(Into::into).collect(),
            entry,
        }
    }

    /// Sets its name, for [`App::url_for`].
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Adds a [`Layer`], after those added before: a check that passes the request on, perhaps with a state attached, or answers it.
    #[must_use]
    pub fn layer(mut self, layer: impl Layer) -> Self {
        self.entry.layers.push(Arc::new(layer));
        self
    }

    /// Sets the policy of its connections; fields that are not set are inherited.
    #[must_use]
    pub fn policy(mut self, policy: ConnectionPolicy<B>) -> Self {
        let hub = self.entry.policy.hub.take();
        self.entry.policy = policy;
        self.entry.policy.hub = self.entry.policy.hub.or(hub);
        self
    }

    /// Serves a page that answers at once even while the server is full or drains: for operators, such as a health check. The server must then
    /// read the request of a refused connection, so other refused clients get their 503 after they have sent one, or after
    /// [`Timeouts::close`](sansws_core::config::Timeouts::close).
    ///
    /// Has no effect on other routes: handlers of WebSockets, and pages that do not answer at once.
    #[must_use]
    pub const fn always(mut self) -> Self {
        self.entry.always = matches!(self.entry.goal, Goal::Page(_));
        self
    }

    /// Sets the hub of its connections, whose groups they can join.
    pub fn hub(mut self, hub: impl Into<B>) -> Self {
        self.entry.policy.hub = Some(hub.into());
        self
    }

    /// Shares a state with its handler: [`Scope::state`](crate::server::scope::Scope::state).
    #[must_use]
    pub fn state<S: Any + Send + Sync>(mut self, state: S) -> Self {
        self.entry.states.put(Arc::new(state));
        self
    }
}

impl<H, B: Clone> fmt::Debug for Route<H, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route").finish_non_exhaustive()
    }
}

/// Routes, perhaps under a prefix, with layers, policies and states that apply to all of them, whenever they were added.
///
/// See [`sansws_core::route`] for patterns and precedence.
///
/// ```
/// use sansws_common::app::Router;
/// use sansws_common::{Result, Scope};
/// use sansws_core::http::Response;
///
/// /// What an adapter runs for a WebSocket.
/// type Handler = fn();
///
/// fn chat() {}
///
/// fn greeting(scope: Scope) -> Result<Response> {
///     Ok(Response::text(200, format!("{}\n", scope.state::<&str>()?)))
/// }
///
/// let api = Router::<Handler>::with_prefix("/api").route("/chat", chat as Handler);
/// let router = Router::new().merge(api).get("/", greeting).state("good morning");
/// # let _ = router;
/// ```
pub struct Router<H, B = NoHub> {
    routes: route::Router<Entry<H, B>>,
    layers: Vec<Arc<dyn Layer>>,
    policy: ConnectionPolicy<B>,
    states: Attached,
    fallback: Option<Page>,
}

impl<H, B: Clone> Default for Router<H, B> {
    fn default() -> Self {
        Self {
            routes: route::Router::default(),
            layers: Vec::new(),
            policy: ConnectionPolicy::default(),
            states: Attached::default(),
            fallback: None,
        }
    }
}

impl<H, B: Clone> Router<H, B> {
    /// Creates a router without a prefix.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates a router whose routes all start with `prefix`.
    pub fn with_prefix(prefix: impl Into<String>) -> Self {
        Self {
            routes: route::Router::with_prefix(prefix),
            ..Self::default()
        }
    }

    /// Adds a handler of WebSockets.
    #[must_use]
    pub fn route(self, pattern: impl Into<String>, handler: impl Into<H>) -> Self {
        self.add(Route::new(pattern, handler))
    }

    /// Adds a page for GET and HEAD: a function, or a response itself. A path may have both a page and a WebSocket.
    #[must_use]
    pub fn get<K>(self, pattern: impl Into<String>, page: impl IntoPage<K>) -> Self {
        self.add(Route::get(pattern, page))
    }

    /// Adds a page for POST; for other methods see [`Route::page`].
    #[must_use]
    pub fn post<K>(self, pattern: impl Into<String>, page: impl IntoPage<K>) -> Self {
        self.add(Route::post(pattern, page))
    }

    /// Adds a route.
    #[must_use]
    #[expect(
        clippy::should_implement_trait,
        reason = "a list of routes grows, nothing is summed"
    )]
    pub fn add(mut self, route: Route<H, B>) -> Self {
        let bound = route::Route::new(route.pattern, route.entry).methods(route.methods);
        let bound = match route.name {
            Some(name) => bound.named(name),
            None => bound,
        };
        self.routes = self.routes.add(bound);
        self
    }

    /// Answers requests that match no route, with any method, instead of a 404; WebSocket requests are rejected with the answer. Only
    /// the fallback of the served router counts, not those of nested routers.
    #[must_use]
    pub fn fallback<K>(mut self, page: impl IntoPage<K>) -> Self {
        self.fallback = Some(page.into_page());
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

    /// Adds a [`Layer`], after those added before: a check that passes a request on, perhaps with a state attached, or answers it.
    #[must_use]
    pub fn layer(mut self, layer: impl Layer) -> Self {
        self.layers.push(Arc::new(layer));
        self
    }

    /// Sets the policy of the connections of its routes; fields that are not set are inherited.
    #[must_use]
    pub fn policy(mut self, policy: ConnectionPolicy<B>) -> Self {
        let hub = self.policy.hub.take();
        self.policy = policy;
        self.policy.hub = self.policy.hub.or(hub);
        self
    }

    /// Sets the hub of the connections of all routes, whose groups they can join; a route may have another.
    pub fn hub(mut self, hub: impl Into<B>) -> Self {
        self.policy.hub = Some(hub.into());
        self
    }

    /// Shares a state with all handlers: [`Scope::state`](crate::server::scope::Scope::state). There is one per type; an inner one hides an outer one.
    #[must_use]
    pub fn state<S: Any + Send + Sync>(self, state: S) -> Self {
        self.shared_state(Arc::new(state))
    }

    /// Shares a state that is already shared elsewhere.
    #[must_use]
    pub fn shared_state<S: Any + Send + Sync>(mut self, state: Arc<S>) -> Self {
        self.states.put(state);
        self
    }

    /// Returns the routes, with what they inherit from this router.
    fn seal(self) -> route::Router<Entry<H, B>> {
        let Self {
            routes,
            layers,
            policy,
            states,
            fallback: _,
        } = self;
        routes.map(|mut entry| {
            let own = std::mem::replace(&mut entry.layers, layers.clone());
            entry.layers.extend(own);
            entry.policy.inherit(&policy);
            entry.states.inherit(&states);
            entry
        })
    }
}

impl<H, B: Clone> fmt::Debug for Router<H, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router").finish_non_exhaustive()
    }
}

impl<H, B: Clone> Router<H, B> {
    /// Checks all routes, and builds the application.
    ///
    /// # Errors
    /// All mistakes at once, such as two patterns that match the same paths.
    pub fn build(self) -> Result<App<H, B>, RouteErrors> {
        self.build_under(&ConnectionPolicy::default())
    }

    /// Builds what a server with this policy serves.
    ///
    /// # Errors
    /// As for [`build`](Self::build).
    #[doc(hidden)]
    pub fn build_under(mut self, outer: &ConnectionPolicy<B>) -> Result<App<H, B>, RouteErrors> {
        self.policy.inherit(outer);
        // These run before the lookup of a route, so not again with it.
        let layers = std::mem::take(&mut self.layers);
        let (policy, states) = (self.policy.clone(), self.states.clone());
        let fallback = self.fallback.take();
        let routes = self.seal().build()?.map(|entry| Target {
            goal: entry.goal,
            layers: entry.layers,
            policy: Arc::new(entry.policy),
            states: Arc::new(entry.states),
            is_streamed: entry.is_streamed,
            always: entry.always,
        });
        let table = RouteTable::new(routes, layers, policy, states, fallback);
        Ok(App::of_routes(table))
    }
}
