//! Which nodes there are, how long each may be silent, and in which groups it has a place.
//! Knows no presence: whoever hears that a node is dead clears it away, group by group.

use std::collections::{BTreeMap, BTreeSet};

use sansws_core::hub::NodeId;
use sansws_core::time::Duration;
use sansws_redis::request::{GIVEN_UP, Incarnation, Name, Reply};

#[derive(Clone, Debug, Default)]
pub struct Incarnations {
    /// Nodes that were heard of, and until when that is enough.
    incarnations: BTreeMap<Incarnation, u64>,
    /// Nodes that were not heard of, and when another node is told next.
    dead: BTreeMap<Incarnation, u64>,
    /// Nodes that were cleared away, and until when that is known.
    given_up: BTreeMap<Incarnation, u64>,
    /// Nodes that watch filters, until then.
    watchers: BTreeMap<Incarnation, u64>,
    places: BTreeMap<Incarnation, BTreeSet<Name>>,
}

impl Incarnations {
    pub const fn new() -> Self {
        Self {
            incarnations: BTreeMap::new(),
            dead: BTreeMap::new(),
            given_up: BTreeMap::new(),
            watchers: BTreeMap::new(),
            places: BTreeMap::new(),
        }
    }

    /// The incarnations that are known.
    pub fn all(&self) -> BTreeSet<Incarnation> {
        let all = self.incarnations.keys().chain(self.dead.keys());
        all.chain(self.places.keys()).copied().collect()
    }

    /// How many incarnations of a node were cleared away.
    pub fn cleared(&self, node: NodeId) -> usize {
        let incarnations = self.given_up.keys();
        incarnations
            .filter(|incarnation| incarnation.node == node)
            .count()
    }

    pub fn register(
        &mut self,
        now: u64,
        incarnation: Incarnation,
        groups: Vec<Name>,
        lease: Duration,
    ) -> Reply {
        if self.dead.contains_key(&incarnation) || self.given_up.contains_key(&incarnation) {
            return Reply::GivenUp;
        }
        let until = now + lease.as_micros() as u64;
        self.incarnations.entry(incarnation).or_insert(until);
        self.places.entry(incarnation).or_default().extend(groups);
        Reply::Done
    }

    pub fn unregister(&mut self, now: u64, incarnation: Incarnation, groups: &[Name], whole: bool) {
        if let Some(places) = self.places.get_mut(&incarnation) {
            places.retain(|name| !groups.contains(name));
            if places.is_empty() {
                self.places.remove(&incarnation);
            }
        }
        if whole && !self.places.contains_key(&incarnation) {
            self.incarnations.remove(&incarnation);
            self.dead.remove(&incarnation);
            let until = now + GIVEN_UP.as_micros() as u64;
            self.given_up.insert(incarnation, until);
            self.watchers.remove(&incarnation);
        }
    }

    pub fn groups(&self, incarnation: Incarnation) -> Vec<Name> {
        let places = self.places.get(&incarnation).into_iter().flatten();
        places.cloned().collect()
    }

    pub fn beat(
        &mut self,
        now: u64,
        incarnation: Incarnation,
        watching: bool,
        lease: Duration,
    ) -> Reply {
        let until = now + lease.as_micros() as u64;
        let anew = self.incarnations.insert(incarnation, until).is_none();
        if watching {
            self.watchers.insert(incarnation, until);
        } else {
            self.watchers.remove(&incarnation);
        }
        self.given_up.retain(|_, until| *until > now);
        self.watchers.retain(|_, until| *until > now);
        let silent = self.incarnations.extract_if(.., |_, until| *until <= now);
        self.dead
            .extend(silent.map(|(incarnation, _)| (incarnation, now)));
        let mut dead = Vec::new();
        for (incarnation, next) in &mut self.dead {
            if *next <= now {
                *next = until;
                dead.push(*incarnation);
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
