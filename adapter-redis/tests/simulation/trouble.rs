//! How Redis and its connections fail.
//! Knows no hub: a process sees its connection end.

use sansws_core::time::Duration;
use sansws_redis::request::{Channel, Incarnation};

use crate::hold;
use crate::memory::Data;
use crate::model::Check;
use crate::ops::{BY_NODE, Op};
use crate::plane::Process;
use crate::setup::{GROUPS, LEASE};
use crate::world::{Node, World};

/// How many things can go wrong: those of [`World::trouble`].
pub const TROUBLES: u8 = 20;

impl World {
    /// One of the things that go wrong with Redis.
    pub fn trouble(&mut self, kind: u8) -> Check {
        let at = self.random.below(self.plane.processes.len() as u64) as usize;
        self.plane.troubled = true;
        match kind {
            0 => self.hang_up(at),
            1 | 2 => self.end(at),
            3 => self.stop(100, 2_500),
            4 => self.stop(100, 9_000),
            5 | 6 => {
                let millis = self.random.between(100, 3_000);
                self.plane.slow = self.now + Duration::from_millis(millis);
            }
            7 => {
                let data = self.plane.server.snapshot();
                self.begin_anew(data, false);
            }
            8 => {
                self.begin_anew(Data::default(), false);
                self.model.lose();
            }
            9 => {
                // A process cannot miss a message that it has not seen, if nothing else shows that there was one.
                let data = self.older();
                self.begin_anew(data, self.plane.lossy);
                self.model.lose();
            }
            10 => {
                let data = self.plane.server.snapshot();
                self.begin_anew(data, true);
            }
            11 | 12 => {
                let data = self.older();
                self.begin_anew(data, true);
                self.model.lose();
            }
            // Its clock is set, also by more than a lease.
            13 => self.plane.ahead += self.random.between(1_000, 8_000_000),
            14 => {
                let back = self.random.between(1_000, 3_000_000);
                self.plane.ahead -= back;
                self.plane.back += Duration::from_micros(back);
            }
            15 => return self.lapse(),
            16 => return self.replace(at),
            17 | 18 => {
                let millis = self.random.between(100, 3_000);
                self.plane.refusing = self.now + Duration::from_millis(millis);
            }
            _ => {
                self.plane.copy();
                return self.migrate();
            }
        }
        Ok(())
    }

    /// In a cluster, a slot moves to another shard, with the channel of a group or of a node: whoever wants it subscribes to it again.
    fn migrate(&mut self) -> Check {
        let moves = |channel: &&Channel| matches!(channel, Channel::Group(_) | Channel::Node(_));
        let channels = self.plane.server.channels().filter(moves);
        let mut channels: Vec<Channel> = channels.cloned().collect();
        if channels.is_empty() {
            return Ok(());
        }
        let channel = channels.swap_remove(self.random.below(channels.len() as u64) as usize);
        self.plane.server.migrate(&channel);
        if let Channel::Group(name) = &channel {
            self.plane.moved.insert(name.clone());
        }
        self.spread()?;
        // It takes longer while Redis is slow, stands still, or refuses.
        let plane = &self.plane;
        if plane.slow.max(plane.stopped).max(plane.refusing) > self.now {
            return Ok(());
        }
        self.pass(Duration::from_millis(200))?;
        for node in &self.nodes {
            let process = &self.plane.processes[node.link.process];
            let wants = match &channel {
                Channel::Group(name) => node.hub.count(name) > 0,
                Channel::Node(id) => node.hub.node() == *id,
                Channel::Watch | Channel::Control | Channel::Presence => false,
            };
            let is_calm = !process.hushed && process.ends.is_none() && process.machine.is_idle();
            hold!(
                !wants
                    || !is_calm
                    || self.plane.stopped.max(self.plane.refusing) > self.now
                    || process
                        .wire
                        .is_none_or(|wire| self.plane.server.is_subscribed(wire, &channel)),
                "moved: {:?} does not hear of {channel:?}",
                node.hub.node()
            );
        }
        Ok(())
    }

