//! Limits per address: which address counts, what is answered beyond, and that a connection counts no longer than it lives, however it ends.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use sansws_async::app::PerAddress;
use sansws_core::http::forwarded::Trusted;
use sansws_core::limits::{AddressLimits, Rate};

use super::on_each;
use super::scripts::{frame, upgrade};
use super::servers::{End, Peer, Running, Setup, until};

/// The address of the peers of a test.
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn at_most(connections: u32) -> PerAddress {
    PerAddress::new(AddressLimits {
        connections: Some(connections),
        ..AddressLimits::default()
    })
}

fn with(addresses: &PerAddress) -> Setup {
    Setup {
        addresses: Some(addresses.clone()),
        ..Setup::default()
    }
}

/// Sends a request, behind what a proxy writes.
fn ask(server: &Running, proxy: &str, request: &str) -> Peer {
    let mut peer = Peer::connect(server.address, None);
    peer.write_all((proxy.to_owned() + request).as_bytes())
        .unwrap();
    peer
}

/// Returns the head of an answer, and nothing behind it.
fn head(peer: &mut Peer) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && peer.read(&mut byte).unwrap() > 0 {
        head.extend(byte);
    }
    String::from_utf8(head).unwrap()
}

/// Opens a connection, or returns the status of the answer.
fn open(server: &Running, proxy: &str, request: &str) -> Result<Peer, String> {
    let mut peer = ask(server, proxy, request);
    let head = head(&mut peer);
    let status = head.split(' ').nth(1).unwrap_or_default();
    if status == "101" {
        Ok(peer)
    } else {
        Err(status.into())
    }
}

#[test]
fn a_connection_beyond_the_limit_gets_the_same_answer_everywhere() {
    let answers = on_each(|adapter| {
        let addresses = at_most(2);
        let server = Running::start(adapter, &with(&addresses));
        let held = [(); 2].map(|()| open(&server, "", &upgrade("/echo")).unwrap());
        assert_eq!(addresses.connections(HERE), 2, "{adapter:?}");
        let mut beyond = ask(&server, "", &upgrade("/echo"));
        let refused = beyond.rest();
        // A path that has no route is refused like any other, and pages are not counted.
        let mut nowhere = ask(&server, "", &upgrade("/nowhere"));
        let nowhere = nowhere.rest();
        let page = "GET /page HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        let page = ask(&server, "", page).rest();
        assert_eq!(addresses.connections(HERE), 2, "{adapter:?}");
        drop(held);
        until(|| addresses.connections(HERE) == 0);
        assert!(open(&server, "", &upgrade("/echo")).is_ok(), "{adapter:?}");
        (refused, nowhere, page)
    });
    let (_, (refused, nowhere, page)) = &answers[0];
    let text = |(bytes, end): &(Vec<u8>, End)| {
        assert_eq!(*end, End::Clean);
        String::from_utf8_lossy(bytes).into_owned()
    };
    assert!(text(refused).starts_with("HTTP/1.1 429 "), "{refused:?}");
    assert!(
        text(refused).ends_with("\r\n\r\ntoo many connections\n"),
        "{refused:?}"
    );
    assert_eq!(refused, nowhere);
    assert!(text(page).ends_with("\r\n\r\na page\n"), "{page:?}");
    for (adapter, answer) in &answers {
        assert_eq!(answer, &answers[0].1, "{adapter:?}");
    }
}

#[test]
fn a_client_that_comes_too_often_is_told_when_to_come_again() {
    let heads = on_each(|adapter| {
        let addresses = PerAddress::new(AddressLimits {
            handshakes: Some(Rate::new(1, Duration::from_secs(3_600)).burst(1)),
            ..AddressLimits::default()
        });
        let server = Running::start(adapter, &with(&addresses));
        drop(open(&server, "", &upgrade("/echo")).unwrap());
        let mut again = ask(&server, "", &upgrade("/echo"));
        let (bytes, end) = again.rest();
        let text = String::from_utf8(bytes).unwrap();
        let (before, after) = text.split_once("Retry-After: ").unwrap();
        let (seconds, after) = after.split_once("\r\n").unwrap();
        let seconds: u32 = seconds.parse().unwrap();
        assert!((1..=3_600).contains(&seconds), "{adapter:?} {seconds}");
        (before.to_owned(), after.to_owned(), end)
    });
    assert!(heads[0].1.0.starts_with("HTTP/1.1 429 "), "{heads:?}");
    for (adapter, head) in &heads {
        assert_eq!(head, &heads[0].1, "{adapter:?}");
    }
}

