//! Steps in Redis, one after the other: a lane for each group, and one for messages to each node of another process.
//! One request of a lane is in flight at a time, so that nothing can overtake; later ones are gathered.
//! Knows no reply.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use sansws_core::hub::{HistoryQuery, NodeId, Position, Present, Token};

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
    /// Reads the messages since the first of these positions, which are of one epoch.
    Read {
        since: Position,
        readers: Vec<Reader>,
    },
    History {
        node: NodeId,
        token: Token,
        query: HistoryQuery,
    },
    /// Reads who is present, for nodes that asked.
    Presence(Vec<(NodeId, Token)>),
    RemoveHistory {
        node: NodeId,
        token: Token,
    },
    Enter(Incarnation, Entering),
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

/// A node that reads the messages since a position.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) node: NodeId,
    pub(super) token: Token,
    pub(super) since: Position,
}

/// Users that are announced in a group.
#[derive(Debug)]
pub(super) struct Entering {
    pub(super) users: Vec<Present>,
    /// None of them was announced before on this incarnation, unless removed since.
    pub(super) are_new: bool,
}

/// The effect on a user of steps that were set aside.
struct Fate {
    /// The first of them.
    at: usize,
    /// It was announced before.
    is_known: bool,
    /// It was removed in between.
    has_left: bool,
    /// How it is announced last, unless it is removed.
    last: Option<Present>,
}

fn has_none(present: &Present) -> bool {
    present.metadata.is_none()
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
    pub(super) fn has_room(&self, most: usize) -> bool {
        self.id.is_none() && self.of.len() < BATCH && self.bytes < most.min(BATCH_BYTES)
    }
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

impl SerialQueue<Vec<u8>> {
    /// Returns payloads that one step may send, if none is in flight.
    pub(super) fn next_payloads(&mut self) -> Vec<Vec<u8>> {
        let Some(first) = self.next() else {
            return Vec::new();
        };
        let mut bytes = first.len();
        let mut payloads = vec![first];
        while payloads.len() < BATCH
            && let Some(next) = self.queue.front()
            && bytes + next.len() <= BATCH_BYTES
        {
            bytes += next.len();
            payloads.extend(self.queue.pop_front());
        }
        payloads
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

    /// Of what was set aside, leaves one step for each user, or two: however often users come and go while Redis refuses, the memory is that of their
    /// number. Returns the incarnations of which nothing is left.
    pub(super) fn collapse(&mut self) -> BTreeSet<Incarnation> {
        let mut fates: BTreeMap<(Incarnation, Name), Fate> = BTreeMap::new();
        let mut before = BTreeSet::new();
        for (at, op) in self.aside.iter().enumerate() {
            let (of, last): (_, Vec<(&Name, Option<&Present>)>) = match op {
                Op::Enter(of, entering) => {
                    let users = entering.users.iter();
                    (of, users.map(|one| (&one.user, Some(one))).collect())
                }
                Op::Exit(of, Some(users)) => (of, users.iter().map(|one| (one, None)).collect()),
                _ => continue,
            };
            let is_known = !matches!(op, Op::Enter(_, entering) if entering.are_new);
            before.insert(*of);
            for (user, last) in last {
                let fate = fates.entry((*of, Arc::clone(user))).or_insert(Fate {
                    at,
                    is_known,
                    has_left: false,
                    last: None,
                });
                fate.has_left |= last.is_none();
                fate.last = last.cloned();
            }
        }
        let mut steps: BTreeMap<usize, Vec<Op>> = BTreeMap::new();
        let mut left = BTreeSet::new();
        for ((of, user), fate) in fates {
            let steps = steps.entry(fate.at).or_default();
            let mut are_new = !fate.is_known;
            if !are_new && fate.has_left && fate.last.as_ref().is_some_and(has_none) {
                // Without metadata, it would be shown with those from before it left.
                steps.push(Op::Exit(of, Some(vec![Arc::clone(&user)])));
                are_new = true;
            }
            match (fate.last, steps.last_mut()) {
                // It came and went, and nobody knew.
                (None, _) if are_new => continue,
                (None, Some(Op::Exit(last, Some(users)))) if *last == of => users.push(user),
                (None, _) => steps.push(Op::Exit(of, Some(vec![user]))),
                (Some(present), Some(Op::Enter(last, entering)))
                    if *last == of && entering.are_new == are_new =>
                {
                    entering.users.push(present);
                }
                (Some(present), _) => {
                    let users = vec![present];
                    steps.push(Op::Enter(of, Entering { users, are_new }));
                }
            }
            left.insert(of);
        }
        for (at, op) in std::mem::take(&mut self.aside).into_iter().enumerate() {
            self.aside.extend(steps.remove(&at).into_iter().flatten());
            if !matches!(op, Op::Enter(..) | Op::Exit(_, Some(_))) {
                self.aside.push_back(op);
            }
        }
        before.difference(&left).copied().collect()
    }

    /// Returns what was set aside to the front.
    pub(super) fn resume(&mut self) {
        while let Some(op) = self.aside.pop_back() {
            self.queue.push_front(op);
        }
    }
}
