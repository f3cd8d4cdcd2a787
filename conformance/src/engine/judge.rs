//! Decides whether an event was expected, and which side must end TCP.
//! RFC 6455 section 7.

use std::time::Duration;

use super::{Phase, Run, Waited};
use crate::frame::{self, opcode};
use crate::http2::Incident;
use crate::http2::wire::error;
use crate::inbox::{End, Event};
use crate::script::{Chop, Codes, Peer, Want};
use crate::verdict::{Verdict, Word};

/// The effect of an event.
pub(super) enum Met {
    /// The step is done.
    Done,
    /// The script is done, and TCP must end.
    Ending,
    /// The case is over.
    Over,
    /// The event was not expected.
    Wrong(String),
}

impl Run {
    /// Decides, once both have closed, which side must end TCP. Returns whether anything changed.
    pub(super) fn end(&mut self, since: Duration) -> bool {
        while let Some(event) = self.next_event() {
            match event {
                Event::End(_) => {
                    self.phase = Phase::Over;
                    return true;
                }
                // The Close frames crossed.
                Event::Close(code, reason) if self.remote.is_none() => {
                    self.remote = Some((code, reason))
                }
                Event::Breach(breach) => {
                    self.closes(Verdict::Failed, breach);
                    self.phase = Phase::Over;
                    return true;
                }
                Event::Beside(_) => {}
                _ if self.remote.is_none() => {}
                event => {
                    self.closes(
                        Verdict::Failed,
                        format!("after its Close frame came {}", describe(&event)),
                    );
                    self.phase = Phase::Over;
                    return true;
                }
            }
        }
        // 7.1.1: the server ends TCP first
        if self.peer == Peer::Client && self.is_flushed() {
            self.shut_down();
        }
        if self.now < since + self.patience.linger {
            return false;
        }
        if self.peer == Peer::Server {
            self.waited = Some(Waited::End);
            self.closes(
                Verdict::FailedByClient,
                "the server did not end TCP: the client had to (5.5.1)".into(),
            );
        }
        self.phase = Phase::Over;
        true
    }

    /// Returns whether an event is the expected one.
    pub(super) fn meet(&mut self, want: &Want, event: Event) -> Met {
        match (want, event) {
            (
                Want::Message { text, payload },
                Event::Message {
                    text: is_text,
                    payload: got,
                    ..
                },
            ) => {
                if *text != is_text {
                    Met::Wrong(format!("expected {want}, and the other kind came"))
                } else if *payload != got {
                    Met::Wrong(format!(
                        "expected {want}, and one of {} octets came: {}",
                        got.len(),
                        differ(payload, &got)
                    ))
                } else {
                    Met::Done
                }
            }
            (Want::Pong(payload), Event::Pong(got)) if *payload == got => Met::Done,
            (Want::Head(_, check), Event::Head(head)) => match check(&head) {
                Ok(()) => {
                    if head.opens() {
                        // The case leaves only the handshake open: once the connection is open, all rules hold.
                        self.word = Word::Must;
                        self.frames_follow(None);
                    }
                    Met::Done
                }
                Err(wrong) => Met::Wrong(wrong),
            },
            (Want::Close(codes), Event::Close(code, reason)) => {
                match self.answered {
                    true => self.judge_answer(codes, code),
                    false => self.judge_code(codes, code),
                }
                self.peer_closed(code, reason);
                Met::Done
            }
            (Want::Refusal(codes), Event::Close(Some(code), reason)) if codes.contains(&code) => {
                self.peer_closed(Some(code), reason);
                Met::Done
            }
            (Want::Fail(codes), Event::Close(code, reason)) => {
                self.judge_code(codes, code);
                self.peer_closed(code, reason);
                Met::Ending
            }
            (Want::Fail(_) | Want::End, Event::End(_)) => Met::Over,
            (want, event) => Met::Wrong(format!("expected {want}, and got {}", describe(&event))),
        }
    }

