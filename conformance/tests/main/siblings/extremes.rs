//! The smallest and the largest settings: no adapter panics, waits for nothing, or spins.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use sansws_async::{ConnectOptions, Error, SendError};
use sansws_core::config::{Config, Deflate};
use sansws_core::dial::{Backoff, ReconnectOptions};

use super::clients::dial;
use super::scripts::{frame, upgrade};
use super::servers::{End, PATIENCE, Peer, Running, Setup};
use super::{Adapter, on_each};

/// A setting that hinders nobody, however extreme it is.
type Setting = (&'static str, fn(&mut Config));

const SETTINGS: &[Setting] = &[
    ("any number of fields", |config| {
        config.limits.headers = usize::MAX;
    }),
    ("no limits", |config| {
        let limits = &mut config.limits;
        (limits.frame, limits.message) = (u64::MAX, u64::MAX);
        (limits.fragments, limits.head) = (u32::MAX, usize::MAX);
        (limits.headers, limits.body) = (usize::MAX, usize::MAX);
        (limits.write_queue, limits.high_water) = (usize::MAX, usize::MAX);
        limits.read_ahead = usize::MAX;
    }),
    ("reading stops at any output", |config| {
        config.limits.high_water = 0;
    }),
    ("nothing is queued, or read ahead", |config| {
        let limits = &mut config.limits;
        (limits.write_queue, limits.high_water, limits.read_ahead) = (0, 0, 0);
    }),
    ("no timeouts", |config| {
        let timeouts = &mut config.timeouts;
        (timeouts.connect, timeouts.handshake) = (None, None);
        (timeouts.ping, timeouts.pong) = (None, None);
        (timeouts.idle, timeouts.message) = (None, None);
    }),
    ("all the time there is", |config| {
        let timeouts = &mut config.timeouts;
        let ever = Some(Duration::MAX);
        (timeouts.connect, timeouts.handshake) = (ever, ever);
        (timeouts.ping, timeouts.pong) = (ever, ever);
        (timeouts.idle, timeouts.message) = (ever, ever);
        (timeouts.keep_alive, timeouts.close) = (Duration::MAX, Duration::MAX);
        timeouts.shutdown = Duration::MAX;
    }),
    ("compression beyond its range", |config| {
        config.deflate = Some(Deflate {
            own_takeover: true,
            own_history: Some(usize::MAX),
            peer_takeover: true,
            own_window_bits: 0,
            peer_window_bits: u8::MAX,
            threshold: 0,
            level: u8::MAX,
        });
    }),
];

fn with(setting: fn(&mut Config)) -> Config {
    let mut config = Config::default();
    setting(&mut config);
    config
}

/// Pings in front of messages, all in one write.
fn says() -> Vec<u8> {
    let mut says = upgrade("/echo").into_bytes();
    for length in [70_000, 100, 1] {
        says.extend(frame(0x89, b"ping"));
        says.extend(frame(0x82, &vec![7; length]));
    }
    says
}

/// Returns the payloads of the messages that a server sends, until it has sent so many. It may answer only the newest ping.
fn messages(peer: &mut Peer, count: usize) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    while messages.len() < count {
        let mut header = [0; 2];
        peer.read_exact(&mut header).unwrap();
        let length = match header[1] {
            127 => {
                let mut length = [0; 8];
                peer.read_exact(&mut length).unwrap();
                usize::try_from(u64::from_be_bytes(length)).unwrap()
            }
            short => usize::from(short),
        };
        let mut payload = vec![0; length];
        peer.read_exact(&mut payload).unwrap();
        match header[0] {
            0x8a => assert_eq!(payload, b"ping"),
            _ => messages.push(payload),
        }
    }
    messages
}

#[test]
fn servers_answer_whatever_is_set() {
    on_each(|adapter| {
        for (name, setting) in SETTINGS {
            let setup = Setup {
                config: with(*setting),
                ..Setup::default()
            };
            let server = Running::start(adapter, &setup);
            let mut peer = Peer::connect(server.address, None);
            peer.write_all(&says()).unwrap();
            read_head(&mut peer);
            let lengths = messages(&mut peer, 3).into_iter().map(|one| one.len());
            let lengths: Vec<_> = lengths.collect();
            assert_eq!(lengths, [70_000, 100, 1], "{adapter:?}, {name}");
            peer.write_all(&frame(0x88, &1_000_u16.to_be_bytes()))
                .unwrap();
            assert_eq!(peer.rest().1, End::Clean);
        }
    });
}

/// Reads the head of an answer, and no more.
fn read_head(peer: &mut Peer) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        peer.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
}

#[test]
fn clients_connect_whatever_is_set() {
    on_each(|adapter| {
        let server = Running::start(adapter, &Setup::default());
        let url = format!("ws://{}/breaks", server.address);
        let usual = dial(adapter, &url, ConnectOptions::default());
        for (name, setting) in SETTINGS {
            let options = ConnectOptions::default().config(with(*setting));
            assert_eq!(dial(adapter, &url, options), usual, "{adapter:?}, {name}");
        }
    });
}

/// Attempts at once, one after the other, at an address where nobody listens, and at none.
#[test]
fn a_client_without_waits_leaves_time_for_others() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
    let nobody = nobody.unwrap();
    on_each(|adapter| {
        for addresses in [vec![nobody], vec![]] {
            let (tell, told) = channel();
            let options = ConnectOptions::default().resolve("nobody.test", addresses);
            thread::spawn(move || tell.send(fill_queue(adapter, options)));
            let Some(full) = told.recv_timeout(PATIENCE).unwrap() else {
                continue;
            };
            assert!(
                matches!(full, Error::NotSent(SendError::QueueFull)),
                "{full:?}"
            );
        }
    });
}

/// Queues a message and returns the error of the second one. The clients of event loops have neither waits nor a queue.
fn fill_queue(adapter: Adapter, options: ConnectOptions) -> Option<Error> {
    let reconnect = ReconnectOptions {
        backoff: Backoff {
            base: Duration::ZERO,
            max: Duration::ZERO,
        },
        ..ReconnectOptions::default()
    };
    macro_rules! client {
        ($ws:ident) => {
            $ws::Client::new("ws://nobody.test/", options)
                .unwrap()
                .reconnect(reconnect)
                .queue(1, 1)
        };
    }
    macro_rules! on_runtime {
        ($ws:ident) => {
            async {
                let mut client = client!($ws);
                client.send_text("a").await.unwrap();
                client.send_text("b").await.err()
            }
        };
    }
    match adapter {
        Adapter::Tokio => crate::runtimes::on_tokio::block_on(on_runtime!(sansws_tokio)),
        Adapter::Smol => smol::block_on(on_runtime!(sansws_smol)),
        Adapter::Std => {
            let mut client = client!(sansws_std);
            client.send_text("a").unwrap();
            client.send_text("b").err()
        }
        Adapter::Mio => None,
    }
}
