//! Client connections over streams: dialed here, or given by the caller.

use std::fmt;
use std::marker::PhantomData;
use std::net::ToSocketAddrs;
use std::pin::Pin;
use std::sync::Arc;

use sansws_core::config::Config;
use sansws_core::http::Url;
use sansws_core::random::Seed;
use sansws_core::time::{Duration, Instant};

use crate::client::Connector;
use crate::client::connect::{connect as open, connect_until};
use crate::client::options::ConnectOptions;
use crate::client::race::first_to_connect;
use crate::client::redirects::follow;
use crate::client::tunnel::tunnel;
use crate::error::{Error, Result};
use crate::runtime::entropy::seed;
use crate::runtime::sleep::within;
use crate::runtime::{ByteStream, Io, Runtime, Sleep, Stream, now, sleep};
use crate::server::builder::Wire;
use crate::server::request_loop::receive_request;
use crate::server::upgrade::Upgrade;
use crate::socket::websocket::WebSocket;
use sansws_common::IntoRequest;
use sansws_common::client::trace;

/// Connects to a `ws://` or `wss://` URL, directly or through a proxy, and follows redirects if allowed; see [`ConnectOptions`].
///
/// # Errors
/// [`Error::BadUrl`], [`Error::BadHeader`], [`Error::ConnectTimeout`], [`Error::Io`], [`Error::Proxy`],
/// [`Error::Handshake`] when the answer breaks the protocol, [`Error::Refused`] when the server answered with another status,
/// [`Error::Redirect`] when it redirects to a URL that is not followed.
pub async fn connect<R: Runtime>(
    url: impl IntoRequest,
    dial: ConnectOptions,
) -> Result<WebSocket<Wire<R>>, Error> {
    let (url, dial) = url.into_request(dial)?;
    trace::connects(&url);
    let connected = follow(url.clone(), dial, once::<R>).await;
    trace::connect_ended(&url, connected.as_ref().err());
    let wanted = trace::wanted(&url);
    if let (Ok(socket), Some(url)) = (&connected, wanted) {
        socket.shared().engine().tell_client(url);
    }
    connected
}

/// Dials once.
async fn once<R: Runtime>(url: Url, dial: ConnectOptions) -> Result<WebSocket<Wire<R>>, Error> {
    let timeouts = dial.config.timeouts.clone();
    let tcp = within::<R, _>(timeouts.connect, tcp::<R>(&url, &dial)).await?;
    let stream = Stream::Tcp(tcp);
    let stream = match dial.proxy_for(&url) {
        Some(proxy) if proxy.is_secure() => {
            within::<R, _>(timeouts.connect, secure_proxy(stream, proxy.host(), &dial)).await?
        }
        _ => stream,
    };
    let stream = tunnel(Wire::<R>::new(stream), &url, &dial)
        .await?
        .into_inner();
    // Both handshakes share one timeout.
    let until = timeouts.handshake.map(|time| now::<R>() + time);
    let stream = if url.is_secure() {
        within::<R, _>(timeouts.handshake, secure(stream, &url, &dial)).await?
    } else {
        stream
    };
    let transport = Wire::<R>::new(stream);
    connect_until(
        transport,
        &url,
        dial.options,
        dial.config,
        seed().map_err(Error::other)?,
        until,
    )
    .await
}

/// Opens a connection over a stream that already leads to the host of `url`, such as a Unix socket or your own TLS. The proxy, the
/// redirects and the TLS settings of `dial` are ignored.
pub async fn connect_over<R: Runtime, S: ByteStream>(
    stream: S,
    url: impl IntoRequest,
    dial: ConnectOptions,
) -> Result<WebSocket<Io<R, S>>, Error> {
    let (url, dial) = url.into_request(dial)?;
    trace::connects(&url);
    let connected = match seed() {
        Ok(seed) => open(Io::new(stream), &url, dial.options, dial.config, seed).await,
        Err(error) => Err(Error::other(error)),
    };
    trace::connect_ended(&url, connected.as_ref().err());
    let wanted = trace::wanted(&url);
    if let (Ok(socket), Some(url)) = (&connected, wanted) {
        socket.shared().engine().tell_client(url);
    }
    connected
}

