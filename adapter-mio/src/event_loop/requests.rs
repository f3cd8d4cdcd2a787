//! Requests of connections that are not open yet, and their answers; before them the PROXY protocol and TLS.
//! RFC 6455 section 4.2; RFC 9112 sections 9.3 (persistence) and 9.6 (how a connection ends after its last response).
//! Knows how to read, write and time out; the service decides on requests.

use std::io;
use std::rc::Rc;

use sansws_common::app::{Decision, answer_of};
#[cfg(feature = "tls")]
use sansws_common::contain::contain;
use sansws_common::error::Error;
use sansws_common::metrics::RequestKind;
use sansws_common::metrics::trace::{self, Span};
use sansws_common::server::answer::{
    counted, failed, judge, late, note_failure, note_refusal, written,
};
use sansws_common::server::verdict::Blame;
use sansws_common::{Admission, ConnectionOutcome};
use sansws_core::handshake::Refusal;
use sansws_core::http::field::has_token;
use sansws_core::http::{RequestHead, Response};
use sansws_core::internal::{Body, BodyError, Framing};
use sansws_core::proxy::Source;
use sansws_core::time::Instant;

use super::opening::{Next, Opening, Page, Phase, Reading};
use super::peer::Stage;
use super::{Loop, Served};
use crate::clock::now;

/// Maximum number of plain requests on one connection, so that its resources are freed eventually.
const VISITS: usize = 1_000;

/// Maximum number of bytes of a read before a connection is open.
const READ: usize = 16 << 10;

/// Steps after which the next connection has its turn: a peer that floods after its refusal would otherwise hold up all others.
const STEPS: usize = 64;

/// Maximum number of bytes that are read at once where no byte too many may be read.
const AT_MOST: usize = 512;

impl Loop {
    /// One turn: does all that can be done now.
    pub(super) fn opening_turn(&mut self, slot: usize) {
        let Some(served) = self.served.clone() else {
            return self.remove(slot);
        };
        let Some(peer) = self.peers.get_mut(slot) else {
            return;
        };
        let Stage::Opening(mut opening) = std::mem::replace(&mut peer.stage, Stage::Over) else {
            return;
        };
        let span = std::mem::take(&mut opening.span);
        let next = span.enter(|| {
            for _ in 0..STEPS {
                match self.step(slot, &mut opening, &served) {
                    Next::Step => {}
                    next => return next,
                }
            }
            Next::Step
        });
        match next {
            Next::Over => {
                drop(opening);
                self.remove(slot);
            }
            Next::Wait | Next::Step => {
                opening.span = span;
                if let Some(peer) = self.peers.get_mut(slot) {
                    peer.stage = Stage::Opening(opening);
                }
                if matches!(next, Next::Step) {
                    self.come_again(slot);
                }
            }
            Next::Open => {
                if let Some(peer) = self.peers.get_mut(slot)
                    && !span.is_none()
                {
                    peer.extras().span = span;
                }
                drop(opening);
                self.opened(slot);
                self.accepted_turn(slot);
            }
        }
    }

    fn step(&mut self, slot: usize, opening: &mut Opening, served: &Rc<Served>) -> Next {
        let Some(peer) = self.peers.get_mut(slot) else {
            return Next::Over;
        };
        let handle = &served.handle;
        let is_in = matches!(opening.admission, Some(Admission::In(_)));
        if opening.is_before_http() && handle.is_closing() && (is_in || handle.is_ending()) {
            // There is no answer.
            return Next::Over;
        }
        let has_answer = !opening.answer.is_empty();
        match opening.write(&mut peer.stream) {
            Ok(()) if has_answer && matches!(opening.phase, Phase::Head) => {
                opening.deadline = Some(now() + served.options.config.timeouts.keep_alive);
            }
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Next::Wait,
            Err(_) => return Next::Over,
        }
        match &mut opening.phase {
            Phase::Proxy(..) => self.proxy(slot, opening),
            #[cfg(feature = "tls")]
            // It may call code of the application: for a certificate, or to verify one.
            Phase::Tls => match contain(|| peer.stream.shake_hands())
                .unwrap_or_else(|panic| Err(io::Error::other(panic)))
            {
                Ok(()) => {
                    opening.arrival.secure = true;
                    opening.phase = Phase::Head;
                    // TLS may hold a request already, without an event that tells so: its last words and the request were read at once,
                    // before the loop asked for events.
                    peer.flags.readable = true;
                    Next::Step
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Next::Wait,
                Err(error) => not_begun(opening, error.into()),
            },
            Phase::Head => self.head(slot, opening, served),
            Phase::Body(_) => self.body(slot, opening, served),
            Phase::Answering(_) => self.answer_deferred(slot, opening, served),
            Phase::Ending { shut } => {
                if !std::mem::replace(shut, true) {
                    match peer.stream.shut_down() {
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                            *shut = false;
                            return Next::Wait;
                        }
                        Err(_) => return Next::Over,
                        Ok(()) => {
                            let wait = served.options.config.timeouts.to_end();
                            opening.deadline = Some(now() + wait);
                        }
                    }
                }
                // A reset would destroy the answer: the peer ends TCP.
                opening.input.clear();
                self.fill(slot, opening)
            }
        }
    }

