//! Routers, and the routes that are built from them.
//! RFC 3986 section 3.3 for paths; RFC 9110 section 9.1 for methods.
//! Knows endpoints only as values, and leaves matching to the tree.
//!
//! The methods of a router return the router, so that a table of routes is one expression. Mistakes are collected, and `build` reports all
//! of them.

use alloc::borrow::{Cow, ToOwned};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::{self, Display};

use super::converter::{Converter, Kind};
use super::error::{RouteError, RouteErrors};
use super::escape::decode;
use super::params::Params;
use super::pattern::{Known, Pattern, PatternError};
use super::tree::{Clash, Node};
use super::url::UrlError;
use super::{Match, Miss};
use crate::http::field::is_token;

/// A pattern and its endpoint.
///
/// ```
/// use sansws_core::route::{Route, Router};
///
/// let routes = Router::from([
///     Route::new("/news/{id:int}", 1).named("news"),
///     Route::new("/news", 2).methods(["GET", "HEAD"]),
///     Route::new("/news", 3).methods(["POST"]),
/// ])
/// .build()?;
/// assert_eq!(routes.find("POST", "/news")?.endpoint, &3);
/// assert_eq!(routes.url_for("news", &[("id", &7)])?, "/news/7");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Route<E> {
    pattern: String,
    endpoint: E,
    name: Option<String>,
    /// `None` allows all.
    methods: Option<Vec<String>>,
}

impl<E> Route<E> {
    /// Creates a route without a name, for all methods.
    pub fn new(pattern: impl Into<String>, endpoint: E) -> Self {
        Self {
            pattern: pattern.into(),
            endpoint,
            name: None,
            methods: None,
        }
    }

    /// Returns its endpoint.
    pub const fn endpoint(&self) -> &E {
        &self.endpoint
    }

    /// Sets its name, for [`Routes::url_for`].
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Restricts it to methods. They are compared exactly: "The method token is case-sensitive" (RFC 9110 9.1).
    #[must_use]
    pub fn methods<M: Into<String>>(mut self, methods: impl IntoIterator<Item = M>) -> Self {
        self.methods = Some(methods.into_iter().map(Into::into).collect());
        self
    }
}

/// Routes under a prefix, before they are built.
///
/// A prefix ends with a whole segment: `/api` and `/api/` are equivalent, and so are `/` and none. The route `""` is the prefix itself, the
/// route `/` is the prefix with a trailing slash. A prefix may contain parameters.
///
/// ```
/// use sansws_core::route::Router;
///
/// let chat = Router::with_prefix("/chat").route("/{room}", "a room");
/// let team = Router::with_prefix("/teams/{team}").merge(chat.clone());
/// let routes = Router::new()
///     .merge(team)
///     .mount("/talk", chat) // instead of its own `/chat`
///     .build()?;
/// assert_eq!(routes.find("GET", "/teams/red/chat/lobby")?.params.iter().count(), 2);
/// assert_eq!(routes.find("GET", "/talk/lobby")?.pattern.as_str(), "/talk/{room}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Router<E> {
    prefix: String,
    entries: Vec<Entry<E>>,
    converters: Known,
    faults: Vec<RouteError>,
}

/// A route, and the converters of the routers it came through, innermost first.
#[derive(Clone)]
struct Entry<E> {
    route: Route<E>,
    known: Known,
}

impl<E> Router<E> {
    /// Creates a router without a prefix.
    pub const fn new() -> Self {
        Self {
            prefix: String::new(),
            entries: Vec::new(),
            converters: Vec::new(),
            faults: Vec::new(),
        }
    }

    /// Creates a router whose routes all start with `prefix`.
    pub fn with_prefix(prefix: impl Into<String>) -> Self {
        Self {
            prefix: prefix.into(),
            ..Self::new()
        }
    }

    /// Adds a route for all methods.
    #[must_use]
    pub fn route(self, pattern: impl Into<String>, endpoint: E) -> Self {
        self.add(Route::new(pattern, endpoint))
    }

