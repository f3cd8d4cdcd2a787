//! The data of a request before it is answered.
//! RFC 6455 section 4.2.2: a server may base its decision on these.
//! Knows no transport: layers and handlers read it, and attach values.

use std::any::{Any, TypeId, type_name};
use std::fmt;
use std::net::SocketAddr;
use std::ops::Deref;
use std::str::FromStr;
use std::sync::Arc;

use crate::contain::contain;
#[cfg(any(feature = "json", feature = "query"))]
use crate::error::RequestError;
use crate::error::{Error, Result};
use crate::server::policy::ConnectionPolicy;
use sansws_core::handshake::Request;
use sansws_core::http::forwarded::Forwarded;
use sansws_core::http::{RequestHead, Response};
use sansws_core::route::{ParamError, Params, Pattern};
use sansws_core::time::Instant;

/// A request on its way to a handler: its head, path parameters, and values that layers attached.
///
/// The head is read as with a [`RequestHead`]: `scope.header("user-agent")`, `scope.query_value("token")`.
///
/// ```
/// use sansws_common::{Result, Scope};
/// use sansws_core::http::Response;
///
/// /// The user who signed in.
/// struct User(String);
///
/// /// A layer: refuses guests, and attaches the user.
/// fn signed_in(scope: &mut Scope) -> Result<(), Response> {
///     let user = scope.cookie("user").map(|name| User(name.into()));
///     scope.attach(user.ok_or_else(|| Response::text(401, "sign in first\n"))?);
///     Ok(())
/// }
///
/// /// A page: `/rooms/{room}/members?limit=10`.
/// fn members(scope: Scope) -> Result<Response> {
///     let (room, user): (u32, _) = (scope.param("room")?, scope.state::<User>()?);
///     let limit: usize = scope.query_value("limit").as_deref().unwrap_or("100").parse()?;
///     Ok(Response::text(200, format!("{}: {limit} members of room {room}", user.0)))
/// }
///
/// let router = sansws_common::app::Router::<()>::new().get("/rooms/{room}/members", members);
/// router.layer(signed_in);
/// ```
pub struct Scope {
    #[doc(hidden)]
    pub head: Head,
    pattern: Option<Pattern>,
    peer: Option<SocketAddr>,
    secure: Option<bool>,
    now: Instant,
    is_streamed: bool,
    attached: Attached,
    shared: Arc<Attached>,
    held: Vec<Box<dyn Any + Send + Sync>>,
    body: Vec<u8>,
}

/// The head, and its kind.
#[derive(Debug)]
pub enum Head {
    /// Any other request.
    Plain(RequestHead),
    /// A valid WebSocket request.
    WebSocket(Request),
}

impl Deref for Scope {
    type Target = RequestHead;

    fn deref(&self) -> &RequestHead {
        match &self.head {
            Head::Plain(head) => head,
            Head::WebSocket(request) => request,
        }
    }
}

impl Scope {
    #[doc(hidden)]
    pub fn new(head: Head, peer: Option<SocketAddr>, secure: Option<bool>, now: Instant) -> Self {
        Self {
            head,
            pattern: None,
            peer,
            secure,
            now,
            is_streamed: false,
            attached: Attached::default(),
            shared: Arc::default(),
            held: Vec::new(),
            body: Vec::new(),
        }
    }

    /// Returns whether it is a WebSocket request; otherwise it is plain HTTP.
    pub const fn is_websocket(&self) -> bool {
        matches!(self.head, Head::WebSocket(_))
    }

    /// Returns whether its route streams the response, which may take as long as the client wants.
    pub const fn is_streamed(&self) -> bool {
        self.is_streamed
    }

