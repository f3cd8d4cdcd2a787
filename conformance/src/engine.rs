//! Carries a script out: octets and time in, octets and a verdict out.
//! Knows no socket: memory and networks drive it alike.

use std::collections::VecDeque;
use std::time::Duration;

use crate::case::Case;
use crate::deflate::{Agreed, Deflater, Params};
use crate::frame::{self, Frame, opcode};
use crate::http::Head;
use crate::inbox::{End, Event, Inbox};
use crate::opening;
use crate::outbox::Outbox;
use crate::record::{Record, Who};
use crate::script::{Branch, Check, Chop, KEY, Opening, Peer, Setting, Step, Trips, Want};
use crate::verdict::Verdict;

/// How long the suite waits for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Silence of the peer after which it is given up.
    pub silence: Duration,
    /// How long the end of TCP may take once both sides have closed.
    pub linger: Duration,
    /// How many times the silence a case may last in all.
    pub total: u32,
    /// How many times the silence a case of many round trips may last in all.
    pub total_trips: u32,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            silence: Duration::from_secs(5),
            linger: Duration::from_secs(2),
            total: 12,
            total_trips: 120,
        }
    }
}

/// Most events that wait to be looked at.
const MOST_EVENTS: usize = 50_000;

/// Octets that any peer may send; beyond them, four times what the suite sent.
const FREE_OCTETS: u64 = 96 << 20;

/// What a case came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The verdict on the behaviour.
    pub behavior: Verdict,
    /// The verdict on the close.
    pub close: Verdict,
    /// Why, in a sentence.
    pub says: String,
    /// How long it took.
    pub duration: Duration,
    /// The code of the peer's Close frame.
    pub remote_code: Option<u16>,
    /// The reason of the peer's Close frame.
    pub remote_reason: Option<String>,
    /// The code of the suite's Close frame.
    pub local_code: Option<u16>,
    /// Whether Close frames went both ways.
    pub clean: bool,
    /// The shortest, the median and the longest round trip, of cases that have some.
    pub trips: Option<[Duration; 3]>,
    /// The transcript.
    pub record: Record,
}

impl Outcome {
    /// The worse of the two verdicts.
    pub fn worst(&self) -> Verdict {
        self.behavior.max(self.close)
    }

    /// A case that could not even begin.
    pub fn failed(says: impl Into<String>) -> Self {
        Self {
            behavior: Verdict::Failed,
            close: Verdict::Failed,
            says: says.into(),
            duration: Duration::ZERO,
            remote_code: None,
            remote_reason: None,
            local_code: None,
            clean: false,
            trips: None,
            record: Record::default(),
        }
    }
}

/// What is to be done with TCP once all output is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// Go on.
    Keep,
    /// End our side, and go on reading.
    Shutdown,
    /// It is over.
    Drop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Script,
    /// Both sides have closed: TCP is to end.
    Ending {
        since: Duration,
    },
    Over,
}

/// What comes of an event.
enum Met {
    /// The step is done.
    Done,
    /// The script is over, and TCP is to end.
    Ending,
    /// The case is over.
    Over,
    /// It is not what was awaited.
    Wrong(String),
}

/// A run of one case.
#[derive(Debug)]
pub struct Run {
    peer: Peer,
    opening: Opening,
    steps: VecDeque<Step>,
    patience: Patience,
    phase: Phase,
    now: Duration,
    /// When the step began, once it has.
    began: Option<Duration>,
    heard: Duration,
    inbox: Inbox,
    events: VecDeque<Event>,
    queued: usize,
    outbox: Outbox,
    agreed: Option<Agreed>,
    deflater: Option<Deflater>,
    request: Option<Head>,
    /// The turn of a step that has turns, and when it began.
    turn: (usize, Duration),
    packed: Vec<Option<Vec<u8>>>,
    times: Vec<Duration>,
    reading: bool,
    shutdown: bool,
    /// Whether the step that is awaited is the opening.
    long: bool,
    behavior: Verdict,
    close: Verdict,
    says: Option<String>,
    remote: Option<(Option<u16>, String)>,
    local: Option<u16>,
    record: Record,
}

