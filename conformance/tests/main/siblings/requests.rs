//! Requests of rude peers: each server gives the same answer, byte by byte, ends the connection alike, and counts alike.

use std::io::{Read, Write};
use std::time::Duration;

use sansws_async::metrics::ServerMetrics;
use sansws_core::limits::{LimitAction, Rate, TrafficLimits};

use super::on_each;
use super::scripts::{Script, after_upgrade, floods, frame, script, scripts, upgrade};
use super::servers::{End, Peer, Running, Setup, until};
use crate::support::certs::Certs;

#[derive(Debug, PartialEq)]
struct Heard {
    bytes: Vec<u8>,
    end: End,
    metrics: ServerMetrics,
}

/// The output of a server, without the pongs behind the head of its answer.
fn without_pongs(mut bytes: &[u8]) -> Vec<u8> {
    let mut kept = Vec::new();
    while let Some(&first) = bytes.first() {
        let length = match (first, bytes) {
            (0x81 | 0x88 | 0x8a, [_, length, ..]) => usize::from(*length) + 2,
            _ => 1,
        };
        let (frame, behind) = bytes.split_at(length.min(bytes.len()));
        if first != 0x8a {
            kept.extend(frame);
        }
        bytes = behind;
    }
    kept
}

fn shown(heard: &Heard) -> String {
    let text = String::from_utf8_lossy(&heard.bytes);
    let text: String = text.chars().take(600).collect();
    format!(
        "{} bytes {:?} {:?}\n     {:?}",
        heard.bytes.len(),
        text,
        heard.end,
        heard.metrics
    )
}

/// Returns whether a server has opened a connection, or answered otherwise.
fn has_answered(metrics: &ServerMetrics) -> bool {
    metrics.opened > 0 || metrics.responses.iter().flatten().any(|count| *count > 0)
}

fn limited(outcome: LimitAction) -> Setup {
    let hour = Duration::from_secs(3_600);
    let traffic = TrafficLimits {
        messages: Some(Rate::new(1, hour).burst(100)),
        bytes: Some(Rate::new(1, hour).burst(10_000)),
        outcome,
    };
    Setup {
        traffic: Some(traffic),
        ..Setup::default()
    }
}

fn differences(setup: &Setup, certs: Option<&Certs>, scripts: &[Script]) -> Vec<String> {
    let client = certs.map(|certs| sansws_async::tls::client(certs.roots(), None).unwrap());
    let heard = on_each(|adapter| {
        scripts
            .iter()
            .map(|script| {
                let server = Running::start(adapter, setup);
                if setup.drains {
                    server.handle.drain(Duration::from_secs(3_600));
                }
                let mut peer = Peer::connect(server.address, client.as_ref());
                for bytes in &script.says {
                    if peer.write_all(bytes).and_then(|()| peer.flush()).is_err() {
                        break;
                    }
                }
                if script.shuts {
                    peer.shut();
                }
                if let Some(window) = setup.closes {
                    // It knows what it was told; half a head makes no difference.
                    until(|| server.handle.metrics().accepted == 1);
                    let text = String::from_utf8_lossy(&script.says[0]);
                    if text.contains("Expect") {
                        peer.read_exact(&mut [0; 25]).unwrap();
                    } else if text.contains("\r\n\r\n") {
                        until(|| has_answered(&server.handle.metrics()));
                    }
                    server.handle.drain(window);
                }
                let (mut bytes, mut end) = peer.rest();
                if setup.closes.is_some() {
                    // TLS may announce that the connection is dropped, or not, and TCP is reset if some input was not read.
                    end = End::Clean;
                }
                drop(peer);
                let mut metrics = server.settled();
                // Bytes that arrive with the request are not counted, and their number differs.
                metrics.bytes_received = 0;
                if script.name.contains("pings") {
                    // Pings in a row may have one pong (RFC 6455, 5.5.3).
                    metrics.bytes_sent = 0;
                    bytes = without_pongs(&bytes);
                }
                Heard {
                    bytes,
                    end,
                    metrics,
                }
            })
            .collect::<Vec<_>>()
    });
    let mut found = Vec::new();
    for (at, script) in scripts.iter().enumerate() {
        let first = &heard[0].1[at];
        if heard.iter().any(|(_, all)| all[at] != *first) {
            let mut text = format!("{}:\n", script.name);
            for (adapter, all) in &heard {
                text += &format!("  {adapter:?}: {}\n", shown(&all[at]));
            }
            found.push(text);
        }
    }
    found
}

/// The differences of scripts that run at once, since they wait.
fn differences_at_once(cases: &[(Setup, Vec<Script>)], certs: Option<&Certs>) -> Vec<String> {
    std::thread::scope(|scope| {
        let mut running = Vec::new();
        for (setup, scripts) in cases {
            for script in scripts.chunks(1) {
                running.push(scope.spawn(move || differences(setup, certs, script)));
            }
        }
        let ended = running.into_iter().map(|one| one.join().unwrap());
        ended.flatten().collect()
    })
}

