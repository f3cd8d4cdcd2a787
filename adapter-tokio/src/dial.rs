//! Connections over streams: dialled, or given.

use std::pin::Pin;
use std::sync::Arc;

use sansws_core::config::Config;
use sansws_core::drive::{self, ConnectOptions, Connector, Error, Result};
use sansws_core::http::Url;
use sansws_core::random::Seed;
use sansws_core::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::{Io, Stream, Upgrade, WebSocket};

/// Connects to a `ws://` or `wss://` URL, directly or through a proxy, and follows redirects if it may; see [`ConnectOptions`].
///
/// # Errors
/// [`Error::BadUrl`], [`Error::BadHeader`], [`Error::ConnectTimeout`], [`Error::Io`], [`Error::Proxy`],
/// [`Error::Handshake`] when the answer breaks the protocol, [`Error::Refused`] when the server answered with another status,
/// [`Error::Redirect`] when it sent us where we do not go.
pub async fn connect(url: &str, dial: ConnectOptions) -> Result<WebSocket, Error> {
    drive::follow(Error::parse_url(url)?, dial, once).await
}

/// Dials once.
async fn once(url: Url, dial: ConnectOptions) -> Result<WebSocket, Error> {
    let timeouts = dial.config.timeouts.clone();
    let tcp = within(timeouts.connect, tcp(&url, &dial)).await?;
    tcp.set_nodelay(true)?;
    let stream = Stream::Tcp(tcp);
    let stream = match &dial.proxy {
        Some(proxy) if proxy.is_secure() => {
            within(timeouts.connect, secure_proxy(stream, proxy.host(), &dial)).await?
        }
        _ => stream,
    };
    let stream = drive::tunnel(Io::new(stream), &url, &dial)
        .await?
        .into_inner();
    // One time for both handshakes.
    let until = timeouts.handshake.map(|time| crate::io::now() + time);
    let stream = if url.is_secure() {
        within(timeouts.handshake, secure(stream, &url, &dial)).await?
    } else {
        stream
    };
    let transport = Io::new(stream).watched(Stream::send_progress);
    drive::connect_until(transport, &url, dial.options, dial.config, seed()?, until).await
}

/// Opens a connection over a stream that already leads to the host of `url`: a Unix socket, TLS of your own. The proxy, the
/// redirects and the TLS settings of `dial` are not looked at.
pub async fn connect_over<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    url: &Url,
    dial: ConnectOptions,
) -> Result<WebSocket<S>, Error> {
    drive::connect(Io::new(stream), url, dial.options, dial.config, seed()?).await
}

/// Dials for a [`Client`](crate::Client).
#[derive(Clone, Copy, Debug, Default)]
pub struct Dialer;

impl Connector for Dialer {
    type Transport = Io<Stream>;
    type Dialing = Pin<Box<dyn Future<Output = Result<WebSocket, Error>> + Send>>;
    type Sleeping = Pin<Box<dyn Future<Output = ()> + Send>>;

    fn dial(&self, url: &Url, dial: &ConnectOptions) -> Self::Dialing {
        Box::pin(drive::follow(url.clone(), dial.clone(), once))
    }

    fn sleep(&self, time: Duration) -> Self::Sleeping {
        Box::pin(crate::sleep(time))
    }

    fn now(&self) -> Instant {
        crate::io::now()
    }

    fn seed(&self) -> Result<Seed, Error> {
        seed()
    }
}

/// Reads the request from a stream that a client opened. A bad one has been answered when the error comes back.
pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    config: Arc<Config>,
) -> Result<Upgrade<S>, Error> {
    drive::receive_request(Io::new(stream), config).await
}

/// Connects to the address of the host that answers first.
async fn tcp(url: &Url, dial: &ConnectOptions) -> Result<TcpStream, Error> {
    let addresses = match dial.addresses(url) {
        Some(addresses) => addresses,
        None => tokio::net::lookup_host(dial.first_hop(url))
            .await?
            .collect(),
    };
    let connect = |address| TcpStream::connect(address);
    let first = drive::first_to_connect(addresses, crate::io::now, tokio::time::sleep, connect);
    Ok(first.await?)
}

#[cfg(feature = "tls")]
async fn secure(stream: Stream, url: &Url, dial: &ConnectOptions) -> Result<Stream, Error> {
    crate::tls::dial(stream, url.host(), dial.tls.as_ref()).await
}

#[cfg(feature = "tls")]
async fn secure_proxy(stream: Stream, host: &str, dial: &ConnectOptions) -> Result<Stream, Error> {
    crate::tls::dial(stream, host, dial.proxy_tls.as_ref()).await
}

#[cfg(not(feature = "tls"))]
async fn secure(_: Stream, _: &Url, _: &ConnectOptions) -> Result<Stream, Error> {
    Err(Error::other("wss:// needs the feature `tls`"))
}

#[cfg(not(feature = "tls"))]
async fn secure_proxy(_: Stream, _: &str, _: &ConnectOptions) -> Result<Stream, Error> {
    Err(Error::other("an https:// proxy needs the feature `tls`"))
}

/// Entropy for one connection, from the operating system.
fn seed() -> Result<Seed, Error> {
    let mut octets = [0; 32];
    getrandom::fill(&mut octets).map_err(Error::other)?;
    Ok(Seed::new(octets))
}

pub(crate) async fn within<T>(
    timeout: Option<Duration>,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    match timeout {
        Some(timeout) => tokio::time::timeout(timeout, work)
            .await
            .unwrap_or(Err(Error::ConnectTimeout)),
        None => work.await,
    }
}