impl Run {
    /// Begins, with the connection just made.
    pub fn new(case: &Case, setting: &Setting, patience: Patience) -> Self {
        let script = case.script(setting);
        let peer = setting.peer;
        let mut run = Self {
            peer,
            long: script
                .steps
                .iter()
                .any(|step| matches!(step, Step::Trips(_))),
            steps: script.steps.into(),
            opening: script.opening,
            patience,
            phase: Phase::Script,
            now: Duration::ZERO,
            began: None,
            heard: Duration::ZERO,
            inbox: Inbox::new(peer == Peer::Client),
            events: VecDeque::new(),
            queued: 0,
            outbox: Outbox::new(peer == Peer::Server),
            agreed: None,
            deflater: None,
            request: None,
            turn: (0, Duration::ZERO),
            packed: Vec::new(),
            times: Vec::new(),
            reading: true,
            shutdown: false,
            behavior: Verdict::Ok,
            close: Verdict::Ok,
            says: None,
            remote: None,
            local: None,
            record: Record::default(),
        };
        run.open(setting);
        run.go_on();
        run
    }

    /// The ordinary handshake, as steps.
    fn open(&mut self, setting: &Setting) {
        let params: &[Params] = match &self.opening {
            Opening::Plain => &[],
            Opening::Deflate(params) => params,
            Opening::Raw => return,
        };
        let first = match self.peer {
            Peer::Server => {
                let mut request = setting.request();
                if !params.is_empty() {
                    request = request.with("Sec-WebSocket-Extensions", &opening::offer(params));
                }
                self.steps.push_front(Step::Open);
                Step::Octets(request.write(), Chop::Whole)
            }
            Peer::Client => Step::Open,
        };
        self.steps.push_front(first);
    }

    /// Octets came.
    pub fn receive(&mut self, now: Duration, octets: &[u8]) {
        (self.now, self.heard) = (now, now);
        self.record.received += octets.len() as u64;
        if self.record.received > FREE_OCTETS + 4 * self.record.sent {
            self.fail(format!(
                "it sent {} octets, and was still sending",
                self.record.received
            ));
            return;
        }
        self.take(octets);
        self.go_on();
    }

    fn take(&mut self, mut octets: &[u8]) {
        while let Some(event) = self.inbox.next(self.now, &mut octets, &mut self.record) {
            let head = matches!(event, Event::Head(_));
            self.queued += weight(&event);
            self.events.push_back(event);
            if self.events.len() > MOST_EVENTS || self.queued > crate::inbox::LONGEST {
                self.fail("it sent far more than was asked for".into());
                return;
            }
            // What a head means decides how what follows it is read; and what was awaited need not pile up.
            if head || self.events.len() > 256 {
                self.go_on();
            }
        }
    }

    /// The peer's side of TCP ended.
    pub fn end_of_input(&mut self, now: Duration, end: End) {
        self.now = now;
        if let Some(event) = self.inbox.end(end) {
            let how = match end {
                End::Fin => "ends TCP",
                End::Reset => "resets TCP",
            };
            self.record.note(now, Who::Peer, how);
            self.events.push_back(event);
        }
        self.go_on();
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Duration) {
        self.now = now;
        self.go_on();
    }

    /// What to write next, in one write.
    pub fn output(&self) -> Option<&[u8]> {
        if self.phase == Phase::Over {
            return None;
        }
        self.outbox.first()
    }

    /// So many octets of it were written.
    pub fn written(&mut self, now: Duration, count: usize) {
        self.now = now;
        self.record.sent += count as u64;
        self.heard = now;
        if self.outbox.written(count) {
            self.go_on();
        }
    }

    /// Writing failed: the peer is gone, or went on without reading.
    pub fn cannot_write(&mut self) {
        self.outbox.clear();
        self.go_on();
    }

    /// Whether to read.
    pub const fn wants_input(&self) -> bool {
        self.reading
    }

    /// What is to be done with TCP, once there is no output.
    pub const fn wire(&self) -> Wire {
        match self.phase {
            Phase::Over => Wire::Drop,
            _ if self.shutdown => Wire::Shutdown,
            _ => Wire::Keep,
        }
    }

    /// When to call `tick`.
    pub fn deadline(&self) -> Option<Duration> {
        let total = match self.long {
            true => self.patience.total_trips,
            false => self.patience.total,
        };
        let all = self.patience.silence * total;
        let step = match self.phase {
            Phase::Over => return None,
            Phase::Ending { since } => since + self.patience.linger,
            Phase::Script => match (self.steps.front(), self.began) {
                (
                    Some(
                        Step::Pause(time)
                        | Step::Sleep(time)
                        | Step::Quiet(time)
                        | Step::Anything(time)
                        | Step::EndsNot(time)
                        | Step::FailsWithin(time, _),
                    ),
                    Some(began),
                ) => began + *time,
                (_, began) => self.heard.max(began.unwrap_or_default()) + self.patience.silence,
            },
        };
        Some(step.min(all))
    }

    /// Whether the case is over.
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// Breaks off: the user wants no more of it.
    pub fn give_up(&mut self, why: &str) {
        self.fail(why.into());
    }

