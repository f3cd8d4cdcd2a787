//! The broker's state of one group.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

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
    /// In order, without repetition: most groups have members on few nodes.
    subscribers: Vec<NodeId>,
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

/// The positions of messages that were published with an id. Without one, it holds no memory.
#[derive(Debug, Default)]
pub(super) struct Remembered(Option<Box<Ids>>);

#[derive(Debug, Default)]
struct Ids {
    by_id: BTreeMap<Name, (Instant, Position)>,
    in_order: VecDeque<(Instant, Name)>,
}

impl GroupRecord {
    pub(super) fn new(position: Position) -> Self {
        Self {
            position,
            subscribers: Vec::new(),
            history: History::default(),
            presence: Table::new(position.epoch),
            published: Remembered::default(),
            touched: Instant::ZERO,
            due: None,
            idle: None,
        }
    }

    /// Returns the nodes with members.
    pub(super) fn subscribers(&self) -> &[NodeId] {
        &self.subscribers
    }

    /// Adds a node with members.
    pub(super) fn subscribe(&mut self, node: NodeId) {
        if let Err(at) = self.subscribers.binary_search(&node) {
            self.subscribers.reserve_exact(1);
            self.subscribers.insert(at, node);
        }
    }

    /// Removes a node; returns whether it had members.
    pub(super) fn unsubscribe(&mut self, node: NodeId) -> bool {
        let Ok(at) = self.subscribers.binary_search(&node) else {
            return false;
        };
        self.subscribers.remove(at);
        true
    }

    /// Returns whether it is empty.
    pub(super) fn is_empty(&self) -> bool {
        self.subscribers.is_empty() && self.presence.is_empty()
    }
}

impl Remembered {
    /// Returns when the oldest id is forgotten.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let oldest = self.0.as_ref()?.in_order.front();
        oldest.map(|(until, _)| *until)
    }

    pub(super) fn find(&self, id: &Name) -> Option<Position> {
        let found = self.0.as_ref()?.by_id.get(id);
        found.map(|(_, position)| *position)
    }

    pub(super) fn note(&mut self, now: Instant, id: Name, position: Position) {
        let ids = self.0.get_or_insert_default();
        let until = now + REMEMBERED;
        ids.by_id.insert(Arc::clone(&id), (until, position));
        ids.in_order.push_back((until, id));
    }

    /// Returns the number of remembered ids.
    pub(super) fn count(&self) -> usize {
        self.0.as_ref().map_or(0, |ids| ids.in_order.len())
    }

    /// Forgets ids that are too old; returns their number.
    pub(super) fn age(&mut self, now: Instant) -> usize {
        let before = self.count();
        while self.deadline().is_some_and(|until| until <= now) {
            self.forget();
        }
        before - self.count()
    }

    fn forget(&mut self) {
        let Some(ids) = &mut self.0 else {
            return;
        };
        if let Some((_, id)) = ids.in_order.pop_front() {
            ids.by_id.remove(&id);
        }
        if ids.in_order.is_empty() {
            self.0 = None;
        }
    }
}
