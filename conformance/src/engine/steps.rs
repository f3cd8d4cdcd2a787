//! Executes each step of a script as far as possible.

use std::time::Duration;

use super::Run;
use super::judge::{Met, close_code, describe};
use crate::deflate::{Agreed, Deflater};
use crate::frame::{self, Frame, opcode};
use crate::http::Head;
use crate::inbox::Event;
use crate::opening;
use crate::record::Who;
use crate::script::{All, Branch, Check, Chop, Opening, Peer, Seen, Step, Trips, Want};
use crate::verdict::Verdict;

impl Run {
    /// Executes a step as far as possible; returns it if it is not done.
    pub(super) fn step(&mut self, step: Step) -> Option<Step> {
        match step {
            Step::Frames(frames, chop) => {
                self.send(&frames, chop);
                None
            }
            Step::Reference(frame, payload) => {
                match self.agreed.is_some_and(|agreed| agreed.own_takeover) {
                    true => self.send(&[frame], Chop::Whole),
                    false => self.message(frame.opcode == opcode::TEXT, &payload, None),
                }
                None
            }
            Step::Message(text, payload, fragment) => {
                self.message(text, &payload, fragment);
                None
            }
            Step::Bytes(bytes, chop) => {
                if bytes.starts_with(b"GET ") || bytes.starts_with(b"HTTP/") {
                    self.record.http(self.now, Who::Suite, &bytes);
                } else {
                    self.record.bytes(self.now, Who::Suite, &bytes);
                }
                self.outbox.raw(bytes, chop);
                None
            }
            Step::Pause(time) => self.pause(time, Step::Pause),
            Step::Quiet(time) => match self.pop() {
                Some(Event::Pong(_)) => {
                    self.behaves(Verdict::NonStrict, "a pong came late (5.5.2)".into());
                    Some(Step::Quiet(time))
                }
                Some(event) => {
                    self.wrong(&event, "nothing");
                    None
                }
                None => self.pause(time, Step::Quiet),
            },
            Step::Anything(time) => self.anything(time),
            Step::EndsNot(time) => match self.pop() {
                Some(Event::End(_)) => {
                    self.behaves(
                        Verdict::NonStrict,
                        "it ended TCP, and did not wait for us to".into(),
                    );
                    self.over();
                    None
                }
                Some(event) => {
                    self.wrong(&event, "nothing");
                    None
                }
                None => self.pause(time, Step::EndsNot),
            },
            Step::FailsWithin(time, codes) => self.fails_within(time, codes),
            Step::Expect(branches) => self.expect(branches),
            Step::All(all) => self.all(all),
            Step::PongWithin(time, payload) => self.pong_within(time, payload),
            Step::Close(close, codes) => self.closing(close, codes),
            Step::Trips(trips) => self.trips(trips),
            Step::Until(what, check) => self.until(what, check),
            Step::Sleep(time) => {
                (self.now < self.began.unwrap_or_default() + time).then_some(Step::Sleep(time))
            }
            Step::Open => self.opened(),
            Step::Respond { make, opens, chop } => {
                let Some(event) = self.pop() else {
                    return Some(Step::Respond { make, opens, chop });
                };
                match event {
                    Event::Head(head) => match opening::check_request(&head) {
                        Ok(()) => {
                            self.requested(&head);
                            let bytes = make(&head);
                            self.record.http(self.now, Who::Suite, &bytes);
                            self.outbox.bytes(bytes, chop);
                            if opens {
                                self.frames_follow(None);
                            }
                        }
                        Err(wrong) => self.violate(wrong),
                    },
                    event => self.wrong(&event, "a request"),
                }
                None
            }
            Step::Reading(on) => {
                self.reading = on;
                None
            }
            Step::Shutdown => {
                if !self.is_flushed() {
                    return Some(Step::Shutdown);
                }
                self.shut_down();
                self.record
                    .note(self.now, Who::Suite, "ends its side of TCP");
                None
            }
            Step::Leave => {
                self.over();
                None
            }
            Step::Keys(pattern) => {
                if let Err(shown) = self.inbox.keys().check(pattern) {
                    self.fail(shown);
                }
                None
            }
            Step::KeysStartAnew => {
                let first = self.inbox.keys().first();
                if first.is_some_and(|key| !self.past.mask(key)) {
                    self.fail(
                        "its first masking key was that of an earlier connection (5.3)".into(),
                    );
                }
                None
            }
            Step::NonceIsNew => {
                if !self.new_nonce {
                    self.fail(
                        "its Sec-WebSocket-Key was that of an earlier connection (4.1)".into(),
                    );
                }
                None
            }
            Step::HostNamesPort => {
                if !self.names_port {
                    self.fail("its Host does not name the port (4.1, RFC 9112 3.2)".into());
                }
                None
            }
            Step::TellPongs => {
                self.tells_pongs = true;
                None
            }
            Step::Http2(act) => self.act(act),
            Step::Say(verdict, text) => {
                self.behaves(verdict, text);
                None
            }
        }
    }

