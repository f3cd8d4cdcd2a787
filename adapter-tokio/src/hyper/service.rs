//! A router as a tower service, so that one set of routes serves our sockets, axum and hyper.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ::hyper::body::{Body, Bytes, Frame};
use ::hyper::ext::Protocol;
use ::hyper::upgrade::OnUpgrade;
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderName, Method, Request, Response, StatusCode};
use sansws_async::app::App;
use sansws_async::internal::{Admission, ConnectInfo, now};
use sansws_async::{Error, IntoService, Result, ServerHandle, ServerOptions, Service};
use tokio::sync::oneshot;

use super::answer::Answer;
use super::bridge::{Answered, AnyBody, Bridge};
use super::drive_hub;
use super::extensions::{WithExtensions, peer};
use crate::{Compat, Router, Stream, Tokio, Wire};

/// Conversion of a [`Router`](crate::Router) to a service for axum or hyper.
///
/// For an example see [`RouterService`].
pub trait RouterExt: Sized {
    /// Makes a tower service with default options, for axum's `fallback_service` and `nest_service`, and for hyper.
    ///
    /// # Errors
    /// When routes conflict.
    fn into_service(self) -> Result<RouterService, Error> {
        self.into_service_with(ServerOptions::default())
    }

    /// Makes a service with options: limits, timeouts, origins, trusted proxies.
    ///
    /// # Errors
    /// When routes conflict.
    fn into_service_with(self, options: ServerOptions) -> Result<RouterService, Error>;
}

impl RouterExt for Router {
    fn into_service_with(self, options: ServerOptions) -> Result<RouterService, Error> {
        RouterService::new(self, options)
    }
}

impl RouterExt for App<Wire> {
    fn into_service_with(self, options: ServerOptions) -> Result<RouterService, Error> {
        RouterService::new(self, options)
    }
}

/// Routes of handlers, endpoints and pages with their layers, policies and states, as a [`tower_service::Service`]. Clones share
/// one state.
///
/// ```
/// use sansws_tokio::hyper::RouterExt;
/// use sansws_tokio::{Result, Router, Upgrade};
///
/// async fn room(upgrade: Upgrade) -> Result {
///     let room: String = upgrade.param("room")?;
///     let mut socket = upgrade.accept().await?;
///     while let Some(text) = socket.receive_text().await? {
///         socket.send_text(format!("{room}: {text}")).await?;
///     }
///     Ok(())
/// }
///
/// # fn make() -> Result<axum::Router> {
/// let ours = Router::new().route("/rooms/{room}", room).into_service()?;
/// let router = axum::Router::new()
///     .route("/", axum::routing::get("a page of axum"))
///     .fallback_service(ours);
/// # Ok(router)
/// # }
/// ```
///
/// The extensions that axum's middleware and tower's layers have added to the request are returned by its
/// `state::<http::Extensions>()`.
///
/// The stack must allow upgrades over HTTP/1.1, and extended CONNECT over HTTP/2; axum's `serve` does both. The client's address is known
/// if the request's extensions hold a `SocketAddr`, or axum's `ConnectInfo<SocketAddr>`. The timers of the routes' hubs are driven for as
/// long as the runtime lives.
#[derive(Clone, Debug)]
pub struct RouterService {
    app: App<Wire>,
    options: Arc<ServerOptions>,
    handle: ServerHandle,
}

impl RouterService {
    fn new(
        routes: impl IntoService<Wire, Service = App<Wire>>,
        options: ServerOptions,
    ) -> Result<Self, Error> {
        Ok(Self {
            app: routes.into_service(&options)?,
            handle: ServerHandle::new(options.max_connections),
            options: Arc::new(options),
        })
    }

    /// Returns the handle, which counts connections and shuts them down, for example by [`drain_when`](super::drain_when).
    pub fn handle(&self) -> ServerHandle {
        self.handle.clone()
    }

    /// Shares the handle of another server.
    #[must_use]
    pub fn share(mut self, handle: ServerHandle) -> Self {
        self.handle = handle;
        self
    }

    /// Starts serving a request.
    fn begin<B>(&self, mut request: Request<B>) -> Option<Asked>
    where
        B: Body<Data: Send, Error: Into<Box<dyn StdError + Send + Sync>>> + Send + 'static,
    {
        self.app.hubs().iter().for_each(|hub| drive_hub(Some(hub)));
        let on_upgrade = request.extensions_mut().remove::<OnUpgrade>();
        let arrival = ConnectInfo {
            begun: now::<Tokio>(),
            peer: peer(request.extensions()),
            secure: request.uri().scheme_str() == Some("https"),
        };
        let is_extended = request.method() == Method::CONNECT
            && request
                .extensions()
                .get::<Protocol>()
                .is_some_and(|protocol| protocol.as_str() == "websocket");
        let is_head = request.method() == Method::HEAD;
        let extensions = std::mem::take(request.extensions_mut());
        let (head, body) = bytes(request, is_extended);
        let (tell, told) = oneshot::channel();
        let transport = Wire::new(Stream::Other(Box::new(Compat(Bridge::new(
            head, body, on_upgrade, tell,
        )))));
        let app = WithExtensions::new(self.app.clone(), extensions);
        let options = Arc::clone(&self.options);
        match self.handle.admit()? {
            Admission::In(ticket) => {
                tokio::spawn(async move {
                    sansws_async::internal::serve(transport, options, app, ticket, arrival).await;
                });
            }
            Admission::Away(away) => {
                tokio::spawn(async move {
                    let _ =
                        sansws_async::internal::refuse(transport, &options, &app, arrival, &away)
                            .await;
                });
            }
        }
        Some(Asked {
            told,
            is_extended,
            is_head,
        })
    }
}

