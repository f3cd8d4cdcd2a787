//! Finds the handler or page for a request, and runs its layers.
//! RFC 6455 section 4.2.2; RFC 9110 section 15.
//! Knows no connection.

use std::fmt::{self, Display};
use std::sync::Arc;

use sansws_core::handshake::Request;
use sansws_core::http::{RequestHead, Response};
use sansws_core::route::{Miss, Pattern, Routes, UrlError};

use super::NoHub;
use super::layer::Layer;
use crate::contain::contain;
use crate::error::{HandlerError, Result};
use crate::server::answer::{WEBSOCKET, answer_to, not_allowed};
use crate::server::policy::ConnectionPolicy;
use crate::server::scope::{Attached, Scope};

/// A page.
pub type Page = Arc<dyn Fn(Scope) -> Result<Response> + Send + Sync>;

/// The decision on a request.
#[doc(hidden)]
pub enum Decision<H, B = NoHub> {
    /// Run this handler, under this policy.
    Handle(H, Arc<ConnectionPolicy<B>>),
    /// Answer with the response of a page, whose body is read before.
    Page(Page, Arc<ConnectionPolicy<B>>),
    /// Answer with this response.
    Answer(Response),
    /// The decision failed.
    Failed(HandlerError, Option<Pattern>),
}

/// A service whose routes were checked. Clones share it.
///
/// ```
/// use sansws_common::app::{Route, Router};
///
/// /// What an adapter runs for a WebSocket.
/// type Handler = fn();
///
/// fn chat() {}
///
/// let room = Route::new("/rooms/{room}", chat as Handler).named("room");
/// let app = Router::<Handler>::new().add(room).build()?;
/// // Links lead back to their route, whatever the values contain.
/// assert_eq!(app.url_for("room", &[("room", &"a/b")])?, "/rooms/a%2Fb");
/// assert_eq!(app.patterns().count(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct App<H, B = NoHub>(Arc<Inner<H, B>>);

impl<H, B: Clone> Clone for App<H, B> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

enum Inner<H, B> {
    Single(H, Arc<ConnectionPolicy<B>>),
    Routes {
        routes: Routes<Target<H, B>>,
        layers: Vec<Arc<dyn Layer>>,
        policy: Arc<ConnectionPolicy<B>>,
        states: Arc<Attached>,
        fallback: Option<Page>,
        has_always: bool,
    },
}

/// Returns whether a plain request is for a route of this kind.
#[doc(hidden)]
pub fn is_for<T>(head: &RequestHead, routes: &Routes<T>, kind: impl FnOnce(&T) -> bool) -> bool {
    let is_found = || {
        let found = routes.find(&head.method, head.path());
        found.is_ok_and(|found| kind(found.endpoint))
    };
    // Converters are application code; their panics are reported when the request is decided on.
    !Request::is_meant(head) && contain(is_found).unwrap_or(false)
}

/// The target of a route.
#[derive(Clone)]
pub(super) struct Target<H, B> {
    pub(super) goal: Goal<H>,
    pub(super) layers: Vec<Arc<dyn Layer>>,
    pub(super) policy: Arc<ConnectionPolicy<B>>,
    pub(super) states: Arc<Attached>,
    pub(super) is_streamed: bool,
    /// It is served even if a connection is refused.
    pub(super) always: bool,
}

#[derive(Clone)]
pub(super) enum Goal<H> {
    Handler(H),
    Page(Page),
}

impl<H, B: Clone> fmt::Debug for Decision<H, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decision").finish_non_exhaustive()
    }
}

impl<H, B: Clone> fmt::Debug for App<H, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").finish_non_exhaustive()
    }
}

impl<H, B: Clone> App<H, B> {
    /// Serves one handler for all paths.
    #[doc(hidden)]
    pub fn single(handler: H, policy: ConnectionPolicy<B>) -> Self {
        Self(Arc::new(Inner::Single(handler, Arc::new(policy))))
    }

    pub(super) fn of_routes(
        routes: Routes<Target<H, B>>,
        layers: Vec<Arc<dyn Layer>>,
        policy: Arc<ConnectionPolicy<B>>,
        states: Arc<Attached>,
        fallback: Option<Page>,
    ) -> Self {
        let has_always = routes.iter().any(|(_, target)| target.always);
        Self(Arc::new(Inner::Routes {
            routes,
            layers,
            policy,
            states,
            fallback,
            has_always,
        }))
    }

    /// Returns the path of the route `name`; see [`Routes::url_for`].
    ///
    /// # Errors
    /// [`UrlError`] when there is no such route, or a value does not fit it.
    pub fn url_for(&self, name: &str, values: &[(&str, &dyn Display)]) -> Result<String, UrlError> {
        match &*self.0 {
            Inner::Single(..) => Err(UrlError::UnknownRoute(name.into())),
            Inner::Routes { routes, .. } => routes.url_for(name, values),
        }
    }