    /// Adds a route.
    #[must_use]
    #[expect(
        clippy::should_implement_trait,
        reason = "a list of routes grows, nothing is summed"
    )]
    pub fn add(mut self, route: Route<E>) -> Self {
        self.push(route);
        self
    }

    /// Adds the routes of another router, after its own prefix.
    #[must_use]
    pub fn merge(mut self, router: Self) -> Self {
        let (entries, faults) = router.finish();
        self.entries.extend(entries);
        self.faults.extend(faults);
        self
    }

    /// Adds the routes of another router after `prefix`, which **replaces** its own.
    #[must_use]
    pub fn mount(self, prefix: impl Into<String>, mut router: Self) -> Self {
        router.prefix = prefix.into();
        self.merge(router)
    }

    /// Adds a [`Converter`] for this router and those nested in it. A nested router may have another one with that name.
    #[must_use]
    pub fn converter(mut self, name: impl Into<String>, converter: impl Converter) -> Self {
        let name = name.into();
        let taken = self.converters.iter().any(|(own, _)| **own == name);
        if taken || Kind::built_in(&name).is_some() {
            self.faults.push(RouteError::ConverterTaken(name));
        } else {
            self.converters.push((name.into(), Arc::new(converter)));
        }
        self
    }

    /// Maps each endpoint to another; the routes stay.
    #[must_use]
    pub fn map<F>(self, mut endpoint: impl FnMut(E) -> F) -> Router<F> {
        let entries = self.entries.into_iter().map(|entry| Entry {
            route: Route {
                pattern: entry.route.pattern,
                endpoint: endpoint(entry.route.endpoint),
                name: entry.route.name,
                methods: entry.route.methods,
            },
            known: entry.known,
        });
        Router {
            prefix: self.prefix,
            entries: entries.collect(),
            converters: self.converters,
            faults: self.faults,
        }
    }

    /// Checks all routes, and builds the lookup tree.
    pub fn build(self) -> Result<Routes<E>, RouteErrors> {
        let (entries, mut faults) = self.finish();
        let mut routes = Vec::with_capacity(entries.len());
        let mut names: BTreeMap<Box<str>, usize> = BTreeMap::new();
        for Entry { route, known } in entries {
            let pattern = match Pattern::parse(&route.pattern, &known) {
                Ok(pattern) => pattern,
                Err(error) => {
                    faults.push(bad_pattern(route.pattern, error));
                    continue;
                }
            };
            if let Some(name) = route.name {
                let earlier = names.insert(name.clone().into(), routes.len());
                if let Some(first) = earlier.and_then(|at| routes.get(at)) {
                    let [first, second] = both(first, &pattern);
                    faults.push(RouteError::NameTaken {
                        name,
                        first,
                        second,
                    });
                }
            }
            for method in route
                .methods
                .iter()
                .flatten()
                .filter(|name| !is_token(name))
            {
                faults.push(RouteError::Method {
                    pattern: route.pattern.clone(),
                    method: method.clone(),
                });
            }
            routes.push(Bound {
                pattern,
                endpoint: route.endpoint,
                methods: route.methods,
            });
        }
        let tree = grow(&routes, &mut faults);
        if faults.is_empty() {
            Ok(Routes {
                tree,
                routes,
                names,
            })
        } else {
            Err(RouteErrors(faults))
        }
    }

    fn push(&mut self, route: Route<E>) {
        if begins_well(&route.pattern) {
            let known = Known::new();
            self.entries.push(Entry { route, known });
        } else {
            let fault = bad_pattern(route.pattern, PatternError::NoSlash);
            self.faults.push(fault);
        }
    }

    /// Returns the routes with prefix and converters.
    fn finish(mut self) -> (Vec<Entry<E>>, Vec<RouteError>) {
        let prefix = self.prefix.strip_suffix('/').unwrap_or(&self.prefix);
        if !begins_well(prefix) {
            let fault = bad_pattern(self.prefix, PatternError::NoSlash);
            self.faults.push(fault);
            return (Vec::new(), self.faults);
        }
        for entry in &mut self.entries {
            entry.route.pattern.insert_str(0, prefix);
            entry.known.extend_from_slice(&self.converters);
        }
        (self.entries, self.faults)
    }
}

/// Otherwise the pattern would merge with its prefix: `/ws` + `x`.
fn begins_well(pattern: &str) -> bool {
    pattern.is_empty() || pattern.starts_with('/')
}

const fn bad_pattern(pattern: String, error: PatternError) -> RouteError {
    RouteError::Pattern { pattern, error }
}

fn both<E>(first: &Bound<E>, second: &Pattern) -> [String; 2] {
    [&first.pattern, second].map(|pattern| pattern.as_str().to_owned())
}

fn grow<E>(routes: &[Bound<E>], faults: &mut Vec<RouteError>) -> Node {
    let branches = routes.iter().map(|route| route.pattern.segments());
    Node::grow(branches.zip(0..).collect(), &mut |clash| {
        let (Clash::Same(first, second) | Clash::Converters(first, second)) = clash;
        let (Some(first), Some(second)) = (routes.get(first), routes.get(second)) else {
            return;
        };
        if matches!(clash, Clash::Converters(..)) || first.meets(second) {
            let [first, second] = both(first, &second.pattern);
            faults.push(RouteError::Conflict { first, second });
        }
    })
}

