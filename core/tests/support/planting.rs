//! Plants faults into copies of crates, one at a time: the simulation must find each within the seeds of a test run.
//! The shipped code knows nothing of this: a fault is a piece of text in place of another, which must stand there exactly once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

pub struct Fault {
    pub name: &'static str,
    /// Relative to [`Plan::below`].
    pub file: &'static str,
    pub right: &'static str,
    pub wrong: &'static str,
}

/// The files that are copied, and how the simulation is run in the copy.
pub struct Plan {
    /// Folders of crates, each with the folders of its tests that are copied; the last one has the simulation.
    pub crates: &'static [(&'static str, &'static [&'static str])],
    /// The lines of `[dev-dependencies]` of the last crate.
    pub dev_dependencies: &'static str,
    /// Arguments of `cargo test` that choose the package and its features.
    pub package: &'static [&'static str],
    /// The folder that the files of the faults are in.
    pub below: &'static str,
    /// Number of seeds without a fault, and with one; `None` is what the simulation takes by itself.
    pub seeds: (Option<u32>, Option<u32>),
    pub faults: &'static [Fault],
    /// The seed to start from, for faults that few seeds find.
    pub rare: &'static [(&'static str, u32)],
}

/// A copy of the crates with nothing but the simulation, in a workspace of its own.
struct Copy<'p> {
    plan: &'p Plan,
    root: PathBuf,
}

impl<'p> Copy<'p> {
    fn new(plan: &'p Plan, root: PathBuf) -> Self {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        for (at, (name, tests)) in plan.crates.iter().enumerate() {
            let (from, to) = (from.join(name), root.join(name));
            let _ = fs::remove_dir_all(&to);
            copy_all(&from.join("src"), &to.join("src"));
            for test in *tests {
                let test = Path::new("tests").join(test);
                copy_all(&from.join(&test), &to.join(&test));
            }
            let mut manifest = without_tests(&fs::read_to_string(from.join("Cargo.toml")).unwrap());
            if at + 1 == plan.crates.len() {
                manifest += &format!("\n[dev-dependencies]\n{}\n", plan.dev_dependencies);
            }
            fs::write(to.join("Cargo.toml"), manifest).unwrap();
        }
        let manifest = fs::read_to_string(from.join("Cargo.toml")).unwrap();
        let (before, rest) = manifest.split_once("members = [").unwrap();
        let (_, rest) = rest.split_once("[workspace.package]").unwrap();
        let (rest, _) = rest.split_once("[profile.").unwrap();
        let members: Vec<_> = plan.crates.iter().map(|(name, _)| name).collect();
        // Optimized code costs more to compile than it saves.
        let manifest = format!(
            "{before}members = {members:?}\n[workspace.package]{rest}[profile.dev]\ndebug = 0\n"
        );
        fs::write(root.join("Cargo.toml"), manifest).unwrap();
        fs::copy(from.join("Cargo.lock"), root.join("Cargo.lock")).unwrap();
        Self { plan, root }
    }

    /// Copies the copy with what was built in it.
    fn again(&self, root: PathBuf) -> Self {
        let _ = fs::remove_dir_all(&root);
        let status = Command::new("cp")
            .arg("-a")
            .args([&self.root, &root])
            .status()
            .unwrap();
        assert!(status.success());
        Self {
            plan: self.plan,
            root,
        }
    }

    /// Builds the simulation and runs it from a seed; returns whether it passed, and all that it printed.
    fn simulate(&self, from: u32, seeds: Option<u32>) -> (bool, String) {
        let mut command = Command::new(env!("CARGO"));
        command
            .args(["test", "--offline", "-q"])
            .args(self.plan.package)
            .args(["--test", "simulation", "all_seeds"])
            .current_dir(&self.root)
            .env("CARGO_TARGET_DIR", self.root.join("target"))
            // A fault changes a line: this takes half the time.
            .env("CARGO_INCREMENTAL", "1")
            .env("RUST_BACKTRACE", "0")
            .env("SIMULATE_TRIES", "20")
            .env("SIMULATE_FROM", from.to_string())
            .env_remove("RUSTFLAGS")
            .env_remove("SIMULATE_SEED")
            .env_remove("SIMULATE_SEEDS");
        if let Some(seeds) = seeds {
            command.env("SIMULATE_SEEDS", seeds.to_string());
        }
        let output = command.output().unwrap();
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text += &String::from_utf8_lossy(&output.stderr);
        (output.status.success(), text)
    }

    /// Returns how often the text that a fault replaces stands in its file.
    fn count(&self, fault: &Fault) -> usize {
        let file = self.root.join(self.plan.below).join(fault.file);
        let text = fs::read_to_string(file).unwrap();
        text.matches(fault.right).count()
    }

    /// Plants a fault, and returns how the simulation fails then.
    fn plant(&self, fault: &Fault) -> String {
        let file = self.root.join(self.plan.below).join(fault.file);
        let right = fs::read_to_string(&file).unwrap();
        fs::write(&file, right.replace(fault.right, fault.wrong)).unwrap();
        let rare = self.plan.rare.iter().find(|(name, _)| *name == fault.name);
        let from = rare.map_or(0, |(_, from)| *from);
        let (passed, text) = self.simulate(from, self.plan.seeds.1);
        fs::write(&file, right).unwrap();
        assert!(!passed, "nobody finds that {}", fault.name);
        let found = text.split("SIMULATE_SEED=").nth(1);
        let Some(found) = found.and_then(|found| found.lines().next()) else {
            panic!("{}: there is no report:\n{text}", fault.name);
        };
        found.into()
    }
}

