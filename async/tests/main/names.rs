//! One public name means one thing: no type or trait of the core, of what adapters share, and of this crate shares its name with another.

use std::collections::BTreeMap;

use crate::api_reader::Api;

/// Names that are declared more than once, and why.
const ALLOWED: &[(&str, &str)] = &[
    (
        "App",
        "common: a built router of callbacks; async: one of async handlers",
    ),
    (
        "ConnectionPolicy",
        "common: with any hub; async: an alias with its own",
    ),
    (
        "Endpoint",
        "core: a connection with its handshake; async: a handler by methods, as in ASGI",
    ),
    ("Hub", "core: the state machine; async: the handle to it"),
    (
        "IntoPage",
        "common: a page that does not wait; async: one that may",
    ),
    (
        "Layer",
        "common: a check that does not wait; async: one that may",
    ),
    (
        "Route",
        "core: a route of values; async: a route of handlers",
    ),
    (
        "Router",
        "core: routes of values; async: routes of handlers",
    ),
    (
        "ServerOptions",
        "common: with any hub; async: an alias with its own",
    ),
    (
        "Verifier",
        "common: a check that does not wait; async: one that may",
    ),
];

#[test]
fn a_public_type_name_is_declared_once() {
    let root = env!("CARGO_MANIFEST_DIR");
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, api) in [
        ("core", Api::read(format!("{root}/../core"))),
        ("common", Api::read(format!("{root}/../common"))),
        ("async", Api::read(root)),
    ] {
        for (declared, modules) in api.types {
            let modules = modules.iter().map(|module| format!("{name}: {module}"));
            places.entry(declared).or_default().extend(modules);
        }
    }
    assert!(places.len() > 200, "{} names", places.len());
    places.retain(|_, modules| modules.len() > 1);
    let new: Vec<_> = places
        .iter()
        .filter(|(name, _)| !ALLOWED.iter().any(|(allowed, _)| allowed == name))
        .collect();
    assert!(new.is_empty(), "declared more than once: {new:#?}");
    let gone: Vec<_> = ALLOWED
        .iter()
        .filter(|(name, _)| !places.contains_key(*name))
        .collect();
    assert!(
        gone.is_empty(),
        "no longer declared more than once: {gone:?}"
    );
}
