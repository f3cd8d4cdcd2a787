//! What is to be done in Redis, one step after the other: a lane for each group, and one for each node.
//! No RFC. One request of a lane is on its way at a time, so that nothing can overtake; what comes meanwhile is gathered.
//! Knows no reply.

use std::collections::VecDeque;

use sansws_core::hub::{NodeId, Position, Present, Token};

use crate::request::{Name, Seat};

/// Most messages that are published in one step.
const BATCH: usize = 256;

/// Octets of messages after which a step takes no more.
const BATCH_OCTETS: usize = 256 << 10;

/// What is to be done about a group.
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
        limit: usize,
    },
    Presence {
        node: NodeId,
        token: Token,
    },
    Enter(Seat, Vec<Present>),
    /// `None`: all of them.
    Exit(Seat, Option<Vec<Name>>),
}

/// Messages that are published in one step.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) messages: Vec<Vec<u8>>,
    pub(super) octets: usize,
    /// For each message who is told where it stands, and whether it has a number.
    pub(super) of: Vec<(NodeId, Option<Token>, bool)>,
    pub(super) id: Option<Name>,
}

impl Batch {
    fn has_room(&self) -> bool {
        self.id.is_none() && self.messages.len() < BATCH && self.octets < BATCH_OCTETS
    }
}

/// What is to be done about a node's places in presence.
#[derive(Debug)]
pub(super) enum NodeOp {
    Register(Vec<Name>),
    Unregister(Vec<Name>),
    Beat,
}

/// Steps that wait for each other.
#[derive(Debug)]
pub(super) struct Lane<T> {
    pub(super) queue: VecDeque<T>,
    /// A step is on its way, or failed and waits to be tried again.
    pub(super) busy: bool,
}

impl<T> Default for Lane<T> {
    fn default() -> Self {
        Self {
            queue: VecDeque::new(),
            busy: false,
        }
    }
}

impl<T> Lane<T> {
    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_empty() && !self.busy
    }

    /// The next step, if its turn has come.
    pub(super) fn next(&mut self) -> Option<T> {
        if self.busy {
            return None;
        }
        let next = self.queue.pop_front()?;
        self.busy = true;
        Some(next)
    }
}

impl Lane<Op> {
    /// Puts a message behind what waits, together with others where that can be. `saved`: it has a number.
    pub(super) fn publish(
        &mut self,
        message: Vec<u8>,
        from: (NodeId, Option<Token>, bool),
        id: Option<Name>,
    ) {
        let octets = message.len();
        if id.is_none()
            && let Some(Op::Publish(batch)) = self.queue.back_mut()
            && batch.has_room()
        {
            batch.messages.push(message);
            batch.octets += octets;
            batch.of.push(from);
            return;
        }
        self.queue.push_back(Op::Publish(Batch {
            messages: vec![message],
            octets,
            of: vec![from],
            id,
        }));
    }
}
