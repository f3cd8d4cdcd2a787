//! The publications, as the links between nodes know them: the truth that clients are compared with.
//! Knows no client and no node.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sansws_core::hub::{ChannelId, Position, PublishRequest};
use sansws_core::time::Instant;

use crate::plane::NUMBERS_GO_ON;
use crate::setup::POISON;

pub type Check = Result<(), String>;

/// Says what is wrong, unless it holds.
#[macro_export]
macro_rules! hold {
    ($condition:expr, $($why:tt)+) => {
        if !$condition {
            return Err(format!($($why)+));
        }
    };
}

#[derive(Debug)]
pub struct Record {
    /// When it was published.
    pub at: Instant,
    pub tag: String,
    pub exclude: BTreeSet<ChannelId>,
    /// Users to whom it is not replayed.
    unreplayed: BTreeSet<Arc<str>>,
    pub expires: bool,
    /// Which server numbered it, of those that came one after the other.
    server: u64,
}

/// A message, as watchers of filters know it.
#[derive(Debug)]
pub struct Shown {
    pub at: Instant,
    pub group: Arc<str>,
    pub tag: String,
    exclude: BTreeSet<ChannelId>,
    unreplayed: BTreeSet<Arc<str>>,
}

#[derive(Debug, Default)]
pub struct Model {
    /// By group, epoch and number; a server that has lost what was last gives numbers again.
    numbered: BTreeMap<(Arc<str>, u64, u64), Vec<Record>>,
    /// With which number each epoch began.
    epochs: BTreeMap<(Arc<str>, u64), u64>,
    /// How many servers have lost something.
    server: u64,
    /// Where each message stands that has a number.
    pub standing: BTreeMap<String, Position>,
    /// Messages without a number, with those who must not receive them.
    pub unnumbered: BTreeMap<String, (Arc<str>, BTreeSet<ChannelId>)>,
    /// All that watchers are to receive, in the order in which it was published.
    pub shown: Vec<Shown>,
    /// Ids of the callers' own, by group and epoch.
    ids: BTreeSet<(Arc<str>, u64, Arc<str>)>,
    /// The users of channels.
    pub users: BTreeMap<ChannelId, String>,
    /// Messages published.
    pub published: u64,
}

impl Model {
    /// Notes a publication to a group that clients can name.
    pub fn note(
        &mut self,
        at: Instant,
        draft: &PublishRequest,
        position: Option<Position>,
    ) -> Check {
        let text = core::str::from_utf8(draft.message.payload()).unwrap_or_default();
        let tag = text.split(' ').next().unwrap_or_default().to_string();
        if let (Some(id), Some(position)) = (&draft.options.id, position) {
            let id = (Arc::clone(&draft.group), position.epoch, Arc::clone(id));
            hold!(self.ids.insert(id), "double: {tag} has an id of before");
        }
        let exclude: BTreeSet<ChannelId> = draft.options.exclude.iter().copied().collect();
        if draft.options.expires.is_none() && !tag.starts_with(POISON) {
            self.shown.push(Shown {
                at,
                group: Arc::clone(&draft.group),
                tag: tag.clone(),
                exclude: exclude.clone(),
                unreplayed: draft.options.exclude_replay.iter().cloned().collect(),
            });
        }
        let Some(position) = position.filter(|_| !draft.options.without_history) else {
            let group = Arc::clone(&draft.group);
            self.unnumbered.insert(tag, (group, exclude));
            return Ok(());
        };
        let record = Record {
            at,
            tag: tag.clone(),
            exclude,
            unreplayed: draft.options.exclude_replay.iter().cloned().collect(),
            expires: draft.options.expires.is_some(),
            server: self.server,
        };
        let at = (Arc::clone(&draft.group), position.epoch, position.offset);
        let first = self.epochs.entry((Arc::clone(&at.0), at.1)).or_insert(at.2);
        let begins = at.2 <= *first;
        hold!(
            position.offset == 1
                || (begins && NUMBERS_GO_ON)
                || !self.at(&at.0, at.1, at.2 - 1).is_empty(),
            "numbers: {position} of {} follows nothing",
            at.0
        );
        let records = self.numbered.entry(at).or_default();
        hold!(
            records.iter().all(|before| before.server < self.server),
            "numbers: {position} was given twice in {}",
            draft.group
        );
        records.push(record);
        self.standing.insert(tag, position);
        Ok(())
    }

    /// The server has lost what was published last, and the ids of it.
    #[allow(
        dead_code,
        reason = "the broker of one process loses nothing that it kept"
    )]
    pub fn lose(&mut self) {
        self.server += 1;
        self.ids.clear();
    }

    /// Whether a server has lost what was last.
    pub const fn has_lost(&self) -> bool {
        self.server > 0
    }

    /// Returns the publication at an offset, even if it has expired.
    pub fn at(&self, group: &Arc<str>, epoch: u64, offset: u64) -> &[Record] {
        let records = self.numbered.get(&(Arc::clone(group), epoch, offset));
        records.map_or(&[], |records| records)
    }

    /// Whether one of these expires: it may do so while it waits.
    pub fn expire(&self, group: &Arc<str>, epoch: u64, mut numbers: core::ops::Range<u64>) -> bool {
        let expires = |record: &Record| record.expires;
        numbers.any(|offset| self.at(group, epoch, offset).iter().any(expires))
    }

    /// A number that was given again by a server that had lost what stood there, to a message that a channel should have and does not.
    pub fn replaced(
        &self,
        group: &Arc<str>,
        epoch: u64,
        mut numbers: core::ops::RangeInclusive<u64>,
        since: Instant,
        id: ChannelId,
        seen: &BTreeSet<String>,
    ) -> Option<u64> {
        let user = self.users.get(&id);
        numbers.find(|offset| {
            let [_, .., record] = self.at(group, epoch, *offset) else {
                return false;
            };
            record.at >= since
                && !record.expires
                && !record.exclude.contains(&id)
                && !user.is_some_and(|user| record.unreplayed.contains(user.as_str()))
                && !seen.contains(&record.tag)
        })
    }

    /// Whether a message is for a channel.
    pub fn is_for(&self, id: ChannelId, shown: &Shown) -> bool {
        let user = self.users.get(&id);
        let excluded = user.is_some_and(|user| shown.unreplayed.contains(user.as_str()));
        !excluded && !shown.exclude.contains(&id)
    }

    /// How many messages a channel should have received with numbers in a range, none of which it has.
    pub fn missing(
        &self,
        group: &Arc<str>,
        epoch: u64,
        numbers: core::ops::Range<u64>,
        id: ChannelId,
    ) -> u64 {
        let user = self.users.get(&id);
        let excused = |record: &Record| {
            record.expires
                || record.exclude.contains(&id)
                || user.is_some_and(|user| record.unreplayed.contains(user.as_str()))
        };
        numbers
            .filter(|offset| !self.at(group, epoch, *offset).iter().any(excused))
            .count() as u64
    }
}
