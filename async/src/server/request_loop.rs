//! From the first byte of a connection to the handler of a WebSocket, answering plain requests in between.
//! RFC 6455 section 4.2; RFC 9112 section 9.3 (persistence).
//! Knows how to read, write and time out; the service decides on requests.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use crate::contain::{contain, contained};
use crate::error::{Error, Result};
use crate::metrics::{RequestKind, trace};
use crate::server::connect_info::ConnectInfo;
use crate::server::handle::{RefusalPermit, ServerHandle};
use crate::server::options::ServerOptions;
use crate::server::scope::{Head, Scope};
use crate::server::service::{Answer, Decision, Service};
use crate::server::streaming::{PageReply, write_streamed};
use crate::server::upgrade::{Slot, Upgrade};
use crate::socket::buffer::Unread;
use crate::socket::exchange::{Peer, WriteAll, answer_and_end, look_at_peer, within};
use crate::transport::Transport;
use sansws_common::server::answer::{
    counted, encodable, failed, judge, late, note_refusal, written, written_head,
};
use sansws_core::config::Config;
use sansws_core::handshake::{Refusal, Request, ServerHandshake};
use sansws_core::http::field::has_token;
use sansws_core::http::{RequestHead, Response};
use sansws_core::internal::Framing;
use sansws_core::internal::{Body, BodyError};
use sansws_core::time::{Duration, Instant};

/// Maximum number of plain requests on one connection, so that its resources are freed eventually.
const VISITS: usize = 1_000;

/// How long a connection without a request lasts when its server shuts down: a timer of a runtime ends after a look at the sockets.
const MOMENT: Duration = Duration::from_millis(1);

/// A request for which a handler is to run.
pub(crate) struct Opening<T: Transport, H> {
    pub(crate) upgrade: Upgrade<T>,
    pub(crate) handler: H,
}

/// Reads a request. A refused one has already been answered when the error is returned.
pub async fn receive_request<T: Transport>(
    mut transport: T,
    config: Arc<Config>,
) -> Result<Upgrade<T>, Error> {
    let deadline = config
        .timeouts
        .handshake
        .map(|timeout| transport.now() + timeout);
    let mut reader = HeadReader::new(&config);
    let read = reader.read(&mut transport, deadline, None).await;
    let request = read.and_then(|head| Ok(Request::check(head)?));
    match request {
        Ok(request) => {
            let scope = Scope::new(Head::WebSocket(request), None, None, transport.now());
            let left = deadline.map(|deadline| deadline.since(transport.now()));
            Ok(Upgrade::new(
                scope,
                config,
                (transport, reader.unread),
                left,
            ))
        }
        Err(error) => Err(refuse_with(
            &mut transport,
            reader.unread,
            error,
            &config,
            Framing::default(),
        )
        .await),
    }
}

