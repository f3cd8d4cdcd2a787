//! Connections to Redis: requests one way, replies and pushes the other, each in their order, with delays.
//! Knows no hub.

use std::sync::Arc;

use sansws_core::hub::BackplaneEvent;
use sansws_core::time::{Duration, Instant};
use sansws_redis::request::{Channel, Push, Request, RequestId};

use crate::hold;
use crate::memory::{Said, Wire};
use crate::model::Check;
use crate::plane::Plane;
use crate::world::World;

/// Longest wait on one way, in microseconds.
const SLOWEST: u64 = 2_000;

/// After which time without a reply a connection counts as broken.
const SILENCE: Duration = Duration::from_secs(3);

impl Plane {
    /// When something is due for it.
    pub fn due(&self) -> Option<Instant> {
        let awake = |at: Instant| at.max(self.stopped);
        let processes = self.processes.iter().flat_map(|process| {
            let passes = !process.hushed;
            let up = process.up.front();
            let up = up.filter(|_| passes && process.ends.is_none());
            let down = process.down.front().filter(|_| passes);
            let push = process.pushes.front().filter(|_| passes);
            let last = process.down.back().into_iter().chain(process.pushes.back());
            let last = last.map(|(at, _)| *at).max().unwrap_or(Instant::ZERO);
            let ends = process.ends.filter(|_| passes);
            [
                up.map(|(at, ..)| awake(*at)),
                down.map(|(at, _)| *at),
                push.map(|(at, _)| *at),
                ends.map(|at| at.max(last)),
                process.dials.map(|(at, _)| at),
                process.asked.values().min().map(|at| *at + SILENCE),
                process.machine.deadline(),
            ]
        });
        let orphan = self.orphans.front().map(|(at, ..)| awake(*at));
        processes.chain([orphan]).flatten().min()
    }

    /// Returns the time of Redis.
    pub const fn clock(&self, now: Instant) -> u64 {
        now.as_micros() + self.ahead
    }
}

impl World {
    fn delay(&mut self) -> Duration {
        let times = if self.plane.slow > self.now { 40 } else { 1 };
        Duration::from_micros(self.random.between(20, SLOWEST) * times)
    }

    /// Puts a request on its way.
    pub fn ask(&mut self, process: usize, id: RequestId, request: Request) {
        let due = self.now + self.delay();
        let process = &mut self.plane.processes[process];
        process.asked.insert(id, self.now);
        if process.ends.is_some() {
            return;
        }
        if self.plane.scattered {
            let at = process.up.partition_point(|(at, ..)| *at <= due);
            process.up.insert(at, (due, id, request));
        } else {
            let last = process.up.back().map_or(due, |(at, ..)| *at);
            process.up.push_back((last.max(due), id, request));
        }
    }

    /// Passes on what has arrived at either end.
    pub fn wires(&mut self) -> Result<bool, String> {
        let (now, mut moved) = (self.now, false);
        self.plane.server.refuses = if now < self.plane.refusing {
            is_of_group
        } else {
            |_| false
        };
        while self.plane.stopped <= now
            && let Some((_, wire, request)) = self.plane.orphans.pop_front_if(|(at, ..)| *at <= now)
        {
            let time = self.plane.clock(now);
            self.plane.server.execute(time, wire, 0, request);
            self.spread()?;
            moved = true;
        }
        for at in 0..self.plane.processes.len() {
            moved |= self.serve(at)?;
            moved |= self.hear(at)?;
            moved |= self.dial(at)?;
        }
        Ok(moved)
    }

    /// Lets Redis do what has arrived from a process.
    fn serve(&mut self, at: usize) -> Result<bool, String> {
        let (now, mut moved) = (self.now, false);
        while self.plane.stopped <= now
            && let process = &mut self.plane.processes[at]
            && !process.hushed
            && process.ends.is_none()
            && let Some(wire) = process.wire
            && let Some((_, id, request)) = process.up.pop_front_if(|(due, ..)| *due <= now)
        {
            let time = self.plane.clock(now);
            self.plane.server.execute(time, wire, id, request);
            self.spread()?;
            if self.random.one_in(20) {
                self.plane.copy();
            }
            moved = true;
        }
        Ok(moved)
    }

    /// Puts what Redis says on its way, and notes what was published.
    pub fn spread(&mut self) -> Check {
        while let Some(noted) = self.plane.server.poll_noted() {
            self.model.published += 1;
            if noted.group.starts_with('\u{1}') {
                continue;
            }
            let Some((draft, node, number)) = self.plane.drafts.get(&noted.message) else {
                return Err(format!("content: {noted:?} was published by nobody"));
            };
            let of = (*node, Arc::clone(&noted.group));
            let before = self.plane.last.insert(of, *number);
            hold!(
                before.is_none_or(|before| before < *number),
                "order: {node:?} published {noted:?} before another that came first"
            );
            self.model.note(self.now, draft, Some(noted.position))?;
        }
        while let Some((wire, said)) = self.plane.server.poll() {
            let delay = self.delay()
                * if self.plane.loose {
                    self.random.pick(&[1, 1, 9, 30])
                } else {
                    1
                };
            let Some(process) = self
                .plane
                .processes
                .iter_mut()
                .find(|process| process.wire == Some(wire))
            else {
                continue;
            };
            if process.ends.is_some() {
                continue;
            }
            if process.lose > 0 && is_message(&said) {
                process.lose -= 1;
                continue;
            }
            let way = match &said {
                Said::Push(Push::Message(channel, _))
                    if self.plane.loose && !matches!(channel, Channel::Group(_)) =>
                {
                    &mut process.pushes
                }
                Said::Push(_) | Said::Reply(..) => &mut process.down,
            };
            let due = self.now + delay;
            let last = way.back().map_or(due, |(at, _)| *at);
            way.push_back((last.max(due), said));
        }
        Ok(())
    }

