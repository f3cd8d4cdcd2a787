//! Faults that are planted into a copy of this crate, one at a time: the simulation must find each within the seeds of a test run.
//! The shipped code knows nothing of this: a fault is a piece of text in place of another, which must stand there exactly once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

struct Fault {
    name: &'static str,
    /// Below `src`.
    file: &'static str,
    right: &'static str,
    wrong: &'static str,
}

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
        right: "from: if replays { RECOVERING } else { 0 }",
        wrong: "from: 0",
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
        right: "seat.generation.wrapping_add(1)",
        wrong: "seat.generation",
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
        file: "hub/broker.rs",
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
        file: "hub/delivery.rs",
        right: "self.outputs.push_back(Output::Room);",
        wrong: "",
    },
    Fault {
        name: "a message with an id of before is published again",
        file: "hub/broker.rs",
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
        right: "!self.turns || seat.judged || is_overfull(seat, budget, self.bytes)",
        wrong: "let _ = is_overfull(seat, budget, self.bytes); true",
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
        right: "let Some(deflater) = &mut self.deflater {\n            deflater.reset();",
        wrong: "let Some(deflater) = &mut self.deflater {\n            let _ = deflater;",
    },
];

/// A copy of the crate with nothing but the simulation, in a workspace of its own.
struct Copy(PathBuf);

impl Copy {
    fn new() -> Self {
        let copy = Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join("planted"));
        let core = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = core.parent().unwrap();
        let to = copy.0.join("core");
        let _ = fs::remove_dir_all(&to);
        copy_all(&core.join("src"), &to.join("src"));
        copy_all(&core.join("tests/simulation"), &to.join("tests/simulation"));
        let manifest = fs::read_to_string(core.join("Cargo.toml")).unwrap();
        let (before, rest) = manifest.split_once("[[bench]]").unwrap();
        let (_, lints) = rest.split_once("[lints]").unwrap();
        let manifest = format!("{before}[lints]{lints}");
        fs::write(to.join("Cargo.toml"), manifest).unwrap();
        let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
        let (before, rest) = manifest.split_once("members = [").unwrap();
        let (_, rest) = rest.split_once("[workspace.package]").unwrap();
        let (rest, _) = rest.split_once("[profile.").unwrap();
        // All of it is slow without any optimization, and slow to build with much.
        let manifest = format!(
            "{before}members = [\"core\"]\n[workspace.package]{rest}[profile.dev]\nopt-level = 1\ndebug = 0\n"
        );
        fs::write(copy.0.join("Cargo.toml"), manifest).unwrap();
        fs::copy(root.join("Cargo.lock"), copy.0.join("Cargo.lock")).unwrap();
        copy
    }

    /// Builds and runs the simulation; says whether it went well, and all that it printed.
    fn simulate(&self) -> (bool, String) {
        let output = Command::new(env!("CARGO"))
            .args(["test", "--offline", "-q", "-p", "sansws-core"])
            .args(["--no-default-features", "--features", "std,deflate"])
            .args(["--test", "simulation", "all_seeds"])
            .current_dir(&self.0)
            .env("CARGO_TARGET_DIR", self.0.join("target"))
            .env("RUST_BACKTRACE", "0")
            .env("SIMULATE_TRIES", "20")
            .env_remove("RUSTFLAGS")
            .env_remove("SIMULATE_SEED")
            .env_remove("SIMULATE_SEEDS")
            .env_remove("SIMULATE_FROM")
            .output()
            .unwrap();
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text += &String::from_utf8_lossy(&output.stderr);
        (output.status.success(), text)
    }
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_all(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn the_simulation_finds_each_fault_that_is_planted() {
    let copy = Copy::new();
    let (passed, text) = copy.simulate();
    assert!(passed, "the copy without a fault fails:\n{text}");
    let only = std::env::var("PLANT").unwrap_or_default();
    for fault in FAULTS.iter().filter(|fault| fault.name.contains(&only)) {
        let file = copy.0.join("core/src").join(fault.file);
        let right = fs::read_to_string(&file).unwrap();
        let times = right.matches(fault.right).count();
        assert_eq!(times, 1, "{}: {}", fault.name, fault.right);
        fs::write(&file, right.replace(fault.right, fault.wrong)).unwrap();
        let (passed, text) = copy.simulate();
        fs::write(&file, right).unwrap();
        assert!(!passed, "nobody finds that {}", fault.name);
        let found = text.split("SIMULATE_SEED=").nth(1);
        let Some(found) = found.and_then(|found| found.lines().next()) else {
            panic!("{}: there is no report:\n{text}", fault.name);
        };
        println!("{}: seed {found}", fault.name);
    }
}
