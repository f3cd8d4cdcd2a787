//! Faults that are planted into a copy of this crate, one at a time: the simulation must find each within the seeds of a test run.
//! The shipped code knows nothing of this: a fault is a piece of text in place of another, which must stand there exactly once.

#[path = "support/planting.rs"]
mod planting;

use planting::{Fault, Plan, find_all};

const FAULTS: &[Fault] = &[
    Fault {
        name: "a channel that ends leaves no group",
        file: "hub/membership.rs",
        right: "self.leave_all(now, id);\n        self.had_turn(now, id.slot());",
        wrong: "self.had_turn(now, id.slot());",
    },
    Fault {
        name: "a member that recovers receives live messages too",
        file: "hub/membership.rs",
        right: "let from = if waits { RECOVERING } else { start };",
        wrong: "let from = 0;",
    },
    Fault {
        name: "recovery takes one that was evicted for replayed",
        file: "hub/history.rs",
        right: "self.floor = oldest.offset();",
        wrong: "self.floor = oldest.offset() - 1;",
    },
    Fault {
        name: "recovery begins one message late",
        file: "hub/history.rs",
        right: "kept.offset() <= since.offset)",
        wrong: "kept.offset() <= since.offset + 1)",
    },
    Fault {
        name: "a dropped message is not counted",
        file: "hub/slow_consumer.rs",
        right: "counters.dropped_newest += 1;\n        if let Some(notices) = self.notices {",
        wrong: "if let Some(notices) = self.notices {",
    },
    Fault {
        name: "a skipped message is not told",
        file: "hub/queue.rs",
        right: "*noted += count;",
        wrong: "let _ = noted;",
    },
    Fault {
        name: "the budget is ignored",
        file: "hub/slow_consumer.rs",
        right: "chain.messages() > 0\n        && (",
        wrong: "false && (",
    },
    Fault {
        name: "an id is given twice",
        file: "hub/channel.rs",
        right: "channel.generation.wrapping_add(1)",
        wrong: "channel.generation",
    },
    Fault {
        name: "a gap is not told",
        file: "hub/link.rs",
        right: "self.tell(now, name, &Notice::Gap { group, count });",
        wrong: "let _ = (now, group);",
    },
    Fault {
        name: "a gap is not seen",
        file: "hub/link.rs",
        right: "if theirs.offset == ours.offset + 1 {",
        wrong: "if theirs.offset > ours.offset {",
    },
    Fault {
        name: "a new link is not told of one group",
        file: "hub/link.rs",
        right: "for key in self.groups.keys() {\n            self.ask_position(key);",
        wrong: "for key in self.groups.keys().into_iter().skip(1) {\n            self.ask_position(key);",
    },
    Fault {
        name: "who was on a lost node is present for ever",
        file: "hub/broker.rs",
        right: "let change = topic.presence.lose(&name, node);",
        wrong: "let change = None;",
    },
    Fault {
        name: "a user is gone with the first of two channels",
        file: "hub/local_presence.rs",
        right: "if found.channels == 0 && !self.draining {",
        wrong: "if !self.draining {",
    },
    Fault {
        name: "exclusion is ignored",
        file: "hub/publication.rs",
        right: "excluded.is_none_or(|excluded| !excluded.has(id, user))",
        wrong: "excluded.is_none_or(|excluded| !excluded.has(id, user) || id.slot < u32::MAX)",
    },
    Fault {
        name: "messages are compressed for windows that nobody has",
        file: "hub/broker/publish.rs",
        right: "Publication::new(&options, draft, Some(position), now, windows)",
        wrong: "Publication::new(&options, draft, Some(position), now, windows | 0x0600)",
    },
    Fault {
        name: "the newest that waits is taken first",
        file: "hub/queue.rs",
        right: "match self.links.get_mut(chain.tail as usize) {\n            Some(tail) => tail.next = link,\n            None => chain.head = link,\n        }\n        chain.tail = link;",
        wrong: "if chain.tail == NONE { chain.tail = link; }\n        if let Some(new) = self.links.get_mut(link as usize) { new.next = chain.head; }\n        chain.head = link;",
    },
    Fault {
        name: "publishers are never told that there is room",
        file: "hub/taking.rs",
        right: "self.outputs.push_back(Output::Room);",
        wrong: "",
    },
    Fault {
        name: "a message with an id of before is published again",
        file: "hub/broker/publish.rs",
        right: "let found = topic.published.find(id);",
        wrong: "let found = topic.published.find(id).filter(|_| false);",
    },
    Fault {
        name: "a user who left while the link was broken is present for ever",
        file: "hub/presence.rs",
        right: "self.exit(group, node, &gone);\n        let joined",
        wrong: "self.exit(group, node, &gone[..0]);\n        let joined",
    },
    Fault {
        name: "a node that was given up is not told",
        file: "hub/broker.rs",
        right: "self.events.push_back((from, BackplaneEvent::Up));",
        wrong: "",
    },
    Fault {
        name: "a reader that had no turn is called slow",
        file: "hub/slow_consumer.rs",
        right: "!self.turns || channel.judged || is_overfull(channel, budget, self.bytes)",
        wrong: "let _ = is_overfull(channel, budget, self.bytes); true",
    },
    Fault {
        name: "a message that its envelope failed on is delivered",
        file: "hub/wrap.rs",
        right: "None => publication.failed = true,",
        wrong: "None => {}",
    },
    Fault {
        name: "a node that listens is told of the groups of its members alone",
        file: "hub/broker.rs",
        right: "for node in listening {",
        wrong: "for node in listening.iter().filter(|node| nodes.contains(node)) {",
    },
    Fault {
        name: "other metadata of somebody who is there are not told",
        file: "hub/presence.rs",
        right: "} else if differs {",
        wrong: "} else if differs && change.joined.len() > 99 {",
    },
    Fault {
        name: "versions of presence count in one epoch for ever",
        file: "hub/group_record.rs",
        right: "presence: Table::new(position.epoch),",
        wrong: "presence: Table::new(1),",
    },
    Fault {
        name: "a join that was taken back has happened",
        file: "hub/membership.rs",
        right: "if self.is_joining(id, key, index) {\n            self.remove",
        wrong: "if self.is_joining(id, key, index) && key > 9_999 {\n            self.remove",
    },
    Fault {
        name: "a connection's own messages refer to what was shared",
        file: "connection/compression.rs",
        right: "            deflater.reset();",
        wrong: "            let _ = deflater;",
    },
];

#[test]
fn the_simulation_finds_each_fault_that_is_planted() {
    let plan = Plan {
        crates: &[("core", &["simulation"])],
        dev_dependencies: "",
        package: &[
            "-p",
            "sansws-core",
            "--no-default-features",
            "--features",
            "std,deflate",
        ],
        below: "core/src",
        seeds: (None, None),
        faults: FAULTS,
        rare: &[],
    };
    find_all(&plan, "core");
}