#[test]
fn each_server_gives_the_same_answers() {
    let found = differences(&Setup::default(), None, &scripts());
    assert!(found.is_empty(), "{}", found.concat());
}

#[test]
fn each_server_gives_the_same_answers_over_tls() {
    let certs = Certs::new();
    let mut setup = Setup {
        tls: Some(sansws_async::tls::server(certs.identity("server"), None).unwrap()),
        ..Setup::default()
    };
    // No timer wakes a server that has forgotten a peer.
    setup.config.timeouts.handshake = None;
    let found = differences(&setup, Some(&certs), &scripts());
    assert!(found.is_empty(), "{}", found.concat());
}

#[test]
fn each_server_takes_floods_alike() {
    let mut found = differences(&Setup::default(), None, &floods());
    found.extend(differences(&limited(LimitAction::Drop), None, &floods()));
    found.extend(differences(&limited(LimitAction::Close), None, &floods()));
    assert!(found.is_empty(), "{}", found.concat());
}

/// A message that is lent leads to what one leads to that is received.
#[test]
fn each_server_answers_alike_when_messages_are_lent() {
    let lent = |setup: Setup| Setup {
        lends: true,
        ..setup
    };
    let opened: Vec<_> = scripts()
        .into_iter()
        .filter(|script| script.says.concat().windows(5).any(|part| part == b"/echo"))
        .collect();
    assert!(opened.len() > 30, "{}", opened.len());
    let mut found = differences(&lent(Setup::default()), None, &opened);
    found.extend(differences(&lent(Setup::default()), None, &floods()));
    for outcome in [LimitAction::Drop, LimitAction::Close] {
        found.extend(differences(&lent(limited(outcome)), None, &floods()));
    }
    assert!(found.is_empty(), "{}", found.concat());
}

