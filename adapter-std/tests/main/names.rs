//! The names are those of the async adapters: what has another name here is listed, with its reason.

use std::collections::BTreeSet;

use crate::api_reader::Api;

/// Types of both, whose methods are compared.
const TYPES: [&str; 15] = [
    "App",
    "Client",
    "EventSocket",
    "Layer",
    "Listener",
    "MessageReader",
    "MessageWriter",
    "ReadHalf",
    "Route",
    "Router",
    "Server",
    "Upgrade",
    "Verifier",
    "WebSocket",
    "WriteHalf",
];

/// Methods that only blocking code has, and why.
const OWN: [(&str, &str); 16] = [
    (
        "Client::receive_timeout",
        "a `select!` stops waiting elsewhere",
    ),
    (
        "EventSocket::next_timeout",
        "a `select!` stops waiting elsewhere",
    ),
    (
        "EventSocket::request_timeout",
        "a `select!` stops waiting elsewhere",
    ),
    ("ReadHalf::receive_timeout", "as above"),
    ("ReadHalf::try_receive", "as above"),
    ("WebSocket::receive_timeout", "as above"),
    ("WebSocket::try_receive", "as above"),
    ("WebSocket::feed", "elsewhere a method of `Sink`"),
    (
        "WebSocket::get_mut",
        "elsewhere the transport is only lent by `with_transport`",
    ),
    ("WebSocket::get_ref", "as above"),
    ("WebSocket::is_queue_full", "elsewhere sending waits"),
    (
        "WebSocket::keep_alive",
        "elsewhere a task drives a connection",
    ),
    ("Upgrade::get_ref", "elsewhere `transport`"),
    ("WriteHalf::feed", "as for the whole"),
    ("WriteHalf::is_queue_full", "as for the whole"),
    (
        "Server::stack_size",
        "elsewhere connections have no threads",
    ),
];

fn methods(api: &Api) -> BTreeSet<String> {
    let heads = api.lines.iter().filter_map(|line| line.split_once(": "));
    let names = heads.map(|(path, _)| path.rsplit("::").take(2).collect::<Vec<_>>());
    let methods = names.filter_map(|parts| match parts[..] {
        [method, of] if TYPES.contains(&of) => Some(format!("{of}::{method}")),
        _ => None,
    });
    methods.collect()
}

#[test]
fn each_method_is_one_of_the_async_adapters() {
    let root = env!("CARGO_MANIFEST_DIR");
    let mut ours = methods(&Api::read(root));
    ours.extend(methods(&Api::read(format!("{root}/../common"))));
    let theirs = methods(&Api::read(format!("{root}/../async")));
    assert!(ours.len() > 80 && theirs.len() > ours.len() / 2, "{ours:?}");
    let own: Vec<_> = ours
        .difference(&theirs)
        .filter(|name| !OWN.iter().any(|(own, _)| own == name))
        .collect();
    assert!(own.is_empty(), "{own:?}");
    for (name, _) in OWN {
        assert!(ours.contains(name) && !theirs.contains(name), "{name}");
    }
}