    /// What it came to.
    pub fn outcome(mut self) -> Outcome {
        let trips = (!self.times.is_empty()).then(|| {
            self.times.sort_unstable();
            let at = |index: usize| self.times.get(index).copied().unwrap_or_default();
            [at(0), at(self.times.len() / 2), at(self.times.len() - 1)]
        });
        let clean = self.local.is_some() && self.remote.is_some();
        let (remote_code, remote_reason) = self.remote.unzip();
        Outcome {
            behavior: self.behavior,
            close: self.close,
            says: self.says.unwrap_or_else(|| "as expected".into()),
            duration: self.now,
            remote_code: remote_code.flatten(),
            remote_reason,
            local_code: self.local,
            clean,
            trips,
            record: self.record,
        }
    }

    /// Makes all progress that can be made now.
    fn go_on(&mut self) {
        while self.phase != Phase::Over {
            match self.phase {
                Phase::Over => {}
                Phase::Ending { since } => {
                    if !self.end(since) {
                        break;
                    }
                }
                Phase::Script => {
                    let Some(step) = self.steps.pop_front() else {
                        self.phase = Phase::Ending { since: self.now };
                        continue;
                    };
                    if self.began.is_none() {
                        self.began = Some(self.now);
                    }
                    match self.step(step) {
                        Some(step) => {
                            self.steps.push_front(step);
                            break;
                        }
                        None => self.began = None,
                    }
                }
            }
        }
        let over = self.deadline().is_some_and(|at| self.now >= at);
        if over && !matches!(self.phase, Phase::Over) {
            self.late();
        }
    }

    /// The time is over, and the step is not.
    fn late(&mut self) {
        let step = match (self.phase, self.steps.front()) {
            (Phase::Ending { .. }, _) => "the end of TCP".into(),
            (_, Some(Step::Expect(branches))) => {
                let wants: Vec<String> = branches
                    .iter()
                    .map(|branch| branch.want.to_string())
                    .collect();
                wants.join(", or ")
            }
            (_, Some(Step::Close(..))) => "the answer to our Close frame".into(),
            (_, Some(Step::Trips(_))) => format!("message {} to come back", self.turn.0 + 1),
            (_, Some(Step::Until(what, _))) => what.clone(),
            (_, Some(Step::Open | Step::Respond { .. })) => "the opening handshake".into(),
            (_, Some(Step::Pause(_))) => "the peer to read what was sent".into(),
            _ => "the peer".into(),
        };
        self.fail(format!("waited for {step}, and it did not come in time"));
    }

