//! Routers of endpoints and pages.
//!
//! ```
//! use sansws_mio::{AddressLimits, Incoming, PerAddress, Result, Router, Socket};
//!
//! fn room(socket: &mut Socket<'_, ()>, message: Incoming<'_>) -> Result {
//!     let _ = socket.send(message);
//!     Ok(())
//! }
//!
//! let addresses = PerAddress::new(AddressLimits {
//!     connections: Some(50),
//!     ..AddressLimits::default()
//! });
//! let router = Router::new()
//!     .route("/rooms/{room}", room)
//!     .layer(addresses) // 429 beyond
//!     .get("/health", "fine\n");
//! # drop(router);
//! ```

use std::rc::Rc;

use sansws_common::app;
use sansws_common::error::{Error, Result};
use sansws_common::hub::HubRef;
use sansws_core::http::Response;
use sansws_core::message::StreamFormat;

use crate::endpoint::Endpoint;
use crate::event_loop::Handler;
use crate::{Scope, ServerOptions};

pub use sansws_common::app::{
    Auth, Credential, IntoPage, IntoResponse, Layer, PerAddress, Verifier,
};

/// A pattern and its endpoint or page.
///
/// For its methods and an example see [`sansws_common::app::Route`].
pub type Route = app::Route<Handler, HubRef>;

/// Creates a route to a page whose answer takes time, for any methods: its future is polled on the loop, which goes on meanwhile. Otherwise
/// it is a page like any other, see [`Route::page`]. If it has not answered when the time for the handshake is over
/// ([`Timeouts::handshake`](crate::Timeouts::handshake)), the client is answered with 503 and the future is dropped. It is dropped as well when
/// the client closes the connection, or shuts down its sending side.
///
/// ```
/// # let hub = sansws_mio::Hub::new();
/// use sansws_mio::{Response, Router, Scope, app};
///
/// let router = Router::new().add(app::deferred(["GET"], "/rooms/{room}", move |scope: Scope| {
///     let hub = hub.clone();
///     async move {
///         let room: String = scope.param("room")?;
///         let presence = hub.presence(&room).await?;
///         Ok(Response::text(200, format!("{}\n", presence.count)))
///     }
/// }));
/// # drop(router);
/// ```
pub fn deferred<F, M: Into<String>>(
    methods: impl IntoIterator<Item = M>,
    pattern: impl Into<String>,
    page: impl Fn(Scope) -> F + 'static,
) -> Route
where
    F: Future<Output = Result<Response>> + 'static,
{
    let page = Handler::of_page(Rc::new(move |scope| Box::pin(page(scope))));
    Route::handled(methods, pattern, page)
}

