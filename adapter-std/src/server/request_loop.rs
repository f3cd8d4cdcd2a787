//! From the first byte of a connection to the handler of a WebSocket, answering plain requests in between.
//! RFC 6455 section 4.2; RFC 9112 section 9.3 (persistence).
//! Knows how to read, write and time out; the service decides on requests.

use std::io;
use std::sync::Arc;

use sansws_common::app::{Page, answer_of};
use sansws_common::error::{Error, Result};
use sansws_common::metrics::RequestKind;
use sansws_common::server::answer::{counted, failed, judge, note_refusal, written, written_head};
use sansws_common::server::scope::Head;
use sansws_common::{ConnectInfo, Scope, ServerHandle};
use sansws_core::config::Timeouts;
use sansws_core::handshake::{Refusal, ServerHandshake};
use sansws_core::http::RequestHead;
use sansws_core::http::field::has_token;
use sansws_core::internal::{Body, BodyError, Framing};
use sansws_core::time::Instant;

use super::streaming::{self, StreamedPage};
use crate::app::{App, Decision, WebSocketHandler};
use crate::bell::Bell;
use crate::clock::now;
use crate::stream::{ByteStream, Stream};
use crate::wire::Wire;
use crate::{ConnectionPolicy, ServerOptions};

/// Maximum number of plain requests on one connection, so that its resources are freed eventually.
const VISITS: usize = 1_000;

/// A request for which a handler is to run.
pub(super) struct Opening {
    pub(super) scope: Scope,
    pub(super) handler: WebSocketHandler,
    pub(super) policy: Arc<ConnectionPolicy>,
    pub(super) wire: Wire<Stream>,
    /// The end of the handshake's time.
    pub(super) deadline: Option<Instant>,
}

/// A page of either kind.
enum AnyPage {
    Whole(Page),
    Streamed(StreamedPage),
}

/// Reads requests and lets the service decide on them until one is for a handler; returns `None` if the connection ends first.
pub(super) fn open(
    mut wire: Wire<Stream>,
    options: &ServerOptions,
    app: &App,
    arrival: &ConnectInfo,
    handle: &ServerHandle,
    bell: &Bell,
) -> Result<Option<Opening>, Error> {
    let config = &options.config;
    let timeouts = &config.timeouts;
    let mut handshake = ServerHandshake::new(Arc::clone(config));
    let timeout = timeouts.handshake;
    let mut deadline = timeout.map(|timeout| arrival.begun + timeout);
    for visit in 1.. {
        let head = match read_head(&mut wire, &mut handshake, deadline, handle, bell) {
            Ok(head) => head,
            // Between two requests, either side may end the connection; and the server may drop it.
            Err(Error::Io(_) | Error::Refusal(Refusal::Timeout | Refusal::Busy))
                if handle.is_dropping()
                    || wire.unread.is_empty() && (visit > 1 || handle.is_closing()) =>
            {
                return Ok(None);
            }
            Err(error) => {
                return Err(refuse_with(
                    wire,
                    error,
                    handle,
                    timeouts,
                    Framing::default(),
                ));
            }
        };
        if visit > 1 {
            // The keep-alive time is over; the handshake has its own timeout.
            deadline = timeout.map(|timeout| now() + timeout);
        }
        let framing = Framing {
            keep_alive: head.keeps_alive() && visit < VISITS,
            head: head.method == "HEAD",
        };
        let judged = if handle.is_closing() && !app.is_always(&head) {
            Err(Refusal::Busy)
        } else {
            judge(head, app.is_plain())
        };
        let head = match judged {
            Ok(head) => head,
            Err(refusal) => {
                let framing = Framing {
                    keep_alive: false,
                    ..framing
                };
                return Err(refuse_with(wire, refusal.into(), handle, timeouts, framing));
            }
        };
        let is_websocket = matches!(head, Head::WebSocket(_));
        let mut scope = options.scope(head, arrival, now());
        // An unread body cannot be distinguished from the next request.
        let mut is_body_unread = scope.has_body();
        let page = match app.decide(&mut scope) {
            Decision::Handle(handler, policy) => match handler.for_websocket() {
                Ok(handler) => {
                    return Ok(Some(Opening {
                        scope,
                        handler,
                        policy,
                        wire,
                        deadline,
                    }));
                }
                Err(page) => Ok((AnyPage::Streamed(page), policy)),
            },
            Decision::Page(page, policy) => Ok((AnyPage::Whole(page), policy)),
            Decision::Answer(response) => Err(response),
            Decision::Failed(error, route) => Err(failed(&error, route.as_ref(), handle)),
        };
        let (response, streaming) = match page {
            Ok((page, policy)) => {
                let limit = policy.config.as_ref().unwrap_or(config).limits.body;
                match read_body(&mut wire, deadline, &scope, limit) {
                    Ok(body) => {
                        is_body_unread = false;
                        scope.set_body(body);
                        match page {
                            AnyPage::Whole(page) => (answer_of(&page, scope, handle), None),
                            AnyPage::Streamed(page) => streaming::answer_of(&page, scope, handle),
                        }
                    }
                    Err(Error::Refusal(refusal)) => (refusal.response(), None),
                    Err(error) => return Err(error),
                }
            }
            Err(response) => (response, None),
        };
        let asked = if is_websocket {
            RequestKind::WebSocket
        } else {
            RequestKind::Page
        };
        let response = counted(response, asked, handle);
        let framing = Framing {
            keep_alive: framing.keep_alive
                && !is_websocket
                && !is_body_unread
                && !handle.is_closing(),
            ..framing
        };
        let (mut bytes, has_stream) = match &streaming {
            Some(_) => written_head(&response, framing),
            None => (written(&response, framing), false),
        };
        let mut ends = !framing.keep_alive;
        if let Some(streaming) = streaming.filter(|_| has_stream) {
            let head = std::mem::take(&mut bytes);
            if !streaming.write(&mut wire, head, handle, timeouts)? {
                return Ok(None);
            }
            ends |= handle.is_closing();
        }
        if ends {
            wire.answer_and_end(bytes, timeouts);
            return Ok(None);
        }
        let late = now() + timeouts.to_take_whole(bytes.len());
        wire.write(&mut bytes, Some(late))?;
        deadline = Some(now() + timeouts.keep_alive);
    }
    Ok(None)
}