    /// Both have closed: whose turn is it to end TCP? Says whether anything changed.
    fn end(&mut self, since: Duration) -> bool {
        while let Some(event) = self.pop() {
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
                    self.close = Verdict::Failed;
                    self.say(breach);
                    self.phase = Phase::Over;
                    return true;
                }
                _ if self.remote.is_none() => {}
                event => {
                    self.close = Verdict::Failed;
                    self.say(format!("after its Close frame came {}", describe(&event)));
                    self.phase = Phase::Over;
                    return true;
                }
            }
        }
        // 7.1.1: the server ends TCP first
        if self.peer == Peer::Client && self.outbox.is_empty() {
            self.shutdown = true;
        }
        if self.now < since + self.patience.linger {
            return false;
        }
        if self.peer == Peer::Server {
            self.close = self.close.max(Verdict::FailedByClient);
            self.say("the server did not end TCP: the client had to (7.1.1)".into());
        }
        self.phase = Phase::Over;
        true
    }

    fn pop(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        self.queued -= weight(&event);
        Some(event)
    }

    /// Carries a step out as far as it can be; gives it back when it is not done.
    fn step(&mut self, step: Step) -> Option<Step> {
        match step {
            Step::Frames(frames, chop) => {
                self.outbox
                    .frames(self.now, &frames, chop, &mut self.record);
                self.remember_close(&frames);
                None
            }
            Step::Message(text, payload, fragment) => {
                self.message(text, &payload, fragment);
                None
            }
            Step::Octets(octets, chop) => {
                if octets.starts_with(b"GET ") || octets.starts_with(b"HTTP/") {
                    self.record.http(self.now, Who::Suite, &octets);
                } else {
                    self.record.octets(self.now, Who::Suite, &octets);
                }
                self.outbox.octets(octets, chop);
                None
            }
            Step::Pause(time) => self.pause(time, Step::Pause),
            Step::Quiet(time) => match self.pop() {
                Some(event) => {
                    self.wrong(&event, "nothing");
                    None
                }
                None => self.pause(time, Step::Quiet),
            },
            Step::Anything(time) => self.anything(time),
            Step::EndsNot(time) => match self.pop() {
                Some(Event::End(_)) => {
                    self.behavior = self.behavior.max(Verdict::NonStrict);
                    self.say("it ended TCP, and did not wait for us to".into());
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
                            let octets = make(&head);
                            self.record.http(self.now, Who::Suite, &octets);
                            self.outbox.octets(octets, chop);
                            if opens {
                                self.frames_follow(None);
                            }
                            self.request = Some(head);
                        }
                        Err(wrong) => self.fail(wrong),
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
                if !self.outbox.is_empty() {
                    return Some(Step::Shutdown);
                }
                self.shutdown = true;
                self.record
                    .note(self.now, Who::Suite, "ends its side of TCP");
                None
            }
            Step::Leave => {
                self.over();
                None
            }
            Step::KeysDiffer => {
                let (count, fresh) = self.inbox.keys();
                if fresh < count {
                    self.fail(format!("of {count} frames only {fresh} had another masking key than the one before (5.3)"));
                }
                None
            }
            Step::Say(verdict, text) => {
                self.behavior = self.behavior.max(verdict);
                self.say(text);
                None
            }
        }
    }

    fn remember_close(&mut self, frames: &[Frame]) {
        for frame in frames {
            if frame.opcode == opcode::CLOSE && self.local.is_none() {
                self.local = Some(close_code(&frame.payload));
            }
        }
    }

    fn pause(&mut self, time: Duration, again: fn(Duration) -> Step) -> Option<Step> {
        // A pause begins when the octets before it have left.
        if !self.outbox.is_empty() {
            self.began = Some(self.now);
            return Some(again(time));
        }
        (self.now < self.began.unwrap_or_default() + time).then(|| again(time))
    }

    fn anything(&mut self, time: Duration) -> Option<Step> {
        self.behavior = self.behavior.max(Verdict::Informational);
        if let Some(event) = self.pop() {
            self.say(format!("it answered with {}", describe(&event)));
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
            self.say("it did nothing".into());
            self.over();
        }
        waits
    }

    fn fails_within(&mut self, time: Duration, codes: &'static [u16]) -> Option<Step> {
        if let Some(event) = self.pop() {
            match self.meet(&Want::Fail(codes), event) {
                Met::Done | Met::Ending => self.steps.clear(),
                Met::Over => self.over(),
                Met::Wrong(wrong) => self.fail(wrong),
            }
            return None;
        }
        let again = self.pause(time, |time| Step::Pause(time));
        if again.is_some() {
            return Some(Step::FailsWithin(time, codes));
        }
        self.behavior = self.behavior.max(Verdict::NonStrict);
        self.say("it saw the fault later than it could have".into());
        self.record
            .note(self.now, Who::Suite, "the fault was not seen yet");
        None
    }

    fn expect(&mut self, branches: Vec<Branch>) -> Option<Step> {
        let Some(event) = self.pop() else {
            return Some(Step::Expect(branches));
        };
        let mut wrongs = Vec::new();
        let mut event = Some(event);
        for branch in &branches {
            let Some(happened) = event.take() else { break };
            let kept = happened.clone();
            match self.meet(&branch.want, happened) {
                Met::Wrong(wrong) => {
                    if !wrongs.contains(&wrong) {
                        wrongs.push(wrong);
                    }
                    event = Some(kept);
                    continue;
                }
                Met::Over => self.over(),
                Met::Ending => self.steps.clear(),
                Met::Done => {}
            }
            self.behavior = self.behavior.max(branch.verdict);
            if branch.verdict != Verdict::Ok {
                self.say(format!("{}: {}", branch.verdict, describe(&kept)));
            }
            match (branch.ends, &kept) {
                // A server that refused may keep TCP open for another request.
                (true, Event::Head(_)) => self.over(),
                (true, _) => self.steps.clear(),
                (false, _) => {}
            }
            return None;
        }
        self.fail(wrongs.join("; "));
        None
    }

    /// Whether an event is what is wanted.
    fn meet(&mut self, want: &Want, event: Event) -> Met {
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
                    if head.status() == Some(101) {
                        self.frames_follow(None);
                    }
                    Met::Done
                }
                Err(wrong) => Met::Wrong(wrong),
            },
            (Want::Close(codes), Event::Close(code, reason)) => {
                self.judge_code(codes, code);
                self.peer_closed(code, reason);
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

    /// The peer's Close frame came: it is answered, unless we closed first.
    fn peer_closed(&mut self, code: Option<u16>, reason: String) {
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

    fn judge_code(&mut self, codes: &[u16], code: Option<u16>) {
        let code = code.unwrap_or(1005);
        if !codes.is_empty() && !codes.contains(&code) {
            self.close = self.close.max(Verdict::WrongCode);
            self.say(format!(
                "it closed with {code}, and not with one of {codes:?}"
            ));
        }
    }

    fn closing(&mut self, close: Frame, codes: &'static [u16]) -> Option<Step> {
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
                self.judge_code(codes, code);
                self.remote = Some((code, reason));
                self.steps.clear();
            }
            Event::End(_) => {
                self.close = self.close.max(Verdict::Unclean);
                self.say("it ended TCP without an answer to our Close frame".into());
                self.over();
            }
            event => self.wrong(&event, "the answer to our Close frame"),
        }
        None
    }

    fn trips(&mut self, trips: Trips) -> Option<Step> {
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

    /// Sends a message that was compressed before, if it was.
    fn packed(&mut self, at: usize, repeats: usize, trips: &Trips) {
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

    fn message(&mut self, text: bool, payload: &[u8], fragment: Option<usize>) {
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

    fn until(&mut self, what: String, mut check: Check) -> Option<Step> {
        loop {
            let Some(event) = self.pop() else {
                return Some(Step::Until(what, check));
            };
            match check(&event) {
                Ok(false) => {}
                Ok(true) => {
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

    /// The ordinary handshake ends.
    fn opened(&mut self) -> Option<Step> {
        let Some(event) = self.pop() else {
            return Some(Step::Open);
        };
        let Event::Head(head) = event else {
            self.wrong(&event, "the opening handshake");
            return None;
        };
        let params = match &self.opening {
            Opening::Deflate(params) => params.clone(),
            Opening::Plain | Opening::Raw => Vec::new(),
        };
        let agreed = match self.peer {
            Peer::Server => opening::check_response(&head, KEY, &params),
            Peer::Client => opening::check_request(&head).and_then(|()| {
                let (response, agreed) = opening::respond(&head, &params)?;
                let octets = response.write();
                self.record.http(self.now, Who::Suite, &octets);
                self.outbox.octets(octets, Chop::Whole);
                Ok(agreed)
            }),
        };
        match agreed {
            Ok(agreed) => {
                self.frames_follow(agreed);
                if agreed.is_none() && !params.is_empty() {
                    self.behavior = Verdict::Unimplemented;
                    self.say("permessage-deflate was not agreed on".into());
                    self.steps.clear();
                    self.steps
                        .push_back(Step::Close(frame::close(1000, ""), &[]));
                }
            }
            Err(wrong) => self.fail(wrong),
        }
        None
    }

    fn frames_follow(&mut self, agreed: Option<Agreed>) {
        self.agreed = agreed;
        self.deflater = agreed.map(|agreed| Deflater::new(agreed.own_bits, agreed.own_takeover));
        self.inbox.open(agreed);
        let rest = self.inbox.take_rest();
        self.take(&rest);
    }

    fn wrong(&mut self, event: &Event, want: &str) {
        self.fail(format!("expected {want}, and got {}", describe(event)));
    }

    fn say(&mut self, says: String) {
        if self.phase != Phase::Over && self.says.is_none() {
            self.says = Some(says);
        }
    }

    fn fail(&mut self, says: String) {
        if self.phase == Phase::Over {
            return;
        }
        self.says = Some(says.clone());
        self.record
            .note(self.now, Who::Suite, format!("FAILED: {says}"));
        self.behavior = Verdict::Failed;
        self.close = Verdict::Failed;
        self.over();
    }

    fn over(&mut self) {
        self.steps.clear();
        self.outbox.clear();
        self.phase = Phase::Over;
    }
}

fn weight(event: &Event) -> usize {
    match event {
        Event::Message { payload, .. } | Event::Ping(payload) | Event::Pong(payload) => {
            payload.len()
        }
        Event::Head(_) | Event::Close(..) | Event::Breach(_) | Event::End(_) => 0,
    }
}

fn close_code(payload: &[u8]) -> u16 {
    match payload {
        [high, low, ..] => u16::from_be_bytes([*high, *low]),
        _ => 1005,
    }
}

/// Where two payloads part.
fn differ(left: &[u8], right: &[u8]) -> String {
    match left
        .iter()
        .zip(right)
        .position(|(left, right)| left != right)
    {
        Some(at) => format!("they differ at octet {at}"),
        None => "one is the beginning of the other".into(),
    }
}

/// An event in words.
fn describe(event: &Event) -> String {
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
        Event::Breach(breach) => breach.clone(),
        Event::End(End::Fin) => "the end of TCP".into(),
        Event::End(End::Reset) => "a reset of TCP".into(),
    }
}
