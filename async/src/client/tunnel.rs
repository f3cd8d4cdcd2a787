//! Connects through a proxy, over a transport.
//! `sansws_core::proxy` implements RFC 9110 section 9.3.6 and RFC 1928.
//! Knows how to read not a byte too many, to write, and to time out.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use crate::client::options::ConnectOptions;
use crate::error::{Error, Result};
use crate::socket::exchange::within;
use crate::transport::Transport;
use sansws_core::http::Url;
use sansws_core::proxy::TunnelStep;

/// Makes a transport to the proxy of `dial` lead to the host of `url`; without a proxy it does so already.
///
/// The timeout is [`Timeouts::connect`](sansws_core::config::Timeouts::connect); then it fails with [`Error::ConnectTimeout`]. Not a byte
/// after the proxy's answer is read. Dropping the future drops the transport.
pub async fn tunnel<T: Transport>(
    mut transport: T,
    url: &Url,
    dial: &ConnectOptions,
) -> Result<T, Error> {
    let Some(proxy) = dial.proxy_for(url) else {
        return Ok(transport);
    };
    let mut handshake = proxy.handshake(url.host(), url.port(), &dial.config.limits)?;
    let timeout = dial.config.timeouts.connect;
    let deadline = timeout.map(|timeout| transport.now() + timeout);
    let mut buffer = [0; BUFFER];
    let speak = |transport: &mut T, cx: &mut Context<'_>| {
        loop {
            while !handshake.output().is_empty() {
                let output = [IoSlice::new(handshake.output())];
                let count = ready!(transport.poll_write(cx, &output))?;
                if count == 0 {
                    return Poll::Ready(Err(io::Error::from(io::ErrorKind::WriteZero).into()));
                }
                handshake.written(count);
            }
            ready!(transport.poll_flush(cx))?;
            let room = buffer.len().min(handshake.need());
            let room = buffer.get_mut(..room).unwrap_or_default();
            let count = ready!(transport.poll_read(cx, room))?;
            let input = room.get(..count).unwrap_or_default();
            if handshake.receive(input)? == TunnelStep::Open {
                return Poll::Ready(Ok(()));
            }
        }
    };
    within(&mut transport, deadline, Error::ConnectTimeout(None), speak).await?;
    Ok(transport)
}

/// Longer than any single answer of a proxy.
const BUFFER: usize = 512;
