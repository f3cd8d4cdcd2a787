//! Limits per address: a thread is counted as long as it serves a connection, however it ends.

use std::net::{IpAddr, Ipv4Addr};
use std::thread;
use std::time::Duration;

use sansws_std::{
    AddressLimits, Error, Layer, PerAddress, Rate, Response, Result, Route, Router, Scope, Upgrade,
};

use crate::support::{Running, dial, echo};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn refused<T>(result: Result<T, Error>) -> Response {
    match result {
        Err(Error::Refused(response)) => *response,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it was accepted"),
    }
}

/// Waits until an address has no connection.
fn none_left(addresses: &PerAddress) {
    while addresses.connections(HERE) > 0 {
        thread::yield_now();
    }
}

/// Refuses requests that ask for it.
struct Refuses;

impl Layer for Refuses {
    fn check(&self, scope: &mut Scope) -> Result<(), Response> {
        match scope.raw_query() {
            Some("refuse") => Err(Response::text(403, "no\n")),
            Some("panic") => panic!("as planned"),
            _ => Ok(()),
        }
    }
}

#[test]
fn an_address_has_so_many_connections_and_comes_so_often() {
    let addresses = PerAddress::new(AddressLimits {
        connections: Some(2),
        handshakes: Some(Rate::new(1, Duration::from_secs(3_600)).burst(4)),
        ..AddressLimits::default()
    });
    let router = Router::new()
        .route("/", echo)
        .get("/page", "a page\n")
        .layer(addresses.clone());
    let server = Running::new(router);
    let held = [
        dial(server.address, "/").unwrap(),
        dial(server.address, "/").unwrap(),
    ];
    assert_eq!(addresses.connections(HERE), 2);
    let beyond = refused(dial(server.address, "/"));
    assert_eq!(
        (beyond.status, &*beyond.body),
        (429, &b"too many connections\n"[..])
    );
    drop(held);
    none_left(&addresses);
    for _ in 0..2 {
        drop(dial(server.address, "/").unwrap());
        none_left(&addresses);
    }
    // There is room, but none in time.
    let fast = refused(dial(server.address, "/"));
    assert_eq!(
        (fast.status, &*fast.body),
        (429, &b"too many requests\n"[..])
    );
    assert!(fast.fields.get_str("retry-after").is_some());
}

#[test]
fn a_connection_counts_until_it_has_ended_however_it_ends() {
    let addresses = PerAddress::new(AddressLimits {
        connections: Some(1),
        ..AddressLimits::default()
    });
    let router = Router::new()
        .add(Route::new("/", echo).layer(Refuses))
        .route("/drops", |_: Upgrade| Ok(()))
        .route("/rejects", |upgrade: Upgrade| {
            Ok(upgrade.reject(Response::text(402, "pay\n"))?)
        })
        .route("/panics/before", |_: Upgrade| panic!("as planned"))
        .route("/panics", |upgrade: Upgrade| {
            let _socket = upgrade.accept()?;
            panic!("as planned")
        })
        .layer(addresses.clone());
    let server = Running::new(router);
    for (path, want) in [
        ("/?refuse", 403),
        ("/?panic", 500),
        ("/nowhere", 404),
        ("/drops", 500),
        ("/rejects", 402),
        ("/panics/before", 500),
    ] {
        assert_eq!(refused(dial(server.address, path)).status, want, "{path}");
        none_left(&addresses);
    }
    let mut panics = dial(server.address, "/panics").unwrap();
    assert!(panics.receive().is_err());
    drop(panics);
    none_left(&addresses);
    // Closed, dropped, and cut off by the server.
    let mut closes = dial(server.address, "/").unwrap();
    closes.close(1000, "").unwrap();
    drop(closes);
    none_left(&addresses);
    drop(dial(server.address, "/").unwrap());
    none_left(&addresses);
    let _stays = dial(server.address, "/").unwrap();
    assert_eq!(addresses.connections(HERE), 1);
    server.handle.drop_all();
    none_left(&addresses);
}