    /// Returns the address of the client: the peer's, or the one that a trusted proxy reports. A Unix socket has none.
    pub const fn client_addr(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// Returns whether the client uses TLS, as far as we or a trusted proxy know.
    pub fn is_secure(&self) -> bool {
        self.secure == Some(true)
    }

    /// Returns when the request arrived, by the clock of its connection.
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// Returns the pattern of the route, if one matched.
    pub const fn pattern(&self) -> Option<&Pattern> {
        self.pattern.as_ref()
    }

    /// Returns a path parameter, parsed.
    ///
    /// # Errors
    /// [`ParamError::Unknown`] when the route has none with that name, [`ParamError::Unfit`] when it does not fit the type.
    pub fn param<V: FromStr>(&self, name: &str) -> Result<V, Error> {
        let params = self
            .params()
            .ok_or_else(|| ParamError::Unknown(name.into()))?;
        Ok(params.get(name)?)
    }

    /// Returns all path parameters; `None` without a route.
    pub fn params(&self) -> Option<Params<'_, '_>> {
        self.pattern.as_ref()?.matches(self.path()).ok().flatten()
    }

    /// Returns the undecoded query, after the `?`; `None` without one.
    pub fn raw_query(&self) -> Option<&str> {
        RequestHead::query(self)
    }

    /// Parses the query: `#[derive(Deserialize)] struct Wanted { since: Option<String>, limit: u32 }`. Parameters without a field are
    /// ignored.
    ///
    /// # Errors
    /// [`Error::Request`] when a value is missing or does not fit its type: 400.
    #[cfg(feature = "query")]
    pub fn query<V: serde::de::DeserializeOwned>(&self) -> Result<V, Error> {
        let value = serde_urlencoded::from_str(self.raw_query().unwrap_or_default());
        value.map_err(|error| RequestError(format!("the query is invalid: {error}")).into())
    }

    /// Returns the body of a request for a page, at most [`Limits::body`](sansws_core::config::Limits::body) bytes; empty while layers
    /// run.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Parses the body as JSON.
    ///
    /// # Errors
    /// [`Error::Request`] when it is not the expected JSON: 400.
    #[cfg(feature = "json")]
    pub fn json<V: serde::de::DeserializeOwned>(&self) -> Result<V, Error> {
        serde_json::from_slice(&self.body).map_err(|error| {
            RequestError(format!(
                "the body is not the JSON that was expected: {error}"
            ))
            .into()
        })
    }

    /// Returns the state of type `S`: the one that a layer attached to this request, or else the one shared by the router.
    ///
    /// # Errors
    /// [`Error::NoState`] when there is none.
    pub fn state<S: Any + Send + Sync>(&self) -> Result<Arc<S>, Error> {
        self.attached
            .get()
            .or_else(|| self.shared.get())
            .ok_or_else(|| Error::NoState(type_name::<S>()))
    }

    /// Attaches a state for later layers and the handler. It replaces an earlier one of its type.
    pub fn attach<S: Any + Send + Sync>(&mut self, state: S) {
        self.attached.put(Arc::new(state));
    }

    /// Keeps a value until the connection has ended, such as a guard that counts; for a page, until it has answered.
    ///
    /// A layer can keep a value until a streamed response has ended, and so can the `Endpoint::upgrade` of one on an event loop. A value that a
    /// page on a runtime adds itself is dropped with this scope, often before the response is written: let the stream own such a value.
    pub fn keep_alive_until_close(&mut self, guard: impl Any + Send + Sync) {
        self.held.push(Box::new(guard));
    }

    /// Returns whether it is secure, if known: TLS may end at a proxy that does not report it.
    #[doc(hidden)]
    pub const fn known_secure(&self) -> Option<bool> {
        self.secure
    }

    /// Applies the report of a trusted proxy.
    #[doc(hidden)]
    pub fn forward(&mut self, found: Forwarded, peer: SocketAddr) {
        // A dual-stack socket reports IPv4 addresses as IPv6.
        if found.address != peer.ip().to_canonical() {
            // The port is the proxy's own: the client's is unknown.
            self.peer = Some(SocketAddr::new(found.address, 0));
        }
        self.secure = found.secure.or(self.secure);
    }

    #[doc(hidden)]
    pub fn set_route(&mut self, pattern: Option<Pattern>, shared: Arc<Attached>) {
        self.pattern = pattern;
        self.shared = shared;
    }

    #[doc(hidden)]
    pub const fn set_streamed(&mut self, is_streamed: bool) {
        self.is_streamed = is_streamed;
    }

    #[doc(hidden)]
    pub fn set_body(&mut self, body: Vec<u8>) {
        self.body = body;
    }

    #[doc(hidden)]
    pub fn take_held(&mut self) -> Vec<Box<dyn Any + Send + Sync>> {
        std::mem::take(&mut self.held)
    }
}

/// Values of the application end where their request does, often in the middle of our own work.
impl Drop for Scope {
    fn drop(&mut self) {
        let values = (
            std::mem::take(&mut self.attached),
            std::mem::take(&mut self.held),
        );
        if contain(|| drop(values)).is_err() {
            let _ = contain(|| tracing::error!("dropping a value of a request panicked"));
        }
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope")
            .field("head", &**self)
            .field("pattern", &self.pattern)
            .field("client_addr", &self.peer)
            .finish_non_exhaustive()
    }
}

/// Values by type.
#[derive(Clone, Default)]
pub struct Attached(Vec<(TypeId, Arc<dyn Any + Send + Sync>)>);

impl Attached {
    fn get<S: Any + Send + Sync>(&self) -> Option<Arc<S>> {
        let wanted = TypeId::of::<S>();
        let (_, found) = self.0.iter().find(|(id, _)| *id == wanted)?;
        Arc::clone(found).downcast().ok()
    }

