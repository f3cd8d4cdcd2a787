//! Allocations of a message: there are none. The time of slow callbacks: it is logged.

#[expect(dead_code, reason = "the tests of behaviour use all of it")]
mod support;

use std::alloc::System;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use sansws_mio::{AcceptOptions, Endpoint, Hub, Incoming, Result, Router, Scope, Server, Socket};
use sansws_std::{ConnectOptions, connect};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use support::{Running, echo};

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// One test at a time: allocations are counted for the whole process.
static TURN: Mutex<()> = Mutex::new(());

/// A client that allocates nothing: it writes frames that are made before, and reads as many bytes as come back.
struct Bare {
    stream: TcpStream,
    frames: Vec<u8>,
    echoes: Vec<u8>,
}

impl Bare {
    fn connect(server: &Running, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(server.address).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
            server.address
        )
        .unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "));
        stream
    }

    /// Sends `count` messages of `length` bytes at a time.
    fn new(server: &Running, path: &str, length: usize, count: usize) -> Self {
        let mut frame = vec![0x82];
        let mut echo = vec![0x82];
        for (bytes, mask) in [(&mut frame, 0x80), (&mut echo, 0)] {
            if length < 126 {
                bytes.push(u8::try_from(length).unwrap() | mask);
            } else {
                bytes.push(126 | mask);
                bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
        }
        frame.extend([1, 2, 3, 4]);
        frame.extend((0..length).map(|at| 7 ^ [1, 2, 3, 4][at % 4]));
        echo.extend(vec![7; length]);
        Self {
            stream: Self::connect(server, path),
            frames: frame.repeat(count),
            echoes: vec![0; echo.len() * count],
        }
    }

    fn round(&mut self) {
        self.stream.write_all(&self.frames).unwrap();
        self.stream.read_exact(&mut self.echoes).unwrap();
    }
}

#[test]
fn an_echoed_message_costs_no_allocation() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let server = Running::new(|| echo);
    for (length, count) in [(16, 1), (16, 64), (125, 1), (4_096, 4), (60_000, 1)] {
        let mut client = Bare::new(&server, "/", length, count);
        for _ in 0..200 {
            client.round();
        }
        let region = Region::new(COUNTED);
        for _ in 0..1_000 {
            client.round();
        }
        let change = region.change();
        if length < 60_000 {
            let made = change.allocations + change.reallocations;
            assert_eq!(made, 0, "{count} messages of {length} bytes: {change:?}");
        } else {
            // It arrives in pieces of any size: what came of it is kept once for each turn, and the message is not copied again.
            assert!(change.allocations < 40_000, "{change:?}");
        }
    }
}

#[test]
fn a_connection_at_rest_holds_little() {
    const COUNT: usize = 1_000;
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let server = Running::new(|| echo);
    let mut first: Vec<_> = (0..24).map(|_| Bare::new(&server, "/", 16, 1)).collect();
    first.iter_mut().for_each(Bare::round);
    let mut sockets = Vec::with_capacity(COUNT);
    let region = Region::new(COUNTED);
    sockets.extend((0..COUNT).map(|_| Bare::connect(&server, "/")));
    first.iter_mut().for_each(Bare::round);
    let change = region.change();
    let held = change.bytes_allocated - change.bytes_deallocated;
    println!("{} bytes each: {change:?}", held / COUNT);
    // Its place, its deadline, and what the server's handle knows of it; vectors have grown by doubling.
    assert!(held / COUNT <= 512, "{} bytes each", held / COUNT);
}

/// Joins a group; whoever sends publishes to it.
struct Room;

impl Endpoint for Room {
    type Data = ();

    fn upgrade(&mut self, _: &mut Scope, _: &mut AcceptOptions) -> Result {
        Ok(())
    }

    fn open(&mut self, socket: &mut Socket<'_, ()>) -> Result {
        Ok(socket.join("lobby")?)
    }

    fn message(&mut self, socket: &mut Socket<'_, ()>, message: Incoming<'_>) -> Result {
        Ok(socket.publish("lobby", message.into_message())?)
    }
}

#[test]
fn a_publication_costs_the_same_however_many_receive_it() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut costs = Vec::new();
    for members in [10, 200] {
        let hub = Hub::new();
        let router = hub.clone();
        let server = Running::new(move || Router::new().route("/", Room).hub(&router));
        let mut client = Bare::new(&server, "/", 16, 1);
        let mut others: Vec<_> = (1..members).map(|_| Bare::connect(&server, "/")).collect();
        support::groups::until("all have joined", || hub.count("lobby") == members);
        let mut echo = [0; 18];
        let mut rounds = |count: usize| {
            for _ in 0..count {
                client.round();
                for other in &mut others {
                    other.read_exact(&mut echo).unwrap();
                }
            }
        };
        rounds(50);
        let region = Region::new(COUNTED);
        rounds(200);
        costs.push(region.change().allocations as f64 / 200.0);
        drop(others);
    }
    // The message, its frame, the name of its group, and what carries them; nothing for each member.
    assert!(costs[1] < 20.0, "{costs:?}");
    assert!((costs[1] - costs[0]).abs() < 1.0, "{costs:?}");
}

/// The lines of a log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_callback_that_takes_long_is_logged_with_its_route_and_its_time() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let log = Log::default();
    let (writer, said) = (log.clone(), log.0);
    let subscriber = tracing_subscriber::fmt()
        // Spans, which are INFO, would cost memory in the other tests.
        .with_max_level(tracing::Level::WARN)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let mut server = Server::bind("127.0.0.1:0")
        .unwrap()
        .slow_callback(Duration::from_millis(30));
    let (address, handle) = (server.local_addr().unwrap(), server.handle());
    let serving = thread::spawn(move || {
        // With one subscriber alive, another thread that is first at an event would decide for all that nobody wants it.
        let _second = tracing::Dispatch::new(tracing_subscriber::registry());
        tracing::subscriber::with_default(subscriber, || {
            let sleepy = |socket: &mut Socket<'_, ()>, message: Incoming<'_>| -> Result {
                if message.text()? == "sleep" {
                    thread::sleep(Duration::from_millis(60));
                }
                let _ = socket.send(message);
                Ok(())
            };
            server.serve(Router::new().route("/sleepy", sleepy))
        })
    });
    let url = format!("ws://{address}/sleepy");
    let mut socket = connect(url, ConnectOptions::default()).unwrap();
    let logged = || String::from_utf8(said.lock().unwrap().clone()).unwrap();
    for text in ["quick", "sleep", "quick"] {
        socket.send_text(text).unwrap();
        assert_eq!(socket.receive_text().unwrap().unwrap(), text);
        let is_slow = text == "sleep";
        if is_slow {
            support::groups::until("it is logged", || logged().contains("held up the loop"));
        }
    }
    handle.close();
    while let Ok(Some(_)) = socket.receive() {}
    serving.join().unwrap().unwrap();
    let logged = logged();
    let line = logged
        .lines()
        .find(|line| line.contains("held up the loop"))
        .unwrap();
    assert!(line.contains("WARN"), "{line}");
    assert!(line.contains("http.route=\"/sleepy\""), "{line}");
    let seconds = line.split("websocket.callback_seconds=").nth(1).unwrap();
    let seconds: f64 = seconds.split_whitespace().next().unwrap().parse().unwrap();
    assert!(seconds >= 0.06, "{line}");
}