    /// Reads what is there, behind what is held.
    fn fill(&mut self, slot: usize, opening: &mut Opening) -> Next {
        let Some(peer) = self.peers.get_mut(slot) else {
            return Next::Over;
        };
        if opening.ended {
            return Next::Over;
        }
        if !peer.flags.readable {
            return Next::Wait;
        }
        let room = self.buffers.input.get_mut(..READ).unwrap_or_default();
        match peer.stream.read(room) {
            Ok(arrived) if arrived.count > 0 => {
                if arrived.drained && !peer.flags.hung_up {
                    peer.flags.readable = false;
                }
                opening
                    .input
                    .extend_from_slice(room.get(..arrived.count).unwrap_or_default());
                Next::Step
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                peer.flags.readable = false;
                Next::Wait
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Next::Step,
            Ok(_) | Err(_) => {
                opening.ended = true;
                peer.flags.readable = false;
                Next::Over
            }
        }
    }

    /// Reads what is there, in the middle of a request.
    pub(super) fn fill_or_end(
        &mut self,
        slot: usize,
        opening: &mut Opening,
        served: &Served,
    ) -> Next {
        let filled = self.fill(slot, opening);
        if matches!(filled, Next::Over) {
            let error = io::Error::from(io::ErrorKind::UnexpectedEof).into();
            end(opening, served, error);
        }
        filled
    }

    /// Reads the header of a proxy, and not a byte more.
    fn proxy(&mut self, slot: usize, opening: &mut Opening) -> Next {
        let Some(peer) = self.peers.get_mut(slot) else {
            return Next::Over;
        };
        let Phase::Proxy(header, speaks) = &mut opening.phase else {
            return Next::Step;
        };
        let mut bytes = [0; AT_MOST];
        let room = bytes
            .get_mut(..header.need().min(AT_MOST))
            .unwrap_or_default();
        let count = match peer.stream.read(room) {
            Ok(arrived) => arrived.count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                peer.flags.readable = false;
                return Next::Wait;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Next::Step,
            Err(error) => return not_begun(opening, error.into()),
        };
        let source = match header.receive(bytes.get(..count).unwrap_or_default()) {
            Ok(None) => return Next::Step,
            Ok(Some(source)) => source,
            Err(error) => {
                let error = io::Error::new(io::ErrorKind::InvalidData, error.to_string());
                return not_begun(opening, error.into());
            }
        };
        if let Source::Peer { source, .. } = source {
            opening.arrival.peer = Some(source);
            opening.span = Span::default();
        }
        let speaks = std::mem::take(&mut **speaks);
        match opening.secure(&mut peer.stream, &speaks) {
            Ok(()) => Next::Step,
            Err(error) => not_begun(opening, error),
        }
    }

    /// Reads a head, and decides on its request.
    fn head(&mut self, slot: usize, opening: &mut Opening, served: &Rc<Served>) -> Next {
        let handle = &served.handle;
        if opening.is_refused() {
            return self.refused_head(slot, opening, served);
        }
        let head = match opening.handshake.receive_head(&opening.input) {
            Ok(Some((head, length))) => {
                opening.input.drain(..length);
                head
            }
            Ok(None) => {
                let may_end = opening.is_idle() && handle.is_closing();
                if may_end && let Some(peer) = self.peers.get_mut(slot) {
                    // A request may have arrived of which the loop was not told yet.
                    peer.flags.readable = true;
                }
                let filled = self.fill(slot, opening);
                if may_end && matches!(filled, Next::Wait) {
                    return Next::Over;
                }
                if matches!(filled, Next::Over)
                    && !may_end
                    && (opening.visit == 1 || !opening.is_idle())
                {
                    let error = io::Error::from(io::ErrorKind::UnexpectedEof).into();
                    end(opening, served, error);
                }
                return filled;
            }
            Err(refusal) => {
                return refuse(opening, served, refusal, Framing::default(), self.now);
            }
        };
        if opening.visit > 1 {
            // The keep-alive time is over; the handshake has its own timeout.
            let timeout = served.options.config.timeouts.handshake;
            opening.deadline = timeout.map(|timeout| self.now + timeout);
        }
        let framing = Framing {
            keep_alive: head.keeps_alive() && opening.visit < VISITS,
            head: head.method == "HEAD",
        };
        self.decide(slot, opening, served, head, framing)
    }

    /// Reads the head of a connection that is not admitted, if there may be a page for it, and answers.
    fn refused_head(&mut self, slot: usize, opening: &mut Opening, served: &Served) -> Next {
        let mut head = None;
        if served.app.has_always() {
            match opening.handshake.receive_head(&opening.input) {
                Ok(Some((received, length))) => {
                    opening.input.drain(..length);
                    head = Some(received);
                }
                Ok(None) => {
                    if !std::mem::replace(&mut opening.has_short_deadline, true) {
                        let wait = served.options.config.timeouts.to_ask_unadmitted();
                        opening.deadline = Some(self.now + wait);
                    }
                    let filled = self.fill(slot, opening);
                    if !matches!(filled, Next::Over) {
                        return filled;
                    }
                }
                Err(_) => {}
            }
        }
        turn_away(opening, served, head, self.now)
    }

    fn decide(
        &mut self,
        slot: usize,
        opening: &mut Opening,
        served: &Rc<Served>,
        head: RequestHead,
        framing: Framing,
    ) -> Next {
        let handle = &served.handle;
        let judged = if handle.is_closing() && !served.app.is_always(&head) {
            Err(Refusal::Busy)
        } else {
            judge(head, served.app.is_plain())
        };
        let head = match judged {
            Ok(head) => head,
            Err(refusal) => {
                let framing = last(framing);
                return refuse(opening, served, refusal, framing, self.now);
            }
        };
        let mut scope = served.options.scope(head, &opening.arrival, self.now);
        let (is_websocket, has_body) = (scope.is_websocket(), scope.has_body());
        let found = match served.app.decide(&mut scope) {
            Decision::Handle(handler, policy) => match handler.page() {
                None => {
                    return self.upgrade(slot, opening, served, scope, &handler, &policy);
                }
                Some(page) => Ok((page, policy)),
            },
            Decision::Page(page, policy) => Ok((Page::Now(page), policy)),
            Decision::Answer(response) => Err(response),
            Decision::Failed(error, route) => Err(failed(&error, route.as_ref(), handle)),
        };
        let response = match found {
            Err(response) => response,
            Ok((page, policy)) => {
                let config = policy.config.as_ref().unwrap_or(&served.options.config);
                match Body::of(&scope, config.limits.body) {
                    Ok(body) => {
                        // RFC 9110 10.1.1: the client "wishes to receive a 100 (Continue) interim response"
                        if !body.is_whole()
                            && opening.input.is_empty()
                            && has_token(scope.fields.all("expect"), "100-continue")
                        {
                            opening.respond(Vec::from(*b"HTTP/1.1 100 Continue\r\n\r\n"));
                        }
                        opening.phase = Phase::Body(Box::new(Reading {
                            scope,
                            page,
                            policy,
                            body,
                            framing: Framing {
                                keep_alive: framing.keep_alive && !is_websocket,
                                ..framing
                            },
                        }));
                        return Next::Step;
                    }
                    Err(error) => refused(error).response(),
                }
            }
        };
        // An unread body cannot be distinguished from the next request.
        let framing = Framing {
            keep_alive: framing.keep_alive && !is_websocket && !has_body,
            ..framing
        };
        answer(opening, served, response, framing, is_websocket)
    }

    /// Reads the body of a request for a page, and lets the page answer.
    fn body(&mut self, slot: usize, opening: &mut Opening, served: &Rc<Served>) -> Next {
        let Phase::Body(reading) = &mut opening.phase else {
            return Next::Step;
        };
        // A fallback answers those too.
        let is_websocket = reading.scope.is_websocket();
        let taken = reading.body.take(&opening.input);
        match taken {
            Ok(count) => drop(opening.input.drain(..count)),
            Err(error) => {
                let framing = last(reading.framing);
                let response = refused(error).response();
                return answer(opening, served, response, framing, is_websocket);
            }
        }
        if !reading.body.is_whole() {
            return self.fill_or_end(slot, opening, served);
        }
        let Phase::Body(reading) = std::mem::replace(&mut opening.phase, Phase::Head) else {
            return Next::Step;
        };
        let Reading {
            mut scope,
            page,
            policy,
            body,
            framing,
        } = *reading;
        scope.set_body(body.into_bytes());
        let page = match page {
            Page::Now(page) => page,
            Page::Deferred(page) => {
                return self.defer(slot, opening, served, &page, scope, framing);
            }
            Page::Streamed(host) => {
                return self.begin_stream(slot, opening, served, scope, &host, &policy, framing);
            }
        };
        let response = answer_of(&page, scope, &served.handle);
        answer(opening, served, response, framing, is_websocket)
    }

    /// The time of a connection that is not open is over.
    pub(super) fn expire(&mut self, slot: usize) {
        let (now, Some(served)) = (self.now, self.served.clone()) else {
            return;
        };
        let Some(peer) = self.peers.get_mut(slot) else {
            return;
        };
        let Stage::Opening(opening) = &mut peer.stage else {
            return;
        };
        if opening.deadline.is_none_or(|at| at > now) {
            return;
        }
        let next = match &opening.phase {
            // The answer was not taken in time.
            _ if !opening.answer.is_empty() => Next::Over,
            Phase::Proxy(..) => not_begun(opening, Error::ConnectTimeout(None)),
            #[cfg(feature = "tls")]
            Phase::Tls => not_begun(opening, Error::ConnectTimeout(None)),
            Phase::Head if opening.is_refused() => turn_away(opening, &served, None, now),
            Phase::Head if opening.visit > 1 && opening.input.is_empty() => Next::Over,
            Phase::Head => refuse(opening, &served, Refusal::Timeout, Framing::default(), now),
            // They are requests for pages, or of a fallback, whatever became of them.
            Phase::Body(reading) => {
                let (framing, is_websocket) = (last(reading.framing), reading.scope.is_websocket());
                let late = Refusal::Timeout.response();
                answer(opening, &served, late, framing, is_websocket)
            }
            Phase::Answering(answering) => {
                let framing = last(answering.framing);
                let late = late();
                answer(opening, &served, late, framing, false)
            }
            Phase::Ending { .. } => Next::Over,
        };
        if matches!(next, Next::Over) {
            peer.stage = Stage::Over;
        }
        // A page that is late need not answer any more.
        self.drop_tasks(slot);
    }
}

/// Answers a request; the connection goes on if it is kept alive.
pub(super) fn answer(
    opening: &mut Opening,
    served: &Served,
    response: Response,
    framing: Framing,
    is_websocket: bool,
) -> Next {
    let asked = if is_websocket {
        RequestKind::WebSocket
    } else {
        RequestKind::Page
    };
    let response = counted(response, asked, &served.handle);
    let framing = Framing {
        keep_alive: framing.keep_alive && !served.handle.is_closing(),
        ..framing
    };
    let (bytes, timeouts) = (written(&response, framing), &served.options.config.timeouts);
    // The page may have taken its time.
    let now = now();
    if !framing.keep_alive {
        return opening.end_with(bytes, now, timeouts);
    }
    opening.deadline = Some(now + timeouts.to_take_whole(bytes.len()));
    opening.respond(bytes);
    opening.phase = Phase::Head;
    opening.visit += 1;
    Next::Step
}

/// Answers a connection that is not admitted, and ends it.
fn turn_away(
    opening: &mut Opening,
    served: &Served,
    head: Option<RequestHead>,
    at: Instant,
) -> Next {
    let (options, arrival) = (&served.options, &opening.arrival);
    let refused = served
        .app
        .refuse(head, options, arrival, at, &served.handle);
    let bytes = written(&refused.0, refused.1);
    // A page may have taken its time.
    opening.end_with(bytes, now(), &options.config.timeouts)
}

/// Returns the framing of a connection's last answer.
const fn last(framing: Framing) -> Framing {
    Framing {
        keep_alive: false,
        ..framing
    }
}

/// Ends a connection before HTTP.
fn not_begun(opening: &Opening, error: Error) -> Next {
    if let Some(admission) = &opening.admission {
        admission.not_begun(&error);
    }
    Next::Over
}

/// Answers an invalid request, or one whose head is late, and ends the connection.
fn refuse(
    opening: &mut Opening,
    served: &Served,
    refusal: Refusal,
    framing: Framing,
    now: Instant,
) -> Next {
    let response = refusal.response();
    note_refusal(&served.handle, &refusal.into());
    end(opening, served, refusal.into());
    let bytes = written(&response, framing);
    opening.end_with(bytes, now, &served.options.config.timeouts)
}

/// Records the end of a connection without a decision.
fn end(opening: &Opening, served: &Served, error: Error) {
    note_failure(&served.handle, &error);
    let outcome = ConnectionOutcome {
        result: Err(error.into()),
        ..ConnectionOutcome::default()
    };
    opening
        .span
        .enter(|| trace::ended(&outcome, Blame::Peer, None, &served.handle, None));
}

const fn refused(error: BodyError) -> Refusal {
    match error {
        BodyError::Malformed => Refusal::Malformed,
        BodyError::TooLarge => Refusal::Content,
    }
}