/// Reads requests and lets the service decide on them until one is for a handler; returns `None` if the connection ends first.
pub(crate) async fn open<T: Transport, S: Service<T>>(
    mut transport: T,
    options: &ServerOptions,
    service: &S,
    slot: Slot<T>,
    arrival: ConnectInfo,
    handle: ServerHandle,
) -> Result<Option<Opening<T, S::Handler>>, Error> {
    let config = &options.config;
    let mut reader = HeadReader::new(config);
    let mut deadline = config
        .timeouts
        .handshake
        .map(|timeout| arrival.begun + timeout);
    for visit in 1.. {
        let head = match reader.read(&mut transport, deadline, Some(&handle)).await {
            Ok(head) => head,
            // Between two requests, either side may end the connection.
            Err(Error::Io(_) | Error::Refusal(Refusal::Timeout | Refusal::Busy))
                if reader.unread.is_empty() && (visit > 1 || handle.is_closing()) =>
            {
                return Ok(None);
            }
            Err(error) => {
                note_refusal(&handle, &error);
                let framing = Framing::default();
                return Err(
                    refuse_with(&mut transport, reader.unread, error, config, framing).await,
                );
            }
        };
        if visit > 1 {
            // The keep-alive time is over; the handshake has its own timeout.
            let timeout = config.timeouts.handshake;
            deadline = timeout.map(|timeout| transport.now() + timeout);
        }
        let framing = Framing {
            keep_alive: head.keeps_alive() && visit < VISITS,
            head: head.method == "HEAD",
        };
        let judged = if handle.is_closing() && !service.is_always(&head) {
            Err(Refusal::Busy)
        } else {
            judge(head, S::PLAIN)
        };
        let head = match judged {
            Ok(head) => head,
            Err(refusal) => {
                let framing = Framing {
                    keep_alive: false,
                    ..framing
                };
                let error = refusal.into();
                note_refusal(&handle, &error);
                return Err(
                    refuse_with(&mut transport, reader.unread, error, config, framing).await,
                );
            }
        };
        let is_websocket = matches!(head, Head::WebSocket(_));
        let scope = options.scope(head, &arrival, transport.now());
        // An unread body cannot be distinguished from the next request.
        let mut is_body_unread = scope.has_body();
        let mut route = None;
        let peer = (&mut transport, &mut reader.unread);
        let response = match decide(peer, service, scope, deadline).await? {
            Decision::Handle {
                scope,
                handler,
                policy,
            } => {
                let left = deadline.map(|deadline| deadline.since(transport.now()));
                let config = Arc::clone(policy.config.as_ref().unwrap_or(config));
                let parts = (transport, reader.unread);
                let upgrade = Upgrade::new(scope, config, parts, left).on_a_task(slot, policy);
                return Ok(Some(Opening { upgrade, handler }));
            }
            Decision::Answer(response) => PageReply::Whole(response),
            Decision::Page {
                mut scope,
                page,
                policy,
            } => {
                route = scope.pattern().cloned();
                let limit = policy.config.as_ref().unwrap_or(config).limits.body;
                let read = reader.read_body(&mut transport, deadline, &scope, limit);
                match read.await {
                    Ok(body) => {
                        is_body_unread = false;
                        scope.set_body(body);
                        let peer = (&mut transport, &mut reader.unread);
                        answer_of(page, scope, &handle, peer, None).await?
                    }
                    Err(Error::Refusal(refusal)) => PageReply::Whole(refusal.response()),
                    Err(error) => return Err(error),
                }
            }
            Decision::Failed { error, route } => {
                PageReply::Whole(failed(&error, route.as_ref(), &handle))
            }
        };
        let (response, streamed) = match response {
            PageReply::Whole(response) => (response, None),
            PageReply::Streamed(mut streamed) => {
                let head = std::mem::replace(&mut streamed.head, Response::new(200));
                match encodable(head) {
                    Ok(head) => (head, Some(streamed)),
                    Err(instead) => (instead, None),
                }
            }
        };
        let asked = if is_websocket {
            RequestKind::WebSocket
        } else {
            RequestKind::Page
        };
        let response = counted(response, asked, &handle);
        tracing::debug!(
            http.response.status_code = response.status,
            "a request was answered"
        );
        let framing = Framing {
            keep_alive: framing.keep_alive
                && !is_websocket
                && !is_body_unread
                && !handle.is_closing(),
            ..framing
        };
        let (bytes, has_stream) = match &streamed {
            Some(_) => written_head(&response, framing),
            None => (written(&response, framing), false),
        };
        if let Some(streamed) = streamed.filter(|_| has_stream) {
            let unread = &mut reader.unread;
            let streamed = (bytes, streamed);
            match write_streamed(&mut transport, unread, streamed, &handle, config).await {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                // Only a stream of the application panics.
                Err(Error::Panic) => {
                    trace::page_failed(&Error::Panic.into(), route.as_ref(), &handle);
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
            if !framing.keep_alive || handle.is_closing() {
                answer_and_end(&mut transport, reader.unread, &[], config).await?;
                return Ok(None);
            }
            deadline = Some(transport.now() + config.timeouts.keep_alive);
            continue;
        }
        if !framing.keep_alive {
            answer_and_end(&mut transport, reader.unread, &bytes, config).await?;
            return Ok(None);
        }
        let late = Some(transport.now() + config.timeouts.to_take_whole(bytes.len()));
        let mut write = WriteAll::new(&bytes);
        within(&mut transport, late, Refusal::Timeout, |transport, cx| {
            write.poll(transport, cx)
        })
        .await?;
        deadline = Some(transport.now() + config.timeouts.keep_alive);
    }
    Ok(None)
}

/// Lets the service decide on a request. A decision that panics is a 500, one that takes too long a 503.
async fn decide<T: Transport, S: Service<T>>(
    (transport, unread): (&mut T, &mut Unread),
    service: &S,
    scope: Scope,
    deadline: Option<Instant>,
) -> Result<Decision<S::Handler>, Error> {
    let failed = |error: Error| Decision::Failed {
        error: error.into(),
        route: None,
    };
    let deciding = match contain(|| service.decide(scope)) {
        Ok(deciding) => contained(deciding),
        Err(error) => return Ok(failed(error)),
    };
    let mut deciding = pin!(deciding);
    let poll = |transport: &mut T, cx: &mut Context<'_>| {
        if let Poll::Ready(decision) = deciding.as_mut().poll(cx) {
            return Poll::Ready(Ok(decision));
        }
        poll_left(transport, unread, cx)
    };
    match within(transport, deadline, Refusal::Busy, poll).await {
        Ok(decision) => Ok(decision.unwrap_or_else(failed)),
        Err(Error::Refusal(Refusal::Busy)) => {
            tracing::warn!("the decision on a request timed out");
            Ok(Decision::Answer(late()))
        }
        Err(left) => Err(left),
    }
}

/// Returns the response of a page. It is dropped when its client leaves.
async fn answer_of<T: Transport>(
    page: Answer,
    scope: Scope,
    handle: &ServerHandle,
    (transport, unread): (&mut T, &mut Unread),
    deadline: Option<Instant>,
) -> Result<PageReply, Error> {
    let route = scope.pattern().cloned();
    let answer = match contain(|| page(scope)) {
        Ok(answering) => {
            let mut answering = pin!(contained(answering));
            let poll = |transport: &mut T, cx: &mut Context<'_>| {
                if let Poll::Ready(answer) = answering.as_mut().poll(cx) {
                    return Poll::Ready(Ok(answer));
                }
                poll_left(transport, unread, cx)
            };
            within(transport, deadline, Refusal::Busy, poll).await?
        }
        Err(panic) => Err(panic),
    };
    Ok(answer
        .unwrap_or_else(|panic| Err(panic.into()))
        .unwrap_or_else(|error| PageReply::Whole(failed(&error, route.as_ref(), handle))))
}

