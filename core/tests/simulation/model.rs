//! What was published, by the side of the broker: the truth that clients are compared with.
//! No RFC.
//! Knows no client and no node.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sansws_core::hub::{ChannelId, Draft, Position};

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
    pub tag: String,
    pub exclude: BTreeSet<ChannelId>,
    pub expires: bool,
}

#[derive(Debug, Default)]
pub struct Model {
    /// By group, epoch and number.
    numbered: BTreeMap<(Arc<str>, u64, u64), Record>,
    /// Where each message stands that has a number.
    pub standing: BTreeMap<String, Position>,
    /// Messages without a number, with those who must not receive them.
    pub unnumbered: BTreeMap<String, (Arc<str>, BTreeSet<ChannelId>)>,
    /// Ids of the callers' own, by group and epoch.
    ids: BTreeSet<(Arc<str>, u64, Arc<str>)>,
    /// Messages published.
    pub published: u64,
}

impl Model {
    /// Notes a publication to a group that clients can name.
    pub fn note(&mut self, draft: &Draft, position: Option<Position>) -> Check {
        let text = core::str::from_utf8(draft.message.payload()).unwrap_or_default();
        let tag = text.split(' ').next().unwrap_or_default().to_string();
        if let (Some(id), Some(position)) = (&draft.options.id, position) {
            let id = (Arc::clone(&draft.group), position.epoch, Arc::clone(id));
            hold!(self.ids.insert(id), "double: {tag} has an id of before");
        }
        let exclude: BTreeSet<ChannelId> = draft.options.exclude.iter().copied().collect();
        let Some(position) = position.filter(|_| !draft.options.unsaved) else {
            let group = Arc::clone(&draft.group);
            self.unnumbered.insert(tag, (group, exclude));
            return Ok(());
        };
        let record = Record {
            tag: tag.clone(),
            exclude,
            expires: draft.options.expires.is_some(),
        };
        let at = (Arc::clone(&draft.group), position.epoch, position.offset);
        hold!(
            position.offset == 1 || self.at(&at.0, at.1, at.2 - 1).is_some(),
            "numbers: {position} of {} follows nothing",
            at.0
        );
        let before = self.numbered.insert(at, record);
        hold!(
            before.is_none(),
            "numbers: {position} was given twice in {}",
            draft.group
        );
        self.standing.insert(tag, position);
        Ok(())
    }

    pub fn at(&self, group: &Arc<str>, epoch: u64, offset: u64) -> Option<&Record> {
        self.numbered.get(&(Arc::clone(group), epoch, offset))
    }

    /// Whether one of these expires: it may do so while it waits.
    pub fn expire(&self, group: &Arc<str>, epoch: u64, mut numbers: core::ops::Range<u64>) -> bool {
        let record = |offset| self.at(group, epoch, offset);
        numbers.any(|offset| record(offset).is_some_and(|record| record.expires))
    }

    /// How many messages a channel should have received with numbers in a range, none of which it has.
    pub fn missing(
        &self,
        group: &Arc<str>,
        epoch: u64,
        numbers: core::ops::Range<u64>,
        id: ChannelId,
    ) -> u64 {
        let excused = |record: &Record| record.expires || record.exclude.contains(&id);
        numbers
            .filter(|offset| !self.at(group, epoch, *offset).is_some_and(excused))
            .count() as u64
    }
}
