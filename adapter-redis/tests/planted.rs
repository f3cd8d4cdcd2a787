//! Faults that are planted into a copy of this crate, one at a time: the simulation must find each within the seeds of a test run.
//! The shipped code knows nothing of this: a fault is a piece of text in place of another, which must stand there exactly once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

struct Fault {
    name: &'static str,
    /// Below `src/machine`, or beside the test: the Redis in memory.
    file: &'static str,
    right: &'static str,
    wrong: &'static str,
}

const FAULTS: &[Fault] = &[
    Fault {
        name: "what was subscribed to over the last connection counts as subscribed",
        file: "mod.rs",
        right: "self.channels.clear();",
        wrong: "",
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
        name: "an earlier seat is cleared away together with the one that took its place",
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
        name: "a seat that was cleared away is entered again",
        file: "../../tests/memory/room.rs",
        right: "is_some_and(|until| *until > now)",
        wrong: "is_some_and(|until| *until > now && now == 0)",
    },
    Fault {
        name: "a seat that was given up is given a place",
        file: "../../tests/memory/seats.rs",
        right: "self.dead.contains_key(&seat) || self.given_up.contains_key(&seat)",
        wrong: "self.dead.contains_key(&seat) && now == 0",
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

/// A copy of the crate and of core with nothing but the simulation, in a workspace of its own.
struct Copy(PathBuf);

impl Copy {
    fn new() -> Self {
        let copy = Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join("planted-redis"));
        let own = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = own.parent().unwrap();
        for (name, tests) in [
            ("core", &["simulation"][..]),
            ("async", &[]),
            ("adapter-redis", &["simulation", "memory"]),
        ] {
            let (from, to) = (root.join(name), copy.0.join(name));
            let _ = fs::remove_dir_all(&to);
            copy_all(&from.join("src"), &to.join("src"));
            for test in tests {
                let test = Path::new("tests").join(test);
                copy_all(&from.join(&test), &to.join(&test));
            }
        }
        let manifest = fs::read_to_string(root.join("core/Cargo.toml")).unwrap();
        let (before, rest) = manifest.split_once("[[bench]]").unwrap();
        let (_, lints) = rest.split_once("[lints]").unwrap();
        let manifest = format!("{before}[lints]{lints}");
        fs::write(copy.0.join("core/Cargo.toml"), manifest).unwrap();
        let manifest = fs::read_to_string(root.join("async/Cargo.toml")).unwrap();
        let (before, rest) = manifest.split_once("[[test]]").unwrap();
        let (_, lints) = rest.split_once("[lints]").unwrap();
        fs::write(
            copy.0.join("async/Cargo.toml"),
            format!("{before}[lints]{lints}"),
        )
        .unwrap();
        let manifest = fs::read_to_string(own.join("Cargo.toml")).unwrap();
        let (before, rest) = manifest.split_once("[dev-dependencies]").unwrap();
        let (_, lints) = rest.split_once("[lints]").unwrap();
        let (before, _) = before.split_once("[[test]]").unwrap_or((before, ""));
        let core = "sansws-core = { workspace = true, features = [\"deflate\"] }";
        let manifest = format!("{before}[dev-dependencies]\n{core}\n\n[lints]{lints}");
        fs::write(copy.0.join("adapter-redis/Cargo.toml"), manifest).unwrap();
        let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
        let (before, rest) = manifest.split_once("members = [").unwrap();
        let (_, rest) = rest.split_once("[workspace.package]").unwrap();
        let (rest, _) = rest.split_once("[profile.").unwrap();
        // All of it is slow without any optimization, and slow to build with much.
        let manifest = format!(
            "{before}members = [\"core\", \"async\", \"adapter-redis\"]\n[workspace.package]{rest}[profile.dev]\nopt-level = 1\ndebug = 0\n"
        );
        fs::write(copy.0.join("Cargo.toml"), manifest).unwrap();
        fs::copy(root.join("Cargo.lock"), copy.0.join("Cargo.lock")).unwrap();
        copy
    }

    /// Builds and runs the simulation; says whether it went well, and all that it printed.
    fn simulate(&self, seeds: u32) -> (bool, String) {
        let output = Command::new(env!("CARGO"))
            .args(["test", "--offline", "-q", "-p", "sansws-redis"])
            .args(["--test", "simulation", "all_seeds"])
            .current_dir(&self.0)
            .env("CARGO_TARGET_DIR", self.0.join("target"))
            .env("RUST_BACKTRACE", "0")
            .env("SIMULATE_TRIES", "20")
            .env_remove("RUSTFLAGS")
            .env_remove("SIMULATE_SEED")
            .env("SIMULATE_SEEDS", seeds.to_string())
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
    let (passed, text) = copy.simulate(300);
    assert!(passed, "the copy without a fault fails:\n{text}");
    let only = std::env::var("PLANT").unwrap_or_default();
    for fault in FAULTS.iter().filter(|fault| fault.name.contains(&only)) {
        let file = copy.0.join("adapter-redis/src/machine").join(fault.file);
        let right = fs::read_to_string(&file).unwrap();
        let times = right.matches(fault.right).count();
        assert_eq!(times, 1, "{}: {}", fault.name, fault.right);
        fs::write(&file, right.replace(fault.right, fault.wrong)).unwrap();
        let (passed, text) = copy.simulate(900);
        fs::write(&file, right).unwrap();
        assert!(!passed, "nobody finds that {}", fault.name);
        let found = text.split("SIMULATE_SEED=").nth(1);
        let Some(found) = found.and_then(|found| found.lines().next()) else {
            panic!("{}: there is no report:\n{text}", fault.name);
        };
        println!("{}: seed {found:.150}", fault.name);
    }
}
