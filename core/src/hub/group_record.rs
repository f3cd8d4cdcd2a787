//! The broker's state of one group.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;

use super::history::History;
use super::id::Name;
use super::presence::Table;
use super::{NodeId, Position};
use crate::time::{Duration, Instant};

/// How long a publication id is remembered.
const REMEMBERED: Duration = Duration::from_secs(300);

#[derive(Debug)]
pub(super) struct GroupRecord {
    pub(super) position: Position,
    pub(super) subscribers: BTreeSet<NodeId>,
    pub(super) history: History,
    pub(super) presence: Table,
    pub(super) published: Remembered,
    /// When a message was last published, or a member last left.
    pub(super) touched: Instant,
    /// When to check it next.
    pub(super) due: Option<Instant>,
    /// Since when it has been empty, without publications; `None` while it has members.
    pub(super) idle: Option<Instant>,
}

/// The positions of messages that were published with an id.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    by_id: BTreeMap<Name, (Instant, Position)>,
    in_order: VecDeque<(Instant, Name)>,
}

impl GroupRecord {
    pub(super) fn new(position: Position) -> Self {
        Self {
            position,
            subscribers: BTreeSet::new(),
            history: History::default(),
            presence: Table::new(position.epoch),
            published: Remembered::default(),
            touched: Instant::ZERO,
            due: None,
            idle: None,
        }
    }

    /// Returns whether it is empty.
    pub(super) fn is_empty(&self) -> bool {
        self.subscribers.is_empty() && self.presence.is_empty()
    }
}

impl Remembered {
    /// Returns when the oldest id is forgotten.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.in_order.front().map(|(until, _)| *until)
    }

    pub(super) fn find(&self, id: &Name) -> Option<Position> {
        self.by_id.get(id).map(|(_, position)| *position)
    }

    pub(super) fn note(&mut self, now: Instant, id: Name, position: Position) {
        let until = now + REMEMBERED;
        self.by_id.insert(Arc::clone(&id), (until, position));
        self.in_order.push_back((until, id));
    }

    /// Returns the number of remembered ids.
    pub(super) fn count(&self) -> usize {
        self.in_order.len()
    }

    fn forget(&mut self) {
        if let Some((_, id)) = self.in_order.pop_front() {
            self.by_id.remove(&id);
        }
    }

    /// Forgets ids that are too old; returns their number.
    pub(super) fn age(&mut self, now: Instant) -> usize {
        let before = self.in_order.len();
        while let Some((until, _)) = self.in_order.front()
            && *until <= now
        {
            self.forget();
        }
        before - self.in_order.len()
    }
}