    /// The lease of a process ends before it beats, its users are cleared away, and more is said there: of users who are there, whereupon it
    /// crashes, or of others.
    fn lapse(&mut self) -> Check {
        let processes = self.nodes.iter().map(|node| node.link.process);
        let at = processes.max_by_key(|at| {
            let on_it = |node: &&Node| node.link.process == *at;
            let nodes = self.nodes.iter().filter(on_it);
            nodes.map(|node| node.slots.len()).sum::<usize>()
        });
        let at = at.unwrap_or(0);
        let on_it = |node: &usize| self.nodes[*node].link.process == at;
        let nodes: Vec<usize> = (0..self.nodes.len()).filter(on_it).collect();
        let is_on_it = |client: &u8| {
            let session = self.clients[usize::from(*client)].session;
            session.is_some_and(|session| nodes.contains(&self.sessions[session].node))
        };
        let clients: Vec<u8> = (0..self.clients.len() as u8).filter(is_on_it).collect();
        for client in &clients {
            self.join(*client, "who/0", false, "join");
        }
        self.pass(Duration::from_millis(200))?;
        self.plane.ahead += LEASE.as_micros() as u64 + 100_000;
        let cleared = |world: &Self| -> usize {
            let ids = nodes.iter().map(|node| world.nodes[*node].hub.node());
            ids.map(|id| world.plane.server.incarnations().cleared(id))
                .sum()
        };
        let before = cleared(self);
        for _ in 0..40 {
            self.pass(Duration::from_millis(40))?;
            if cleared(self) > before {
                break;
            }
        }
        let crashes = self.random.one_in(2);
        for client in clients {
            if crashes {
                self.step(Op::Meta { client, value: 0 })?;
            } else {
                self.join(client, "tight/0", false, "join");
            }
        }
        self.pass(Duration::from_millis(20))?;
        if crashes && let Some(node) = nodes.first() {
            for node in self.together(*node) {
                self.crash(node);
            }
            return Ok(());
        }
        // Its next beat tells that it was given up, and it says all again.
        self.pass(LEASE)?;
        let process = &self.plane.processes[at];
        let is_calm = process.wire.is_some() && !process.hushed && process.machine.is_idle();
        for node in nodes.iter().filter(|_| is_calm) {
            let (id, hub) = (self.nodes[*node].hub.node(), &self.nodes[*node].hub);
            let room = self.plane.server.room("who/0");
            let incarnations = room
                .map(crate::memory::Room::incarnations)
                .unwrap_or_default();
            hold!(
                self.plane.stopped.max(self.plane.refusing) > self.now
                    || hub.count("who/0") == 0
                    || incarnations
                        .iter()
                        .any(|incarnation| incarnation.node == id),
                "presence: nobody of {id:?} is present, though some are there, and it was given up long ago"
            );
        }
        Ok(())
    }

    /// Redis goes back to what it had before, and others publish before a process is there again that saw more.
    fn replace(&mut self, at: usize) -> Check {
        let data = self.older();
        self.begin_anew(data, self.plane.lossy);
        self.model.lose();
        let barred = core::mem::replace(&mut self.plane.processes[at].barred, true);
        self.pass(Duration::from_millis(900))?;
        for node in 0..self.nodes.len() {
            if self.nodes[node].link.process == at {
                continue;
            }
            for group in GROUPS {
                for _ in 0..self.random.below(6) {
                    let tag = format!("t{}", self.fresh());
                    self.publish(node, None, group, BY_NODE, &tag, 5);
                }
            }
            self.flush(node)?;
        }
        self.pass(Duration::from_millis(100))?;
        self.plane.processes[at].barred = barred;
        Ok(())
    }

    /// When all have gone from presence who were on nodes that died, where that is certain: a lease after their last beat, when the next
    /// beats.
    pub fn until_swept(&self) -> Option<Duration> {
        let is_there = |process: &Process| process.wire.is_some() && process.ends.is_none();
        let until = self.plane.stopped.max(self.plane.slow);
        let stops = until.max(self.plane.refusing) > self.now;
        let all = self.plane.processes.iter().all(is_there);
        (all && !stops).then(|| LEASE + LEASE / 3 + self.plane.back + Duration::from_millis(800))
    }

    /// Checks that no user is present on a node that is gone.
    pub fn check_swept(&self) -> Check {
        for group in GROUPS {
            let room = self.plane.server.room(group);
            let incarnations = room
                .map(crate::memory::Room::incarnations)
                .unwrap_or_default();
            let is_there = |incarnation: &Incarnation| {
                self.nodes
                    .iter()
                    .any(|node| node.hub.node() == incarnation.node)
            };
            let lost = incarnations
                .into_iter()
                .find(|incarnation| !is_there(incarnation));
            hold!(
                lost.is_none(),
                "swept: somebody is in {group} on {lost:?}, which died more than a lease ago"
            );
        }
        Ok(())
    }

