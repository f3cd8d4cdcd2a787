//! What a server serves: finds the handler or page for a request, and runs its layers.
//! RFC 6455 section 4.2.2; RFC 9110 section 15.
//! Knows no connection.

use std::fmt;
use std::sync::Arc;

use sansws_common::Scope;
use sansws_common::contain::contain;
use sansws_common::error::{Error, HandlerError, Result};
use sansws_common::server::answer::{WEBSOCKET, answer_to, not_allowed};
use sansws_common::server::scope::Attached;
use sansws_core::http::Response;
use sansws_core::route::{Miss, Pattern, Routes};

use crate::server::Upgrade;
use crate::{ConnectionPolicy, ServerOptions};

/// A handler of WebSocket requests.
pub(crate) type Handler = Arc<dyn Fn(Upgrade) -> Result + Send + Sync>;

/// A page.
pub(super) type Page = Arc<dyn Fn(Scope) -> Result<Response> + Send + Sync>;

/// A check before the upgrade: passes a request on, perhaps with a state attached, or answers it.
pub(super) type Layer = Arc<dyn Fn(&mut Scope) -> Result<(), Response> + Send + Sync>;

/// The decision on a request.
pub(crate) enum Decision {
    /// Run this handler, under this policy.
    Handle(Handler, Arc<ConnectionPolicy>),
    /// Answer with the response of a page, whose body is read before.
    Page(Page, Arc<ConnectionPolicy>),
    /// Answer with this response.
    Answer(Response),
    /// The decision failed.
    Failed(HandlerError, Option<Pattern>),
}

/// A type that a server can serve: a handler for all paths, or a router.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be served",
    label = "neither a handler nor a router",
    note = "a server serves a `Router`, or for all paths one `fn(upgrade: Upgrade) -> Result`"
)]
pub trait IntoService {
    /// Checks it, and makes a service of it.
    ///
    /// # Errors
    /// When routes conflict.
    fn into_service(self, options: &ServerOptions) -> Result<App, Error>;
}

/// One handler for all paths.
impl<H: Fn(Upgrade) -> Result + Send + Sync + 'static> IntoService for H {
    fn into_service(self, options: &ServerOptions) -> Result<App, Error> {
        Ok(App(Arc::new(Inner::Single(
            Arc::new(self),
            Arc::new(options.policy.clone()),
        ))))
    }
}

/// A service whose routes were checked. Clones share it.
#[derive(Clone)]
pub struct App(Arc<Inner>);

enum Inner {
    Single(Handler, Arc<ConnectionPolicy>),
    Routes {
        routes: Routes<Target>,
        layers: Vec<Layer>,
        policy: Arc<ConnectionPolicy>,
        states: Arc<Attached>,
        fallback: Option<Page>,
    },
}

/// The target of a route.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) goal: Goal,
    pub(super) layers: Vec<Layer>,
    pub(super) policy: Arc<ConnectionPolicy>,
    pub(super) states: Arc<Attached>,
}

#[derive(Clone)]
pub(super) enum Goal {
    WebSocket(Handler),
    Page(Page),
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").finish_non_exhaustive()
    }
}

impl App {
    pub(super) fn of_routes(
        routes: Routes<Target>,
        layers: Vec<Layer>,
        policy: Arc<ConnectionPolicy>,
        states: Arc<Attached>,
        fallback: Option<Page>,
    ) -> Self {
        Self(Arc::new(Inner::Routes {
            routes,
            layers,
            policy,
            states,
            fallback,
        }))
    }

    /// Returns whether plain HTTP requests are decided on too; otherwise they are refused.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(*self.0, Inner::Routes { .. })
    }

    /// Decides on a request. A panic of a layer or a converter is a failure of the application.
    pub(crate) fn decide(&self, scope: &mut Scope) -> Decision {
        let mut route = None;
        match contain(|| self.find(scope, &mut route)) {
            Ok(Ok(decision)) => decision,
            Ok(Err(response)) => Decision::Answer(response),
            Err(panic) => Decision::Failed(panic.into(), route),
        }
    }

    fn find(&self, scope: &mut Scope, route: &mut Option<Pattern>) -> Result<Decision, Response> {
        let (routes, layers, policy, states, fallback) = match &*self.0 {
            Inner::Single(handler, policy) => {
                policy.check(scope)?;
                return Ok(Decision::Handle(Arc::clone(handler), Arc::clone(policy)));
            }
            Inner::Routes {
                routes,
                layers,
                policy,
                states,
                fallback,
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
                &target.policy
            }
            Err(_) => {
                scope.set_route(None, Arc::clone(states));
                policy
            }
        };
        policy.check(scope)?;
        for layer in layers {
            layer(scope)?;
        }
        let target = match found {
            Ok((target, _)) => target,
            Err(Ok(page)) => return Ok(Decision::Page(Arc::clone(page), Arc::clone(policy))),
            Err(Err(response)) => return Err(response),
        };
        for layer in &target.layers {
            layer(scope)?;
        }
        let policy = Arc::clone(policy);
        Ok(match &target.goal {
            Goal::WebSocket(handler) => Decision::Handle(Arc::clone(handler), policy),
            Goal::Page(page) => Decision::Page(Arc::clone(page), policy),
        })
    }
}