    /// Returns the patterns of all routes, in the order in which they were added.
    pub fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        let routes = match &*self.0 {
            Inner::Single(..) => None,
            Inner::Routes { routes, .. } => Some(routes),
        };
        let all = routes.into_iter().flat_map(Routes::iter);
        all.map(|(pattern, _)| pattern)
    }

    /// Makes a service; fields that its policies leave unset are inherited from an outer one.
    #[doc(hidden)]
    #[must_use]
    pub fn under(self, outer: &ConnectionPolicy<B>) -> Self
    where
        H: Clone,
    {
        if outer.is_silent() {
            return self;
        }
        let inherit = |policy: &ConnectionPolicy<B>| {
            let mut policy = policy.clone();
            policy.inherit(outer);
            Arc::new(policy)
        };
        Self(Arc::new(match &*self.0 {
            Inner::Single(handler, policy) => Inner::Single(handler.clone(), inherit(policy)),
            Inner::Routes {
                routes,
                layers,
                policy,
                states,
                fallback,
                has_always,
            } => Inner::Routes {
                routes: routes.clone().map(|target| Target {
                    policy: inherit(&target.policy),
                    ..target
                }),
                layers: layers.clone(),
                policy: inherit(policy),
                states: Arc::clone(states),
                fallback: fallback.clone(),
                has_always: *has_always,
            },
        }))
    }

    /// Returns whether plain HTTP requests are decided on too; otherwise they are refused.
    #[doc(hidden)]
    pub fn is_plain(&self) -> bool {
        matches!(*self.0, Inner::Routes { .. })
    }

    /// Returns whether there is a page that is served even if a connection is refused.
    #[doc(hidden)]
    pub fn has_always(&self) -> bool {
        matches!(&*self.0, Inner::Routes { has_always, .. } if *has_always)
    }

    /// Returns whether a request is for such a page.
    #[doc(hidden)]
    pub fn is_always(&self, head: &RequestHead) -> bool {
        match &*self.0 {
            Inner::Single(..) => false,
            Inner::Routes { routes, .. } => is_for(head, routes, |target| target.always),
        }
    }

    /// Returns the hubs that its connections may use, each once by `is_same`.
    #[doc(hidden)]
    pub fn hubs(&self, is_same: impl Fn(&B, &B) -> bool) -> Vec<B> {
        let mut hubs: Vec<B> = Vec::new();
        let mut add = |policy: &ConnectionPolicy<B>| {
            if let Some(hub) = &policy.hub
                && !hubs.iter().any(|known| is_same(known, hub))
            {
                hubs.push(hub.clone());
            }
        };
        match &*self.0 {
            Inner::Single(_, policy) => add(policy),
            Inner::Routes { routes, .. } => {
                routes.iter().for_each(|(_, target)| add(&target.policy));
            }
        }
        hubs
    }

    /// Decides on a request. A panic of a layer or a converter is a failure of the application.
    #[doc(hidden)]
    pub fn decide(&self, scope: &mut Scope) -> Decision<H, B>
    where
        H: Clone,
    {
        let mut route = None;
        match contain(|| self.find(scope, &mut route)) {
            Ok(Ok(decision)) => decision,
            Ok(Err(response)) => Decision::Answer(response),
            Err(panic) => Decision::Failed(panic.into(), route),
        }
    }

    fn find(
        &self,
        scope: &mut Scope,
        route: &mut Option<Pattern>,
    ) -> Result<Decision<H, B>, Response>
    where
        H: Clone,
    {
        let (routes, layers, policy, states, fallback) = match &*self.0 {
            Inner::Single(handler, policy) => {
                policy.check(scope)?;
                return Ok(Decision::Handle(handler.clone(), Arc::clone(policy)));
            }
            Inner::Routes {
                routes,
                layers,
                policy,
                states,
                fallback,
                has_always: _,
            } => (routes, layers, policy, states, fallback),
        };
        let is_websocket = scope.is_websocket();
        let method = if is_websocket {
            WEBSOCKET
        } else {
            scope.method.as_str()
        };
        let found = match routes.find(method, scope.path()) {
            // Only our own requests have it, no peer's.
            Ok(_) if method == WEBSOCKET && !is_websocket => {
                Err(Err(not_allowed(&[WEBSOCKET.into()], true)))
            }
            Ok(found) => Ok((found.endpoint, found.pattern.clone())),
            Err(miss) => match fallback {
                Some(page) if miss == Miss::NotFound => Err(Ok(page)),
                _ => Err(Err(answer_to(&miss, is_websocket, &scope.method))),
            },
        };
        let policy = match &found {
            Ok((target, pattern)) => {
                *route = Some(pattern.clone());
                scope.set_route(Some(pattern.clone()), Arc::clone(&target.states));
                scope.set_streamed(target.is_streamed);
                &target.policy
            }
            Err(_) => {
                scope.set_route(None, Arc::clone(states));
                policy
            }
        };
        policy.check(scope)?;
        for layer in layers {
            layer.check(scope)?;
        }
        let target = match found {
            Ok((target, _)) => target,
            Err(Ok(page)) => return Ok(Decision::Page(Arc::clone(page), Arc::clone(policy))),
            Err(Err(response)) => return Err(response),
        };
        for layer in &target.layers {
            layer.check(scope)?;
        }
        let policy = Arc::clone(policy);
        Ok(match &target.goal {
            Goal::Handler(handler) => Decision::Handle(handler.clone(), policy),
            Goal::Page(page) => Decision::Page(Arc::clone(page), policy),
        })
    }
}