/// Dials for a [`Client`](crate::Client).
///
/// ```
/// use sansws_async::{Client, ConnectOptions, Dialer, Result, Runtime};
///
/// // In an adapter, `Client` stands for `Client<Dialer<R>>`.
/// fn news<R: Runtime>() -> Result<Client<Dialer<R>>> {
///     let options = ConnectOptions::default().bearer("s3cret")?;
///     Ok(Client::new("wss://example.org/news", options)?)
/// }
/// ```
pub struct Dialer<R>(PhantomData<fn() -> R>);

impl<R> Default for Dialer<R> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<R> fmt::Debug for Dialer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dialer")
    }
}

impl<R: Runtime> Connector for Dialer<R> {
    type Transport = Wire<R>;
    type Dialing = Pin<Box<dyn Future<Output = Result<WebSocket<Wire<R>>, Error>> + Send>>;
    type Sleeping = Pin<Box<dyn Future<Output = ()> + Send>>;

    fn dial(&self, url: &Url, dial: &ConnectOptions) -> Self::Dialing {
        Box::pin(follow(url.clone(), dial.clone(), once::<R>))
    }

    fn sleep(&self, time: Duration) -> Self::Sleeping {
        Box::pin(sleep::<R>(time))
    }

    fn now(&self) -> Instant {
        now::<R>()
    }

    fn seed(&self) -> Result<Seed, Error> {
        seed().map_err(Error::other)
    }
}

/// Reads the request from a stream that a client opened. An invalid request has already been answered when the error is returned.
pub async fn accept<R: Runtime, S: ByteStream>(
    stream: S,
    config: Arc<Config>,
) -> Result<Upgrade<Io<R, S>>, Error> {
    receive_request(Io::new(stream), config).await
}

/// Connects to the first address of the host that answers.
async fn tcp<R: Runtime>(url: &Url, dial: &ConnectOptions) -> Result<R::Tcp, Error> {
    let addresses = match dial.addresses(url) {
        Some(addresses) => addresses,
        None => {
            let (host, port) = dial.first_hop(url);
            let host = String::from(host);
            let found =
                R::spawn_blocking(move || (host, port).to_socket_addrs().map(Vec::from_iter));
            let found = found.await?;
            found.map_err(|error| dial.lookup_failed(url, error))?
        }
    };
    let connect = |address| async move { Ok((R::connect(address).await?, address)) };
    let first = first_to_connect(dial.attempts(addresses), now::<R>, Sleep::<R>::new, connect);
    let (stream, address) = first.await.map_err(|error| dial.dial_failed(url, error))?;
    dial.reached(address);
    Ok(stream)
}

#[cfg(feature = "tls")]
async fn secure<R: Runtime>(
    stream: Stream<R>,
    url: &Url,
    dial: &ConnectOptions,
) -> Result<Stream<R>, Error> {
    crate::runtime::tls_handshake::connect(stream, url.host(), dial.tls.as_ref()).await
}

#[cfg(feature = "tls")]
async fn secure_proxy<R: Runtime>(
    stream: Stream<R>,
    host: &str,
    dial: &ConnectOptions,
) -> Result<Stream<R>, Error> {
    crate::runtime::tls_handshake::connect(stream, host, dial.proxy_tls.as_ref()).await
}

#[cfg(not(feature = "tls"))]
async fn secure<R: Runtime>(_: Stream<R>, _: &Url, _: &ConnectOptions) -> Result<Stream<R>, Error> {
    Err(Error::other("wss:// needs the feature `tls`"))
}

#[cfg(not(feature = "tls"))]
async fn secure_proxy<R: Runtime>(
    _: Stream<R>,
    _: &str,
    _: &ConnectOptions,
) -> Result<Stream<R>, Error> {
    Err(Error::other("an https:// proxy needs the feature `tls`"))
}
