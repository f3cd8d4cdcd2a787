//! Which nodes there are, how long each may be silent, and in which groups it has a place.
//! No RFC.
//! Knows no presence: whoever hears that a node is dead clears it away, group by group.

use std::collections::{BTreeMap, BTreeSet};

use sansws_core::time::Duration;
use sansws_redis::request::{Name, Reply, Seat};

#[derive(Clone, Debug, Default)]
struct Lease {
    until: u64,
    watching: bool,
    groups: BTreeSet<Name>,
}

#[derive(Clone, Debug, Default)]
pub struct Seats(BTreeMap<Seat, Lease>);

impl Seats {
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// The seats that are known.
    pub fn all(&self) -> Vec<Seat> {
        self.0.keys().copied().collect()
    }

    pub fn register(&mut self, now: u64, seat: Seat, groups: Vec<Name>, lease: Duration) {
        let known = self.0.entry(seat).or_default();
        known.until = known.until.max(now + lease.as_micros() as u64);
        known.groups.extend(groups);
    }

    pub fn unregister(&mut self, seat: Seat, groups: &[Name], whole: bool) {
        let Some(known) = self.0.get_mut(&seat) else {
            return;
        };
        for group in groups {
            known.groups.remove(group);
        }
        if whole && known.groups.is_empty() {
            self.0.remove(&seat);
        }
    }

    pub fn groups(&self, seat: Seat) -> Vec<Name> {
        let known = self.0.get(&seat);
        let groups = known.into_iter().flat_map(|known| &known.groups);
        groups.cloned().collect()
    }

    pub fn beat(&mut self, now: u64, seat: Seat, watching: bool, lease: Duration) -> Reply {
        let anew = !self.0.contains_key(&seat);
        let until = now + lease.as_micros() as u64;
        let known = self.0.entry(seat).or_default();
        (known.until, known.watching) = (until, watching);
        let mut dead = Vec::new();
        for (seat, known) in &mut self.0 {
            if known.until <= now {
                known.until = until;
                known.watching = false;
                dead.push(*seat);
            }
        }
        Reply::Beat {
            anew,
            watched: self.0.values().any(|known| known.watching),
            dead,
            time: now,
        }
    }
}
