//! A run over HTTP/2: the bytes of its WebSocket are those of a stream.
//! RFC 8441 section 5.

use super::Run;
use super::judge::describe;
use crate::deflate::{Agreed, Params};
use crate::http::Head;
use crate::http2::wire::{MAIN, error, goaway};
use crate::http2::{Carried, heads, session};
use crate::inbox::{End, Event};
use crate::opening;
use crate::record::Who;
use crate::script::{Act, Peer, Setting, Step};
use crate::verdict::Verdict;

impl Run {
    /// Puts the ordinary handshake before the steps of the case.
    pub(super) fn open_http2(&mut self, setting: &Setting, params: Vec<Params>) {
        self.steps.push_front(Step::Open);
        if self.peer == Peer::Server {
            let mut fields = setting.connect();
            if !params.is_empty() {
                fields.push(("sec-websocket-extensions".into(), opening::offer(&params)));
            }
            let stream = self.http2.as_ref().and_then(session::Session::main);
            let request = Act::Request(stream.unwrap_or(1), fields, false);
            self.steps.push_front(Step::Http2(request));
        }
    }

    /// Takes bytes of the connection.
    pub(super) fn take_http2(&mut self, mut bytes: &[u8]) {
        loop {
            let Some(session) = &mut self.http2 else {
                return;
            };
            let Some(carried) = session.next(self.now, &mut bytes, &mut self.record) else {
                return;
            };
            let event = match carried {
                Carried::Bytes(bytes) if self.inbox.is_open() => {
                    self.take(&bytes);
                    continue;
                }
                Carried::Bytes(bytes) => {
                    self.inbox.keep(&bytes);
                    continue;
                }
                Carried::Head(head) => Some(Event::Head(head)),
                // RFC 9113 10.5: "An endpoint MAY treat activity that is suspicious as a connection error [...] of type
                // ENHANCE_YOUR_CALM."
                Carried::End(End::GoAway(error::ENHANCE_YOUR_CALM)) => {
                    let says = "it set a limit: GOAWAY with ENHANCE_YOUR_CALM (RFC 9113 10.5)";
                    return self.end_with(Verdict::Informational, says.into());
                }
                Carried::End(end) => self.inbox.end(end),
                Carried::Beside(incident) => Some(Event::Beside(incident)),
                Carried::Breach(breach) => Some(Event::Breach(breach)),
            };
            if let Some(event) = event {
                self.enqueue(event);
                self.go_on();
            }
        }
    }

    /// Moves output of the WebSocket into DATA frames, as far as the windows allow.
    pub(super) fn pump(&mut self) {
        let Some(session) = &mut self.http2 else {
            return;
        };
        while let Some(bytes) = self.outbox.first() {
            let count = session.room().min(bytes.len());
            if count == 0 {
                break;
            }
            session.data(bytes.get(..count).unwrap_or_default());
            self.outbox.written(count);
        }
    }

    /// Returns whether all output was written.
    pub(super) fn is_flushed(&self) -> bool {
        let session = self.http2.as_ref();
        self.outbox.is_empty() && session.is_none_or(|session| session.output().is_none())
    }

    /// Ends our side of TCP, or of the stream. A client is told to make a new connection for its next request.
    pub(super) fn shut_down(&mut self) {
        self.shutdown = true;
        let Some(session) = self.http2.as_mut().filter(|session| !session.has_ended()) else {
            return;
        };
        session.end_stream();
        if let (Peer::Client, Some(main)) = (self.peer, session.main()) {
            session.send(&[goaway(main, error::NO_ERROR)]);
        }
    }

    /// Does something beside the stream; returns it as a step if it is not done.
    pub(super) fn act(&mut self, act: Act) -> Option<Step> {
        self.pump();
        let now = self.now;
        let Some(session) = &mut self.http2 else {
            self.fail("the case needs HTTP/2".into());
            return None;
        };
        match act {
            Act::Frames(mut frames) => {
                let main = session.main().unwrap_or(1);
                for frame in &mut frames {
                    if frame.stream == MAIN {
                        frame.stream = main;
                    }
                }
                for frame in &frames {
                    self.record.http2(now, Who::Suite, frame.says());
                }
                session.send(&frames);
            }
            Act::Request(stream, fields, end) => match session.connect_protocol() {
                Some(1) => {
                    let says = format!("HTTP/2 HEADERS, stream {stream}");
                    self.record.http2(now, Who::Suite, says);
                    self.record.http2(now, Who::Suite, session::lines(&fields));
                    session.head(stream, &fields, end);
                }
                _ if session.is_settled() => {
                    self.violate("its SETTINGS do not enable extended CONNECT (RFC 8441 3)".into());
                }
                _ => return self.wait(Act::Request(stream, fields, end)),
            },
            Act::Answer { make, opens } => {
                let Some(event) = self.pop() else {
                    return Some(Step::Http2(Act::Answer { make, opens }));
                };
                match event {
                    Event::Head(head) => match heads::check_request(&head) {
                        Ok(()) => self.answer(&make(&head), opens),
                        Err(wrong) => self.violate(wrong),
                    },
                    event => self.wrong(&event, "a request"),
                }
            }
            Act::Await(what, look) => match look(session) {
                Some(Ok(())) => {}
                Some(Err(wrong)) => self.fail(wrong),
                None => return self.wait(Act::Await(what, look)),
            },
            Act::Refill(on) => session.refill(on),
            Act::Opened => self.frames_follow(None),
        }
        None
    }

    /// Waits for the session; the end of the connection, or a breach, ends the wait.
    fn wait(&mut self, act: Act) -> Option<Step> {
        if !matches!(self.events.front(), Some(Event::End(_) | Event::Breach(_))) {
            return Some(Step::Http2(act));
        }
        if let Some(event) = self.pop() {
            let got = describe(&event);
            self.fail(format!("waited, and got {got}"));
        }
        None
    }

    fn answer(&mut self, fields: &[(String, String)], opens: bool) {
        let Some(session) = &mut self.http2 else {
            return;
        };
        self.record
            .http2(self.now, Who::Suite, session::lines(fields));
        let main = session.main().unwrap_or(1);
        session.head(main, fields, false);
        if opens {
            self.frames_follow(None);
        }
    }

    /// Completes the ordinary handshake.
    pub(super) fn opened_http2(
        &mut self,
        head: &Head,
        params: &[Params],
    ) -> Result<Option<Agreed>, String> {
        if self.peer == Peer::Server {
            return opening::check_answer(head, params, &self.protocols);
        }
        heads::check_request(head)?;
        let (fields, agreed) = opening::answer_to(head, params)?;
        self.answer(&fields, false);
        Ok(agreed)
    }
}
