//! Reads the header that a proxy in front of a server writes before the connection's own bytes.
//! The PROXY protocol, versions 1 and 2, of haproxy, sections 2.1 and 2.2.
//! Knows how to read with a timeout; `sansws_core::proxy` interprets the header.

use std::io;
use std::task::{Context, Poll};

use crate::error::{Error, Result};
use crate::socket::exchange::within;
use crate::transport::Transport;
use sansws_core::handshake::Refusal;
use sansws_core::proxy::{ProxyHeader, Source};
use sansws_core::time::Duration;

/// Reads the header, and not a byte more: TLS may follow.
///
/// # Errors
/// [`Error::Io`] when it is missing or malformed; [`Refusal::Timeout`] when it takes longer than `timeout`.
pub async fn receive_proxy_header<T: Transport>(
    transport: &mut T,
    timeout: Option<Duration>,
) -> Result<Source, Error> {
    let deadline = timeout.map(|timeout| transport.now() + timeout);
    let mut header = ProxyHeader::new();
    let read = |transport: &mut T, cx: &mut Context<'_>| {
        loop {
            let mut buffer = [0; 512];
            let need = header.need().min(buffer.len());
            let room = buffer.get_mut(..need).unwrap_or_default();
            let count = match transport.poll_read(cx, room) {
                Poll::Ready(count) => count?,
                Poll::Pending => return Poll::Pending,
            };
            let source = header
                .receive(room.get(..count).unwrap_or_default())
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
            if let Some(source) = source {
                return Poll::Ready(Ok(source));
            }
        }
    };
    within(transport, deadline, Error::from(Refusal::Timeout), read).await
}
