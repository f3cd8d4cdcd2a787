//! Waiting steps of a group that are done as one: users who come and go, members who recover, queries, messages.
//! However fast they come, few steps wait. A step moves ahead of others only where nobody can tell: steps with a user in common keep their
//! order, and so do messages.
//! Knows no reply.

use sansws_core::hub::{NodeId, PublishRequest, Token};

use super::serial_queue::{Batch, Op, SerialQueue};
use crate::name::Name;
use crate::request::Incarnation;
use crate::wire::Messages;

/// Number of users with whom a step is joined by no others.
pub(super) const USERS: usize = 256;

/// Maximum number of readers of a step.
const READERS: usize = 256;

/// Maximum number of queries that a step answers, each by a list of its own.
const ASKERS: usize = 64;

/// Number of waiting steps among which one is looked for that others can join.
const LOOKED_AT: usize = 8;

/// Number of users of a step up to which each is looked for among those that wait: of more, as after an outage, nobody has come and gone yet.
const FEW: usize = 16;

/// The fate of a step that meets a waiting one.
enum Meeting {
    /// It becomes part of that.
    Joins,
    /// It may move ahead of that.
    Passes,
    Stays,
}

/// Joins steps of one kind, unless there are too many of them.
const fn joins(count: usize, most: usize) -> Meeting {
    if count < most {
        Meeting::Joins
    } else {
        Meeting::Stays
    }
}

fn meets(waiting: &Op, op: &Op) -> Meeting {
    match (waiting, op) {
        (Op::Position { .. }, Op::Position { .. }) => Meeting::Joins,
        (
            Op::Read {
                since: one,
                readers,
            },
            Op::Read { since, .. },
        ) if one.epoch == since.epoch => joins(readers.len(), READERS),
        (Op::Presence(askers), Op::Presence(_)) => joins(askers.len(), ASKERS),
        // Later messages arrive by themselves.
        (
            Op::Read { .. }
            | Op::History { .. }
            | Op::Presence(_)
            | Op::Enter(..)
            | Op::Exit(_, Some(_)),
            Op::Read { .. },
        ) => Meeting::Passes,
        (Op::Enter(of, waiting), Op::Enter(incarnation, entering))
            if of == incarnation && waiting.are_new == entering.are_new =>
        {
            joins(waiting.users.len(), USERS)
        }
        (Op::Exit(of, Some(users)), Op::Exit(incarnation, Some(_))) if of == incarnation => {
            joins(users.len(), USERS)
        }
        (Op::Enter(..) | Op::Exit(_, Some(_)), Op::Enter(..) | Op::Exit(_, Some(_)))
            if !shares(waiting, op) =>
        {
            Meeting::Passes
        }
        // Users may be announced early.
        (Op::Publish(_) | Op::History { .. } | Op::Presence(_), Op::Enter(..)) => Meeting::Passes,
        _ => Meeting::Stays,
    }
}

/// Returns the users who come or go by a step.
fn users_of(op: &Op) -> impl Iterator<Item = &Name> {
    let (come, go) = match op {
        Op::Enter(_, entering) => (Some(&entering.users), None),
        Op::Exit(_, users) => (None, users.as_ref()),
        _ => (None, None),
    };
    let come = come.into_iter().flatten().map(|present| &present.user);
    come.chain(go.into_iter().flatten())
}

/// Returns whether two steps have a user in common, or too many to look.
fn shares(one: &Op, other: &Op) -> bool {
    let count = |op| users_of(op).take(USERS + 1).count();
    count(one) * count(other) > USERS * USERS
        || users_of(other).any(|user| users_of(one).any(|of_one| of_one == user))
}