impl<E> Default for Router<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E, const N: usize> From<[Route<E>; N]> for Router<E> {
    fn from(routes: [Route<E>; N]) -> Self {
        routes.into_iter().collect()
    }
}

impl<E> FromIterator<Route<E>> for Router<E> {
    fn from_iter<I: IntoIterator<Item = Route<E>>>(routes: I) -> Self {
        routes.into_iter().fold(Self::new(), Self::add)
    }
}

impl<E> fmt::Debug for Router<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let patterns = self.entries.iter().map(|entry| &entry.route.pattern);
        f.debug_struct("Router")
            .field("prefix", &self.prefix)
            .field("patterns", &patterns.collect::<Vec<_>>())
            .field("faults", &self.faults)
            .finish_non_exhaustive()
    }
}

/// Checked routes: no two of them conflict. Created by [`Router::build`].
///
/// ```
/// use sansws_core::route::{Miss, Route, Router};
///
/// let routes = Router::new()
///     .add(Route::new("/users/{id:int}", "user").methods(["GET"]).named("user"))
///     .route("/users/me", "myself")
///     .build()?;
/// let found = routes.find("GET", "/users/17")?;
/// assert_eq!((*found.endpoint, found.params.get::<u32>("id")?), ("user", 17));
/// assert_eq!(*routes.find("GET", "/users/me")?.endpoint, "myself");
/// assert_eq!(routes.find("PUT", "/users/17").unwrap_err(), Miss::MethodNotAllowed(vec!["GET".into()]));
/// assert_eq!(routes.find("GET", "/users/ada").unwrap_err().status(), 404);
/// assert_eq!(routes.url_for("user", &[("id", &17)])?, "/users/17");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Routes<E> {
    tree: Node,
    routes: Vec<Bound<E>>,
    names: BTreeMap<Box<str>, usize>,
}

#[derive(Clone, Debug)]
struct Bound<E> {
    pattern: Pattern,
    endpoint: E,
    methods: Option<Vec<String>>,
}

impl<E> Bound<E> {
    fn takes(&self, method: &str) -> bool {
        match &self.methods {
            None => true,
            Some(methods) => methods.iter().any(|own| own == method),
        }
    }

    /// Returns whether some method matches both.
    fn meets(&self, other: &Self) -> bool {
        match (&self.methods, &other.methods) {
            (Some(methods), Some(_)) => methods.iter().any(|method| other.takes(method)),
            (None, _) | (_, None) => true,
        }
    }
}

impl<E> Routes<E> {
    /// Looks up a path: the part of the target before `?`, as received, still percent-encoded.
    pub fn find<'r, 'p>(&'r self, method: &str, path: &'p str) -> Result<Match<'r, 'p, E>, Miss> {
        let path = if path.is_empty() { "/" } else { path };
        let escaped = matches!(decode(path)?, Cow::Owned(_));
        let rest = path.strip_prefix('/').ok_or(Miss::NotFound)?;
        let found = self.tree.find(rest, escaped).ok_or(Miss::NotFound)?;
        let rivals = || found.iter().filter_map(|at| self.routes.get(*at));
        let Some(route) = rivals().find(|route| route.takes(method)) else {
            let methods = rivals().filter_map(|route| route.methods.as_ref());
            let mut allow: Vec<_> = methods.flatten().cloned().collect();
            allow.sort_unstable();
            allow.dedup();
            return Err(Miss::MethodNotAllowed(allow));
        };
        Ok(Match {
            endpoint: &route.endpoint,
            pattern: &route.pattern,
            params: Params::new(&route.pattern, path),
        })
    }

    /// Returns the path of the route `name`, with these values, percent-encoded. [`Routes::find`] leads back to the route, unless
    /// another one has precedence for these values (`/rooms/lobby` over `/rooms/{room}`).
    pub fn url_for(&self, name: &str, values: &[(&str, &dyn Display)]) -> Result<String, UrlError> {
        let at = self.names.get(name).copied();
        at.and_then(|at| self.routes.get(at))
            .ok_or_else(|| UrlError::UnknownRoute(name.to_owned()))?
            .pattern
            .url(values)
    }

    /// Maps each endpoint to another; the routes stay.
    pub fn map<F>(self, mut endpoint: impl FnMut(E) -> F) -> Routes<F> {
        let routes = self.routes.into_iter().map(|route| Bound {
            pattern: route.pattern,
            endpoint: endpoint(route.endpoint),
            methods: route.methods,
        });
        Routes {
            tree: self.tree,
            routes: routes.collect(),
            names: self.names,
        }
    }

    /// Iterates over all patterns with their endpoints, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = (&Pattern, &E)> {
        self.routes
            .iter()
            .map(|route| (&route.pattern, &route.endpoint))
    }
}
