//! A built router: finds the handler or page for a request, and runs its layers.
//! RFC 6455 section 4.2.2; RFC 9110 section 15.
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
use sansws_common::app::{self, RouteTable};
use sansws_core::http::{RequestHead, Response};
use sansws_core::route::{Pattern, Routes, UrlError};

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
pub struct App<T: Transport>(Arc<Table<T>>);

type Table<T> = RouteTable<Goal<T>, Layers, Page, HubRef>;

/// The target of a request's path.
type Found<'r, T> = app::Found<'r, Goal<T>, Layers, Page, HubRef>;

/// A request that the layers passed on.
enum Entered<T: Transport> {
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
        let routes = routes.map(|target| app::Target {
            goal: target.goal,
            layers: target.layers,
            policy: Arc::new(target.policy),
            states: Arc::new(target.states),
            is_streamed: target.is_streamed,
            always: target.always,
        });
        let table = RouteTable::new(routes, layers, policy, states, fallback);
        Self(Arc::new(table))
    }

    /// Makes a service; fields that this policy leaves unset are inherited from an outer one.
    fn under(self, outer: &ConnectionPolicy) -> Self {
        if outer.is_silent() {
            return self;
        }
        Self(Arc::new(self.0.under(outer)))
    }

    /// Returns the path of the route `name`; see [`Routes::url_for`].
    pub fn url_for(&self, name: &str, values: &[(&str, &dyn Display)]) -> Result<String, UrlError> {
        self.0.url_for(name, values)
    }

    /// Returns the patterns of all routes, in the order in which they were added.
    pub fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        self.0.patterns()
    }
}

/// Runs the layers on a request.
async fn enter<T: Transport>(
    table: &Table<T>,
    found: Found<'_, T>,
    policy: Arc<ConnectionPolicy>,
    scope: &mut Scope,
) -> Result<Entered<T>, Response> {
    policy.check(scope)?;
    table.layers.check(scope).await?;
    let target = match found {
        Found::Route(target, _) => target,
        Found::Fallback(page) => return Ok(Entered::Page(page.clone(), policy)),
        Found::Answer(response) => return Err(response),
    };
    target.layers.check(scope).await?;
    Ok(match &target.goal {
        Goal::WebSocket(handler) => Entered::Handler(handler.clone(), policy),
        Goal::Page(page, _) => Entered::Page(page.clone(), policy),
    })
}

async fn decide<T: Transport>(table: &Table<T>, mut scope: Scope) -> Decision<Handler<T>> {
    let found = match contain(|| table.find(&scope)) {
        Ok(found) => found,
        Err(error) => return failed(error, None),
    };
    let (policy, route) = table.enter(&found, &mut scope);
    let entering = enter(table, found, Arc::clone(policy), &mut scope);
    match contained(entering).await {
        Ok(Ok(Entered::Handler(handler, policy))) => Decision::Handle {
            scope,
            handler,
            policy,
        },
        Ok(Ok(Entered::Page(page, policy))) => Decision::Page {
            scope,
            page: Box::new(move |scope| page.answer(scope)),
            policy,
        },
        Ok(Err(response)) => Decision::Answer(response),
        Err(error) => failed(error, route),
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
        self.0.hubs(HubRef::is_same)
    }

    fn has_always(&self) -> bool {
        self.0.has_always()
    }

    fn is_always(&self, head: &RequestHead) -> bool {
        self.0.is_always(head)
    }

    fn decide(&self, scope: Scope) -> Self::Deciding {
        let table = Arc::clone(&self.0);
        Box::pin(async move { decide(&table, scope).await })
    }

    fn run(handler: Handler<T>, upgrade: Upgrade<T>) -> Running {
        handler.run(upgrade)
    }
}