    /// Adds a value, replacing one of its type.
    #[doc(hidden)]
    pub fn put<S: Any + Send + Sync>(&mut self, value: Arc<S>) {
        let id = TypeId::of::<S>();
        self.0.retain(|(known, _)| *known != id);
        self.0.push((id, value));
    }

    /// Inherits values that are missing here.
    #[doc(hidden)]
    pub fn inherit(&mut self, outer: &Self) {
        for (id, value) in &outer.0 {
            if !self.0.iter().any(|(known, _)| known == id) {
                self.0.push((*id, Arc::clone(value)));
            }
        }
    }
}

impl fmt::Debug for Attached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attached").finish_non_exhaustive()
    }
}

impl<H: Clone> ConnectionPolicy<H> {
    /// Returns whether a request is admitted. A page of another host may read, but opens no WebSocket and posts nothing, because it
    /// would do so with the cookies of its visitor.
    #[doc(hidden)]
    pub fn check(&self, scope: &Scope) -> Result<(), Response> {
        // RFC 9110 9.2.1: those are safe
        if !scope.is_websocket() && matches!(scope.method.as_str(), "GET" | "HEAD" | "OPTIONS") {
            return Ok(());
        }
        self.check_origin(scope, scope.known_secure())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sansws_core::http::Headers;

    #[test]
    fn a_client_of_its_own_keeps_its_port_in_either_family() {
        for (peer, told, want) in [
            ("192.0.2.1:5000", "192.0.2.1", "192.0.2.1:5000"),
            (
                "[::ffff:192.0.2.1]:5000",
                "192.0.2.1",
                "[::ffff:192.0.2.1]:5000",
            ),
            ("[2001:db8::1]:5000", "2001:db8::1", "[2001:db8::1]:5000"),
            ("192.0.2.1:5000", "198.51.100.1", "198.51.100.1:0"),
        ] {
            let head = RequestHead {
                method: "GET".into(),
                target: "/".into(),
                fields: Headers::default(),
            };
            let peer: SocketAddr = peer.parse().unwrap();
            let mut scope = Scope::new(Head::Plain(head), Some(peer), None, Instant::ZERO);
            let found = Forwarded {
                address: told.parse().unwrap(),
                secure: None,
                host: None,
            };
            scope.forward(found, peer);
            assert_eq!(scope.client_addr(), want.parse().ok(), "{peer} {told}");
        }
    }
}