/// Returns a manifest without the sections of tests and benchmarks.
fn without_tests(manifest: &str) -> String {
    let mut kept = true;
    let lines = manifest.lines().filter(|line| {
        if line.starts_with('[') {
            kept = !["[[bench]]", "[[test]]", "[dev-dependencies]"].contains(line);
        }
        kept
    });
    lines.flat_map(|line| [line, "\n"]).collect()
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

/// Plants each fault whose name contains the variable `PLANT`, in one copy for each processor.
pub fn find_all(plan: &Plan, name: &str) {
    let place = |number: usize| {
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("planted-{name}-{number}"))
    };
    let first = Copy::new(plan, place(0));
    let astray: Vec<_> = plan
        .faults
        .iter()
        .filter(|fault| first.count(fault) != 1)
        .collect();
    let astray: Vec<_> = astray
        .iter()
        .map(|fault| (fault.name, fault.right))
        .collect();
    assert!(
        astray.is_empty(),
        "not exactly once in their files: {astray:#?}"
    );
    let unknown = plan
        .rare
        .iter()
        .find(|(name, _)| plan.faults.iter().all(|fault| fault.name != *name));
    assert_eq!(unknown, None, "no such fault");
    let (passed, text) = first.simulate(0, plan.seeds.0);
    assert!(passed, "the copy without a fault fails:\n{text}");
    let only = std::env::var("PLANT").unwrap_or_default();
    let faults: Vec<_> = plan
        .faults
        .iter()
        .filter(|fault| fault.name.contains(&only))
        .collect();
    let workers = thread::available_parallelism().map_or(1, |count| count.get().min(4));
    let others: Vec<_> = (1..workers.min(faults.len()))
        .map(|number| first.again(place(number)))
        .collect();
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for copy in std::iter::once(&first).chain(&others) {
            scope.spawn(|| {
                while let Some(fault) = faults.get(next.fetch_add(1, Ordering::Relaxed)) {
                    println!("{}: seed {:.150}", fault.name, copy.plant(fault));
                }
            });
        }
    });
    // Incremental builds are large.
    for copy in std::iter::once(&first).chain(&others) {
        fs::remove_dir_all(&copy.root).unwrap();
    }
}
