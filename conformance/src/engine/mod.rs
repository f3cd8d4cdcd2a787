//! Executes a script: bytes and time in, bytes and a verdict out.
//! Knows no socket: memory and networks drive it alike.

mod events;
mod http2;
mod judge;
mod outcome;
mod pongs;
mod steps;

use std::collections::VecDeque;
use std::time::Duration;

pub use self::outcome::{Outcome, Patience, Waited, Wire};
use self::pongs::Pongs;
use crate::case::Case;
use crate::deflate::{Agreed, Deflater, Params};
use crate::http::Head;
use crate::http2::{Options, Session};
use crate::inbox::{End, Event, Inbox};
use crate::opening;
use crate::outbox::Outbox;
use crate::record::{Record, Who};
use crate::script::{Act, Chop, Opening, Peer, Setting, Step};
use crate::setting::Past;
use crate::verdict::{Verdict, Word};

/// Number of bytes that any peer may send; the limit is this plus four times what the suite sent.
const FREE_BYTES: u64 = 96 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Script,
    /// Both sides have closed: TCP must end.
    Ending {
        since: Duration,
    },
    Over,
}

/// A run of one case.
#[derive(Debug)]
pub struct Run {
    peer: Peer,
    /// The word that an unmet expectation stands on.
    word: Word,
    opening: Opening,
    steps: VecDeque<Step>,
    patience: Patience,
    phase: Phase,
    now: Duration,
    /// When the step started, if it has.
    began: Option<Duration>,
    /// The output that precedes the step has been written.
    settled: bool,
    heard: Duration,
    inbox: Inbox,
    /// The connection of HTTP/2, if the case runs over one.
    http2: Option<Session>,
    options: Option<Options>,
    events: VecDeque<Event>,
    queued: usize,
    outbox: Outbox,
    /// The key in the suite's request.
    key: String,
    protocols: Vec<String>,
    past: Past,
    /// The client's nonce is not that of an earlier connection.
    new_nonce: bool,
    host: String,
    /// The client's Host names the port, or need not.
    names_port: bool,
    agreed: Option<Agreed>,
    deflater: Option<Deflater>,
    /// The round of a step that has rounds, and when it started.
    turn: (usize, Duration),
    packed: Vec<Option<Vec<u8>>>,
    times: Vec<Duration>,
    reading: bool,
    shutdown: bool,
    /// It makes many round trips, and may take longer.
    long: bool,
    behavior: Verdict,
    close: Verdict,
    /// A sentence, and the verdict that it explains.
    says: Option<(Verdict, String)>,
    remote: Option<(Option<u16>, String)>,
    /// Pings of the peer: their number, and the newest unanswered one.
    pings: u32,
    pong: Option<Vec<u8>>,
    pongs: Pongs,
    tells_pongs: bool,
    waited: Option<Waited>,
    local: Option<u16>,
    /// The peer sent a Close frame.
    closed: bool,
    /// The peer's Close frame answers ours.
    answered: bool,
    record: Record,
}

impl Run {
    /// Starts a run, on a new connection.
    pub fn new(case: &Case, setting: &Setting, patience: Patience) -> Self {
        let setting = &setting.of_case(&case.id);
        let mut run = Self::idle(case, setting, patience);
        if let Some(options) = run.options(setting) {
            run.http2 = Some(Session::new(setting.peer, &options));
        }
        run.open(setting);
        run.go_on();
        run
    }

    /// Starts a run on a connection of HTTP/2 whose client has sent this request.
    pub fn resume(
        case: &Case,
        setting: &Setting,
        patience: Patience,
        (session, request): (Session, Head),
    ) -> Self {
        let setting = &setting.of_case(&case.id);
        let mut run = Self::idle(case, setting, patience);
        run.http2 = Some(session);
        run.events.push_back(Event::Head(request));
        run.open(setting);
        run.go_on();
        run
    }

    /// Returns how the suite's side of HTTP/2 behaves, if the case runs over it.
    fn options(&mut self, setting: &Setting) -> Option<Options> {
        let own = self.options.take();
        own.or_else(|| setting.http2.then(|| Options::toward(setting.peer)))
    }

