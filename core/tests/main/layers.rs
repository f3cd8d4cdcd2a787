//! The map in ARCHITECTURE.md holds: imports point one way, and what a layer must not know does not occur in it.

use std::fs;
use std::path::{Path, PathBuf};

/// Modules by layer; a module may import from its own layer's earlier entries and from all layers above.
const LAYERS: &[&[&str]] = &[
    &["time", "random", "close", "error", "config"],
    &["mask", "utf8", "frame", "http"],
    &["extension", "handshake"],
    &["message", "connection"],
    &["policy", "proxy"],
    &["route"],
    &["hub"],
    &["drive"],
    &["app"],
    &["kit"],
];

/// What knows nothing of connections.
const APART: &[&str] = &["policy", "proxy", "route", "hub"];

/// What those may import, beside themselves.
const APART_IMPORTS: &[&str] = &["time", "random", "close", "error", "config", "http"];

/// What one of them may import further.
const APART_FURTHER: &[(&str, &[&str])] = &[("hub", &["frame", "message", "policy"])];

/// Values that know each other: a violation maps to a close code, and a close code that is wrong is a violation.
const PEERS: &[(&str, &str)] = &[("close", "error"), ("random", "time")];

/// Files that may keep something in a thread.
const POOLS: &[&str] = &["extension/deflate/codec.rs"];

const LONGEST: usize = 600;

fn rank(module: &str) -> Option<(usize, usize)> {
    LAYERS.iter().enumerate().find_map(|(layer, modules)| {
        let at = modules.iter().position(|name| *name == module)?;
        Some((layer, at))
    })
}

/// What is wrong with a file of `core/src`.
fn faults(path: &str, source: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let module = path.split(['/', '.']).next().unwrap_or_default();
    // Doc comments and tests may show more than the code may use.
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = || {
        code.lines()
            .map(str::trim_start)
            .filter(|line| !line.starts_with("//"))
    };
    if !source.starts_with("//!") {
        faults.push("no header".into());
    }
    if source.lines().count() > LONGEST {
        faults.push(format!("more than {LONGEST} lines"));
    }
    for line in lines() {
        for rest in line.split("crate::").skip(1) {
            let used = rest
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .next()
                .unwrap_or_default();
            if let (Some(own), Some(other)) = (rank(module), rank(used))
                && other > own
                && !PEERS.contains(&(module, used))
            {
                faults.push(format!("imports {used} from below"));
            }
            let further = APART_FURTHER
                .iter()
                .any(|(apart, more)| *apart == module && more.contains(&used));
            let known = used == module || APART_IMPORTS.contains(&used) || further;
            if APART.contains(&module) && !known {
                faults.push(format!("imports {used}, of which it knows nothing"));
            }
        }
        let drive = matches!(module, "drive" | "app" | "kit" | "lib");
        for word in ["std::", "async ", "Poll<", "Waker", "Future"] {
            let pool = word == "std::" && POOLS.contains(&path);
            if !drive && !pool && line.contains(word) {
                faults.push(format!("says {word}"));
            }
        }
        for word in [
            "tokio",
            "smol",
            "async_io",
            "unsafe ",
            "Instant::now",
            "SystemTime",
        ] {
            if line.contains(word) && !line.contains("sansws_") {
                faults.push(format!("says {word}"));
            }
        }
    }
    faults
}

fn sources(folder: &Path, all: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, all);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            all.push(path);
        }
    }
}

#[test]
fn imports_point_one_way_and_each_layer_knows_only_what_it_may() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    sources(&root, &mut all);
    assert!(all.len() > 40, "{} files", all.len());
    let mut found = Vec::new();
    for file in all {
        let path = file
            .strip_prefix(&root)
            .unwrap()
            .to_str()
            .unwrap()
            .to_string();
        let source = fs::read_to_string(&file).unwrap();
        found.extend(
            faults(&path, &source)
                .into_iter()
                .map(|fault| format!("{path}: {fault}")),
        );
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn planted_faults_are_found() {
    let cases: &[(&str, &str, &str)] = &[
        (
            "frame/header.rs",
            "//! RFC\nuse crate::connection::State;",
            "imports connection",
        ),
        (
            "message/mod.rs",
            "//! RFC\nlet state = crate::drive::Error;",
            "imports drive",
        ),
        (
            "connection/inbound.rs",
            "//! RFC\nuse crate::route::Router;",
            "imports route from below",
        ),
        (
            "route/tree.rs",
            "//! RFC\nuse crate::connection::Connection;",
            "imports connection, of which",
        ),
        (
            "policy/rate.rs",
            "//! RFC\nuse crate::handshake::Request;",
            "imports handshake, of which",
        ),
        (
            "policy/rate.rs",
            "//! RFC\nuse crate::message::Prepared;",
            "imports message, of which",
        ),
        (
            "hub/mod.rs",
            "//! RFC\nuse crate::connection::Connection;",
            "imports connection, of which",
        ),
        (
            "hub/mod.rs",
            "//! RFC\nuse crate::route::Router;",
            "imports route, of which",
        ),
        (
            "hub/mod.rs",
            "//! RFC\nuse crate::drive::Error;",
            "imports drive from below",
        ),
        (
            "route/mod.rs",
            "//! RFC\nuse crate::hub::Filter;",
            "imports hub from below",
        ),
        ("mask.rs", "//! RFC\nuse std::vec::Vec;", "says std::"),
        (
            "connection/inbound.rs",
            "//! RFC\npub async fn receive() {}",
            "says async",
        ),
        (
            "drive/engine.rs",
            "//! RFC\nuse tokio::net::TcpStream;",
            "says tokio",
        ),
        ("utf8.rs", "use core::str;", "no header"),
    ];
    for (path, source, want) in cases {
        assert!(
            faults(path, source)
                .iter()
                .any(|fault| fault.contains(want)),
            "{want}"
        );
    }
    let fine = "//! RFC\nuse crate::frame::Kind;\nuse crate::message::Prepared;\nuse crate::policy::Rate;\nuse crate::http::Status;";
    assert!(faults("hub/mod.rs", fine).is_empty());
    assert!(faults("close.rs", &format!("//! RFC\n{}", "x\n".repeat(LONGEST))).len() == 1);
}
