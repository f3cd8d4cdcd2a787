//! How Redis and its connections fail.
//! Knows no hub: a process sees its connection end.

use sansws_core::time::Duration;

use crate::memory::Data;
use crate::model::Check;
use crate::world::World;

/// How many things can go wrong: those of [`World::trouble`].
pub const TROUBLES: u8 = 16;

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
                // What a process has not seen it can't miss, when nothing else tells that it was there.
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
            // Its clock is set, by less than what ends the lease of a node that is there: what such a node enters before it hears that it
            // was given up would stay if it died then.
            13 => self.plane.ahead += self.random.between(1_000, 3_000_000),
            14 => self.plane.ahead -= self.random.between(1_000, 3_000_000),
            _ => self.plane.copy(),
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
    pub const fn vanish(&mut self, _: &crate::world::Node) {}
}
