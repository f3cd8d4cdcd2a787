//! Pages that each server serves while it is full or drains, and what other requests get then.

use std::io::{Read, Write};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use sansws_async::metrics::ServerMetrics;

use super::scripts::upgrade;
use super::servers::{End, Peer, Running, Setup};
use super::{Adapter, on_each};

const LONG: Duration = Duration::from_secs(3_600);

/// Requests of connections that are not admitted, and the status that answers each.
fn requests() -> Vec<(String, &'static str)> {
    let ask = |line: &str, more: &str| format!("{line} HTTP/1.1\r\nHost: a\r\n{more}\r\n");
    vec![
        (ask("GET /live", ""), "200"),
        (ask("HEAD /live", ""), "200"),
        (ask("GET /live?refuse", ""), "403"),
        (ask("GET /live?panic", ""), "500"),
        (ask("GET /live", "Content-Length: 1\r\n"), "503"),
        (ask("POST /live", ""), "503"),
        (ask("GET /page", ""), "503"),
        (ask("GET /nowhere", ""), "503"),
        (upgrade("/echo"), "503"),
        (upgrade("/live"), "503"),
        ("nonsense\r\n\r\n".into(), "503"),
        (String::new(), "503"),
    ]
}

fn answers(adapter: Adapter, server: &Running) -> Vec<(Vec<u8>, End)> {
    let answers = requests().into_iter().map(|(request, status)| {
        let mut peer = Peer::connect(server.address, None);
        peer.write_all(request.as_bytes()).unwrap();
        peer.shut();
        let (bytes, end) = peer.rest();
        let answer = String::from_utf8_lossy(&bytes);
        let told = answer.split(' ').nth(1);
        assert_eq!(told, Some(status), "{adapter:?} {request} {answer}");
        let is_head = request.starts_with("HEAD");
        assert_eq!(
            answer.ends_with("\r\n\r\n"),
            is_head,
            "{adapter:?} {answer}"
        );
        (bytes, end)
    });
    answers.collect()
}

fn same<R: PartialEq + std::fmt::Debug>(heard: &[(Adapter, R)]) {
    for (adapter, told) in heard {
        assert_eq!(told, &heard[0].1, "{adapter:?}");
    }
}

#[test]
fn a_page_that_is_served_always_is_there_while_a_server_is_full_or_drains() {
    let heard = on_each(|adapter| {
        let setup = Setup {
            always: true,
            max_connections: Some(1),
            ..Setup::default()
        };
        let server = Running::start(adapter, &setup);
        let mut held = Peer::connect(server.address, None);
        held.write_all(upgrade("/echo").as_bytes()).unwrap();
        held.read_exact(&mut [0; 12]).unwrap();
        let full = answers(adapter, &server);
        server.handle.drain(LONG);
        let draining = answers(adapter, &server);
        assert_eq!(full, draining, "{adapter:?}");
        drop(held);
        let mut metrics: ServerMetrics = server.settled();
        (metrics.bytes_received, metrics.bytes_sent) = (0, 0);
        (full, metrics)
    });
    same(&heard);
}

/// Reads the answer of the page `/page`.
fn a_page(peer: &mut Peer) {
    let mut answer = Vec::new();
    while !answer.ends_with(b"a page\n") {
        let mut byte = [0];
        peer.read_exact(&mut byte).unwrap();
        answer.extend(byte);
    }
}

#[test]
fn a_connection_that_was_admitted_before_a_drain_may_still_ask_for_it() {
    let heard = on_each(|adapter| {
        let setup = Setup {
            always: true,
            ..Setup::default()
        };
        let server = Running::start(adapter, &setup);
        let mut peer = Peer::connect(server.address, None);
        peer.write_all(b"GET /page HTTP/1.1\r\nHost: a\r\n\r\nGET /li")
            .unwrap();
        a_page(&mut peer);
        server.handle.drain(LONG);
        peer.write_all(b"ve HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        peer.rest()
    });
    assert!(heard[0].1.0.starts_with(b"HTTP/1.1 200 "), "{heard:?}");
    same(&heard);
}

/// A server is busy while both happen, and learns of them at once.
#[test]
fn a_request_that_has_arrived_when_a_drain_begins_is_answered() {
    on_each(|adapter| {
        let hold = Arc::new(Barrier::new(2));
        let setup = Setup {
            always: true,
            hold: Some(Arc::clone(&hold)),
            ..Setup::default()
        };
        let server = Running::start(adapter, &setup);
        let request = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        let [mut asks, mut holds] = [(); 2].map(|()| Peer::connect(server.address, None));
        asks.write_all(request("/page").as_bytes()).unwrap();
        a_page(&mut asks);
        holds.write_all(request("/page?hold").as_bytes()).unwrap();
        hold.wait();
        asks.write_all(request("/live").as_bytes()).unwrap();
        server.handle.drain(LONG);
        hold.wait();
        let (answer, end) = asks.rest();
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{adapter:?} {answer}");
        assert!(answer.ends_with("nobody"), "{adapter:?} {answer}");
        assert_eq!(end, End::Clean, "{adapter:?}");
        a_page(&mut holds);
    });
}

#[test]
fn a_client_that_says_nothing_is_told_in_the_end_that_there_is_no_room() {
    let heard = on_each(|adapter| {
        let mut setup = Setup {
            always: true,
            max_connections: Some(0),
            ..Setup::default()
        };
        setup.config.timeouts.close = Duration::from_millis(50);
        let server = Running::start(adapter, &setup);
        ["", "GET /li"].map(|said| {
            let mut peer = Peer::connect(server.address, None);
            peer.write_all(said.as_bytes()).unwrap();
            peer.rest().0
        })
    });
    assert!(heard[0].1[0].starts_with(b"HTTP/1.1 503 "), "{heard:?}");
    same(&heard);
}
