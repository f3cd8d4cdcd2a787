//! The map in ARCHITECTURE.md holds: this crate waits for nothing, reads no clock, needs no async crate, and no files use each other in a
//! circle.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use crate::map::{LONGEST, Map};

/// Names that only an adapter or an application may use.
const FORBIDDEN: &[&str] = &[
    "tokio",
    "smol",
    "unsafe ",
    "Instant::now()",
    "thread::sleep",
];

fn faults(source: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if !source.starts_with("//!") {
        faults.push("no header".into());
    }
    if source.lines().count() > LONGEST {
        faults.push(format!("more than {LONGEST} lines"));
    }
    let code = Map::code(source);
    let found = FORBIDDEN.iter().filter(|word| code.contains(**word));
    faults.extend(found.map(|word| format!("says {word}")));
    faults
}

#[test]
fn every_file_has_a_header_a_bound_and_no_runtime() {
    let map = Map::read(env!("CARGO_MANIFEST_DIR"));
    assert!(map.sources.len() > 20, "{} files", map.sources.len());
    let mut found = Vec::new();
    for (path, source) in &map.sources {
        let faults = faults(source).into_iter();
        found.extend(faults.map(|fault| format!("{path}: {fault}")));
    }
    assert!(found.is_empty(), "{found:#?}");
    assert_eq!(
        faults("//! A file.\nlet now = Instant::now();"),
        ["says Instant::now()"]
    );
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    let map = Map::read(env!("CARGO_MANIFEST_DIR"));
    assert_eq!(map.circles(), Vec::<Vec<&str>>::new());
}

#[test]
fn it_needs_no_async_crate() {
    let output = Command::new(env!("CARGO"))
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .args(["tree", "--offline", "-p", "sansws-common", "-e", "normal"])
        .args(["--all-features", "--prefix", "none", "--format", "{p}"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let all: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(all.contains("sansws-core"), "{all:?}");
    let is_async = |name: &&&str| {
        name.contains("tokio")
            || name.contains("futures")
            || name.starts_with("async")
            || ["smol", "polling", "mio", "atomic-waker", "sansws-async"].contains(name)
    };
    // A cell for a waker, and a trait: neither waits, nor brings anything with it.
    let harmless = |name: &&&str| ["atomic-waker", "futures-core"].contains(name);
    let found: Vec<_> = all
        .iter()
        .filter(is_async)
        .filter(|name| !harmless(name))
        .collect();
    assert!(found.is_empty(), "{found:?}");
}