    /// Gives a machine what has arrived for it, and tells it when its connection has ended.
    fn hear(&mut self, at: usize) -> Result<bool, String> {
        let (now, mut moved) = (self.now, false);
        while let process = &mut self.plane.processes[at]
            && !process.hushed
            && let Some((_, said)) = process
                .down
                .pop_front_if(|(due, _)| *due <= now)
                .or_else(|| process.pushes.pop_front_if(|(due, _)| *due <= now))
        {
            let before = process.machine.metrics();
            match said {
                Said::Reply(id, result) => {
                    process.asked.remove(&id);
                    process.machine.reply(now, id, result);
                }
                Said::Push(push) => process.machine.push(now, push),
            }
            process.check_windows(before)?;
            self.drain(at);
            moved = true;
        }
        let process = &self.plane.processes[at];
        let ends = process.ends.filter(|_| !process.hushed);
        let has_ended = ends.is_some_and(|ends| ends <= now)
            && process.down.is_empty()
            && process.pushes.is_empty();
        let is_silent = process.asked.values().any(|asked| *asked + SILENCE <= now);
        if has_ended || is_silent {
            self.hang_up(at);
            moved = true;
        }
        Ok(moved)
    }

    /// The connection of a process is over, as the process sees it.
    pub fn hang_up(&mut self, at: usize) {
        let now = self.now;
        let wait = Duration::from_micros(self.random.between(500, 200_000));
        let process = &mut self.plane.processes[at];
        let Some(wire) = process.wire.take() else {
            return;
        };
        // Commands in the socket are run all the same, as far as they got there.
        let count = process.up.len() as u64;
        let arrives = self.random.below(count + 1) as usize;
        let up = core::mem::take(&mut process.up);
        for (due, _, request) in up.into_iter().take(arrives) {
            let last = self.plane.orphans.back().map_or(due, |(at, ..)| *at);
            let orphan = (last.max(due), wire, request);
            self.plane.orphans.push_back(orphan);
        }
        self.plane.server.close(wire);
        let process = &mut self.plane.processes[at];
        process.last = Some(wire);
        process.down.clear();
        process.pushes.clear();
        process.asked.clear();
        process.ends = None;
        process.dials = Some((now + wait, None));
        process.machine.disconnected(now);
        self.drain(at);
        for node in 0..self.nodes.len() {
            if self.nodes[node].link.process == at {
                self.nodes[node].link.to_machine.clear();
                self.put(node, BackplaneEvent::Down);
            }
        }
    }

    /// Connects a process, as far as that can be.
    fn dial(&mut self, at: usize) -> Result<bool, String> {
        let now = self.now;
        let round = self.delay() + self.delay();
        let clock = self.plane.clock(now);
        let is_stopped = self.plane.stopped > now;
        let process = &mut self.plane.processes[at];
        let Some((due, time)) = process.dials else {
            return Ok(false);
        };
        if due > now {
            return Ok(false);
        }
        if process.barred || process.hushed || is_stopped {
            process.dials = Some((now + Duration::from_millis(70), None));
            return Ok(true);
        }
        let Some(time) = time else {
            process.dials = Some((now + round, Some(clock)));
            return Ok(true);
        };
        process.dials = None;
        // Commands that the last connection left in its socket were read before this one was accepted.
        let last = process.last;
        let orphans = core::mem::take(&mut self.plane.orphans);
        let is_left = |(_, wire, _): &(Instant, Wire, Request)| Some(*wire) == last;
        let (left, rest): (Vec<_>, Vec<_>) = orphans.into_iter().partition(is_left);
        self.plane.orphans.extend(rest);
        for (_, wire, request) in left {
            self.plane.server.execute(clock, wire, 0, request);
        }
        self.spread()?;
        self.plane.next_wire += 1;
        let wire = self.plane.next_wire;
        self.plane.server.open(wire);
        let process = &mut self.plane.processes[at];
        process.wire = Some(wire);
        process.machine.connected(now, time);
        self.drain(at);
        for node in 0..self.nodes.len() {
            if self.nodes[node].link.process == at {
                self.put(node, BackplaneEvent::Up);
            }
        }
        Ok(true)
    }
}

/// Whether something that is said is a message of a group that clients can name.
/// The commands that Redis may refuse for a while: for lack of memory, or because another type lies under its keys.
const fn is_of_group(request: &Request) -> bool {
    matches!(
        request,
        Request::Subscribe(Channel::Group(_))
            | Request::Position { .. }
            | Request::Publish { .. }
            | Request::Read { .. }
            | Request::History { .. }
            | Request::Presence { .. }
            | Request::RemoveHistory(_)
            | Request::Enter { .. }
            | Request::Exit { .. }
            | Request::Register { .. }
    )
}

fn is_message(said: &Said) -> bool {
    match said {
        Said::Push(Push::Message(Channel::Group(name), payload)) => {
            !name.starts_with('\u{1}') && payload.get(1) == Some(&1)
        }
        Said::Push(_) | Said::Reply(..) => false,
    }
}