    /// Handles the peer's Close frame, which is answered unless we closed first.
    pub(super) fn peer_closed(&mut self, code: Option<u16>, reason: String) {
        if self.local.is_none() {
            let answer = match code {
                Some(code) => frame::close(code, ""),
                None => frame::frame(opcode::CLOSE, ""),
            };
            self.remember_close(std::slice::from_ref(&answer));
            self.outbox
                .frames(self.now, &[answer], Chop::Whole, &mut self.record);
        }
        self.remote = Some((code, reason));
    }

    /// Judges the code with which the peer failed the connection: 7.1.7 "SHOULD send a Close frame with an appropriate status code".
    pub(super) fn judge_code(&mut self, codes: &[u16], code: Option<u16>) {
        if !codes.is_empty() && !codes.contains(&code.unwrap_or(1005)) {
            self.closes(
                Verdict::WrongCode,
                format!(
                    "it closed with {}, and not with {}",
                    coded(code),
                    Codes(codes)
                ),
            );
        }
    }

    /// Reports the code of an answer to our Close frame: 5.5.1 "typically echos the status code it received" requires none. One that
    /// finds a fault where there is none is not appropriate (7.1.7).
    pub(super) fn judge_answer(&mut self, codes: &[u16], code: Option<u16>) {
        if !codes.is_empty() && !codes.contains(&code.unwrap_or(1005)) {
            let verdict = match code {
                Some(1002 | 1007) => Verdict::WrongCode,
                _ => Verdict::Informational,
            };
            self.closes(
                verdict,
                format!(
                    "it answered our Close frame with {}, and not with {}",
                    coded(code),
                    Codes(codes)
                ),
            );
        }
    }

    pub(super) fn wrong(&mut self, event: &Event, want: &str) {
        self.fail(format!("expected {want}, and got {}", describe(event)));
    }
}

pub(super) fn close_code(payload: &[u8]) -> u16 {
    match payload {
        [high, low, ..] => u16::from_be_bytes([*high, *low]),
        _ => 1005,
    }
}

/// Names the code of a Close frame.
fn coded(code: Option<u16>) -> String {
    code.map_or_else(|| "no code".into(), |code| code.to_string())
}

/// Returns where two payloads differ.
pub(super) fn differ(left: &[u8], right: &[u8]) -> String {
    match left
        .iter()
        .zip(right)
        .position(|(left, right)| left != right)
    {
        Some(at) => format!("they differ at octet {at}"),
        None => "one is the beginning of the other".into(),
    }
}

/// Describes an event.
pub(super) fn describe(event: &Event) -> String {
    match event {
        Event::Head(head) => format!("`{}`", head.first),
        Event::Message { text, payload, .. } => {
            let kind = if *text { "text" } else { "binary" };
            format!("a {kind} message of {} octets", payload.len())
        }
        Event::Ping(payload) => format!("a ping of {} octets", payload.len()),
        Event::Pong(payload) => format!("a pong of {} octets", payload.len()),
        Event::Close(Some(code), reason) if reason.is_empty() => format!("Close {code}"),
        Event::Close(Some(code), reason) => format!("Close {code} `{reason}`"),
        Event::Close(None, _) => "Close without a code".into(),
        Event::Breach(text) | Event::Excess(text) => text.clone(),
        Event::End(End::Fin) => "the end of TCP".into(),
        Event::End(End::Reset) => "a reset of TCP".into(),
        Event::End(End::Stream(code)) => format!("RST_STREAM with {}", error::name(*code)),
        Event::End(End::GoAway(code)) => format!("GOAWAY with {}", error::name(*code)),
        Event::Beside(Incident::Head { stream, head }) => {
            format!("`{}` on stream {stream}", head.first)
        }
        Event::Beside(Incident::Data { stream, bytes }) => {
            format!("{} octets on stream {stream}", bytes.len())
        }
        Event::Beside(Incident::End { stream, code }) => match code {
            Some(code) => format!("RST_STREAM with {} on stream {stream}", error::name(*code)),
            None => format!("the end of stream {stream}"),
        },
    }
}
