//! Opening handshakes over a transport, both sides.
//! RFC 6455 section 4.
//! Knows how to read, write and give up in time; what a head means is `crate::handshake`'s.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::future::poll_fn;
use core::task::{Context, Poll, ready};
use std::io::{self, IoSlice};
use std::sync::{Mutex, PoisonError};

use super::buffer::Unread;
use super::engine::{Engine, READS};
use super::websocket::{Shared, WebSocket};
use super::{Error, Result, Transport};
use crate::config::Config;
use crate::connection::Connection;
use crate::handshake::{
    Accept, Agreement, Answer, ClientHandshake, ClientOptions, Failure, Opened, Refusal, Request,
    ServerHandshake,
};
use crate::http::{Fields, Response, Url};
use crate::random::Seed;
use crate::time::{Duration, Instant};

/// What became of an [`Upgrade`], for the task that drives the connection.
#[derive(Debug)]
pub(super) enum Fate<T> {
    /// Not decided.
    Open,
    /// Accepted.
    Accepted(Arc<Shared<T>>),
    /// Dropped without an answer. Where part of an answer was written there is nothing left to do, and it stays open.
    Dropped(T),
    /// Rejected, and answered.
    Rejected,
}

pub(super) type Slot<T> = Arc<Mutex<Fate<T>>>;

/// A request for a WebSocket that is not answered yet. Nothing can be sent before it is accepted: it has no such method.
pub struct Upgrade<T: Transport> {
    /// Boxed, since it lies in the future of each handler for as long as the connection lives.
    inner: Box<Unanswered<T>>,
}

struct Unanswered<T> {
    request: Request,
    config: Arc<Config>,
    /// Always there, until it is answered.
    parts: Option<(T, Unread)>,
    /// What is left of the time for the handshake; the handler's own time does not count.
    left: Option<Duration>,
    /// Part of an answer was written: no other may follow.
    begun: bool,
    slot: Option<Slot<T>>,
}

impl<T: Transport> Upgrade<T> {
    /// The request.
    pub const fn request(&self) -> &Request {
        &self.inner.request
    }

    /// The path, as sent.
    pub fn path(&self) -> &str {
        self.inner.request.path()
    }

    /// The first header field called `name`.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.inner.request.header(name)
    }

    /// The transport, to look at it.
    pub fn transport(&self) -> Option<&T> {
        self.inner.parts.as_ref().map(|(transport, _)| transport)
    }

    /// Accepts, without a subprotocol.
    pub fn accept(self) -> impl Future<Output = Result<WebSocket<T>>> {
        self.accept_with(Accept::default())
    }

    /// Accepts with a subprotocol or header fields of the response.
    pub fn accept_with(self, accept: Accept) -> impl Future<Output = Result<WebSocket<T>>> {
        // Boxed, so that a handler does not hold room for it for as long as the connection lives.
        Box::pin(self.inner.accept(accept))
    }

    /// Rejects with an HTTP response, such as `Response::text(403, "members only")`, and ends the connection.
    pub fn reject(self, response: Response) -> impl Future<Output = Result<()>> {
        Box::pin(self.inner.reject(response))
    }
}

impl<T: Transport> Unanswered<T> {
    async fn accept(mut self: Box<Self>, accept: Accept) -> Result<WebSocket<T>> {
        let (response, agreement) = self.request.accept(&self.config, accept)?;
        let inner = &mut *self;
        if let Some((transport, _)) = &mut inner.parts {
            let deadline = inner.left.map(|left| transport.now() + left);
            let (begun, mut write) = (&mut inner.begun, WriteAll::new(&response));
            within(transport, deadline, Refusal::Timeout, |transport, cx| {
                let done = write.poll(transport, cx);
                *begun = write.left.len() < response.len();
                done
            })
            .await?;
        }
        let Some((transport, unread)) = self.parts.take() else {
            return Err(io::Error::from(io::ErrorKind::NotConnected).into());
        };
        let connection = Connection::server(Arc::clone(&self.config), &agreement, transport.now());
        let opened = agreement.subprotocol.is_some().then(|| {
            Box::new(Opened {
                agreement,
                fields: Fields::default(),
            })
        });
        let mut engine = Engine::new(transport, connection, unread);
        if self.slot.is_some() {
            engine.set_driven();
        }
        let socket = WebSocket::new(engine, opened);
        self.settle(Fate::Accepted(socket.shared()));
        Ok(socket)
    }

    async fn reject(mut self: Box<Self>, response: Response) -> Result<()> {
        let mut octets = Vec::new();
        response.write(&mut octets)?;
        let Some((mut transport, unread)) = self.parts.take() else {
            return Ok(());
        };
        self.settle(Fate::Rejected);
        answer_and_end(&mut transport, unread, &octets, &self.config).await
    }

    fn settle(&self, fate: Fate<T>) {
        if let Some(slot) = &self.slot {
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = fate;
        }
    }
}

impl<T> Drop for Unanswered<T> {
    fn drop(&mut self) {
        if let Some((transport, _)) = self.parts.take()
            && !self.begun
            && let Some(slot) = &self.slot
        {
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Fate::Dropped(transport);
        }
    }
}

impl<T: Transport> fmt::Debug for Upgrade<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrade")
            .field("request", &self.inner.request)
            .finish_non_exhaustive()
    }
}