/// Creates a route to an endpoint whose connections are streamed responses, for plain requests with these methods: for server-sent events,
/// and for clients behind proxies that block WebSocket. The endpoint is called as for WebSockets, and its [`Socket`](crate::Socket) does
/// what it does there: joins groups, sets timers, waits for room; each message that is sent becomes a part of the response, in this format.
///
/// [`Endpoint::upgrade`] gets the request with its body, and may add header fields, or reject it. Nothing is received:
/// [`Endpoint::message`] is not called. Messages are sent whole, and there are no pings. The response ends when the connection is closed;
/// [`Endpoint::closing`] has the last word, because the client does not get the code. It is cut off, which the client notices, when a
/// callback fails or panics; [`Endpoint::close`] gets 1011 then. A peer is gone, for [`Endpoint::close`] with 1006, when it ends its side of
/// TCP, sends more than 64 KiB, or has not taken its output after [`Timeouts::keep_alive`](crate::Timeouts::keep_alive) and another second
/// for each KiB.
///
/// ```
/// use sansws_mio::{AcceptOptions, Closed, Endpoint, Hub, Result, Router, Scope, Socket, StreamFormat, app};
///
/// /// Passes on what is published in a group.
/// struct News;
///
/// impl Endpoint for News {
///     type Data = ();
///
///     fn upgrade(&mut self, _: &mut Scope, _: &mut AcceptOptions) -> Result {
///         Ok(())
///     }
///
///     fn open(&mut self, socket: &mut Socket<'_, ()>) -> Result {
///         let _ = socket.send("welcome");
///         Ok(socket.join("news")?)
///     }
///
///     fn closing(&mut self, socket: &mut Socket<'_, ()>, _: &Closed) -> Result {
///         let _ = socket.send("bye");
///         Ok(())
///     }
/// }
///
/// # fn main() -> Result {
/// let hub = Hub::new();
/// let events = app::streamed(["GET"], "/events", StreamFormat::Events, News);
/// // The same endpoint serves WebSockets too.
/// let router = Router::new().add(events).route("/socket", News).hub(&hub);
/// # let mut server = sansws_mio::Server::bind("127.0.0.1:0")?;
/// # let (address, handle) = (server.local_addr()?, server.handle());
/// # let client = std::thread::spawn(move || {
/// #     use std::io::{BufRead, BufReader, Write};
/// #     let mut stream = std::net::TcpStream::connect(address).unwrap();
/// #     stream.write_all(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
/// #     let lines = BufReader::new(stream).lines().map(|line| line.unwrap());
/// #     let mut events = lines.filter_map(|line| Some(line.strip_prefix("data: ")?.to_owned()));
/// #     assert_eq!(events.next().unwrap(), "welcome");
/// #     while hub.count("news") == 0 {
/// #         std::thread::yield_now();
/// #     }
/// hub.publish("news", "rain tomorrow").try_publish()?; // data: rain tomorrow
/// #     assert_eq!(events.next().unwrap(), "rain tomorrow");
/// #     handle.close();
/// #     assert_eq!(events.collect::<Vec<_>>(), ["bye"]);
/// #     Ok::<_, sansws_mio::Error>(())
/// # });
/// # server.serve(router)?;
/// # client.join().unwrap()?;
/// # Ok(())
/// # }
/// ```
pub fn streamed<M: Into<String>>(
    methods: impl IntoIterator<Item = M>,
    pattern: impl Into<String>,
    format: StreamFormat,
    endpoint: impl Into<Handler>,
) -> Route {
    Route::handled(methods, pattern, endpoint.into().streamed(format)).streamed()
}

/// Routes, perhaps under a prefix, with layers, policies and states that apply to all of them. It belongs to one loop.
///
/// For its methods see [`sansws_common::app::Router`], for an example the [module](self).
pub type Router = app::Router<Handler, HubRef>;

/// A service whose routes were checked.
pub type App = app::App<Handler, HubRef>;

/// A type that a server can serve: an endpoint for all paths, or a router.
///
/// ```
/// use sansws_mio::{Incoming, IntoService, Result, Router, ServerOptions, Socket};
///
/// fn echo(socket: &mut Socket<'_, ()>, message: Incoming<'_>) -> Result {
///     let _ = socket.send(message);
///     Ok(())
/// }
///
/// let options = ServerOptions::default();
/// assert!(echo.into_service(&options).is_ok());
/// let twice = Router::new().route("/{room}", echo).route("/{name}", echo);
/// assert!(twice.into_service(&options).is_err());
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be served",
    label = "neither an endpoint nor a router",
    note = "a server serves a `Router`, or for all paths one `Endpoint`, such as `fn(&mut Socket<'_, ()>, Incoming<'_>) -> Result`"
)]
pub trait IntoService {
    /// Checks it, and makes a service of it.
    ///
    /// # Errors
    /// When routes conflict.
    fn into_service(self, options: &ServerOptions) -> Result<App, Error>;
}

/// One endpoint for all paths.
impl<E: Endpoint> IntoService for E {
    fn into_service(self, options: &ServerOptions) -> Result<App, Error> {
        Ok(App::single(self.into(), options.policy.clone()))
    }
}

impl IntoService for Router {
    fn into_service(self, options: &ServerOptions) -> Result<App, Error> {
        Ok(self.build_under(&options.policy)?)
    }
}

/// Like a router that the server builds, it inherits the policy of the server's options.
impl IntoService for App {
    fn into_service(self, options: &ServerOptions) -> Result<App, Error> {
        Ok(self.under(&options.policy))
    }
}
