//! Decides on a request: finds the handler or page for it, and runs its layers.
//! RFC 6455 section 4.2.2; RFC 9110 section 15.
//! Knows no connection.

use std::fmt::{self, Display};
use std::sync::Arc;

use sansws_core::http::{RequestHead, Response};
use sansws_core::route::{Pattern, UrlError};

use super::NoHub;
use super::layer::Layer;
use super::page::Page;
use super::table::{Found, RouteTable};
use crate::contain::contain;
use crate::error::{HandlerError, Result};
use crate::server::policy::ConnectionPolicy;
use crate::server::scope::Scope;

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
    Routes(Table<H, B>),
}

pub(super) type Table<H, B> = RouteTable<Goal<H>, Vec<Arc<dyn Layer>>, Page, B>;

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

    pub(super) fn of_routes(table: Table<H, B>) -> Self {
        Self(Arc::new(Inner::Routes(table)))
    }

    fn table(&self) -> Option<&Table<H, B>> {
        match &*self.0 {
            Inner::Single(..) => None,
            Inner::Routes(table) => Some(table),
        }
    }

    /// Returns the path of the route `name`; see [`Routes::url_for`](sansws_core::route::Routes::url_for).
    ///
    /// # Errors
    /// [`UrlError`] when there is no such route, or a value does not fit it.
    pub fn url_for(&self, name: &str, values: &[(&str, &dyn Display)]) -> Result<String, UrlError> {
        let unknown = || UrlError::UnknownRoute(name.into());
        self.table().ok_or_else(unknown)?.url_for(name, values)
    }

    /// Returns the patterns of all routes, in the order in which they were added.
    pub fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        self.table().into_iter().flat_map(RouteTable::patterns)
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
        Self(Arc::new(match &*self.0 {
            Inner::Single(handler, policy) => Inner::Single(handler.clone(), policy.under(outer)),
            Inner::Routes(table) => Inner::Routes(table.under(outer)),
        }))
    }

    /// Returns whether plain HTTP requests are decided on too; otherwise they are refused.
    #[doc(hidden)]
    pub fn is_plain(&self) -> bool {
        self.table().is_some()
    }

    /// Returns whether there is a page that is served even if a connection is refused.
    #[doc(hidden)]
    pub fn has_always(&self) -> bool {
        self.table().is_some_and(RouteTable::has_always)
    }

    /// Returns whether a request is for such a page.
    #[doc(hidden)]
    pub fn is_always(&self, head: &RequestHead) -> bool {
        self.table().is_some_and(|table| table.is_always(head))
    }

    /// Returns the hubs that its connections may use, each once by `is_same`.
    #[doc(hidden)]
    pub fn hubs(&self, is_same: impl Fn(&B, &B) -> bool) -> Vec<B> {
        match &*self.0 {
            Inner::Single(_, policy) => policy.hub.iter().cloned().collect(),
            Inner::Routes(table) => table.hubs(is_same),
        }
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
        let table = match &*self.0 {
            Inner::Single(handler, policy) => {
                policy.check(scope)?;
                return Ok(Decision::Handle(handler.clone(), Arc::clone(policy)));
            }
            Inner::Routes(table) => table,
        };
        let found = table.find(scope);
        let (policy, pattern) = table.enter(&found, scope);
        *route = pattern;
        policy.check(scope)?;
        for layer in &table.layers {
            layer.check(scope)?;
        }
        let policy = Arc::clone(policy);
        let target = match found {
            Found::Route(target, _) => target,
            Found::Fallback(page) => return Ok(Decision::Page(Arc::clone(page), policy)),
            Found::Answer(response) => return Err(response),
        };
        for layer in &target.layers {
            layer.check(scope)?;
        }
        Ok(match &target.goal {
            Goal::Handler(handler) => Decision::Handle(handler.clone(), policy),
            Goal::Page(page) => Decision::Page(Arc::clone(page), policy),
        })
    }
}
