//! The end of a server while peers are in the middle of something: nobody who is not served delays it, and who is served gets the rest.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use sansws_async::tls::rustls::ClientConfig;

use super::on_each;
use super::scripts::{KEY, frame, upgrade};
use super::servers::{BIG, End, Peer, Running, Setup, until};
use crate::support::certs::Certs;

/// So long that a test would not see its end.
const LONG: Duration = Duration::from_secs(3_600);

/// A server that waits for everything as long as it takes.
fn patient() -> Setup {
    let mut setup = Setup::default();
    let timeouts = &mut setup.config.timeouts;
    (timeouts.handshake, timeouts.close, timeouts.shutdown) = (None, LONG, LONG);
    setup
}

#[test]
fn peers_that_never_begin_delay_no_shutdown() {
    let certs = Certs::new();
    let tls = sansws_async::tls::server(certs.identity("server"), None).unwrap();
    on_each(|adapter| {
        for (secure, proxied, said) in [
            (true, false, &b""[..]),
            (true, false, b"\x16\x03\x01"),
            (false, true, b""),
            (false, true, b"PROXY TCP4"),
            (true, true, b""),
            (false, false, b""),
        ] {
            let setup = Setup {
                tls: secure.then(|| tls.clone()),
                proxied,
                ..patient()
            };
            let mut server = Running::start(adapter, &setup);
            let mut peer = Peer::connect(server.address, None);
            peer.write_all(said).unwrap();
            until(|| server.handle.open() == 1);
            server.handle.close();
            server.ended();
            assert!(peer.rest().0.is_empty());
            assert_eq!(server.handle.open(), 0);
        }
    });
}

#[test]
fn peers_that_are_refused_and_stay_delay_no_shutdown() {
    on_each(|adapter| {
        let setup = Setup {
            max_connections: Some(0),
            ..patient()
        };
        let mut server = Running::start(adapter, &setup);
        let mut peer = Peer::connect(server.address, None);
        let mut said = [0; 12];
        peer.read_exact(&mut said).unwrap();
        assert_eq!(&said, b"HTTP/1.1 503");
        server.handle.close();
        server.ended();
    });
}

#[test]
fn a_drain_of_any_length_is_cut_short_by_a_close() {
    on_each(|adapter| {
        let mut server = Running::start(adapter, &patient());
        let mut peer = Peer::connect(server.address, None);
        peer.write_all(b"GET /page HTTP/1.1\r\nHost: a\r\n\r\n")
            .unwrap();
        peer.read_exact(&mut [0; 12]).unwrap();
        for window in [LONG, Duration::MAX, LONG] {
            server.handle.drain(window);
        }
        server.handle.close();
        server.handle.close();
        server.ended();
        assert_eq!(peer.rest().1, End::Clean);
    });
}

#[test]
fn a_drain_refuses_to_its_end_whatever_time_there_is_after_it() {
    on_each(|adapter| {
        let mut setup = Setup::default();
        setup.config.timeouts.shutdown = Duration::MAX;
        let mut server = Running::start(adapter, &setup);
        server.handle.drain(LONG);
        for _ in 0..4 {
            let mut said = [0; 12];
            let mut peer = Peer::connect(server.address, None);
            peer.read_exact(&mut said).unwrap();
            assert_eq!(&said, b"HTTP/1.1 503", "{adapter:?}");
        }
        server.handle.close();
        server.ended();
    });
}

#[test]
fn a_server_that_waits_for_its_last_peer_listens_no_more() {
    on_each(|adapter| {
        for (window, closes_on_drain) in [
            (Duration::ZERO, false),
            (Duration::from_millis(20), false),
            (LONG, true),
        ] {
            let setup = Setup {
                closes_on_drain,
                ..patient()
            };
            let mut server = Running::start(adapter, &setup);
            let mut peer = Peer::connect(server.address, None);
            let request = format!("GET /echo HTTP/1.1\r\nHost: a\r\n{KEY}\r\n");
            peer.write_all(request.as_bytes()).unwrap();
            peer.read_exact(&mut [0; 12]).unwrap();
            server.handle.drain(window);
            // The peer does not answer the Close. Others go where the next server listens.
            until(|| TcpStream::connect(server.address).is_err());
            assert_eq!(server.handle.open(), 1, "{adapter:?}");
            server.handle.close();
            drop(peer);
            server.ended();
        }
    });
}

