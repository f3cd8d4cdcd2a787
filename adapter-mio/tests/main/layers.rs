//! The map in ARCHITECTURE.md holds: every file has a header and a bound, no files use each other in a circle, and the tree has no async
//! crate.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use crate::map::{LONGEST, Map};

#[test]
fn every_file_has_a_header_and_a_bound_and_awaits_nothing() {
    let map = Map::read(env!("CARGO_MANIFEST_DIR"));
    assert!(map.sources.len() > 15, "{} files", map.sources.len());
    for (path, source) in &map.sources {
        assert!(source.starts_with("//!"), "{path}: no header");
        let lines = source.lines().count();
        assert!(lines <= LONGEST, "{path}: {lines} lines");
        let code = Map::code(source);
        for word in ["async ", ".await", "unsafe "] {
            assert!(!code.contains(word), "{path}: says {word}");
        }
    }
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
        .args(["tree", "--offline", "-p", "sansws-mio", "-e", "normal"])
        .args(["--all-features", "--prefix", "none", "--format", "{p}"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let all: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(all.contains("rustls"), "{all:?}");
    let is_async = |name: &&&str| {
        name.contains("tokio")
            || name.contains("futures")
            || name.starts_with("async")
            || ["smol", "polling", "sansws-async"].contains(name)
    };
    // A trait, which brings nothing with it.
    let is_harmless = |name: &&&str| **name == "futures-core";
    let found = all.iter().filter(is_async);
    let found: Vec<_> = found.filter(|name| !is_harmless(name)).collect();
    assert!(found.is_empty(), "{found:?}");
}
