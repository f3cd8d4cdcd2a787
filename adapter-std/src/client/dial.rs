//! Dialing: names, TCP, proxies, TLS, redirects.
//! RFC 6455 section 4.1; RFC 9110 section 9.3.6 and RFC 1928 for proxies.
//! Knows how to wait for each step; `sansws-core` decides on steps.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;

use sansws_common::client::trace;
use sansws_common::error::{Error, Result};
use sansws_common::{ConnectOptions, IntoRequest};
use sansws_core::handshake::Redirects;
use sansws_core::http::Url;
use sansws_core::proxy::TunnelStep;
use sansws_core::time::Instant;

use super::connecting::Connecting;
use super::race::first_to_connect;
use crate::clock::now;
use crate::socket::WebSocket;
use crate::stream::Stream;
use crate::wire::Wire;

/// Connects to a `ws://` or `wss://` URL, directly or through a proxy, and follows redirects if allowed; see [`ConnectOptions`].
///
/// # Errors
/// [`Error::BadUrl`], [`Error::BadHeader`], [`Error::ConnectTimeout`], [`Error::Io`], [`Error::Proxy`],
/// [`Error::Handshake`] when the answer breaks the protocol, [`Error::Refused`] when the server answered with another status,
/// [`Error::Redirect`] when it redirects to a URL that is not followed.
pub fn connect(url: impl IntoRequest, options: ConnectOptions) -> Result<WebSocket, Error> {
    let (url, options) = url.into_request(options)?;
    trace::connects(&url);
    let connected = follow(url.clone(), options);
    trace::connect_ended(&url, connected.as_ref().err());
    let wanted = trace::wanted(&url);
    if let (Ok(socket), Some(url)) = (&connected, wanted) {
        socket.shared().engine().tell_client(url);
    }
    connected
}

/// Dials `url`, and again for each redirect, as far as allowed.
pub(super) fn follow(url: Url, dial: ConnectOptions) -> Result<WebSocket, Error> {
    let mut redirects = Redirects::new(url, dial.options.clone(), dial.redirects);
    loop {
        let mut next = dial.clone();
        next.options = redirects.options().clone();
        let response = match once(redirects.url(), next) {
            Err(Error::Refused(response)) => response,
            Err(error) => return Err(dial.name_timeout(redirects.url(), error)),
            opened => return opened,
        };
        if !redirects.follow(&response)? {
            return Err(Error::Refused(response));
        }
    }
}

/// Dials once.
fn once(url: &Url, dial: ConnectOptions) -> Result<WebSocket, Error> {
    let timeouts = &dial.config.timeouts;
    let from_now = |wait: Option<_>| wait.map(|wait| now() + wait);
    let until = from_now(timeouts.connect);
    let attempts = dial.attempts(addresses(url, &dial, until)?);
    let tcp = first_to_connect(attempts, until).map_err(|error| match error {
        Error::Io(error) => dial.dial_failed(url, error),
        late => late,
    })?;
    if let Ok(address) = tcp.peer_addr() {
        dial.reached(address);
    }
    let mut stream = Stream::tcp(tcp)?;
    if let Some(proxy) = dial.proxy_for(url).filter(|proxy| proxy.is_secure()) {
        stream = secure_proxy(stream, proxy.host(), &dial, from_now(timeouts.connect))?;
    }
    stream = tunnel(stream, url, &dial, from_now(timeouts.connect))?;
    // Both handshakes share one timeout.
    let until = from_now(timeouts.handshake);
    if url.is_secure() {
        stream = secure(stream, url, &dial, until)?;
    }
    let mut connecting = Connecting::until(stream, url, dial.options, dial.config, until)?;
    // Our own streams are waited for.
    connecting.resume()?.ok_or(Error::ConnectTimeout(None))
}

/// Returns the addresses of the first hop.
fn addresses(
    url: &Url,
    dial: &ConnectOptions,
    until: Option<Instant>,
) -> Result<Vec<SocketAddr>, Error> {
    if let Some(addresses) = dial.addresses(url) {
        return Ok(addresses);
    }
    let (host, port) = dial.first_hop(url);
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let host = String::from(host);
    let look_up = move || (host, port).to_socket_addrs().map(Vec::from_iter);
    let Some(until) = until else {
        return look_up().map_err(|error| dial.lookup_failed(url, error));
    };
    // The system's resolver has no timeout of ours: a thread waits for it.
    let (give, found) = sync_channel(1);
    thread::Builder::new()
        .name("sansws-resolver".into())
        .spawn(move || drop(give.send(look_up())))
        .map_err(|error| Error::no_thread(&error))?;
    match found.recv_timeout(until.since(now())) {
        Ok(found) => found.map_err(|error| dial.lookup_failed(url, error)),
        Err(RecvTimeoutError::Timeout) => Err(Error::ConnectTimeout(None)),
        Err(RecvTimeoutError::Disconnected) => Err(Error::Panic),
    }
}

/// Makes a stream to the proxy of `dial` lead to the host of `url`; without a proxy it does so already. Not a byte after the proxy's answer
/// is read.
fn tunnel(
    stream: Stream,
    url: &Url,
    dial: &ConnectOptions,
    until: Option<Instant>,
) -> Result<Stream, Error> {
    let Some(proxy) = dial.proxy_for(url) else {
        return Ok(stream);
    };
    let mut handshake = proxy.handshake(url.host(), url.port(), &dial.config.limits)?;
    let mut wire = Wire::new(stream);
    loop {
        let mut output = Vec::from(handshake.output());
        handshake.written(output.len());
        wire.write(&mut output, until)?;
        let input = wire.read_at_most(handshake.need(), until)?;
        if handshake.receive(&input)? == TunnelStep::Open {
            return Ok(wire.stream);
        }
    }
}

#[cfg(feature = "tls")]
fn secure(
    stream: Stream,
    url: &Url,
    dial: &ConnectOptions,
    until: Option<Instant>,
) -> Result<Stream, Error> {
    crate::stream::connect(stream, url.host(), dial.tls.as_ref(), until)
}

#[cfg(feature = "tls")]
fn secure_proxy(
    stream: Stream,
    host: &str,
    dial: &ConnectOptions,
    until: Option<Instant>,
) -> Result<Stream, Error> {
    crate::stream::connect(stream, host, dial.proxy_tls.as_ref(), until)
}

#[cfg(not(feature = "tls"))]
fn secure(_: Stream, _: &Url, _: &ConnectOptions, _: Option<Instant>) -> Result<Stream, Error> {
    Err(Error::other("wss:// needs the feature `tls`"))
}

#[cfg(not(feature = "tls"))]
fn secure_proxy(
    _: Stream,
    _: &str,
    _: &ConnectOptions,
    _: Option<Instant>,
) -> Result<Stream, Error> {
    Err(Error::other("an https:// proxy needs the feature `tls`"))
}