#[test]
fn a_head_that_has_begun_is_read_to_its_end_while_a_server_drains() {
    on_each(|adapter| {
        let mut server = Running::start(adapter, &patient());
        let mut peer = Peer::connect(server.address, None);
        // The beginning of the second request comes with the first.
        let first = "GET /page HTTP/1.1\r\nHost: a\r\n\r\nHEAD /page HTTP/1.1\r\nHo";
        peer.write_all(first.as_bytes()).unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"a page\n") {
            let mut byte = [0];
            peer.read_exact(&mut byte).unwrap();
            answer.extend(byte);
        }
        server.handle.drain(LONG);
        peer.write_all(b"st: a\r\n\r\n").unwrap();
        let (answer, end) = peer.rest();
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 503"), "{adapter:?} {answer}");
        assert!(answer.ends_with("\r\n\r\n"), "{adapter:?} {answer}");
        assert_eq!(end, End::Clean);
        drop(peer);
        server.handle.close();
        server.ended();
    });
}

#[test]
fn a_reader_that_is_slow_gets_the_whole_answer() {
    let certs = Certs::new();
    let tls = sansws_async::tls::server(certs.identity("server"), None).unwrap();
    let client = sansws_async::tls::client(certs.roots(), None).unwrap();
    on_each(|adapter| {
        for secure in [false, true] {
            let mut setup = Setup {
                tls: secure.then(|| tls.clone()),
                ..Setup::default()
            };
            let timeouts = &mut setup.config.timeouts;
            let brief = Duration::from_millis(200);
            (timeouts.close, timeouts.keep_alive) = (brief, brief);
            let server = Running::start(adapter, &setup);
            let kinds = ["close", "keep-alive"];
            let peers = kinds.map(|kept| {
                let mut peer = Peer::connect(server.address, secure.then_some(&client));
                let request = format!("GET /big HTTP/1.1\r\nHost: a\r\nConnection: {kept}\r\n\r\n");
                peer.write_all(request.as_bytes()).unwrap();
                peer.flush().unwrap();
                peer
            });
            // Longer than any time that is configured.
            std::thread::sleep(4 * brief);
            for (mut peer, kept) in peers.into_iter().zip(kinds) {
                let (answer, end) = peer.rest();
                assert!(
                    answer.len() > BIG,
                    "{adapter:?} {secure} {kept}: {}",
                    answer.len()
                );
                assert!(
                    end == End::Clean || kept == "keep-alive",
                    "{adapter:?} {secure}: {end:?}"
                );
            }
        }
    });
}

/// Opens a WebSocket, says all this in one write, and reads to the end of the answers.
fn farewell(server: &Running, path: &str, tls: Option<&Arc<ClientConfig>>, said: &[u8]) -> Peer {
    let mut peer = Peer::connect(server.address, tls);
    peer.write_all(upgrade(path).as_bytes()).unwrap();
    peer.flush().unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        peer.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    peer.write_all(said).unwrap();
    peer.flush().unwrap();
    let (answers, end) = peer.rest();
    assert!(answers.ends_with(b"\x88\x02\x03\xe8"), "{answers:?}");
    assert_eq!(end, End::Clean);
    peer
}

#[test]
fn a_server_ends_tcp_at_once_after_the_closing_handshake() {
    on_each(|adapter| {
        let server = Running::start(adapter, &patient());
        let close = frame(0x88, b"\x03\xe8");
        let message = frame(0x81, b"hello");
        let said = [close.clone(), [message, close].concat()];
        let peers = said.map(|said| farewell(&server, "/echo", None, &said));
        // They do not end their side, and would have an hour.
        until(|| server.handle.open() == 0);
        drop(peers);
    });
}

#[test]
fn a_server_waits_for_the_end_of_a_peer_that_may_send_more_or_speaks_tls() {
    let certs = Certs::new();
    let tls = sansws_async::tls::server(certs.identity("server"), None).unwrap();
    let client = sansws_async::tls::client(certs.roots(), None).unwrap();
    on_each(|adapter| {
        let close = frame(0x88, b"\x03\xe8");
        let behind = [close.clone(), frame(0x8a, b"late")].concat();
        for (secure, said) in [(false, &behind), (true, &close)] {
            let setup = Setup {
                tls: secure.then(|| tls.clone()),
                ..patient()
            };
            let server = Running::start(adapter, &setup);
            let mut peer = farewell(&server, "/echo", secure.then_some(&client), said);
            assert_eq!(server.handle.open(), 1, "{adapter:?} {secure}");
            peer.shut();
            until(|| server.handle.open() == 0);
        }
    });
}
