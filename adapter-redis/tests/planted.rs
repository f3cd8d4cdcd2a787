//! Faults that are planted into a copy of this crate, one at a time: the simulation must find each within the seeds of a test run.
//! The shipped code knows nothing of this: a fault is a piece of text in place of another, which must stand there exactly once.

#[path = "../../core/tests/support/planting.rs"]
mod planting;

use planting::{Fault, Plan, find_all};

const FAULTS: &[Fault] = &[
    Fault {
        name: "what was subscribed to over the last connection counts as subscribed",
        file: "mod.rs",
        right: "self.channels.clear();",
        wrong: "",
    },
    Fault {
        name: "a channel whose slot has moved is not subscribed to again",
        file: "channels.rs",
        right: "subscription.on = false;\n                self.follow(channel);",
        wrong: "subscription.on = false;",
    },
    Fault {
        name: "what was asked over the last connection counts as asked",
        file: "mod.rs",
        right: "self.traffic.flights.clear();",
        wrong: "",
    },
    Fault {
        name: "what is read of a group comes before its position",
        file: "group.rs",
        right: "Some(group) if group.nodes.contains(&node) && group.stage != Stage::Live => {",
        wrong: "Some(group) if group.nodes.contains(&node) && group.stage == Stage::Live && group.reads.len() > 9 => {",
    },
    Fault {
        name: "who leaves while the place is asked for is present for ever",
        file: "incarnation.rs",
        right: "match node.waiting.get_mut(name) {",
        wrong: "match node.waiting.get_mut(name).filter(|_| false) {",
    },
    Fault {
        name: "the first position over a connection is asked for as any other",
        file: "group.rs",
        right: "self.push_op(name, Op::Position { first: true });",
        wrong: "self.push_op(name, Op::Position { first: false });",
    },
    Fault {
        name: "what watchers are sent while a subscription begins comes twice",
        file: "watch.rs",
        right: "None if stage == Stage::Positioning => Verdict::Hold,",
        wrong: "None if stage == Stage::Positioning => Verdict::Pass,",
    },
    Fault {
        name: "what watchers are sent late, once a subscription has begun, is lost",
        file: "watch.rs",
        right: "Some(since) if time <= since => Verdict::Pass,",
        wrong: "Some(since) if time <= since => Verdict::Drop,",
    },
    Fault {
        name: "what watchers are sent while a subscription ends is lost",
        file: "watch.rs",
        right: "Some(_) if stage == Stage::Off && time > self.newest => Verdict::Hold,",
        wrong: "",
    },
    Fault {
        name: "what watchers are sent late, once a subscription has ended, comes twice",
        file: "watch.rs",
        right: "if self.ended.iter().any(has) {",
        wrong: "if self.ended.iter().any(has) && time == 0 {",
    },
    Fault {
        name: "a message without a number is counted",
        file: "group.rs",
        right: "position.offset += u64::from(!unsaved);",
        wrong: "position.offset += 1;",
    },
    Fault {
        name: "a publisher is told the position of another message",
        file: "publish.rs",
        right: "position.offset += u64::from(batch.saved);",
        wrong: "position.offset += u64::from(batch.saved) * 2;",
    },
    Fault {
        name: "the id of a message does not reach Redis",
        file: "publish.rs",
        right: "id: batch.id.clone(),",
        wrong: "id: None,",
    },
    Fault {
        name: "an earlier incarnation is cleared away together with the one that took its place",
        file: "incarnation.rs",
        right: "node.term += 1;",
        wrong: "",
    },
    Fault {
        name: "who was on a node that died is present for ever",
        file: "incarnation.rs",
        right: "self.begin_sweep(dead);",
        wrong: "let _ = dead;",
    },
    Fault {
        name: "an incarnation that was cleared away is entered again",
        file: "../../tests/memory/room.rs",
        right: "is_some_and(|until| *until > now)",
        wrong: "is_some_and(|until| *until > now && now == 0)",
    },
    Fault {
        name: "an incarnation that was given up is given a place",
        file: "../../tests/memory/incarnations.rs",
        right: "self.dead.contains_key(&incarnation) || self.given_up.contains_key(&incarnation)",
        wrong: "self.dead.contains_key(&incarnation) && now == 0",
    },
    Fault {
        name: "what was seen is forgotten with the connection",
        file: "group.rs",
        right: "seen: group.seen,",
        wrong: "seen: None,",
    },
    Fault {
        name: "steps of a group overtake each other",
        file: "serial_queue.rs",
        right: "        if self.busy {\n            return None;",
        wrong: "        if self.busy && self.queue.len() > 9_999 {\n            return None;",
    },
    Fault {
        name: "a step that Redis refused is not tried again",
        file: "publish.rs",
        right: "self.due.insert((now + AGAIN, Due::Group(Arc::clone(name))));",
        wrong: "",
    },
    Fault {
        name: "who goes overtakes who comes, when Redis refuses for a while",
        file: "serial_queue.rs",
        right: "Self::Position { .. } | Self::Enter(..) | Self::Exit(..)",
        wrong: "Self::Position { .. } | Self::Enter(..)",
    },
    Fault {
        name: "who goes while Redis refuses is present for ever",
        file: "serial_queue.rs",
        right: "(None, _) if are_new => continue,",
        wrong: "(None, _) => continue,",
    },
    Fault {
        name: "who comes back while Redis refuses is gone",
        file: "serial_queue.rs",
        right: "fate.last = last.cloned();",
        wrong: "",
    },
    Fault {
        name: "places that Redis refuses to give are not asked for again",
        file: "incarnation.rs",
        right: "self.lane.retain(|name| waiting.contains_key(name));",
        wrong: "self.lane.retain(|name| name.is_empty());",
    },
    Fault {
        name: "a recovery that Redis refuses is not answered",
        file: "publish.rs",
        right: "self.tell_unavailable(name, &[(node, token)]);",
        wrong: "let _ = (node, token);",
    },
    Fault {
        name: "messages are compressed for windows that nobody has any more",
        file: "incarnation.rs",
        right: "fold(0, |all, node| all | node.windows)",
        wrong: "fold(self.windows, |all, node| all | node.windows)",
    },
    Fault {
        name: "a node that goes is not unsubscribed",
        file: "incarnation.rs",
        right: "self.want(&Channel::Node(id), false);",
        wrong: "",
    },
];

/// Faults that only one of hundreds of seeds finds, and a seed from which that takes a moment. Once these find nothing any more, start
/// from 0, and write down which seed does.
const RARE: &[(&str, u32)] = &[
    ("who goes while Redis refuses is present for ever", 250),
    ("an incarnation that was cleared away is entered again", 260),
    (
        "what watchers are sent late, once a subscription has begun, is lost",
        300,
    ),
    ("a recovery that Redis refuses is not answered", 570),
    (
        "what watchers are sent while a subscription ends is lost",
        1_750,
    ),
    (
        "who goes overtakes who comes, when Redis refuses for a while",
        1_970,
    ),
];

#[test]
fn the_simulation_finds_each_fault_that_is_planted() {
    let plan = Plan {
        crates: &[
            ("core", &["simulation"]),
            ("common", &[]),
            ("async", &[]),
            ("adapter-redis", &["simulation", "memory"]),
        ],
        dev_dependencies: r#"sansws-core = { workspace = true, features = ["deflate"] }"#,
        package: &["-p", "sansws-redis"],
        below: "adapter-redis/src/machine",
        seeds: (Some(300), Some(2_500)),
        faults: FAULTS,
        rare: RARE,
    };
    find_all(&plan, "redis");
}