    fn idle(case: &Case, setting: &Setting, patience: Patience) -> Self {
        let script = case.script(setting);
        let peer = setting.peer;
        Self {
            options: script.http2,
            peer,
            word: case.word(peer),
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
            settled: false,
            heard: Duration::ZERO,
            inbox: Inbox::new(peer == Peer::Client),
            http2: None,
            events: VecDeque::new(),
            queued: 0,
            outbox: Outbox::new((peer == Peer::Server).then_some(setting.seed)),
            key: setting.key(),
            protocols: setting.protocols.clone(),
            past: setting.past.clone(),
            new_nonce: true,
            host: setting.host.clone(),
            names_port: true,
            agreed: None,
            deflater: None,
            turn: (0, Duration::ZERO),
            packed: Vec::new(),
            times: Vec::new(),
            reading: true,
            shutdown: false,
            behavior: Verdict::Ok,
            close: Verdict::Ok,
            says: None,
            remote: None,
            pings: 0,
            pong: None,
            pongs: Pongs::default(),
            tells_pongs: false,
            waited: None,
            local: None,
            closed: false,
            answered: false,
            record: Record::default(),
        }
    }

    /// Returns the ordinary handshake, as steps.
    fn open(&mut self, setting: &Setting) {
        let params: &[Params] = match &self.opening {
            Opening::Plain => &[],
            Opening::Deflate(params) => params,
            Opening::Raw => return,
        };
        if self.http2.is_some() {
            return self.open_http2(setting, params.to_vec());
        }
        let first = match self.peer {
            Peer::Server => {
                let mut request = setting.request();
                if !params.is_empty() {
                    request = request.with("Sec-WebSocket-Extensions", &opening::offer(params));
                }
                self.steps.push_front(Step::Open);
                Step::Bytes(request.write(), Chop::Whole)
            }
            Peer::Client => Step::Open,
        };
        self.steps.push_front(first);
    }

    /// Takes received bytes.
    pub fn receive(&mut self, now: Duration, bytes: &[u8]) {
        (self.now, self.heard) = (now, now);
        self.record.received += bytes.len() as u64;
        if self.record.received > FREE_BYTES + 4 * self.record.sent {
            self.fail(format!(
                "it sent {} octets, and was still sending",
                self.record.received
            ));
            return;
        }
        match self.http2 {
            Some(_) => self.take_http2(bytes),
            None => self.take(bytes),
        }
        self.go_on();
    }