impl SerialQueue<Op> {
    /// Queues a step.
    pub(super) fn push(&mut self, mut op: Op) {
        self.settle_users(&mut op);
        if users_of(&op).next().is_none() && matches!(op, Op::Enter(..) | Op::Exit(_, Some(_))) {
            return;
        }
        let at = match self.place_of(&op) {
            Ok(at) => at,
            Err(at) => return self.queue.insert(at, op),
        };
        match (self.queue.get_mut(at), op) {
            (Some(Op::Enter(_, entering)), Op::Enter(_, more)) => entering.users.extend(more.users),
            (Some(Op::Exit(_, Some(users))), Op::Exit(_, Some(more))) => users.extend(more),
            (
                Some(Op::Read { since, readers }),
                Op::Read {
                    since: other,
                    readers: more,
                },
            ) => {
                *since = (*since).min(other);
                readers.extend(more);
            }
            (Some(Op::Presence(askers)), Op::Presence(more)) => askers.extend(more),
            // The waiting one answers both; the first over a connection asks for more.
            (Some(Op::Position { first: waits }), Op::Position { first }) => *waits |= first,
            _ => {}
        }
    }

    /// Returns the index of a waiting step that another one can join, or as an error that at which it waits by itself: users come as early as
    /// they may, since messages between them could not be done together.
    fn place_of(&self, op: &Op) -> Result<usize, usize> {
        let mut first = self.queue.len();
        for (at, waiting) in self.queue.iter().enumerate().rev().take(LOOKED_AT) {
            match meets(waiting, op) {
                Meeting::Joins => return Ok(at),
                Meeting::Passes if matches!(op, Op::Enter(..)) => first = at,
                Meeting::Passes => {}
                Meeting::Stays => break,
            }
        }
        Err(first)
    }

    /// A user who comes and goes again has at most two waiting steps: what is said last stands in the last step that names the user, and is
    /// taken out of `op`.
    fn settle_users(&mut self, op: &mut Op) {
        if users_of(op).take(FEW + 1).count() > FEW {
            return;
        }
        match op {
            Op::Enter(of, entering) => entering.users.retain(|present| {
                let Some(at) = self.last_of(*of, &present.user) else {
                    return true;
                };
                let Some(Op::Enter(_, waiting)) = self.queue.get_mut(at) else {
                    return true;
                };
                for before in &mut waiting.users {
                    if before.user == present.user {
                        before.clone_from(present);
                    }
                }
                false
            }),
            Op::Exit(of, Some(users)) => {
                users.retain(|user| {
                    while let Some(at) = self.last_of(*of, user) {
                        match self.queue.get_mut(at) {
                            Some(Op::Enter(_, waiting)) => {
                                waiting.users.retain(|present| present.user != *user);
                            }
                            _ => return false,
                        }
                    }
                    true
                });
                self.queue.retain(
                    |op| !matches!(op, Op::Enter(_, entering) if entering.users.is_empty()),
                );
            }
            _ => {}
        }
    }

    /// Returns the index of the last waiting step that names a user of an incarnation, unless all of that are removed later.
    fn last_of(&self, incarnation: Incarnation, user: &Name) -> Option<usize> {
        for (at, op) in self.queue.iter().enumerate().rev().take(LOOKED_AT) {
            match op {
                Op::Exit(of, None) if *of == incarnation => return None,
                Op::Enter(of, _) | Op::Exit(of, Some(_))
                    if *of == incarnation && users_of(op).any(|one| one == user) =>
                {
                    return Some(at);
                }
                _ => {}
            }
        }
        None
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
            && let Some(batch) = self.last_batch()
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

    /// Returns the last waiting messages, if more of them may move ahead of all that waits behind: of users who go, and of reads.
    fn last_batch(&mut self) -> Option<&mut Batch> {
        for op in self.queue.iter_mut().rev().take(LOOKED_AT) {
            match op {
                Op::Publish(batch) => return Some(batch),
                Op::Exit(_, Some(_)) | Op::Read { .. } | Op::History { .. } | Op::Presence(_) => {}
                _ => return None,
            }
        }
        None
    }
}