/// Fails once the peer has left.
fn poll_left<T: Transport, R>(
    transport: &mut T,
    unread: &mut Unread,
    cx: &mut Context<'_>,
) -> Poll<Result<R, Error>> {
    match look_at_peer(transport, unread, cx)? {
        Peer::Waits | Peer::Floods => Poll::Pending,
        Peer::Left => Poll::Ready(Err(io::Error::from(io::ErrorKind::UnexpectedEof).into())),
    }
}

/// Answers a refused request, and ends the connection.
async fn refuse_with<T: Transport>(
    transport: &mut T,
    unread: Unread,
    error: Error,
    config: &Config,
    framing: Framing,
) -> Error {
    if let Error::Refusal(refusal) = &error {
        let bytes = written(&refusal.response(), framing);
        let _ = answer_and_end(transport, unread, &bytes, config).await;
    }
    error
}

/// Reads heads, one after the other.
struct HeadReader {
    handshake: ServerHandshake,
    unread: Unread,
}

impl HeadReader {
    fn new(config: &Arc<Config>) -> Self {
        Self {
            handshake: ServerHandshake::new(Arc::clone(config)),
            unread: Unread::default(),
        }
    }

    /// Reads a head until the deadline. On shutdown, it does not wait for a head that has not started.
    async fn read<T: Transport>(
        &mut self,
        transport: &mut T,
        deadline: Option<Instant>,
        handle: Option<&ServerHandle>,
    ) -> Result<RequestHead, Error> {
        match self.read_unless_closing(transport, deadline, handle).await {
            Err(Error::Refusal(Refusal::Busy)) if self.unread.is_empty() => {
                self.arrives(transport).await?;
                self.read_unless_closing(transport, deadline, None).await
            }
            read => read,
        }
    }

    /// Waits a moment for the start of a head: a runtime reports what has arrived only after its next look at the sockets.
    async fn arrives<T: Transport>(&mut self, transport: &mut T) -> Result<(), Error> {
        let unread = &mut self.unread;
        let read = |transport: &mut T, cx: &mut Context<'_>| {
            let read = transport.poll_read(cx, unread.room());
            if read.is_pending() {
                unread.park();
            }
            match ready!(read)? {
                0 => Poll::Ready(Err(io::Error::from(io::ErrorKind::UnexpectedEof).into())),
                count => {
                    unread.filled(count);
                    Poll::Ready(Ok(()))
                }
            }
        };
        let soon = Some(transport.now() + MOMENT);
        within(transport, soon, Refusal::Busy, read).await
    }

    async fn read_unless_closing<T: Transport>(
        &mut self,
        transport: &mut T,
        deadline: Option<Instant>,
        handle: Option<&ServerHandle>,
    ) -> Result<RequestHead, Error> {
        let Self { handshake, unread } = self;
        let read = |transport: &mut T, cx: &mut Context<'_>| {
            loop {
                // Received bytes are examined at once, before the next read.
                if let Some((head, length)) = handshake.receive_head(unread.bytes())? {
                    unread.consume(length);
                    return Poll::Ready(Ok(head));
                }
                match transport.poll_read(cx, unread.room()) {
                    Poll::Ready(Ok(0)) => {
                        return Poll::Ready(Err(Error::Io(io::ErrorKind::UnexpectedEof.into())));
                    }
                    Poll::Ready(Ok(count)) => unread.filled(count),
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                    Poll::Pending => {
                        unread.park();
                        if unread.is_empty() && handle.is_some_and(ServerHandle::is_closing) {
                            return Poll::Ready(Err(Refusal::Busy.into()));
                        }
                        return Poll::Pending;
                    }
                }
            }
        };
        within(transport, deadline, Refusal::Timeout, read).await
    }
}