    /// Remembers what a client must choose anew for each connection.
    fn requested(&mut self, head: &Head) {
        if let Some(key) = head.field("Sec-WebSocket-Key") {
            self.new_nonce = self.past.nonce(key);
        }
        let (_, port) = self.host.rsplit_once(':').unwrap_or_default();
        let host = head.field("Host").unwrap_or_default();
        let named = host.rsplit_once(':').is_some_and(|(_, port)| {
            !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
        });
        self.names_port = named || matches!(port, "" | "80" | "443");
    }

    fn send(&mut self, frames: &[Frame], chop: Chop) {
        self.outbox.frames(self.now, frames, chop, &mut self.record);
        self.remember_close(frames);
        self.pongs.sent(frames);
    }

    pub(super) fn remember_close(&mut self, frames: &[Frame]) {
        for frame in frames {
            if frame.opcode == opcode::CLOSE && self.local.is_none() {
                self.local = Some(close_code(&frame.payload));
            }
        }
    }

    pub(super) fn pause(&mut self, time: Duration, again: fn(Duration) -> Step) -> Option<Step> {
        // A pause starts once the bytes before it have been written.
        if !self.settled && !self.is_flushed() {
            self.began = Some(self.now);
            return Some(again(time));
        }
        self.settled = true;
        (self.now < self.began.unwrap_or_default() + time).then(|| again(time))
    }

    pub(super) fn anything(&mut self, time: Duration) -> Option<Step> {
        if let Some(event) = self.pop() {
            self.behaves(
                Verdict::Informational,
                format!("it answered with {}", describe(&event)),
            );
            match event {
                Event::Close(code, reason) => {
                    self.peer_closed(code, reason);
                    self.steps.clear();
                }
                _ => self.over(),
            }
            return None;
        }
        let waits = self.pause(time, Step::Anything);
        if waits.is_none() {
            self.behaves(Verdict::Informational, "it did nothing".into());
            self.over();
        }
        waits
    }

    pub(super) fn fails_within(&mut self, time: Duration, codes: &'static [u16]) -> Option<Step> {
        if let Some(event) = self.pop() {
            match self.meet(&Want::Fail(codes), event) {
                Met::Done | Met::Ending => self.steps.clear(),
                Met::Over => self.over(),
                Met::Wrong(wrong) => self.fail(wrong),
            }
            return None;
        }
        let again = self.pause(time, Step::Pause);
        if again.is_some() {
            return Some(Step::FailsWithin(time, codes));
        }
        self.behaves(
            Verdict::NonStrict,
            "it saw the fault later than it could have".into(),
        );
        self.record
            .note(self.now, Who::Suite, "the fault was not seen yet");
        None
    }

    pub(super) fn expect(&mut self, branches: Vec<Branch>) -> Option<Step> {
        let Some(event) = self.pop() else {
            // A ping may have been sent in pieces.
            for branch in &branches {
                if let Want::Pong(payload) = &branch.want {
                    self.pongs.asks(payload);
                }
            }
            return Some(Step::Expect(branches));
        };
        let mut wrongs = Vec::new();
        let mut event = Some(event);
        for branch in &branches {
            let Some(happened) = event.take() else { break };
            let kept = happened.clone();
            let met = self.meet(&branch.want, happened);
            if let Met::Wrong(wrong) = met {
                if !wrongs.contains(&wrong) {
                    wrongs.push(wrong);
                }
                event = Some(kept);
                continue;
            }
            if branch.verdict != Verdict::Ok {
                self.behaves(
                    branch.verdict,
                    format!("{}: {}", branch.verdict, describe(&kept)),
                );
            }
            match (met, branch.ends, &kept) {
                // A server that refused may keep TCP open for another request.
                (Met::Over, ..) | (_, true, Event::Head(_)) => self.over(),
                (Met::Ending, ..) | (_, true, _) => self.steps.clear(),
                (_, false, _) => {}
            }
            return None;
        }
        self.fail(wrongs.join("; "));
        None
    }

