//! Which nodes there are, how long each may be silent, and in which groups it has a place.
//! Knows no presence: whoever hears that a node is dead clears it away, group by group.

use std::collections::{BTreeMap, BTreeSet};

use sansws_core::hub::NodeId;
use sansws_core::time::Duration;
use sansws_redis::request::{GIVEN_UP, Incarnation, Name, Reply};

#[derive(Clone, Debug, Default)]
pub struct Seats {
    /// Those that were heard of, and until when that is enough.
    seats: BTreeMap<Incarnation, u64>,
    /// Those that were not, and when somebody is told next.
    dead: BTreeMap<Incarnation, u64>,
    /// Those that were cleared away, and until when that is known.
    given_up: BTreeMap<Incarnation, u64>,
    /// Those that watch filters, until then.
    watchers: BTreeMap<Incarnation, u64>,
    places: BTreeMap<Incarnation, BTreeSet<Name>>,
}

impl Seats {
    pub const fn new() -> Self {
        Self {
            seats: BTreeMap::new(),
            dead: BTreeMap::new(),
            given_up: BTreeMap::new(),
            watchers: BTreeMap::new(),
            places: BTreeMap::new(),
        }
    }

    /// The seats that are known.
    pub fn all(&self) -> BTreeSet<Incarnation> {
        let all = self.seats.keys().chain(self.dead.keys());
        all.chain(self.places.keys()).copied().collect()
    }

    /// How many seats of a node were cleared away.
    pub fn cleared(&self, node: NodeId) -> usize {
        let seats = self.given_up.keys();
        seats.filter(|seat| seat.node == node).count()
    }

    pub fn register(
        &mut self,
        now: u64,
        seat: Incarnation,
        groups: Vec<Name>,
        lease: Duration,
    ) -> Reply {
        if self.dead.contains_key(&seat) || self.given_up.contains_key(&seat) {
            return Reply::GivenUp;
        }
        let until = now + lease.as_micros() as u64;
        self.seats.entry(seat).or_insert(until);
        self.places.entry(seat).or_default().extend(groups);
        Reply::Done
    }

    pub fn unregister(&mut self, now: u64, seat: Incarnation, groups: &[Name], whole: bool) {
        if let Some(places) = self.places.get_mut(&seat) {
            places.retain(|name| !groups.contains(name));
            if places.is_empty() {
                self.places.remove(&seat);
            }
        }
        if whole && !self.places.contains_key(&seat) {
            self.seats.remove(&seat);
            self.dead.remove(&seat);
            let until = now + GIVEN_UP.as_micros() as u64;
            self.given_up.insert(seat, until);
            self.watchers.remove(&seat);
        }
    }

    pub fn groups(&self, seat: Incarnation) -> Vec<Name> {
        let places = self.places.get(&seat).into_iter().flatten();
        places.cloned().collect()
    }

    pub fn beat(&mut self, now: u64, seat: Incarnation, watching: bool, lease: Duration) -> Reply {
        let until = now + lease.as_micros() as u64;
        let anew = self.seats.insert(seat, until).is_none();
        if watching {
            self.watchers.insert(seat, until);
        } else {
            self.watchers.remove(&seat);
        }
        self.given_up.retain(|_, until| *until > now);
        self.watchers.retain(|_, until| *until > now);
        let silent = self.seats.extract_if(.., |_, until| *until <= now);
        self.dead.extend(silent.map(|(seat, _)| (seat, now)));
        let mut dead = Vec::new();
        for (seat, next) in &mut self.dead {
            if *next <= now {
                *next = until;
                dead.push(*seat);
            }
        }
        Reply::Beat {
            anew,
            watched: !self.watchers.is_empty(),
            dead,
            time: now,
        }
    }
}