/// Reads a request. One that is refused has been answered when the error comes back.
pub async fn receive_request<T: Transport>(
    transport: T,
    config: Arc<Config>,
) -> Result<Upgrade<T>> {
    let begun = transport.now();
    receive_request_for(transport, config, None, begun).await
}

pub(super) async fn receive_request_for<T: Transport>(
    mut transport: T,
    config: Arc<Config>,
    slot: Option<Slot<T>>,
    begun: Instant,
) -> Result<Upgrade<T>> {
    let deadline = config.timeouts.handshake.map(|timeout| begun + timeout);
    let (mut unread, mut handshake) =
        (Unread::default(), ServerHandshake::new(Arc::clone(&config)));
    let read = |transport: &mut T, cx: &mut Context<'_>| {
        loop {
            // What has arrived is looked at once, before the next read.
            if let Some((request, length)) = handshake.receive(unread.octets())? {
                unread.consume(length);
                return Poll::Ready(Ok(request));
            }
            match transport.poll_read(cx, unread.room()) {
                Poll::Ready(Ok(0)) => {
                    return Poll::Ready(Err(Error::Io(io::ErrorKind::UnexpectedEof.into())));
                }
                Poll::Ready(Ok(count)) => unread.filled(count),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                Poll::Pending => {
                    unread.park();
                    return Poll::Pending;
                }
            }
        }
    };
    match within(&mut transport, deadline, Refusal::Timeout, read).await {
        Ok(request) => Ok(Upgrade {
            inner: Box::new(Unanswered {
                request,
                config,
                left: deadline.map(|deadline| deadline.since(transport.now())),
                parts: Some((transport, unread)),
                begun: false,
                slot,
            }),
        }),
        Err(Error::Refusal(refusal)) => {
            let mut octets = Vec::new();
            refusal.response().write(&mut octets)?;
            answer_and_end(&mut transport, unread, &octets, &config).await?;
            Err(refusal.into())
        }
        Err(error) => Err(error),
    }
}

/// Answers, ends the writing side, and reads on until the peer ends its own: a reset would destroy the answer.
pub(super) async fn answer_and_end<T: Transport>(
    transport: &mut T,
    mut unread: Unread,
    octets: &[u8],
    config: &Config,
) -> Result<()> {
    let mut write = WriteAll::new(octets);
    let finish = |transport: &mut T, cx: &mut Context<'_>| {
        ready!(write.poll(transport, cx))?;
        ready!(transport.poll_shutdown(cx))?;
        for _ in 0..READS {
            unread.clear();
            let read = transport.poll_read(cx, unread.room());
            if read.is_pending() {
                unread.park();
            }
            if matches!(ready!(read), Ok(0) | Err(_)) {
                return Poll::Ready(Ok(()));
            }
        }
        // Input that is always ready starves neither the clock nor other tasks.
        unread.park();
        cx.waker().wake_by_ref();
        Poll::Pending
    };
    let deadline = Some(transport.now() + config.timeouts.close);
    match within(transport, deadline, Refusal::Timeout, finish).await {
        Ok(()) | Err(Error::Refusal(Refusal::Timeout) | Error::Io(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Opens a connection over `transport`, which leads to the host of `url`, by TLS if the URL says so.
///
/// Another answer than 101 is [`Error::Refused`], with status, fields and body; a redirect too: see [`Response::location`].
pub async fn connect<T: Transport>(
    mut transport: T,
    url: &Url,
    options: ClientOptions,
    config: Arc<Config>,
    seed: Seed,
) -> Result<WebSocket<T>> {
    let mut handshake = ClientHandshake::new(&config, url, options, seed.nonce())?;
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

/// The subprotocol, as far as there is one.
pub(super) fn subprotocol(agreement: &Agreement) -> Option<&str> {
    agreement.subprotocol.as_deref()
}

struct WriteAll<'a> {
    left: &'a [u8],
}

impl<'a> WriteAll<'a> {
    const fn new(left: &'a [u8]) -> Self {
        Self { left }
    }

    fn poll<T: Transport>(&mut self, transport: &mut T, cx: &mut Context<'_>) -> Poll<Result<()>> {
        while !self.left.is_empty() {
            let count = ready!(transport.poll_write(cx, &[IoSlice::new(self.left)]))?;
            if count == 0 {
                return Poll::Ready(Err(io::Error::from(io::ErrorKind::WriteZero).into()));
            }
            self.left = self.left.get(count..).unwrap_or_default();
        }
        ready!(transport.poll_flush(cx))?;
        Poll::Ready(Ok(()))
    }
}

/// Polls until it is ready, or the time is over.
async fn within<T: Transport, R>(
    transport: &mut T,
    deadline: Option<Instant>,
    late: impl Into<Error>,
    mut poll: impl FnMut(&mut T, &mut Context<'_>) -> Poll<Result<R>>,
) -> Result<R> {
    let mut late = Some(late);
    let mut armed = false;
    poll_fn(move |cx| {
        if let Poll::Ready(done) = poll(transport, cx) {
            return Poll::Ready(done);
        }
        let Some(deadline) = deadline else {
            return Poll::Pending;
        };
        loop {
            if !armed {
                transport.set_alarm(deadline);
                armed = true;
            }
            ready!(transport.poll_alarm(cx));
            armed = false;
            if transport.now() >= deadline
                && let Some(late) = late.take()
            {
                return Poll::Ready(Err(late.into()));
            }
        }
    })
    .await
}
