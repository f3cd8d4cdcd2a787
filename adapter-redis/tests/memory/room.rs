//! The presence of one group, as stored in Redis.
//! Knows no connection: what is to be told is handed out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sansws_core::hub::{PresenceChange, Present};
use sansws_core::time::Instant;
use sansws_redis::request::{GIVEN_UP, Incarnation, Name, Reply};

#[derive(Clone, Debug, Default)]
pub struct Room {
    /// In which numbering versions count; 0 until something changes.
    epoch: u64,
    /// The run of the server in which it began.
    run: u64,
    version: u64,
    users: BTreeMap<Name, User>,
    /// Incarnations that were cleared away, and until when nobody enters on them.
    given_up: BTreeMap<Incarnation, u64>,
}

/// A user: the incarnations it is on, and what was said of it last.
#[derive(Clone, Debug, Default)]
struct User {
    incarnations: BTreeSet<Incarnation>,
    metadata: Option<Name>,
    said: Instant,
}

impl User {
    fn present(&self, user: &Name) -> Present {
        Present {
            user: Arc::clone(user),
            metadata: self.metadata.clone(),
            said: self.said,
        }
    }
}

impl Room {
    pub fn presence(&self, members: bool) -> Reply {
        let users = self.users.iter().filter(|_| members);
        Reply::Presence {
            epoch: self.epoch,
            version: self.version,
            count: self.users.len(),
            members: users.map(|(name, user)| user.present(name)).collect(),
        }
    }

    /// The incarnations on which somebody is.
    pub fn incarnations(&self) -> BTreeSet<Incarnation> {
        let incarnations = self.users.values().flat_map(|user| &user.incarnations);
        incarnations.copied().collect()
    }

    /// Whether an incarnation was cleared away.
    pub fn is_given_up(&self, now: u64, incarnation: Incarnation) -> bool {
        self.given_up
            .get(&incarnation)
            .is_some_and(|until| *until > now)
    }

    /// An incarnation was cleared away.
    pub fn give_up(&mut self, now: u64, incarnation: Incarnation) {
        let until = now + GIVEN_UP.as_micros() as u64;
        self.given_up.insert(incarnation, until);
    }

    /// Users are there, on an incarnation; what is to be told.
    pub fn enter(
        &mut self,
        group: &Name,
        incarnation: Incarnation,
        users: Vec<Present>,
        (now, fresh, run): (u64, u64, u64),
    ) -> Option<PresenceChange> {
        let mut change = PresenceChange::new(Arc::clone(group), 0, 0, 0);
        for present in users {
            let user = self.users.entry(Arc::clone(&present.user)).or_default();
            let is_new = user.incarnations.is_empty();
            user.incarnations.insert(incarnation);
            let mut differs = false;
            let is_later = present.said >= user.said || user.said.as_micros() > now + 1_000_000;
            if is_new || (present.metadata.is_some() && is_later) {
                differs = user.metadata != present.metadata;
                (user.metadata, user.said) = (present.metadata, present.said);
            }
            let present = user.present(&present.user);
            if is_new {
                change.joined.push(present);
            } else if differs {
                change.updated.push(present);
            }
        }
        self.changed(change, fresh, run)
    }

    /// Users, or all, are there no more on an incarnation; what is to be told.
    pub fn exit(
        &mut self,
        group: &Name,
        incarnation: Incarnation,
        users: Option<&[Name]>,
        (fresh, run): (u64, u64),
    ) -> Option<PresenceChange> {
        let all: Vec<Name> = self.users.keys().cloned().collect();
        let mut change = PresenceChange::new(Arc::clone(group), 0, 0, 0);
        for name in users.unwrap_or(&all) {
            if let Some(user) = self.users.get_mut(name)
                && user.incarnations.remove(&incarnation)
                && user.incarnations.is_empty()
            {
                change.left.push(user.present(name));
                self.users.remove(name);
            }
        }
        self.changed(change, fresh, run)
    }

    fn changed(
        &mut self,
        mut change: PresenceChange,
        fresh: u64,
        run: u64,
    ) -> Option<PresenceChange> {
        if change.is_empty() {
            return None;
        }
        if self.epoch == 0 || self.run != run {
            (self.epoch, self.run, self.version) = (fresh, run, 0);
        }
        self.version += 1;
        (change.epoch, change.version) = (self.epoch, self.version);
        change.count = self.users.len();
        Some(change)
    }
}