/// Reads a head until the deadline. On shutdown, it does not wait for a head that has not started.
fn read_head(
    wire: &mut Wire<Stream>,
    handshake: &mut ServerHandshake,
    deadline: Option<Instant>,
    handle: &ServerHandle,
    bell: &Bell,
) -> Result<RequestHead, Error> {
    loop {
        // Received bytes are examined at once, before the next read.
        if let Some((head, length)) = handshake.receive_head(wire.unread.bytes())? {
            wire.unread.consume(length);
            return Ok(head);
        }
        let bell = bell.source().filter(|_| wire.unread.is_empty());
        // Asked before the socket is: what arrived before a shutdown is read.
        let is_closing = handle.is_closing();
        match wire.read_or_bell(deadline, bell) {
            Ok(Some(true)) => {}
            Ok(Some(false)) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            Ok(None) if is_closing && wire.unread.is_empty() => {
                return Err(Refusal::Busy.into());
            }
            Ok(None) => {}
            Err(Error::ConnectTimeout(_)) => return Err(Refusal::Timeout.into()),
            Err(error) => return Err(error),
        }
    }
}

/// Reads the body of a request, if it has one.
fn read_body(
    wire: &mut Wire<Stream>,
    deadline: Option<Instant>,
    head: &RequestHead,
    limit: usize,
) -> Result<Vec<u8>, Error> {
    let refused = |error| match error {
        BodyError::Malformed => Error::from(Refusal::Malformed),
        BodyError::TooLarge => Refusal::Content.into(),
    };
    let late = |error| match error {
        Error::ConnectTimeout(_) => Refusal::Timeout.into(),
        error => error,
    };
    let mut body = Body::of(head, limit).map_err(refused)?;
    // RFC 9110 10.1.1: the client "wishes to receive a 100 (Continue) interim response"
    if !body.is_whole()
        && wire.unread.is_empty()
        && has_token(head.fields.all("expect"), "100-continue")
    {
        let mut go_on = Vec::from(*b"HTTP/1.1 100 Continue\r\n\r\n");
        wire.write(&mut go_on, deadline).map_err(late)?;
    }
    loop {
        let taken = body.take(wire.unread.bytes()).map_err(refused)?;
        wire.unread.consume(taken);
        if body.is_whole() {
            return Ok(body.into_bytes());
        }
        if !wire.read(deadline).map_err(late)? {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
}

/// Answers a refused request, and ends the connection.
fn refuse_with(
    wire: Wire<Stream>,
    error: Error,
    handle: &ServerHandle,
    timeouts: &Timeouts,
    framing: Framing,
) -> Error {
    note_refusal(handle, &error);
    if let Error::Refusal(refusal) = &error {
        wire.answer_and_end(written(&refusal.response(), framing), timeouts);
    }
    error
}

/// Answers a connection that is not admitted: with 503, unless it asks for a page that is served always and the server is not over meanwhile.
pub(super) fn refuse(
    mut wire: Wire<Stream>,
    options: &ServerOptions,
    app: &App,
    arrival: &ConnectInfo,
    handle: &ServerHandle,
    is_over: impl Fn() -> bool,
) {
    let config = &options.config;
    let head = app.has_always().then(|| {
        let deadline = Some(now() + config.timeouts.to_ask_unadmitted());
        await_head(
            &mut wire,
            &mut ServerHandshake::new(Arc::clone(config)),
            deadline,
        )
    });
    let head = head.and_then(Result::ok).filter(|_| !is_over());
    let (response, framing) = app.refuse(head, options, arrival, now(), handle);
    wire.answer_and_end(written(&response, framing), &config.timeouts);
}

/// Reads a head until the deadline.
pub(super) fn await_head<S: ByteStream>(
    wire: &mut Wire<S>,
    handshake: &mut ServerHandshake,
    deadline: Option<Instant>,
) -> Result<RequestHead, Error> {
    loop {
        if let Some((head, length)) = handshake.receive_head(wire.unread.bytes())? {
            wire.unread.consume(length);
            return Ok(head);
        }
        if !wire.read(deadline)? {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
}
