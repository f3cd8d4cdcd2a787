//! The client's opening handshake over a transport.
//! RFC 6455 section 4.1.
//! Knows how to read, write and give up in time; what a head means is `crate::handshake`'s.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::task::{Context, Poll};

use super::buffer::Unread;
use super::engine::Engine;
use super::exchange::{WriteAll, within};
use super::websocket::WebSocket;
use super::{Error, Result, Transport};
use crate::config::Config;
use crate::connection::Connection;
use crate::handshake::{Answer, ClientHandshake, ClientOptions, Failure};
use crate::http::Url;
use crate::random::Seed;

/// Opens a connection over `transport`, which leads to the host of `url`, by TLS if the URL says so.
///
/// Another answer than 101 is [`Error::Refused`], with status, fields and body; a redirect too: see [`location`](crate::http::Response::location).
pub async fn connect<T: Transport>(
    mut transport: T,
    url: &Url,
    options: ClientOptions,
    config: Arc<Config>,
    seed: Seed,
) -> Result<WebSocket<T>, Error> {
    let fields = options.fields.clone();
    let handshake = ClientHandshake::new(&config, url, options, seed.nonce());
    let mut handshake = handshake.map_err(|misuse| Error::of_fields(misuse, &fields))?;
    let timeout = config.timeouts.handshake;
    let deadline = timeout.map(|timeout| transport.now() + timeout);
    let request = Vec::from(handshake.request());
    let mut write = WriteAll::new(&request);
    within(
        &mut transport,
        deadline,
        Failure::Timeout,
        |transport, cx| write.poll(transport, cx),
    )
    .await?;
    let mut unread = Unread::default();
    let mut ended = false;
    let read = |transport: &mut T, cx: &mut Context<'_>| {
        loop {
            if let Some((answer, length)) = handshake.receive(unread.octets(), ended)? {
                unread.consume(length);
                return Poll::Ready(Ok(answer));
            }
            match transport.poll_read(cx, unread.room()) {
                Poll::Ready(Ok(0)) => ended = true,
                Poll::Ready(Ok(count)) => unread.filled(count),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                Poll::Pending => {
                    unread.park();
                    return Poll::Pending;
                }
            }
        }
    };
    let answer = within(&mut transport, deadline, Failure::Timeout, read).await?;
    match answer {
        Answer::Open(opened) => {
            let connection = Connection::client(config, &opened.agreement, seed, transport.now());
            Ok(WebSocket::new(
                Engine::new(transport, connection, unread),
                Some(Box::new(opened)),
            ))
        }
        Answer::Redirect(response) | Answer::Refused(response) => {
            Err(Error::Refused(Box::new(response)))
        }
    }
}
