//! Routes with everything that requests for them share, and the lookup of a request.
//! RFC 9110 sections 15.5.5 (404), 15.5.6 (405) and 15.5.22 (426).
//! Knows no connection, neither the meaning of a goal nor how layers run: `G`, `L` and the fallback's `P` are an adapter's.

use std::fmt::Display;
use std::sync::Arc;

use sansws_core::handshake::Request;
use sansws_core::http::{RequestHead, Response};
use sansws_core::route::{Miss, Pattern, Routes, UrlError};

use crate::contain::contain;
use crate::server::answer::{WEBSOCKET, answer_to, not_allowed};
use crate::server::policy::ConnectionPolicy;
use crate::server::scope::{Attached, Scope};

/// The target of a route.
#[derive(Clone, Debug)]
pub struct Target<G, L, B> {
    /// The handler or page of a request, as the adapter keeps it.
    pub goal: G,
    /// The layers that run after those for all requests.
    pub layers: L,
    /// The policy of its connections.
    pub policy: Arc<ConnectionPolicy<B>>,
    /// The states that its requests share.
    pub states: Arc<Attached>,
    /// Its responses are streamed.
    pub is_streamed: bool,
    /// It is served even if a connection is refused.
    pub always: bool,
}

/// The checked routes of a service.
#[derive(Clone, Debug)]
pub struct RouteTable<G, L, P, B> {
    routes: Routes<Target<G, L, B>>,
    /// The layers that run for all requests.
    pub layers: L,
    /// The policy and the states of requests that match no route.
    policy: Arc<ConnectionPolicy<B>>,
    states: Arc<Attached>,
    /// The answer to requests that match no route.
    fallback: Option<P>,
    has_always: bool,
}

/// The target of a request's path.
#[derive(Debug)]
pub enum Found<'r, G, L, P, B> {
    /// The path is that of a route.
    Route(&'r Target<G, L, B>, &'r Pattern),
    /// No route matches: the fallback answers.
    Fallback(&'r P),
    /// No route matches, and there is no fallback for that.
    Answer(Response),
}

impl<G, L, P, B: Clone> RouteTable<G, L, P, B> {
    /// Creates a table; the policy and the states are for requests that match no route.
    pub fn new(
        routes: Routes<Target<G, L, B>>,
        layers: L,
        policy: ConnectionPolicy<B>,
        states: Attached,
        fallback: Option<P>,
    ) -> Self {
        let has_always = routes.iter().any(|(_, target)| target.always);
        Self {
            routes,
            layers,
            policy: Arc::new(policy),
            states: Arc::new(states),
            fallback,
            has_always,
        }
    }

    /// Returns these routes under an outer policy, from which theirs inherit the fields that they leave unset.
    #[must_use]
    pub fn under(&self, outer: &ConnectionPolicy<B>) -> Self
    where
        Self: Clone,
    {
        let mut table = self.clone();
        table.policy = table.policy.under(outer);
        table.routes = table.routes.map(|target| Target {
            policy: target.policy.under(outer),
            ..target
        });
        table
    }

    /// Returns the path of the route `name`.
    ///
    /// # Errors
    /// [`UrlError`] when there is no such route, or a value does not fit it.
    pub fn url_for(&self, name: &str, values: &[(&str, &dyn Display)]) -> Result<String, UrlError> {
        self.routes.url_for(name, values)
    }

    /// Returns the patterns of all routes, in the order in which they were added.
    pub fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        self.routes.iter().map(|(pattern, _)| pattern)
    }

    /// Returns whether there is a page that is served even if a connection is refused.
    pub const fn has_always(&self) -> bool {
        self.has_always
    }

    /// Returns whether a request is for such a page.
    pub fn is_always(&self, head: &RequestHead) -> bool {
        let is_found = || {
            let found = self.routes.find(&head.method, head.path());
            found.is_ok_and(|found| found.endpoint.always)
        };
        // Converters are application code; their panics are reported when the request is decided on.
        !Request::is_meant(head) && contain(is_found).unwrap_or(false)
    }

    /// Returns the hubs that the connections of its routes may use, each once by `is_same`.
    pub fn hubs(&self, is_same: impl Fn(&B, &B) -> bool) -> Vec<B> {
        let mut hubs: Vec<B> = Vec::new();
        let policies = self.routes.iter().map(|(_, target)| &target.policy);
        for hub in policies.filter_map(|policy| policy.hub.as_ref()) {
            if !hubs.iter().any(|known| is_same(known, hub)) {
                hubs.push(hub.clone());
            }
        }
        hubs
    }

    /// Looks a request up. Converters are application code, and may panic.
    pub fn find(&self, scope: &Scope) -> Found<'_, G, L, P, B> {
        let is_websocket = scope.is_websocket();
        let method = if is_websocket {
            WEBSOCKET
        } else {
            scope.method.as_str()
        };
        match self.routes.find(method, scope.path()) {
            // Only our own requests have it, no peer's.
            Ok(_) if method == WEBSOCKET && !is_websocket => {
                Found::Answer(not_allowed(&[WEBSOCKET.into()], true))
            }
            Ok(found) => Found::Route(found.endpoint, found.pattern),
            Err(miss) => match &self.fallback {
                Some(page) if miss == Miss::NotFound => Found::Fallback(page),
                _ => Found::Answer(answer_to(&miss, is_websocket, &scope.method)),
            },
        }
    }

    /// Attaches what was found to its request, and returns the policy and the route that apply to it.
    pub fn enter<'r>(
        &'r self,
        found: &Found<'r, G, L, P, B>,
        scope: &mut Scope,
    ) -> (&'r Arc<ConnectionPolicy<B>>, Option<Pattern>) {
        match found {
            Found::Route(target, pattern) => {
                let route = Some((*pattern).clone());
                scope.set_route(route.clone(), Arc::clone(&target.states));
                scope.set_streamed(target.is_streamed);
                (&target.policy, route)
            }
            Found::Fallback(_) | Found::Answer(_) => {
                scope.set_route(None, Arc::clone(&self.states));
                (&self.policy, None)
            }
        }
    }
}