#[test]
fn the_address_is_the_clients_as_proxies_report_it_and_its_network_in_ipv6() {
    on_each(|adapter| {
        let by_protocol = |from: &str| format!("PROXY TCP6 {from} 2001:db8:f::1 5000 80\r\n");
        let by_field = |from: &str| {
            let whole = upgrade("/echo");
            whole.replacen("Host: a", &format!("Host: a\r\nX-Forwarded-For: {from}"), 1)
        };
        // With the same limit of one connection each.
        let cases = [
            ("2001:db8::1", "2001:db8::2", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
            ("::ffff:192.0.2.1", "::ffff:192.0.2.2", false),
        ];
        for (first, second, same) in cases {
            for protocol in [true, false] {
                let addresses = at_most(1);
                let mut setup = with(&addresses);
                setup.proxied = protocol;
                setup.trusted = Trusted::new(["127.0.0.1"]).unwrap();
                let server = Running::start(adapter, &setup);
                let come = |from: &str| match protocol {
                    true => open(&server, &by_protocol(from), &upgrade("/echo")),
                    false => open(&server, "", &by_field(from)),
                };
                let _held = come(first).unwrap();
                let counted = addresses.connections(first.parse().unwrap());
                assert_eq!(counted, 1, "{adapter:?} {first}");
                assert_eq!(addresses.connections(HERE), 0, "{adapter:?}");
                let status = come(second).err();
                let want = same.then(|| "429".to_owned());
                assert_eq!(status, want, "{adapter:?} {first} {second} {protocol}");
            }
        }
        // The claims of an untrusted client do not count.
        let addresses = at_most(1);
        let server = Running::start(adapter, &with(&addresses));
        let _held = open(&server, "", &by_field("192.0.2.1")).unwrap();
        assert_eq!(addresses.connections(HERE), 1, "{adapter:?}");
        let another = open(&server, "", &by_field("192.0.2.2")).err();
        assert_eq!(another.as_deref(), Some("429"), "{adapter:?}");
    });
}

#[test]
fn a_connection_counts_until_it_has_ended_however_it_ends() {
    on_each(|adapter| {
        let addresses = at_most(100);
        let server = Running::start(adapter, &with(&addresses));
        let none_left = || until(|| addresses.connections(HERE) == 0);

        // Requests that pass the limit, and go no further.
        for (path, want) in [
            ("/echo?refuse", "403"),
            ("/echo?panic", "500"),
            ("/nowhere", "404"),
            ("/page", "404"),
            ("/fails", "500"),
            ("/rejects", "403"),
        ] {
            let mut peer = ask(&server, "", &upgrade(path));
            let head = head(&mut peer);
            assert_eq!(head.split(' ').nth(1), Some(want), "{adapter:?} {path}");
            peer.shut();
            peer.rest();
            none_left();
        }
        // Connections that the application ends.
        for path in ["/breaks", "/panics"] {
            let mut peer = open(&server, "", &upgrade(path)).unwrap();
            peer.shut();
            peer.rest();
            none_left();
        }
        // Peers that close, violate the protocol, end TCP, or reset it.
        for frames in [
            frame(0x88, &1000_u16.to_be_bytes()),
            frame(0x83, b"no opcode"),
            Vec::new(),
        ] {
            let mut peer = open(&server, "", &upgrade("/echo")).unwrap();
            assert_eq!(addresses.connections(HERE), 1, "{adapter:?}");
            peer.write_all(&frames).unwrap();
            peer.shut();
            peer.rest();
            none_left();
        }
        let reset = open(&server, "", &upgrade("/echo")).unwrap();
        socket2::SockRef::from(reset.tcp())
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(reset);
        none_left();
        // One goes on to the end of the server, which drains or drops it.
        let mut stays = open(&server, "", &upgrade("/echo")).unwrap();
        assert_eq!(addresses.connections(HERE), 1, "{adapter:?}");
        server.handle.drain(Duration::ZERO);
        let mut close = [0; 4];
        stays.read_exact(&mut close).unwrap();
        assert_eq!(close[0], 0x88, "{adapter:?}");
        stays.write_all(&frame(0x88, &close[2..])).unwrap();
        stays.rest();
        none_left();
        let server = Running::start(adapter, &with(&addresses));
        let mut dropped = open(&server, "", &upgrade("/echo")).unwrap();
        assert_eq!(addresses.connections(HERE), 1, "{adapter:?}");
        server.handle.drop_all();
        none_left();
        dropped.rest();
    });
}
