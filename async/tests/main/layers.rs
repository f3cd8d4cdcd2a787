//! The map in ARCHITECTURE.md holds: this crate names no runtime, and no files use each other in a circle.

use crate::map::{LONGEST, Map};

/// Words that name a runtime, or what only a runtime or an application may do.
const FORBIDDEN: &[&str] = &[
    "tokio",
    "smol",
    "async_io",
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
    assert!(map.sources.len() > 60, "{} files", map.sources.len());
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