    /// Takes the wanted events in any order of messages and pongs, and each kind in its own order.
    fn all(&mut self, mut all: All) -> Option<Step> {
        while !all.wants.is_empty() {
            let Some(event) = self.pop() else {
                return Some(Step::All(all));
            };
            if all.limited && matches!(event, Event::Close(..) | Event::End(_)) {
                self.behaves(
                    Verdict::Informational,
                    format!("it set a limit: {}", describe(&event)),
                );
                match event {
                    Event::Close(code, reason) => self.peer_closed(code, reason),
                    _ => self.over(),
                }
                self.steps.clear();
                return None;
            }
            let is_pong = matches!(event, Event::Pong(_));
            let same_kind = |want: &Want| matches!(want, Want::Pong(_)) == is_pong;
            // Messages keep their order; a pong may stand for those before it.
            let candidates: Vec<usize> = (0..all.wants.len())
                .filter(|at| all.wants.get(*at).is_some_and(same_kind))
                .take(if is_pong { usize::MAX } else { 1 })
                .collect();
            let found = candidates.into_iter().find(|at| {
                let want = all.wants.get(*at);
                want.is_some_and(|want| matches!(self.meet(want, event.clone()), Met::Done))
            });
            // It answers a ping that is not among these.
            if found.is_none() && is_pong {
                continue;
            }
            let Some(at) = found else {
                let wants: Vec<String> = all.wants.iter().map(ToString::to_string).collect();
                self.wrong(&event, &wants.join(", and "));
                return None;
            };
            let before: Vec<Want> = all.wants.drain(..=at).take(at).collect();
            let (pongs, messages): (Vec<Want>, Vec<Want>) = before
                .into_iter()
                .partition(|want| matches!(want, Want::Pong(_)));
            if is_pong {
                // 5.5.3: "the endpoint MAY elect to send a Pong frame for only the most recently processed Ping frame."
                if !pongs.is_empty() {
                    self.behaves(
                        Verdict::Informational,
                        "it answered only the newest of several pings (5.5.3)".into(),
                    );
                }
                all.wants.splice(..0, messages);
            } else {
                if !pongs.is_empty() {
                    self.behaves(
                        all.late,
                        "a message came before a pong that was due (5.5.2)".into(),
                    );
                }
                all.wants.splice(..0, pongs);
            }
        }
        None
    }

    /// A pong that is due while nothing else happens.
    fn pong_within(&mut self, time: Duration, payload: Vec<u8>) -> Option<Step> {
        if let Some(event) = self.pop() {
            match self.meet(&Want::Pong(payload), event) {
                Met::Wrong(wrong) => self.fail(wrong),
                Met::Done | Met::Ending | Met::Over => {}
            }
            return None;
        }
        if self.pause(time, Step::Pause).is_some() {
            return Some(Step::PongWithin(time, payload));
        }
        self.behaves(
            Verdict::NonStrict,
            "a pong that was due did not come yet (5.5.2)".into(),
        );
        None
    }

    pub(super) fn closing(&mut self, close: Frame, codes: &'static [u16]) -> Option<Step> {
        if self.turn.0 == 0 {
            self.turn.0 = 1;
            self.local = Some(close_code(&close.payload));
            self.outbox.frames(
                self.now,
                std::slice::from_ref(&close),
                Chop::Whole,
                &mut self.record,
            );
        }
        let Some(event) = self.pop() else {
            return Some(Step::Close(close, codes));
        };
        self.turn.0 = 0;
        match event {
            Event::Close(code, reason) => {
                self.judge_answer(codes, code);
                self.remote = Some((code, reason));
                self.steps.clear();
            }
            Event::End(_) => {
                self.closes(
                    Verdict::Unclean.min(self.word.worst()),
                    "it ended TCP without an answer to our Close frame".into(),
                );
                self.over();
            }
            event => self.wrong(&event, "the answer to our Close frame"),
        }
        None
    }

    pub(super) fn trips(&mut self, trips: Trips) -> Option<Step> {
        loop {
            let (turn, since) = self.turn;
            if turn > 0 && turn % 2 == 1 {
                let Some(event) = self.pop() else {
                    return Some(Step::Trips(trips));
                };
                let want = Want::Message {
                    text: trips.text,
                    payload: (trips.message)(turn / 2),
                };
                match self.meet(&want, event) {
                    Met::Done => {
                        if self.times.len() < 100_000 {
                            self.times.push(self.now.saturating_sub(since));
                        }
                        self.turn = (turn + 1, self.now);
                        continue;
                    }
                    Met::Wrong(wrong) => self.fail(format!("message {}: {wrong}", turn / 2 + 1)),
                    _ => self.fail("the connection ended".into()),
                }
                return None;
            }
            if turn / 2 == trips.count {
                self.turn = (0, self.now);
                return None;
            }
            let at = turn / 2;
            self.turn = (turn + 1, self.now);
            let repeats = self
                .agreed
                .is_some_and(|agreed| !agreed.own_takeover)
                .then_some(trips.repeats)
                .filter(|repeats| *repeats > 0);
            match repeats {
                Some(repeats) => self.packed(at % repeats, repeats, &trips),
                None => self.message(trips.text, &(trips.message)(at), trips.fragment),
            }
        }
    }

