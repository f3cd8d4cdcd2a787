//! Through a proxy, over a transport.
//! RFC 9110 section 9.3.6 and RFC 1928 are spoken by `sansws_core::proxy`.
//! Knows how to read no octet too many, write and give up in time.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use crate::client::options::ConnectOptions;
use crate::error::{Error, Result};
use crate::socket::exchange::within;
use crate::transport::Transport;
use sansws_core::error::Misuse;
use sansws_core::http::Url;
use sansws_core::proxy::{Step, TunnelError};

/// Makes a transport that leads to the proxy of `dial` lead to the host of `url`; without a proxy it does so already.
///
/// It has [`Timeouts::connect`](sansws_core::config::Timeouts::connect), or fails with [`Error::ConnectTimeout`]. Not one octet behind
/// the proxy's answer is read. What was dropped before it was done has dropped the transport.
pub async fn tunnel<T: Transport>(
    mut transport: T,
    url: &Url,
    dial: &ConnectOptions,
) -> Result<T, Error> {
    let Some(proxy) = &dial.proxy else {
        return Ok(transport);
    };
    let mut handshake = proxy.ask(url.host(), url.port(), &dial.config.limits)?;
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
            if handshake.receive(input)? == Step::Open {
                return Poll::Ready(Ok(()));
            }
        }
    };
    within(&mut transport, deadline, Error::ConnectTimeout, speak).await?;
    Ok(transport)
}

/// Longer than what a proxy says at once.
const BUFFER: usize = 512;

impl From<TunnelError> for Error {
    fn from(error: TunnelError) -> Self {
        match error {
            // It was not the proxy: nothing was sent.
            TunnelError::Host => Misuse::BadUrl.into(),
            TunnelError::Credentials => Misuse::Credentials.into(),
            error => Self::Proxy(error),
        }
    }
}
