//! A built router: finds the handler or page for a request, and runs its layers.
//! RFC 9110 sections 15.5.5 (404), 15.5.6 (405) and 15.5.22 (426).
//! Knows no connection.

use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::app::handler::{Handler, Page, Running};
use crate::app::layer::Layers;
use crate::app::target::{Goal, Target};
use crate::contain::{contain, contained};
use crate::error::{Error, Result};
use crate::hub::HubRef;
use crate::server::options::ServerOptions;
use crate::server::scope::Attached;
use crate::server::scope::Scope;
use crate::server::service::{Decision, IntoService, Service};
use crate::server::upgrade::Upgrade;
use crate::socket::policy::ConnectionPolicy;
use crate::transport::Transport;
use sansws_common::app::is_for;
use sansws_common::server::answer::{WEBSOCKET, answer_to, not_allowed};
use sansws_core::http::{RequestHead, Response};
use sansws_core::route::{Miss, Pattern, Routes, UrlError};

/// A [`Router`](crate::Router) whose routes were checked. Clones share it.
///
/// ```
/// use sansws_async::app::{Route, Router};
/// use sansws_async::test_kit::MemoryTransport;
/// use sansws_async::{Error, Result, Upgrade};
///
/// async fn room(upgrade: Upgrade<MemoryTransport>) -> Result {
///     upgrade.accept().await?;
///     Ok(())
/// }
///
/// let app = Router::new().add(Route::new("/rooms/{room}", room).named("room")).build()?;
/// // Links lead back to their route, whatever the values contain.
/// assert_eq!(app.url_for("room", &[("room", &"a/b")])?, "/rooms/a%2Fb");
/// // Routes that conflict are found when the router is built, not when a request arrives.
/// let twice = Router::new().route("/{room}", room).route("/{name}", room).build();
/// assert!(twice.is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct App<T: Transport>(Arc<Inner<T>>);

#[derive(Debug)]
struct Inner<T: Transport> {
    routes: Routes<Ready<T>>,
    layers: Layers,
    policy: Arc<ConnectionPolicy>,
    states: Arc<Attached>,
    /// The answer to requests that match no route.
    fallback: Option<Page>,
    has_always: bool,
}

/// A target with the values that requests share.
#[derive(Debug)]
struct Ready<T: Transport> {
    goal: Goal<T>,
    layers: Layers,
    policy: Arc<ConnectionPolicy>,
    states: Arc<Attached>,
    always: bool,
    is_streamed: bool,
}

impl<T: Transport> Clone for Ready<T> {
    fn clone(&self) -> Self {
        Self {
            goal: self.goal.clone(),
            layers: self.layers.clone(),
            policy: Arc::clone(&self.policy),
            states: Arc::clone(&self.states),
            always: self.always,
            is_streamed: self.is_streamed,
        }
    }
}

/// A request that the layers passed on to a route.
enum Found<T: Transport> {
    Handler(Handler<T>, Arc<ConnectionPolicy>),
    Page(Page, Arc<ConnectionPolicy>),
}

impl<T: Transport> Clone for App<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Transport> App<T> {
    pub(super) fn new(
        routes: Routes<Target<T>>,
        layers: Layers,
        policy: ConnectionPolicy,
        states: Attached,
        fallback: Option<Page>,
    ) -> Self {
        let routes = routes.map(|target| Ready {
            goal: target.goal,
            layers: target.layers,
            policy: Arc::new(target.policy),
            states: Arc::new(target.states),
            always: target.always,
            is_streamed: target.is_streamed,
        });
        let has_always = routes.iter().any(|(_, ready)| ready.always);
        Self(Arc::new(Inner {
            routes,
            layers,
            policy: Arc::new(policy),
            states: Arc::new(states),
            fallback,
            has_always,
        }))
    }

    /// Makes a service; fields that this policy leaves unset are inherited from an outer one.
    fn under(self, outer: &ConnectionPolicy) -> Self {
        if outer.is_silent() {
            return self;
        }
        let inherit = |policy: &ConnectionPolicy| {
            let mut policy = policy.clone();
            policy.inherit(outer);
            policy
        };
        let Inner {
            routes,
            layers,
            policy,
            states,
            fallback,
            has_always,
        } = &*self.0;
        let routes = routes.clone().map(|ready| Ready {
            policy: Arc::new(inherit(&ready.policy)),
            ..ready
        });
        Self(Arc::new(Inner {
            routes,
            layers: layers.clone(),
            policy: Arc::new(inherit(policy)),
            states: Arc::clone(states),
            fallback: fallback.clone(),
            has_always: *has_always,
        }))
    }

    /// Returns the path of the route `name`; see [`Routes::url_for`].
    pub fn url_for(&self, name: &str, values: &[(&str, &dyn Display)]) -> Result<String, UrlError> {
        self.0.routes.url_for(name, values)
    }

