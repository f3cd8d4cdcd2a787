//! The client's opening handshake over a transport.
//! RFC 6455 section 4.1.
//! Knows how to read, write and time out; `sansws_core::handshake` interprets heads.

use std::sync::Arc;
use std::task::{Context, Poll};

use crate::error::{Error, Result};
use crate::socket::buffer::Unread;
use crate::socket::engine::Engine;
use crate::socket::exchange::{WriteAll, within};
use crate::socket::websocket::WebSocket;
use crate::transport::Transport;
use sansws_core::config::Config;
use sansws_core::connection::Connection;
use sansws_core::handshake::{ClientHandshake, ClientOptions, Failure, ServerAnswer};
use sansws_core::http::Url;
use sansws_core::random::Seed;
use sansws_core::time::Instant;

/// Opens a connection over `transport`, which already leads to the host of `url`, over TLS if the URL requires it. The timeout is
/// [`Timeouts::handshake`](sansws_core::config::Timeouts::handshake).
///
/// An answer other than 101 is [`Error::Refused`], with status, fields and body, even a redirect: see
/// [`location`](sansws_core::http::Response::location). A body that does not arrive in full within that time, and within
/// [`Timeouts::close`](sansws_core::config::Timeouts::close), is truncated.
pub async fn connect<T: Transport>(
    transport: T,
    url: &Url,
    options: ClientOptions,
    config: Arc<Config>,
    seed: Seed,
) -> Result<WebSocket<T>, Error> {
    let timeout = config.timeouts.handshake;
    let deadline = timeout.map(|timeout| transport.now() + timeout);
    connect_until(transport, url, options, config, seed, deadline).await
}

/// Like [`connect`], but a part of the timeout has passed, for example for TLS.
pub async fn connect_until<T: Transport>(
    mut transport: T,
    url: &Url,
    options: ClientOptions,
    config: Arc<Config>,
    seed: Seed,
    deadline: Option<Instant>,
) -> Result<WebSocket<T>, Error> {
    let fields = options.fields.clone();
    let handshake = ClientHandshake::new(&config, url, options, seed.nonce());
    let handshake = handshake.map_err(|misuse| Error::of_request(misuse, &fields))?;
    let request = Vec::from(handshake.request());
    let mut write = WriteAll::new(&request);
    within(
        &mut transport,
        deadline,
        Failure::Timeout,
        |transport, cx| write.poll(transport, cx),
    )
    .await?;
    let mut asking = Asking {
        handshake,
        unread: Unread::default(),
        ended: false,
    };
    let answer = asking.answer(&mut transport, &config, deadline).await?;
    match answer {
        ServerAnswer::Open(opened) => {
            let connection = Connection::client(config, &opened.agreement, seed, transport.now());
            Ok(WebSocket::new(
                Engine::new(transport, connection, asking.unread),
                Some(opened.into()),
            ))
        }
        ServerAnswer::Redirect(response) | ServerAnswer::Refused(response) => {
            Err(Error::Refused(Box::new(response)))
        }
    }
}

/// A request that was written, and the received part of the answer.
struct Asking {
    handshake: ClientHandshake,
    unread: Unread,
    ended: bool,
}

impl Asking {
    async fn answer<T: Transport>(
        &mut self,
        transport: &mut T,
        config: &Config,
        deadline: Option<Instant>,
    ) -> Result<ServerAnswer, Error> {
        let head = |transport: &mut T, cx: &mut Context<'_>| self.poll(transport, cx, true);
        let answer = within(transport, deadline, Failure::Timeout, head).await?;
        if let Some(answer) = answer {
            return Ok(answer);
        }
        // The status is known: even if the body is cut off, this is the server's answer.
        let until = config.timeouts.refusal_until(transport.now(), deadline);
        let body = |transport: &mut T, cx: &mut Context<'_>| self.poll(transport, cx, false);
        match within(transport, Some(until), Failure::Timeout, body).await {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) | Err(_) => {
                let answer = self.handshake.give_up(self.unread.bytes());
                answer.ok_or_else(|| Failure::EndOfInput.into())
            }
        }
    }

    /// Reads until the answer is there; with `head`, returns `None` once it is a refusal whose body is incomplete.
    fn poll<T: Transport>(
        &mut self,
        transport: &mut T,
        cx: &mut Context<'_>,
        head: bool,
    ) -> Poll<Result<Option<ServerAnswer>, Error>> {
        loop {
            let bytes = self.unread.bytes();
            if let Some((answer, length)) = self.handshake.receive(bytes, self.ended)? {
                self.unread.consume(length);
                return Poll::Ready(Ok(Some(answer)));
            }
            if head && self.handshake.is_refused() {
                return Poll::Ready(Ok(None));
            }
            match transport.poll_read(cx, self.unread.room()) {
                Poll::Ready(Ok(0)) => self.ended = true,
                Poll::Ready(Ok(count)) => self.unread.filled(count),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                Poll::Pending => {
                    self.unread.park();
                    return Poll::Pending;
                }
            }
        }
    }
}