impl HeadReader {
    /// Reads the body of a request, if it has one.
    async fn read_body<T: Transport>(
        &mut self,
        transport: &mut T,
        deadline: Option<Instant>,
        head: &RequestHead,
        limit: usize,
    ) -> Result<Vec<u8>, Error> {
        let refused = |error| match error {
            BodyError::Malformed => Error::from(Refusal::Malformed),
            BodyError::TooLarge => Refusal::Content.into(),
        };
        let mut body = Body::of(head, limit).map_err(refused)?;
        let unread = &mut self.unread;
        // RFC 9110 10.1.1: the client "wishes to receive a 100 (Continue) interim response"
        let waits = !body.is_whole()
            && unread.is_empty()
            && has_token(head.fields.all("expect"), "100-continue");
        let mut go_on = WriteAll::new(if waits {
            b"HTTP/1.1 100 Continue\r\n\r\n"
        } else {
            b""
        });
        let read = |transport: &mut T, cx: &mut Context<'_>| {
            ready!(go_on.poll(transport, cx))?;
            loop {
                let taken = body.take(unread.bytes()).map_err(refused)?;
                unread.consume(taken);
                if body.is_whole() {
                    return Poll::Ready(Ok(()));
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
        within(transport, deadline, Refusal::Timeout, read).await?;
        Ok(body.into_bytes())
    }
}

/// Answers a refused connection, and ends it: with 503, unless it requests a page that is [always](Service::is_always) served.
pub async fn refuse<T: Transport, S: Service<T>>(
    transport: T,
    options: &ServerOptions,
    service: &S,
    arrival: ConnectInfo,
    away: &RefusalPermit,
) -> Result<(), Error> {
    let refused = contained(refuse_inside(transport, options, service, arrival, away)).await;
    refused.and_then(|refused| refused)
}

async fn refuse_inside<T: Transport, S: Service<T>>(
    mut transport: T,
    options: &ServerOptions,
    service: &S,
    arrival: ConnectInfo,
    away: &RefusalPermit,
) -> Result<(), Error> {
    let config = &options.config;
    let mut reader = HeadReader::new(config);
    let (mut response, mut framing) = (None, Framing::default());
    if service.has_always() {
        let deadline = Some(transport.now() + config.timeouts.to_ask_unadmitted());
        let read = reader.read(&mut transport, deadline, None).await;
        if let Ok(head) = read
            && service.is_always(&head)
            && let Ok(head) = judge(head, S::PLAIN)
        {
            framing.head = matches!(&head, Head::Plain(head) if head.method == "HEAD");
            let scope = options.scope(head, &arrival, transport.now());
            let peer = (&mut transport, &mut reader.unread);
            response = match decide(peer, service, scope, deadline).await? {
                Decision::Answer(response) => Some(response),
                // A refused connection gets only a short time.
                Decision::Page { scope, .. } if scope.has_body() => None,
                Decision::Page { scope, page, .. } => {
                    let peer = (&mut transport, &mut reader.unread);
                    match answer_of(page, scope, away.handle(), peer, deadline).await {
                        Ok(PageReply::Whole(response)) => Some(response),
                        Ok(PageReply::Streamed(_)) | Err(Error::Refusal(_)) => None,
                        Err(left) => return Err(left),
                    }
                }
                Decision::Failed { error, route } => {
                    Some(failed(&error, route.as_ref(), away.handle()))
                }
                Decision::Handle { .. } => None,
            };
        }
    }
    let handle = away.handle();
    let response = if let Some(response) = response {
        counted(response, RequestKind::Page, handle)
    } else {
        handle.counters().turned_away(handle.why_away());
        Refusal::Busy.response()
    };
    let bytes = written(&response, framing);
    answer_and_end(&mut transport, reader.unread, &bytes, config).await
}

/// Answers a connection, and ends it.
pub(crate) async fn reply<T: Transport>(
    mut transport: T,
    response: &Response,
    config: &Config,
) -> Result<(), Error> {
    let bytes = written(response, Framing::default());
    answer_and_end(&mut transport, Unread::default(), &bytes, config).await
}
