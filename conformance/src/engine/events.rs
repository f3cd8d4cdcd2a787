//! The events of a run: which of them reach the script, and in which order they are taken.
//! RFC 6455 section 5.5 for those that affect no case.

use super::{Run, judge};
use crate::frame;
use crate::http2::Incident;
use crate::inbox::Event;
use crate::record::Who;
use crate::script::Chop;
use crate::verdict::Verdict;

/// Maximum number of events that wait to be processed.
const MOST_EVENTS: usize = 50_000;

/// Maximum number of pings of a peer that are answered.
const MOST_PINGS: u32 = 10_000;

impl Run {
    /// Queues an event; returns whether there was room for it.
    pub(super) fn enqueue(&mut self, event: Event) -> bool {
        self.queued += weight(&event);
        self.events.push_back(event);
        let room = self.events.len() <= MOST_EVENTS && self.queued <= crate::inbox::LONGEST;
        if !room {
            self.fail("it sent far more than was asked for".into());
        }
        room
    }

    /// Handles what affects no case: pings, and pongs that answer no ping. Returns all other events.
    pub(super) fn sift(&mut self, event: Event) -> Option<Event> {
        let control = matches!(event, Event::Ping(_) | Event::Pong(_));
        if control && self.answered {
            // 5.5.1: "After both sending and receiving a Close message, an endpoint [...] MUST close the underlying TCP connection."
            let what = judge::describe(&event);
            return Some(Event::Breach(format!(
                "after both Close frames it sent {what} (5.5.1)"
            )));
        }
        match event {
            // 5.5.2: "An endpoint MAY send a Ping frame any time after the connection is established".
            Event::Ping(payload) => {
                self.pinged(payload);
                None
            }
            // 5.5.3: "A Pong frame MAY be sent unsolicited."
            Event::Pong(payload) if !self.pongs.answers(&payload) => {
                self.record
                    .note(self.now, Who::Suite, "a pong that no ping asked for");
                if self.tells_pongs {
                    self.behaves(
                        Verdict::Informational,
                        "a pong came that no ping asked for (5.5.3)".into(),
                    );
                }
                if self.pongs.unasked > MOST_PINGS {
                    self.fail(format!(
                        "it sent more than {MOST_PINGS} pongs that no ping asked for"
                    ));
                }
                None
            }
            // 5.5.1 forbids data after a Close frame, and no other frame; 1.4: "a peer does not send any further data".
            Event::Close(..) if std::mem::replace(&mut self.closed, true) => {
                self.closes(
                    Verdict::NonStrict,
                    "it sent another Close frame after its Close frame (1.4)".into(),
                );
                None
            }
            Event::Close(..) => {
                self.answered = self.local.is_some();
                Some(event)
            }
            event => Some(event),
        }
    }

    /// Answers the newest ping, once nothing else waits to be written.
    pub(super) fn pinged(&mut self, payload: Vec<u8>) {
        self.pings += 1;
        self.pong = Some(payload);
        if self.pings > MOST_PINGS {
            self.fail(format!("it sent more than {MOST_PINGS} pings"));
        }
        self.answer_ping();
    }

    pub(super) fn answer_ping(&mut self) {
        let may = self.local.is_none() && self.outbox.is_empty() && !self.outbox.is_inside();
        if may && let Some(payload) = self.pong.take() {
            let pong = frame::pong(payload);
            self.outbox
                .frames(self.now, &[pong], Chop::Whole, &mut self.record);
        }
    }

    /// Takes the next event of the case. A rule that holds in all cases is not for the script to judge.
    pub(super) fn pop(&mut self) -> Option<Event> {
        loop {
            match self.pop_any()? {
                // An event beside the stream matters only to a step that waits for it.
                Event::Beside(_) => {}
                event => return Some(event),
            }
        }
    }

    /// Takes the next event, which may have happened beside the stream.
    pub(super) fn pop_any(&mut self) -> Option<Event> {
        match self.next_event()? {
            Event::Breach(breach) => {
                self.violate(breach);
                None
            }
            event => Some(event),
        }
    }

    pub(super) fn next_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        self.queued -= weight(&event);
        Some(event)
    }
}

fn weight(event: &Event) -> usize {
    match event {
        Event::Message { payload, .. } | Event::Ping(payload) | Event::Pong(payload) => {
            payload.len()
        }
        Event::Beside(Incident::Data { bytes, .. }) => bytes.len(),
        Event::Head(_)
        | Event::Close(..)
        | Event::Breach(_)
        | Event::Excess(_)
        | Event::End(_)
        | Event::Beside(_) => 0,
    }
}
