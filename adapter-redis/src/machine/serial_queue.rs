//! Steps in Redis, one after the other: a lane for each group, and one for each node.
//! One request of a lane is in flight at a time, so that nothing can overtake; later ones are gathered.
//! Knows no reply.

use std::collections::VecDeque;

use sansws_core::hub::{HistoryQuery, NodeId, Position, Present, PublishRequest, Token};

use crate::name::Name;
use crate::request::Incarnation;
use crate::wire::Messages;

/// Maximum number of messages that one step publishes.
const BATCH: usize = 256;

/// Number of message bytes at which a step takes no more.
const BATCH_BYTES: usize = 256 << 10;

/// A step of a group.
#[derive(Debug)]
pub(super) enum Op {
    Position {
        first: bool,
    },
    Publish(Batch),
    Send(Vec<u8>),
    Read {
        node: NodeId,
        token: Token,
        since: Position,
    },
    History {
        node: NodeId,
        token: Token,
        query: HistoryQuery,
    },
    Presence {
        node: NodeId,
        token: Token,
    },
    RemoveHistory {
        node: NodeId,
        token: Token,
    },
    Enter(Incarnation, Vec<Present>),
    /// `None` removes all of them.
    Exit(Incarnation, Option<Vec<Name>>),
}

impl Op {
    /// Returns whether it is retried until Redis executes it: the others fail. Those that are retried keep their order.
    pub(super) const fn is_retried(&self) -> bool {
        matches!(
            self,
            Self::Position { .. } | Self::Enter(..) | Self::Exit(..)
        )
    }
}

/// Messages that one step publishes.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) messages: Messages,
    /// Their total length.
    pub(super) bytes: usize,
    /// Whether they have numbers.
    pub(super) saved: bool,
    /// The node that is told the position of each message.
    pub(super) of: Vec<(NodeId, Option<Token>)>,
    pub(super) id: Option<Name>,
}

impl Batch {
    fn has_room(&self, most: usize) -> bool {
        self.id.is_none() && self.of.len() < BATCH && self.bytes < most.min(BATCH_BYTES)
    }
}

/// A step of a node's places in presence.
#[derive(Debug)]
pub(super) enum NodeOp {
    Register(Vec<Name>),
    Unregister(Vec<Name>),
    Beat,
}

/// Steps that wait for each other.
#[derive(Debug)]
pub(super) struct SerialQueue<T> {
    pub(super) queue: VecDeque<T>,
    /// A step is in flight.
    pub(super) busy: bool,
    /// Steps that Redis refused and that will be retried, and those that must not overtake them, in order.
    pub(super) aside: VecDeque<T>,
}

impl<T> Default for SerialQueue<T> {
    fn default() -> Self {
        Self {
            queue: VecDeque::new(),
            busy: false,
            aside: VecDeque::new(),
        }
    }
}

impl<T> SerialQueue<T> {
    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_empty() && !self.busy && self.aside.is_empty()
    }

    /// Returns the next step, if none is in flight.
    pub(super) fn next(&mut self) -> Option<T> {
        if self.busy {
            return None;
        }
        let next = self.queue.pop_front()?;
        self.busy = true;
        Some(next)
    }
}

impl SerialQueue<Op> {
    /// Returns the next step that need not wait for those that were set aside.
    pub(super) fn next_step(&mut self) -> Option<Op> {
        loop {
            let op = self.next()?;
            if self.aside.is_empty() || !op.is_retried() {
                return Some(op);
            }
            self.aside.push_back(op);
            self.busy = false;
        }
    }

    /// Returns what was set aside to the front.
    pub(super) fn resume(&mut self) {
        while let Some(op) = self.aside.pop_back() {
            self.queue.push_front(op);
        }
    }

    /// Queues a message, merged with others where possible; `most` is the number of bytes that are kept and evicted together. Returns
    /// its length.
    pub(super) fn publish(
        &mut self,
        draft: &PublishRequest,
        from: (NodeId, Option<Token>),
        most: usize,
    ) -> usize {
        let (saved, id) = (!draft.options.without_history, draft.options.id.clone());
        if id.is_none()
            && let Some(Op::Publish(batch)) = self.queue.back_mut()
            && batch.saved == saved
            && batch.has_room(most)
        {
            let before = batch.bytes;
            batch.messages.push(draft);
            batch.bytes = batch.messages.as_bytes().len();
            batch.of.push(from);
            return batch.bytes - before;
        }
        let mut messages = Messages::default();
        messages.push(draft);
        let bytes = messages.as_bytes().len();
        self.queue.push_back(Op::Publish(Batch {
            messages,
            bytes,
            saved,
            of: vec![from],
            id,
        }));
        bytes
    }
}