    /// Something that Redis had before, if it had anything.
    fn older(&mut self) -> Data {
        let count = self.plane.copies.len() as u64;
        if count == 0 {
            return Data::default();
        }
        let at = self.random.below(count) as usize;
        self.plane.copies.truncate(at + 1);
        self.plane.copies.back().cloned().unwrap_or_default()
    }

    /// Redis, or what lies between, ends the connection of a process: what was sent arrives, as far as it got.
    fn end(&mut self, at: usize) {
        let wait = Duration::from_micros(self.random.between(0, 30_000));
        let process = &mut self.plane.processes[at];
        let Some(wire) = process.wire else {
            return;
        };
        let arrives = self.random.below(process.down.len() as u64 + 1) as usize;
        process.down.truncate(arrives);
        process.pushes.truncate(arrives);
        process.ends = Some(self.now + wait);
        self.plane.server.close(wire);
    }

    /// Redis does nothing for a while.
    fn stop(&mut self, least: u64, most: u64) {
        let millis = self.random.between(least, most);
        self.plane.stopped = self.now + Duration::from_millis(millis);
    }

    /// Redis ends, and begins anew with what it has then: by itself, or another in its place.
    fn begin_anew(&mut self, data: Data, promoted: bool) {
        for at in 0..self.plane.processes.len() {
            self.end(at);
            self.plane.processes[at].up.clear();
        }
        self.plane.orphans.clear();
        if promoted {
            self.plane.server.promote(data);
        } else {
            self.plane.server.restart(data);
        }
        self.stop(0, 400);
    }

    /// The connection of a process breaks, and no other comes about until it heals.
    pub fn part(&mut self, at: usize) -> Check {
        let process = self.nodes[at].link.process;
        self.plane.troubled = true;
        self.plane.processes[process].barred = true;
        self.hang_up(process);
        Ok(())
    }

    /// From now on nothing stands between the process of a node and Redis.
    pub fn heal(&mut self, at: usize) -> Check {
        let process = self.nodes[at].link.process;
        let process = &mut self.plane.processes[process];
        (process.barred, process.hushed) = (false, false);
        Ok(())
    }

    /// From now on nothing passes the connection of a process, and nobody knows.
    pub fn hush(&mut self, at: usize) {
        let process = self.nodes[at].link.process;
        self.plane.troubled = true;
        self.plane.processes[process].hushed = true;
    }

    /// The next messages of groups on the way to a process get lost, as they may between the servers of a cluster.
    pub fn lose(&mut self, at: usize, count: u8) {
        let process = self.nodes[at].link.process;
        self.plane.processes[process].lose = count;
        if count > 0 {
            (self.plane.troubled, self.plane.lossy) = (true, true);
        }
    }

    /// Redis begins anew, with or without what it had.
    pub fn restart(&mut self) -> Check {
        let kind = self.random.pick(&[7, 8, 9, 10, 11]);
        self.trouble(kind)
    }

    /// The nodes that crash together: those of a process, in whose place there is another.
    pub fn together(&mut self, at: usize) -> Vec<usize> {
        let of = self.nodes[at].link.process;
        self.plane.troubled = true;
        let wire = self.plane.processes[of].wire;
        let up = core::mem::take(&mut self.plane.processes[of].up);
        let arrives = self.random.below(up.len() as u64 + 1) as usize;
        if let Some(wire) = wire {
            for (due, _, request) in up.into_iter().take(arrives) {
                let last = self.plane.orphans.back().map_or(due, |(at, ..)| *at);
                let orphan = (last.max(due), wire, request);
                self.plane.orphans.push_back(orphan);
            }
            self.plane.server.close(wire);
        }
        self.plane.processes[of] = self.fresh_process();
        let nodes = 0..self.nodes.len();
        nodes
            .filter(|node| self.nodes[*node].link.process == of)
            .collect()
    }

    /// A node has crashed: its process is gone already.
    #[expect(
        clippy::needless_pass_by_ref_mut,
        reason = "the broker's plane has something to do here"
    )]
    pub const fn vanish(&mut self, _: &Node) {}
}
