//! The steps of a node in Redis: its beats, and the groups in which it has a place.
//! One request is in flight at a time, so that nothing can overtake; what waits is gathered, however many users come and go meanwhile.
//! Knows no reply.

use std::collections::BTreeSet;

use crate::name::Name;

/// Maximum number of groups of a request.
const GROUPS: usize = 4_096;

/// A step of a node.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NodeOp {
    Register(Vec<Name>),
    Unregister(Vec<Name>),
    Beat,
}

/// Steps that wait for each other.
#[derive(Debug, Default)]
pub(super) struct PlaceQueue {
    /// A step is in flight, or was refused and will be retried.
    busy: bool,
    /// A beat waits. It precedes all others: a node with much to do is alive.
    beat: bool,
    /// Groups in which the node gives its place back.
    unregister: BTreeSet<Name>,
    /// Groups in which it gets one, perhaps another one: then only after it has given the earlier one back.
    register: BTreeSet<Name>,
    /// It is the turn of those that get a place, so that neither kind waits for ever.
    registers: bool,
}

impl PlaceQueue {
    /// Returns the number of waiting steps.
    pub(super) fn len(&self) -> usize {
        let of = |groups: &BTreeSet<Name>| groups.len().div_ceil(GROUPS);
        usize::from(self.beat) + of(&self.unregister) + of(&self.register)
    }

    pub(super) fn push(&mut self, op: NodeOp) {
        match op {
            NodeOp::Register(groups) => self.register.extend(groups),
            NodeOp::Unregister(groups) => self.unregister.extend(groups),
            NodeOp::Beat => self.beat = true,
        }
    }

    /// Returns the next step, if none is in flight.
    pub(super) fn next(&mut self) -> Option<NodeOp> {
        if self.busy {
            return None;
        }
        let next = self.waiting();
        self.busy = next.is_some();
        next
    }

    fn waiting(&mut self) -> Option<NodeOp> {
        if core::mem::take(&mut self.beat) {
            return Some(NodeOp::Beat);
        }
        if self.registers || self.unregister.is_empty() {
            let free = self.register.difference(&self.unregister);
            let groups: Vec<Name> = free.take(GROUPS).cloned().collect();
            if !groups.is_empty() {
                for name in &groups {
                    self.register.remove(name);
                }
                self.registers = false;
                return Some(NodeOp::Register(groups));
            }
        }
        self.registers = true;
        let groups = core::iter::from_fn(|| self.unregister.pop_first());
        let groups: Vec<Name> = groups.take(GROUPS).collect();
        (!groups.is_empty()).then_some(NodeOp::Unregister(groups))
    }

    /// The step in flight is done, or it is time to retry it.
    pub(super) const fn resume(&mut self) {
        self.busy = false;
    }

    /// Gets places only in groups that are `wanted`.
    pub(super) fn retain(&mut self, wanted: impl Fn(&Name) -> bool) {
        self.register.retain(wanted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(groups: core::ops::Range<usize>) -> Vec<Name> {
        let name = |number| Name::from(format!("g{number:05}"));
        groups.map(name).collect()
    }

    fn steps(queue: &mut PlaceQueue) -> Vec<NodeOp> {
        let next = || {
            queue.resume();
            queue.next()
        };
        core::iter::from_fn(next).collect()
    }

    #[test]
    fn waiting_steps_are_gathered_and_a_heartbeat_precedes_them() {
        let mut queue = PlaceQueue::default();
        queue.push(NodeOp::Register(names(0..1)));
        assert_eq!(queue.next(), Some(NodeOp::Register(names(0..1))));
        for number in 1..=GROUPS {
            queue.push(NodeOp::Register(names(number..number + 1)));
            queue.push(NodeOp::Unregister(names(number + 9_000..number + 9_001)));
            queue.push(NodeOp::Beat);
        }
        queue.push(NodeOp::Register(names(5_000..5_001)));
        assert_eq!(queue.next(), None, "one is in flight");
        assert_eq!(queue.len(), 4);
        let want = [
            NodeOp::Beat,
            NodeOp::Unregister(names(9_001..9_001 + GROUPS)),
            NodeOp::Register(names(1..1 + GROUPS)),
            NodeOp::Register(names(5_000..5_001)),
        ];
        assert_eq!(steps(&mut queue), want);
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn a_place_is_given_back_before_it_is_got_again_and_both_have_their_turn() {
        let mut queue = PlaceQueue::default();
        queue.push(NodeOp::Unregister(names(0..2)));
        queue.push(NodeOp::Register(names(1..3)));
        assert_eq!(queue.next(), Some(NodeOp::Unregister(names(0..2))));
        // It is refused, and another one is given back meanwhile.
        queue.push(NodeOp::Unregister(names(0..2)));
        queue.push(NodeOp::Unregister(names(7..8)));
        let again = [names(0..2), names(7..8)].concat();
        let want = [
            NodeOp::Register(names(2..3)),
            NodeOp::Unregister(again),
            NodeOp::Register(names(1..2)),
        ];
        assert_eq!(steps(&mut queue), want);
    }
}
