//! Builders of routers for handlers and pages.
//! RFC 3986 section 3.3 for paths; `sansws_core::route` defines matching.
//! Knows what routes inherit; leaves matching to `sansws_core::route`.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use sansws_common::Scope;
use sansws_common::error::{Error, Result};
use sansws_common::server::answer::WEBSOCKET;
use sansws_common::server::scope::Attached;
use sansws_core::http::Response;
use sansws_core::route;
use sansws_core::route::Converter;

use super::service::{App, Goal, IntoService, Layer, Page, Target};
use crate::server::Upgrade;
use crate::{ConnectionPolicy, ServerOptions};

/// A pattern and its handler or page.
pub struct Route {
    pattern: String,
    methods: Vec<String>,
    entry: Entry,
}

/// The target of a route before it inherits.
struct Entry {
    goal: Goal,
    layers: Vec<Layer>,
    policy: ConnectionPolicy,
    states: Attached,
}

impl Route {
    /// Creates a route to a handler of WebSockets.
    pub fn new(
        pattern: impl Into<String>,
        handler: impl Fn(Upgrade) -> Result + Send + Sync + 'static,
    ) -> Self {
        Self::to(pattern, Goal::WebSocket(Arc::new(handler)), [WEBSOCKET])
    }

    /// Creates a route to a page, for GET and HEAD.
    pub fn get(
        pattern: impl Into<String>,
        page: impl Fn(Scope) -> Result<Response> + Send + Sync + 'static,
    ) -> Self {
        Self::page(["GET", "HEAD"], pattern, page)
    }

    /// Creates a route to a page, for POST. Its body is read before the page runs; see [`page`](Self::page).
    pub fn post(
        pattern: impl Into<String>,
        page: impl Fn(Scope) -> Result<Response> + Send + Sync + 'static,
    ) -> Self {
        Self::page(["POST"], pattern, page)
    }

    /// Creates a route to a page, for any methods. Once the layers have passed a request, its body is read, at most
    /// [`Limits::body`](sansws_core::config::Limits::body) bytes of the route's policy (413 beyond), and available as
    /// [`Scope::body`].
    ///
    /// For methods other than GET, HEAD and OPTIONS, pages of other hosts are refused as for WebSockets: see
    /// [`OriginPolicy`](sansws_core::handshake::OriginPolicy).
    pub fn page<M: Into<String>>(
        methods: impl IntoIterator<Item = M>,
        pattern: impl Into<String>,
        page: impl Fn(Scope) -> Result<Response> + Send + Sync + 'static,
    ) -> Self {
        Self::to(pattern, Goal::Page(Arc::new(page)), methods)
    }

    fn to<M: Into<String>>(
        pattern: impl Into<String>,
        goal: Goal,
        methods: impl IntoIterator<Item = M>,
    ) -> Self {
        let entry = Entry {
            goal,
            layers: Vec::new(),
            policy: ConnectionPolicy::default(),
            states: Attached::default(),
        };
        Self {
            pattern: pattern.into(),
            methods: methods.into_iter().map(Into::into).collect(),
            entry,
        }
    }

    /// Adds a layer, after those added before: a check that passes the request on, perhaps with a state attached, or answers it.
    #[must_use]
    pub fn layer(
        mut self,
        layer: impl Fn(&mut Scope) -> Result<(), Response> + Send + Sync + 'static,
    ) -> Self {
        self.entry.layers.push(Arc::new(layer));
        self
    }

    /// Sets the policy of its connections; fields that are not set are inherited.
    #[must_use]
    pub fn policy(mut self, policy: ConnectionPolicy) -> Self {
        self.entry.policy = policy;
        self
    }

    /// Shares a state with its handler: [`Scope::state`].
    #[must_use]
    pub fn state<S: Any + Send + Sync>(mut self, state: S) -> Self {
        self.entry.states.put(Arc::new(state));
        self
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route").finish_non_exhaustive()
    }
}

/// Routes, perhaps under a prefix, with layers, policies and states that apply to all of them, whenever they were added.
///
/// See [`sansws_core::route`] for patterns and precedence.
#[derive(Default)]
pub struct Router {
    routes: route::Router<Entry>,
    layers: Vec<Layer>,
    policy: ConnectionPolicy,
    states: Attached,
    fallback: Option<Page>,
}

impl Router {
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
    pub fn route(
        self,
        pattern: impl Into<String>,
        handler: impl Fn(Upgrade) -> Result + Send + Sync + 'static,
    ) -> Self {
        self.add(Route::new(pattern, handler))
    }

    /// Adds a page for GET and HEAD. A path may have both a page and a WebSocket.
    #[must_use]
    pub fn get(
        self,
        pattern: impl Into<String>,
        page: impl Fn(Scope) -> Result<Response> + Send + Sync + 'static,
    ) -> Self {
        self.add(Route::get(pattern, page))
    }

    /// Adds a page for POST; for other methods see [`Route::page`].
    #[must_use]
    pub fn post(
        self,
        pattern: impl Into<String>,
        page: impl Fn(Scope) -> Result<Response> + Send + Sync + 'static,
    ) -> Self {
        self.add(Route::post(pattern, page))
    }

    /// Adds a route.
    #[must_use]
    #[expect(
        clippy::should_implement_trait,
        reason = "a list of routes grows, nothing is summed"
    )]
    pub fn add(mut self, route: Route) -> Self {
        let bound = route::Route::new(route.pattern, route.entry);
        self.routes = self.routes.add(bound.methods(route.methods));
        self
    }

    /// Answers requests that match no route, with any method, instead of a 404; WebSocket requests are rejected with the answer. Only
    /// the fallback of the served router counts, not those of nested routers.
    #[must_use]
    pub fn fallback(
        mut self,
        page: impl Fn(Scope) -> Result<Response> + Send + Sync + 'static,
    ) -> Self {
        self.fallback = Some(Arc::new(page));
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

    /// Adds a layer, after those added before: a check that passes a request on, perhaps with a state attached, or answers it.
    #[must_use]
    pub fn layer(
        mut self,
        layer: impl Fn(&mut Scope) -> Result<(), Response> + Send + Sync + 'static,
    ) -> Self {
        self.layers.push(Arc::new(layer));
        self
    }

    /// Sets the policy of the connections of its routes; fields that are not set are inherited.
    #[must_use]
    pub fn policy(mut self, policy: ConnectionPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Shares a state with all handlers: [`Scope::state`]. There is one per type; an inner one hides an outer one.
    #[must_use]
    pub fn state<S: Any + Send + Sync>(mut self, state: S) -> Self {
        self.states.put(Arc::new(state));
        self
    }

    /// Returns the routes, with what they inherit from this router.
    fn seal(self) -> route::Router<Entry> {
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

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router").finish_non_exhaustive()
    }
}

impl IntoService for Router {
    fn into_service(mut self, options: &ServerOptions) -> Result<App, Error> {
        self.policy.inherit(&options.policy);
        // These run before the lookup of a route, so not again with it.
        let layers = std::mem::take(&mut self.layers);
        let (policy, states) = (self.policy.clone(), self.states.clone());
        let fallback = self.fallback.take();
        let routes = self.seal().build()?.map(|entry| Target {
            goal: entry.goal,
            layers: entry.layers,
            policy: Arc::new(entry.policy),
            states: Arc::new(entry.states),
        });
        Ok(App::of_routes(
            routes,
            layers,
            Arc::new(policy),
            Arc::new(states),
            fallback,
        ))
    }
}