/// A request whose answer is awaited.
#[derive(Debug)]
struct Asked {
    told: oneshot::Receiver<Answered>,
    is_extended: bool,
    is_head: bool,
}

impl<B> tower_service::Service<Request<B>> for RouterService
where
    B: Body<Data: Send, Error: Into<Box<dyn StdError + Send + Sync>>> + Send + 'static,
{
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Answering {
        Answering(self.begin(request))
    }
}

/// The future of an answer.
#[derive(Debug)]
pub struct Answering(Option<Asked>);

impl Future for Answering {
    type Output = Result<Response<Answer>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Too many requests are being refused to send an explanation.
        let Some(asked) = &mut self.0 else {
            return Poll::Ready(Ok(empty(StatusCode::SERVICE_UNAVAILABLE)));
        };
        Poll::Ready(Ok(
            match std::task::ready!(Pin::new(&mut asked.told).poll(cx)) {
                Ok(answered) => respond(answered, asked),
                // The server dropped the connection.
                Err(_) => empty(StatusCode::INTERNAL_SERVER_ERROR),
            },
        ))
    }
}

fn empty(status: StatusCode) -> Response<Answer> {
    let mut response = Response::new(Answer::default());
    *response.status_mut() = status;
    response
}

fn respond(answered: Answered, asked: &Asked) -> Response<Answer> {
    let Answered {
        status,
        fields,
        body,
    } = answered;
    // RFC 8441 5: "a 2xx (Successful) response"; the upgrade fields of HTTP/1.1 are left out
    let is_tunnel = asked.is_extended && status == 101;
    let status = if is_tunnel { 200 } else { status };
    let kept = |name: &str| match name.to_ascii_lowercase().as_str() {
        "upgrade" | "sec-websocket-accept" => !is_tunnel,
        "connection" => status == 101,
        // The stack frames the body as the version of HTTP wants it.
        "transfer-encoding" => false,
        _ => true,
    };
    let builder = fields.iter().filter(|(name, _)| kept(name)).fold(
        Response::builder().status(status),
        |builder, (name, value)| builder.header(name, value),
    );
    // RFC 9110 9.3.2: "the server MUST NOT send content in the response"; a stack may do so over HTTP/2.
    let body = if asked.is_head {
        Answer::default()
    } else {
        Answer::of(body)
    };
    builder
        .body(body)
        .unwrap_or_else(|_| empty(StatusCode::INTERNAL_SERVER_ERROR))
}

/// Header fields about the framing of a message, which we set ourselves.
const FRAMING: [HeaderName; 3] = [CONTENT_LENGTH, TRANSFER_ENCODING, EXPECT];

/// Returns the head in the form of HTTP/1.1, and the body if there is one.
fn bytes<B>(request: Request<B>, is_extended: bool) -> (Vec<u8>, Option<AnyBody>)
where
    B: Body<Data: Send, Error: Into<Box<dyn StdError + Send + Sync>>> + Send + 'static,
{
    let (head, body) = request.into_parts();
    let target = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let method = if is_extended {
        "GET"
    } else {
        head.method.as_str()
    };
    let mut out = format!("{method} {target} HTTP/1.1\r\n").into_bytes();
    let mut put = |name: &str, value: &[u8]| {
        for part in [name.as_bytes(), b": ", value, b"\r\n"] {
            out.extend_from_slice(part);
        }
    };
    for (name, value) in &head.headers {
        if !FRAMING.contains(name) {
            put(name.as_str(), value.as_bytes());
        }
    }
    if let (false, Some(authority)) = (head.headers.contains_key(HOST), head.uri.authority()) {
        // The part before an @ does not belong to it (RFC 9110 7.2).
        let host = authority.as_str().rsplit('@').next().unwrap_or_default();
        put(HOST.as_str(), host.as_bytes());
    }
    if is_extended {
        // RFC 8441 5: there is no key over HTTP/2; the answer to this one is not passed on.
        put("sec-websocket-key", b"AAAAAAAAAAAAAAAAAAAAAA==");
        put(UPGRADE.as_str(), b"websocket");
        put(CONNECTION.as_str(), b"upgrade");
    }
    put(CONNECTION.as_str(), b"close");
    // The bytes after an extended CONNECT belong to the tunnel.
    let has_body = !is_extended && !body.is_end_stream();
    if has_body {
        put(TRANSFER_ENCODING.as_str(), b"chunked");
    }
    out.extend_from_slice(b"\r\n");
    let body = has_body.then(|| Box::pin(ErasedBody(Box::pin(body))) as AnyBody);
    (out, body)
}

/// A body with erased data and error types.
struct ErasedBody<B>(Pin<Box<B>>);

impl<B> Body for ErasedBody<B>
where
    B: Body<Error: Into<Box<dyn StdError + Send + Sync>>>,
{
    type Data = Bytes;
    type Error = Box<dyn StdError + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        use ::hyper::body::Buf;
        let frame = std::task::ready!(self.0.as_mut().poll_frame(cx));
        Poll::Ready(frame.map(|frame| match frame {
            Ok(frame) => Ok(frame.map_data(|mut data| data.copy_to_bytes(data.remaining()))),
            Err(error) => Err(error.into()),
        }))
    }
}