/// Scenes that end by a timeout.
#[test]
fn each_server_loses_patience_alike() {
    let mut setup = Setup::default();
    let timeouts = &mut setup.config.timeouts;
    let brief = Duration::from_secs(1);
    (timeouts.handshake, timeouts.keep_alive, timeouts.close) = (Some(brief), brief, brief);
    let stays = |name, says: &str| Script {
        name,
        says: vec![says.into()],
        shuts: false,
    };
    let scripts = [
        stays("silence", ""),
        stays("half a head", "GET /page HTTP/1.1\r\nHos"),
        stays(
            "a page and silence",
            "GET /page HTTP/1.1\r\nHost: a\r\n\r\n",
        ),
        stays(
            "a page and half a head",
            "GET /page HTTP/1.1\r\nHost: a\r\n\r\nGET /",
        ),
        stays(
            "half a body",
            "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhell",
        ),
        stays(
            "a body that is awaited",
            "POST /body HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
        ),
        stays(
            "a last page",
            "GET /page HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        ),
        after_upgrade("a close", &[frame(0x88, b"\x03\xe8")]),
        after_upgrade("a violation", &[frame(0x83, b"")]),
    ];
    let mut cases = vec![(setup, Vec::from(scripts))];
    let mut setup = Setup::default();
    let timeouts = &mut setup.config.timeouts;
    (timeouts.ping, timeouts.pong) = (Some(brief), Some(brief));
    cases.push((setup, vec![after_upgrade("no pong", &[])]));
    let mut setup = Setup {
        lifetime: Some(brief),
        ..Setup::default()
    };
    setup.config.timeouts.close = brief;
    cases.push((setup, vec![after_upgrade("a life", &[])]));
    let mut setup = Setup::default();
    (setup.config.timeouts.idle, setup.config.timeouts.close) = (Some(brief), brief);
    cases.push((setup, vec![after_upgrade("idle", &[])]));
    let mut setup = Setup::default();
    (setup.config.timeouts.message, setup.config.timeouts.close) = (Some(brief), brief);
    let half = after_upgrade("half a message", &[frame(0x01, b"a")]);
    cases.push((setup, vec![half]));
    let found = differences_at_once(&cases, None);
    assert!(found.is_empty(), "{}", found.concat());
}

/// Requests that are half done when a server shuts down get their time, and are dropped then.
#[test]
fn each_server_drops_alike_what_does_not_end() {
    let certs = Certs::new();
    let tls = sansws_async::tls::server(certs.identity("server"), None).unwrap();
    let get = "GET /page HTTP/1.1\r\nHost: a\r\n\r\n";
    let post = "POST /body HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n";
    let stays = |name, says: String| Script {
        name,
        says: vec![says.into()],
        shuts: false,
    };
    let scripts = || {
        vec![
            stays("nothing", String::new()),
            stays("half a head", get[..20].into()),
            stays("a page", get.into()),
            stays("a page and half a head", format!("{get}GET ")),
            stays(
                "a body that is awaited",
                format!("{post}Content-Length: 9\r\n\r\n"),
            ),
            stays(
                "chunks that are awaited",
                format!("{post}Transfer-Encoding: chunked\r\n\r\n"),
            ),
            after_upgrade("an open connection", &[]),
            after_upgrade("half a message", &[frame(0x01, b"hello")]),
        ]
    };
    for secure in [false, true] {
        let cases = [0, 200].map(|window| {
            let mut setup = Setup {
                tls: secure.then(|| tls.clone()),
                closes: Some(Duration::from_millis(window)),
                ..Setup::default()
            };
            let timeouts = &mut setup.config.timeouts;
            // Longer than the test waits.
            (timeouts.handshake, timeouts.keep_alive) = (None, Duration::from_secs(3_600));
            timeouts.close = Duration::from_secs(3_600);
            timeouts.shutdown = Duration::from_secs(1);
            (setup, scripts())
        });
        let found = differences_at_once(&cases, secure.then_some(&certs));
        assert!(found.is_empty(), "secure: {secure}\n{}", found.concat());
    }
}

/// Servers that are full, or drain.
#[test]
fn each_server_turns_away_alike() {
    let get = "GET /page HTTP/1.1\r\nHost: a\r\n\r\n";
    let scripts = || {
        vec![
            script("a page", get),
            script("pages", get.repeat(2)),
            script("nothing", ""),
            script("an upgrade", upgrade("/echo")),
            script("much", format!("{get}{}", "x".repeat(100_000))),
        ]
    };
    let certs = Certs::new();
    let tls = Some(sansws_async::tls::server(certs.identity("server"), None).unwrap());
    let mut found = Vec::new();
    for (max_connections, drains) in [(Some(0), false), (None, true)] {
        let setup = Setup {
            max_connections,
            drains,
            ..Setup::default()
        };
        found.extend(differences(&setup, None, &scripts()));
        let setup = Setup {
            tls: tls.clone(),
            ..setup
        };
        found.extend(differences(&setup, Some(&certs), &scripts()));
    }
    assert!(found.is_empty(), "{}", found.concat());
}

/// Input that precedes HTTP, and input that does not belong there.
#[test]
fn each_server_takes_what_precedes_http_alike() {
    let get = "GET /page HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let with = |name, header: &[u8]| script(name, [header, get.as_bytes()].concat());
    let version_2 = |command: &[u8], rest: &[u8]| {
        [
            b"\r\n\r\n\0\r\nQUIT\n",
            command,
            &[0, rest.len() as u8],
            rest,
        ]
        .concat()
    };
    let v4 = [203, 0, 113, 7, 127, 0, 0, 1, 0x13, 0x88, 0, 80];
    let headers = [
        with("none", b""),
        with("version 1", b"PROXY TCP4 203.0.113.7 127.0.0.1 5000 80\r\n"),
        with("version 1, unknown", b"PROXY UNKNOWN ffff:f...f:ffff\r\n"),
        with("version 1, malformed", b"PROXY TCP4 203.0.113.7\r\n"),
        with(
            "version 1, bare line feed",
            b"PROXY TCP4 203.0.113.7 127.0.0.1 5000 80\n",
        ),
        with("version 1, endless", &b"PROXY TCP4 ".repeat(20)),
        with("version 2", &version_2(b"\x21\x11", &v4)),
        with("version 2, local", &version_2(b"\x20\x00", b"")),
        with(
            "version 2, extended",
            &version_2(b"\x21\x11", &[&v4[..], &[4, 0, 1, 0]].concat()),
        ),
        with("version 2, truncated", &version_2(b"\x21\x11", &v4[..8])),
        with("version 2, unassigned", &version_2(b"\x31\x11", &v4)),
        with("version 2, huge", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff"),
        script("half of one", "PROXY TCP4 203.0.1"),
        script("nothing", ""),
    ];
    let setup = Setup {
        proxied: true,
        ..Setup::default()
    };
    let mut found = differences(&setup, None, &headers);
    let certs = Certs::new();
    let tls = Some(sansws_async::tls::server(certs.identity("server"), None).unwrap());
    let setup = Setup {
        tls,
        ..Setup::default()
    };
    let plain = [
        script("nothing", ""),
        script("HTTP", get),
        script("half a hello", "\x16\x03\x01\x02\0\x01\0\x01"),
        script("an alert", "\x15\x03\x03\0\x02\x02\x28"),
        script("zeros", "\0".repeat(1_000)),
    ];
    found.extend(differences(&setup, None, &plain));
    assert!(found.is_empty(), "{}", found.concat());
}
