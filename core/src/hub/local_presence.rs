//! The users present on this node, including those within their grace period.
//! Knows users and groups only by name.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::backplane::Present;
use super::id::Name;
use crate::time::{Duration, Instant};

/// The users of this node, by group.
#[derive(Debug, Default)]
pub(super) struct LocalPresence {
    groups: BTreeMap<Name, BTreeMap<Name, User>>,
    /// When users whose last channel has left are gone.
    leaving: BTreeSet<(Instant, Name, Name)>,
    draining: bool,
}

#[derive(Debug)]
struct User {
    channels: u32,
    /// The metadata that its channels set last, and when.
    metadata: Option<Arc<str>>,
    said: Instant,
    leaving: Option<Instant>,
}

impl User {
    fn present(&self, user: &Name) -> Present {
        Present {
            user: Arc::clone(user),
            metadata: self.metadata.clone(),
            said: self.said,
        }
    }

    /// Sets the metadata from a channel; a channel without metadata changes nothing. Returns whether they changed.
    fn say(&mut self, said: Instant, metadata: Option<&Arc<str>>) -> bool {
        if metadata.is_none() || self.metadata.as_ref() == metadata {
            return false;
        }
        (self.metadata, self.said) = (metadata.cloned(), said);
        true
    }
}

impl LocalPresence {
    /// Adds a channel of a user. Returns what to report, if the user is new or has other metadata.
    pub(super) fn enter(&mut self, group: &Name, present: &Present) -> Option<Present> {
        let users = self.groups.entry(Arc::clone(group)).or_default();
        let is_new = !users.contains_key(&present.user);
        let user = users
            .entry(Arc::clone(&present.user))
            .or_insert_with(|| User {
                channels: 0,
                metadata: present.metadata.clone(),
                said: present.said,
                leaving: None,
            });
        user.channels += 1;
        let changed = user.say(present.said, present.metadata.as_ref()) || is_new;
        if let Some(at) = user.leaving.take() {
            let left = (at, Arc::clone(group), Arc::clone(&present.user));
            self.leaving.remove(&left);
        }
        changed.then(|| user.present(&present.user))
    }

    /// Sets other metadata of a user. Returns what to report.
    pub(super) fn update(&mut self, group: &Name, present: &Present) -> Option<Present> {
        let users = self.groups.get_mut(group)?;
        let user = users.get_mut(&present.user)?;
        let changed = user.metadata != present.metadata;
        (user.metadata, user.said) = (present.metadata.clone(), present.said);
        changed.then(|| user.present(&present.user))
    }

    /// Removes a channel of a user. The grace period starts with the last one.
    pub(super) fn leave(&mut self, now: Instant, group: &Name, user: &Name, grace: Duration) {
        let Some(found) = self
            .groups
            .get_mut(group)
            .and_then(|users| users.get_mut(user))
        else {
            return;
        };
        found.channels = found.channels.saturating_sub(1);
        if found.channels == 0 && !self.draining {
            let at = now + grace;
            found.leaving = Some(at);
            self.leaving
                .insert((at, Arc::clone(group), Arc::clone(user)));
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.leaving.first().map(|(at, ..)| *at)
    }

    /// Returns the users whose grace period is over, by group.
    pub(super) fn due(&mut self, now: Instant) -> BTreeMap<Name, Vec<Name>> {
        let mut gone: BTreeMap<Name, Vec<Name>> = BTreeMap::new();
        while let Some((at, ..)) = self.leaving.first()
            && *at <= now
            && let Some((_, group, user)) = self.leaving.pop_first()
        {
            if let Some(users) = self.groups.get_mut(&group) {
                users.remove(&user);
                if users.is_empty() {
                    self.groups.remove(&group);
                }
            }
            gone.entry(group).or_default().push(user);
        }
        gone
    }

    /// Stops reporting single users that leave: the node is reported as a whole.
    pub(super) const fn drain(&mut self) {
        self.draining = true;
    }

    /// Returns all present users, by group.
    pub(super) fn all(&self) -> impl Iterator<Item = (&Name, Vec<Present>)> {
        self.groups.iter().map(|(group, users)| {
            let present = users.iter().map(|(name, user)| user.present(name));
            (group, present.collect())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_here_until_the_last_channel_has_left_and_the_grace_is_over() {
        let (mut here, group) = (LocalPresence::default(), Name::from("room"));
        let ada = Present {
            user: "ada".into(),
            metadata: None,
            said: Instant::ZERO,
        };
        let (now, grace) = (Instant::ZERO, Duration::from_secs(3));
        assert!(here.enter(&group, &ada).is_some());
        assert!(here.enter(&group, &ada).is_none());
        here.leave(now, &group, &ada.user, grace);
        assert_eq!(here.deadline(), None);
        here.leave(now, &group, &ada.user, grace);
        assert_eq!(here.deadline(), Some(now + grace));
        // A user who returns within the grace period was never away.
        assert!(here.enter(&group, &ada).is_none());
        assert_eq!(here.deadline(), None);
        here.leave(now, &group, &ada.user, grace);
        assert!(here.due(now).is_empty());
        let gone = here.due(now + grace);
        assert_eq!(gone.get(&group), Some(&alloc::vec![Name::from("ada")]));
        assert!(here.groups.is_empty() && here.deadline().is_none());
    }
}