    /// Returns the patterns of all routes, in the order in which they were added.
    pub fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        self.0.routes.iter().map(|(pattern, _)| pattern)
    }
}

/// The target of a request's path.
enum Way<'r, T: Transport> {
    Route(&'r Ready<T>, &'r Pattern),
    /// No route matches: the fallback answers.
    Fallback(&'r Page),
    Answer(Response),
}

impl<T: Transport> Inner<T> {
    /// Looks a request up. Converters are application code.
    fn find(&self, scope: &Scope) -> Way<'_, T> {
        let method = if scope.is_websocket() {
            WEBSOCKET
        } else {
            scope.method.as_str()
        };
        match self.routes.find(method, scope.path()) {
            // Only our own requests have it, no peer's.
            Ok(_) if method == WEBSOCKET && !scope.is_websocket() => {
                Way::Answer(not_allowed(&[WEBSOCKET.into()], true))
            }
            Ok(found) => Way::Route(found.endpoint, found.pattern),
            Err(miss) => match &self.fallback {
                Some(page) if miss == Miss::NotFound => Way::Fallback(page),
                _ => Way::Answer(answer_to(&miss, scope.is_websocket(), &scope.method)),
            },
        }
    }

    /// Runs the layers on it.
    async fn enter(&self, found: Way<'_, T>, scope: &mut Scope) -> Result<Found<T>, Response> {
        let policy = match &found {
            Way::Route(ready, _) => &ready.policy,
            Way::Fallback(_) | Way::Answer(_) => &self.policy,
        };
        policy.check(scope)?;
        self.layers.check(scope).await?;
        let policy = Arc::clone(policy);
        let ready = match found {
            Way::Route(ready, _) => ready,
            Way::Fallback(page) => return Ok(Found::Page(page.clone(), policy)),
            Way::Answer(response) => return Err(response),
        };
        ready.layers.check(scope).await?;
        Ok(match &ready.goal {
            Goal::WebSocket(handler) => Found::Handler(handler.clone(), policy),
            Goal::Page(page, _) => Found::Page(page.clone(), policy),
        })
    }

    async fn decide(&self, mut scope: Scope) -> Decision<Handler<T>> {
        let found = match contain(|| self.find(&scope)) {
            Ok(found) => found,
            Err(error) => return failed(error, None),
        };
        let route = match &found {
            Way::Route(ready, pattern) => {
                scope.set_route(Some((*pattern).clone()), Arc::clone(&ready.states));
                scope.set_streamed(ready.is_streamed);
                Some((*pattern).clone())
            }
            Way::Fallback(_) | Way::Answer(_) => {
                scope.set_route(None, Arc::clone(&self.states));
                None
            }
        };
        match contained(self.enter(found, &mut scope)).await {
            Ok(Ok(Found::Handler(handler, policy))) => Decision::Handle {
                scope,
                handler,
                policy,
            },
            Ok(Ok(Found::Page(page, policy))) => Decision::Page {
                scope,
                page: Box::new(move |scope| page.answer(scope)),
                policy,
            },
            Ok(Err(response)) => Decision::Answer(response),
            Err(error) => failed(error, route),
        }
    }
}

fn failed<H>(error: Error, route: Option<Pattern>) -> Decision<H> {
    let error = error.into();
    Decision::Failed { error, route }
}

/// Like a router that the server builds, it inherits the policy of the server's options.
impl<T: Transport + 'static> IntoService<T> for App<T> {
    type Service = Self;

    fn into_service(self, options: &ServerOptions) -> Result<Self, Error> {
        Ok(self.under(&options.policy))
    }
}

impl<T: Transport + 'static> Service<T> for App<T> {
    type Handler = Handler<T>;
    type Deciding = Pin<Box<dyn Future<Output = Decision<Handler<T>>> + Send>>;
    type Running = Running;

    const PLAIN: bool = true;

    fn hubs(&self) -> Vec<HubRef> {
        let mut hubs: Vec<HubRef> = Vec::new();
        let routes = self.0.routes.iter().map(|(_, ready)| &*ready.policy);
        for hub in routes.filter_map(|policy| policy.hub.as_ref()) {
            if !hubs.iter().any(|known| known.is_same(hub)) {
                hubs.push(hub.clone());
            }
        }
        hubs
    }

    fn has_always(&self) -> bool {
        self.0.has_always
    }

    fn is_always(&self, head: &RequestHead) -> bool {
        is_for(head, &self.0.routes, |ready| ready.always)
    }

    fn decide(&self, scope: Scope) -> Self::Deciding {
        let inner = Arc::clone(&self.0);
        Box::pin(async move { inner.decide(scope).await })
    }

    fn run(handler: Handler<T>, upgrade: Upgrade<T>) -> Running {
        handler.run(upgrade)
    }
}