    /// Sends a message, from its cached compressed form if there is one.
    pub(super) fn packed(&mut self, at: usize, repeats: usize, trips: &Trips) {
        self.packed.resize(repeats, None);
        if let Some(Some(packed)) = self.packed.get(at) {
            self.outbox.message(
                self.now,
                trips.text,
                4,
                packed,
                trips.fragment,
                &mut self.record,
            );
            return;
        }
        let payload = (trips.message)(at);
        if let Some(deflater) = &mut self.deflater {
            let packed = deflater.message(&payload);
            self.outbox.message(
                self.now,
                trips.text,
                4,
                &packed,
                trips.fragment,
                &mut self.record,
            );
            if let Some(slot) = self.packed.get_mut(at) {
                *slot = Some(packed);
            }
        }
    }

    pub(super) fn message(&mut self, text: bool, payload: &[u8], fragment: Option<usize>) {
        match &mut self.deflater {
            Some(deflater) => {
                let packed = deflater.message(payload);
                self.outbox
                    .message(self.now, text, 4, &packed, fragment, &mut self.record);
            }
            None => self
                .outbox
                .message(self.now, text, 0, payload, fragment, &mut self.record),
        }
    }

    pub(super) fn until(&mut self, what: String, mut check: Check) -> Option<Step> {
        loop {
            let Some(event) = self.pop_any() else {
                return Some(Step::Until(what, check));
            };
            match check(&event) {
                Ok(Seen::More) => {}
                Ok(seen) => {
                    if seen == Seen::Allowed {
                        self.behaves(
                            Verdict::Informational,
                            format!("instead of {what} came {}", describe(&event)),
                        );
                        self.steps.clear();
                    }
                    if seen == Seen::Lax {
                        self.behaves(Verdict::NonStrict, format!("{what}: {}", describe(&event)));
                    }
                    match event {
                        Event::Close(code, reason) => {
                            self.peer_closed(code, reason);
                            self.steps.clear();
                        }
                        Event::End(_) => self.over(),
                        _ => {}
                    }
                    return None;
                }
                Err(wrong) => {
                    self.fail(format!(
                        "waited for {what}: {wrong}; got {}",
                        describe(&event)
                    ));
                    return None;
                }
            }
        }
    }

    /// Completes the ordinary handshake.
    pub(super) fn opened(&mut self) -> Option<Step> {
        let Some(event) = self.pop() else {
            return Some(Step::Open);
        };
        let Event::Head(head) = event else {
            self.violate(format!(
                "expected the opening handshake, and got {}",
                describe(&event)
            ));
            return None;
        };
        let params = match &self.opening {
            Opening::Deflate(params) => params.clone(),
            Opening::Plain | Opening::Raw => Vec::new(),
        };
        let agreed = match self.peer {
            _ if self.http2.is_some() => self.opened_http2(&head, &params),
            Peer::Server => opening::check_response(&head, &self.key, &params, &self.protocols),
            Peer::Client => opening::check_request(&head).and_then(|()| {
                self.requested(&head);
                let (response, agreed) = opening::respond(&head, &params)?;
                let bytes = response.write();
                self.record.http(self.now, Who::Suite, &bytes);
                self.outbox.bytes(bytes, Chop::Whole);
                Ok(agreed)
            }),
        };
        match agreed {
            Ok(agreed) => {
                self.frames_follow(agreed);
                if agreed.is_none() && !params.is_empty() {
                    self.behaves(
                        Verdict::Unimplemented,
                        "permessage-deflate was not agreed on".into(),
                    );
                    self.steps.clear();
                    self.steps
                        .push_back(Step::Close(frame::close(1000, ""), &[]));
                }
            }
            // No MUST obliges a server to accept a handshake, though it should rather decline the extension.
            Err(wrong) if !params.is_empty() && refuses(&head) => {
                self.behaves(Verdict::NonStrict, wrong);
                self.over();
            }
            Err(wrong) => self.violate(wrong),
        }
        None
    }

    pub(super) fn frames_follow(&mut self, agreed: Option<Agreed>) {
        self.agreed = agreed;
        self.deflater = agreed.map(|agreed| Deflater::new(agreed.own_bits, agreed.own_takeover));
        self.inbox.open(agreed);
        let rest = self.inbox.take_rest();
        self.take(&rest);
    }
}

/// Returns whether a server answers that it does not take what was asked for.
fn refuses(head: &Head) -> bool {
    head.status()
        .is_some_and(|status| (400..500).contains(&status))
}
