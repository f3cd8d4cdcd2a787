//! The map in ARCHITECTURE.md holds: imports point one way, and what a layer must not know does not occur in it.

use crate::map::{LONGEST, Map};

/// Modules by layer, the lowest first; a module may import from its own layer's earlier entries and from all lower layers.
const LAYERS: &[&[&str]] = &[
    &["time", "random", "error", "close", "config"],
    &["copy", "mask", "utf8", "frame", "http"],
    &["extension", "handshake"],
    &["message", "connection"],
    &["limits", "dial", "proxy"],
    &["route"],
    &["hub"],
];

/// Modules that know nothing of connections.
const APART: &[&str] = &["limits", "dial", "proxy", "route", "hub"];

/// Modules that those may import, beside themselves.
const APART_IMPORTS: &[&str] = &["time", "random", "close", "error", "config", "http"];

/// Modules that one of them may import further.
const APART_FURTHER: &[(&str, &[&str])] = &[("hub", &["frame", "message", "limits"])];

/// Values that know each other.
const PEERS: &[(&str, &str)] = &[("error", "close"), ("random", "time")];

/// Files that may keep something in a thread.
const POOLS: &[&str] = &["extension::deflate::pool"];

fn rank(module: &str) -> Option<(usize, usize)> {
    LAYERS.iter().enumerate().find_map(|(layer, modules)| {
        let at = modules.iter().position(|name| *name == module)?;
        Some((layer, at))
    })
}

/// Returns what is wrong with a file, given by its module path.
fn faults(path: &str, source: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let module = path.split("::").next().unwrap_or_default();
    if !source.starts_with("//!") {
        faults.push("no header".into());
    }
    if source.lines().count() > LONGEST {
        faults.push(format!("more than {LONGEST} lines"));
    }
    // Doc comments and tests may show more than the code may use.
    for line in Map::code(source).lines() {
        for rest in line.split("crate::").skip(1) {
            let used = rest
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .next()
                .unwrap_or_default();
            if let (Some(own), Some(other)) = (rank(module), rank(used))
                && other > own
                && !PEERS.contains(&(module, used))
            {
                faults.push(format!("imports {used} from above"));
            }
            let further = APART_FURTHER
                .iter()
                .any(|(apart, more)| *apart == module && more.contains(&used));
            let known = used == module || APART_IMPORTS.contains(&used) || further;
            if APART.contains(&module) && !known {
                faults.push(format!("imports {used}, of which it knows nothing"));
            }
        }
        for word in ["std::", "async ", "Poll<", "Waker", "Future"] {
            let pool = word == "std::" && POOLS.contains(&path);
            if !module.is_empty() && !pool && line.contains(word) {
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
            // A hash, not a runtime.
            if line.replace("sha1_smol", "").contains(word) {
                faults.push(format!("says {word}"));
            }
        }
    }
    faults
}

#[test]
fn imports_point_one_way_and_each_layer_knows_only_what_it_may() {
    let map = Map::read(env!("CARGO_MANIFEST_DIR"));
    assert!(map.sources.len() > 40, "{} files", map.sources.len());
    let mut found = Vec::new();
    for (path, source) in &map.sources {
        let faults = faults(path, source).into_iter();
        found.extend(faults.map(|fault| format!("{path}: {fault}")));
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    let map = Map::read(env!("CARGO_MANIFEST_DIR"));
    assert_eq!(map.circles(), Vec::<Vec<&str>>::new());
}

#[test]
fn planted_circles_are_found() {
    let file = |path: &str, source: &str| (path.to_string(), source.to_string());
    let sources = || {
        vec![
            file("lib", "pub mod a; pub mod b;"),
            file(
                "a::mod",
                "mod inner;\npub use inner::{One, Two};\npub struct Own;",
            ),
            file("a::inner", "use super::Own;\npub struct One;"),
            file("b", "use crate::a::One;\npub struct Three;"),
        ]
    };
    assert!(Map::new(sources()).circles().is_empty());
    let planted = [
        ("a::inner", "use crate::{b::Three, c};"),
        ("a::inner", "fn f(_: super::super::b::Three) {}"),
    ];
    for (path, source) in planted {
        let mut sources = sources();
        sources.retain(|(other, _)| other != path);
        sources.push(file(path, source));
        let map = Map::new(sources);
        assert_eq!(map.circles(), [["a::inner", "b"]], "{source}");
    }
}

#[test]
fn planted_faults_are_found() {
    let cases: &[(&str, &str, &str)] = &[
        (
            "frame::header",
            "//! RFC\nuse crate::connection::State;",
            "imports connection",
        ),
        (
            "connection::inbound",
            "//! RFC\nuse crate::route::Router;",
            "imports route from above",
        ),
        (
            "route::tree",
            "//! RFC\nuse crate::connection::Connection;",
            "imports connection, of which",
        ),
        (
            "limits::rate",
            "//! RFC\nuse crate::handshake::Request;",
            "imports handshake, of which",
        ),
        (
            "limits::rate",
            "//! RFC\nuse crate::message::PreparedMessage;",
            "imports message, of which",
        ),
        (
            "hub",
            "//! RFC\nuse crate::connection::Connection;",
            "imports connection, of which",
        ),
        (
            "hub",
            "//! RFC\nuse crate::route::Router;",
            "imports route, of which",
        ),
        (
            "route",
            "//! RFC\nuse crate::hub::Filter;",
            "imports hub from above",
        ),
        ("mask", "//! RFC\nuse std::vec::Vec;", "says std::"),
        (
            "connection::inbound",
            "//! RFC\npub async fn receive() {}",
            "says async",
        ),
        (
            "http::head",
            "//! RFC\nuse tokio::net::TcpStream;",
            "says tokio",
        ),
        ("utf8", "use core::str;", "no header"),
    ];
    for (path, source, want) in cases {
        assert!(
            faults(path, source)
                .iter()
                .any(|fault| fault.contains(want)),
            "{want}"
        );
    }
    let fine = "//! RFC\nuse crate::frame::Kind;\nuse crate::message::PreparedMessage;\nuse crate::limits::Rate;\nuse crate::http::Status;";
    assert!(faults("hub", fine).is_empty());
    assert!(faults("close", &format!("//! RFC\n{}", "x\n".repeat(LONGEST))).len() == 1);
}