    fn take(&mut self, mut bytes: &[u8]) {
        while let Some(event) = self.inbox.next(self.now, &mut bytes, &mut self.record) {
            let Some(event) = self.sift(event) else {
                continue;
            };
            let head = matches!(event, Event::Head(_));
            if !self.enqueue(event) {
                return;
            }
            // The meaning of a head decides how the following bytes are parsed; and expected events need not pile up.
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
                End::Stream(_) | End::GoAway(_) => "ends the stream",
            };
            self.record.note(now, Who::Peer, how);
            self.events.push_back(event);
        }
        self.go_on();
    }

    /// Handles the passage of time.
    pub fn tick(&mut self, now: Duration) {
        self.now = now;
        self.go_on();
    }

    /// Returns the bytes of the next write.
    pub fn output(&self) -> Option<&[u8]> {
        if self.phase == Phase::Over {
            return None;
        }
        match &self.http2 {
            Some(session) => session.output(),
            None => self.outbox.first(),
        }
    }

    /// Reports that so many bytes of it were written.
    pub fn written(&mut self, now: Duration, count: usize) {
        self.now = now;
        self.record.sent += count as u64;
        self.heard = now;
        let done = match &mut self.http2 {
            Some(session) => {
                session.written(count);
                self.pump();
                self.is_flushed()
            }
            None => self.outbox.written(count),
        };
        if done {
            self.answer_ping();
            self.go_on();
        }
    }

    /// Writing failed: the peer is gone, or goes on without reading.
    pub fn cannot_write(&mut self) {
        self.outbox.clear();
        if let Some(session) = &mut self.http2 {
            session.clear();
        }
        self.go_on();
    }

    /// Returns whether to read.
    pub const fn wants_input(&self) -> bool {
        self.reading
    }

    /// Returns what to do with TCP, once there is no output.
    pub const fn wire(&self) -> Wire {
        match self.phase {
            Phase::Over => Wire::Drop,
            _ if self.shutdown && self.http2.is_none() => Wire::Shutdown,
            _ => Wire::Keep,
        }
    }

    /// Returns when to call `tick`.
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
                        | Step::PongWithin(time, _)
                        | Step::FailsWithin(time, _),
                    ),
                    Some(began),
                ) => began + *time,
                (_, began) => self.heard.max(began.unwrap_or_default()) + self.patience.silence,
            },
        };
        Some(step.min(all))
    }

    /// Returns whether the case is over.
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// Aborts the case on the user's request.
    pub fn give_up(&mut self, why: &str) {
        self.fail(why.into());
    }

    /// Returns the outcome.
    pub fn outcome(mut self) -> Outcome {
        let trips = (!self.times.is_empty()).then(|| {
            self.times.sort_unstable();
            let at = |index: usize| self.times.get(index).copied().unwrap_or_default();
            [at(0), at(self.times.len() / 2), at(self.times.len() - 1)]
        });
        if let Some(key) = self.inbox.keys().first() {
            self.past.mask(key);
        }
        let clean = self.local.is_some() && self.remote.is_some();
        let (remote_code, remote_reason) = self.remote.unzip();
        Outcome {
            behavior: self.behavior,
            close: self.close,
            says: self
                .says
                .map_or_else(|| "as expected".into(), |(_, says)| says),
            duration: self.now,
            remote_code: remote_code.flatten(),
            remote_reason,
            local_code: self.local,
            clean,
            waited: self.waited,
            trips,
            record: self.record,
        }
    }

    /// Makes all progress that is possible now.
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
                        None => (self.began, self.settled) = (None, false),
                    }
                }
            }
        }
        self.pump();
        let over = self.deadline().is_some_and(|at| self.now >= at);
        if over && !matches!(self.phase, Phase::Over) {
            self.late();
        }
    }

    /// The time is up, and the step is not done.
    fn late(&mut self) {
        let step = match (self.phase, self.steps.front()) {
            (Phase::Ending { .. }, _) => "the end of TCP".into(),
            (_, Some(Step::Expect(branches))) => {
                let wants: Vec<String> = branches
                    .iter()
                    .map(|branch| branch.want.to_string())
                    .collect();
                let mut once: Vec<String> = Vec::new();
                for want in wants {
                    if !once.contains(&want) {
                        once.push(want);
                    }
                }
                once.join(", or ")
            }
            (_, Some(Step::All(all))) => {
                let wants: Vec<String> = all.wants.iter().map(ToString::to_string).collect();
                wants.join(", and ")
            }
            (_, Some(Step::Close(..))) => "the answer to our Close frame".into(),
            (_, Some(Step::Trips(_))) => format!("message {} to come back", self.turn.0 + 1),
            (_, Some(Step::Until(what, _))) => what.clone(),
            (_, Some(Step::Http2(Act::Await(what, _)))) => (*what).into(),
            (_, Some(Step::Http2(Act::Request(..)))) => "the SETTINGS of the server".into(),
            (_, Some(Step::Http2(Act::Answer { .. }))) => "the request".into(),
            (_, Some(Step::Open | Step::Respond { .. })) => "the opening handshake".into(),
            (_, Some(Step::Pause(_))) => "the peer to read what was sent".into(),
            _ => "the peer".into(),
        };
        self.waited = Some(Waited::Answer);
        let says = format!("waited for {step}, and it did not come in time");
        match self.steps.front() {
            // 4.2.1 and 4.2.2: a server MUST answer.
            Some(Step::Open | Step::Respond { .. }) => self.violate(says),
            _ => self.fail(says),
        }
    }

    /// The peer's behaviour has this verdict, or a worse one.
    fn behaves(&mut self, verdict: Verdict, says: String) {
        self.behavior = self.behavior.max(verdict);
        self.say(verdict, says);
    }

    /// How the peer closed has this verdict, or a worse one.
    fn closes(&mut self, verdict: Verdict, says: String) {
        self.close = self.close.max(verdict);
        self.say(verdict, says);
    }

    /// Keeps the first sentence of the worst verdict.
    fn say(&mut self, verdict: Verdict, says: String) {
        let is_worse = self
            .says
            .as_ref()
            .is_none_or(|(before, _)| *before < verdict);
        if self.phase != Phase::Over && is_worse {
            self.says = Some((verdict, says));
        }
    }

    /// An expectation of the case is not met: the verdict is the worst that its word allows.
    fn fail(&mut self, says: String) {
        self.end_with(self.word.worst(), says);
    }

    /// The peer breaks a MUST that holds in all cases.
    fn violate(&mut self, says: String) {
        self.end_with(Verdict::Failed, says);
    }

    fn end_with(&mut self, verdict: Verdict, says: String) {
        if self.phase == Phase::Over {
            return;
        }
        self.says = Some((verdict, says.clone()));
        self.record
            .note(self.now, Who::Suite, format!("{verdict}: {says}"));
        self.behavior = self.behavior.max(verdict);
        self.close = self.close.max(verdict);
        self.over();
    }

    fn over(&mut self) {
        self.steps.clear();
        self.outbox.clear();
        self.phase = Phase::Over;
    }
}
