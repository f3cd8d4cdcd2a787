//! Timers, limits and errors of one connection or callback, and what they leave to all others.

use std::cell::Cell;
use std::fmt;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use sansws_mio::{
    AcceptOptions, CloseCode, Closed, Config, ConnectionPolicy, Endpoint, EventLoop, Incoming,
    Listener, Loop, Rate, Result, Router, Scope, Server, ServerOptions, Socket, Timeouts,
    TrafficLimits,
};
use sansws_std::{ConnectOptions, Error, WebSocket, connect};

use crate::blocking::Certs;
use crate::support::{Running, echo};

fn dial(running: &Running) -> WebSocket {
    connect(running.url(), ConnectOptions::default()).unwrap()
}

/// Sends a message, and waits for its echo.
fn talk(socket: &mut WebSocket) {
    socket.send("still there?").unwrap();
    let heard = socket.receive_timeout(Duration::from_secs(20)).unwrap();
    assert_eq!(heard.unwrap().as_text(), Some("still there?"));
}

/// Runs again as soon as it has run.
fn always(within: &mut Loop) {
    within.after(Duration::ZERO, always);
}

#[test]
fn a_timer_that_is_always_due_leaves_the_loop_to_its_sockets() {
    let running = Running::new(|| echo);
    assert!(running.remote.run(always));
    let mut socket = dial(&running);
    talk(&mut socket);
    drop(socket);
    running.close();
}

#[test]
fn timers_that_take_longer_than_their_period_have_turns_as_all_others() {
    fn slow(within: &mut Loop) {
        std::thread::sleep(Duration::from_millis(2));
        within.after(Duration::from_millis(1), slow);
    }
    let running = Running::new(|| echo);
    assert!(running.remote.run(slow));
    talk(&mut dial(&running));
    running.close();
}

#[test]
fn a_peer_at_its_limit_leaves_the_loop_to_the_others() {
    // Each message of it is due before the loop is back from the one before.
    let limits = TrafficLimits {
        bytes: Some(Rate::new(50_000_000, Duration::from_secs(1))),
        ..TrafficLimits::default()
    };
    let running = Running::new(move || {
        let limited = ConnectionPolicy::default().traffic(limits);
        let quiet = |_: &mut Socket<'_, ()>, _: Incoming<'_>| Result::Ok(());
        Router::new()
            .route("/", echo)
            .merge(Router::new().route("/limited", quiet).policy(limited))
    });
    let mut talker = dial(&running);
    let url = format!("{}limited", running.url());
    let mut flood = connect(&url, ConnectOptions::default()).unwrap();
    let flooding = std::thread::spawn(move || while flood.send_bytes([0]).is_ok() {});
    for _ in 0..5 {
        talk(&mut talker);
    }
    drop(talker);
    running.close();
    flooding.join().unwrap();
}

#[test]
fn input_held_up_repeatedly_arrives_whole_and_in_order() {
    // Each message is held for a moment by the limit; all of them arrive in few reads.
    let limits = TrafficLimits {
        messages: Some(Rate::new(2_000, Duration::from_secs(1)).burst(1)),
        ..TrafficLimits::default()
    };
    let options = ServerOptions::default().policy(ConnectionPolicy::default().traffic(limits));
    let running = Running::with(options, || echo);
    let mut socket = dial(&running);
    for number in 0..500_u32 {
        socket.send_bytes(number.to_be_bytes()).unwrap();
    }
    for number in 0..500_u32 {
        let message = socket.receive().unwrap().unwrap();
        assert_eq!(message.as_bytes(), number.to_be_bytes());
    }
    drop(socket);
    running.close();
}

#[test]
fn a_peer_that_answered_during_a_long_turn_of_another_is_heard_before_it_is_judged() {
    let close = Duration::from_millis(100);
    let (answered, running, noted) = patient(close);
    let (mut first, mut second) = (dial(&running), dial(&running));
    // Both messages have arrived when the loop asks its sockets next: the first one's turn, then the second one's.
    let (go, may_go) = channel();
    assert!(running.remote.run(move |_| may_go.recv().unwrap()));
    first.send("close").unwrap();
    second.send("hold up").unwrap();
    go.send(()).unwrap();
    assert_eq!(first.receive().unwrap(), None);
    answered.send(()).unwrap();
    assert_eq!(noted.recv().unwrap(), (1000, true));
    drop(second);
    running.close();
}

#[test]
fn a_peer_has_its_whole_time_to_answer_a_close_after_a_long_callback() {
    let close = Duration::from_secs(2);
    let (_, running, noted) = patient(close);
    let mut socket = dial(&running);
    socket.send("close late").unwrap();
    assert_eq!(socket.receive().unwrap(), None);
    assert_eq!(noted.recv().unwrap(), (1000, true));
    running.close();
}

/// A server of [`Patience`]; what lets its callbacks go on, and how connections ended that it closed.
fn patient(close: Duration) -> (Sender<()>, Running, Receiver<(u16, bool)>) {
    let (answered, has_answered) = channel();
    let (note, noted) = channel();
    let options = ServerOptions::default().config(Config {
        timeouts: Timeouts {
            close,
            ..Timeouts::default()
        },
        ..Config::default()
    });
    let running = Running::with(options, move || Patience {
        has_answered,
        note,
        close,
    });
    (answered, running, noted)
}

/// Closes, or holds up the loop until another connection's closing handshake is complete and its time is over.
struct Patience {
    has_answered: Receiver<()>,
    note: Sender<(u16, bool)>,
    close: Duration,
}

impl Endpoint for Patience {
    type Data = bool;

    fn upgrade(&mut self, _: &mut Scope, _: &mut AcceptOptions) -> Result<bool> {
        Ok(false)
    }

    fn message(&mut self, socket: &mut Socket<'_, bool>, message: Incoming<'_>) -> Result {
        match message.text()? {
            "close" => close_noted(socket),
            "close late" => {
                std::thread::sleep(self.close + Duration::from_millis(1));
                close_noted(socket);
            }
            _ => {
                self.has_answered.recv()?;
                std::thread::sleep(2 * self.close);
            }
        }
        Ok(())
    }

    fn close(&mut self, socket: &mut Socket<'_, bool>, closed: &Closed) {
        if *socket.data() {
            self.note.send((closed.code(), closed.clean)).unwrap();
        }
    }
}

fn close_noted(socket: &mut Socket<'_, bool>) {
    *socket.data() = true;
    socket.close(CloseCode::NORMAL, "");
}

/// An error that cannot even be told.
#[derive(Debug)]
struct Unspeakable;

impl fmt::Display for Unspeakable {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("an error's mistake")
    }
}

impl std::error::Error for Unspeakable {}

#[test]
fn an_error_whose_text_panics_ends_its_connection_alone() {
    let running = Running::new(|| {
        Router::new()
            .route("/", echo)
            .route("/fail", |_: &mut Socket<'_, ()>, _: Incoming<'_>| {
                Result::Err(Unspeakable.into())
            })
    });
    let mut other = dial(&running);
    let url = format!("{}fail", running.url());
    let mut socket = connect(&url, ConnectOptions::default()).unwrap();
    socket.send("go").unwrap();
    match socket.receive() {
        Err(Error::Disconnect(closed)) => assert_eq!(closed.code(), 1011),
        other => panic!("{other:?}"),
    }
    talk(&mut other);
    drop((socket, other));
    running.close();
}

#[test]
fn an_error_of_a_page_whose_text_panics_is_500() {
    let running = Running::new(|| {
        let page = |_: Scope| Result::<sansws_mio::Response>::Err(Unspeakable.into());
        Router::new().route("/", echo).get("/page", page)
    });
    let mut other = dial(&running);
    let mut peer = TcpStream::connect(running.address).unwrap();
    let request = b"GET /page HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    peer.write_all(request).unwrap();
    let mut answer = String::new();
    peer.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
    talk(&mut other);
    drop(other);
    running.close();
}

/// Presents its certificate, but not to all.
#[derive(Debug)]
struct Moody(Arc<dyn ResolvesServerCert>);

impl ResolvesServerCert for Moody {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        assert!(hello.server_name().is_some(), "a resolver's mistake");
        self.0.resolve(hello)
    }
}

#[test]
fn a_resolver_of_certificates_that_panics_ends_its_connection_alone() {
    let certs = Certs::new();
    let mut config = (*certs.server()).clone();
    config.cert_resolver = Arc::new(Moody(Arc::clone(&config.cert_resolver)));
    let listener = Listener::bind("127.0.0.1:0").unwrap().tls(Arc::new(config));
    let running = Running::of(Server::new(listener), || echo);
    let port = running.address.port();
    let options = ConnectOptions::default()
        .resolve("localhost", [running.address])
        .tls(certs.client());
    let url = format!("wss://localhost:{port}/");
    let mut other = connect(&url, options.clone()).unwrap();
    // An address is no name that TLS tells.
    assert!(connect(format!("wss://127.0.0.1:{port}/"), options.clone()).is_err());
    talk(&mut other);
    talk(&mut connect(&url, options).unwrap());
    drop(other);
    running.close();
}

#[test]
fn a_loop_that_never_runs_takes_no_work() {
    let mut server = Server::bind("127.0.0.1:0").unwrap();
    let handles = server.loops(2).unwrap();
    // Two routes for one path.
    let router = Router::new().route("/", echo).route("/", echo);
    assert!(server.serve(router).is_err());
    for handle in handles {
        assert!(!handle.run(|_| unreachable!("nothing runs")));
    }
}

#[test]
fn the_first_handle_is_that_of_a_server_on_one_loop() {
    let mut server = Server::bind("127.0.0.1:0").unwrap();
    let handles = server.loops(2).unwrap();
    let stop = server.handle();
    let thread = std::thread::spawn(move || server.serve(echo).unwrap());
    let (tell, told) = channel();
    assert!(handles[0].run(move |_| tell.send(()).unwrap()));
    told.recv_timeout(Duration::from_secs(20)).unwrap();
    assert!(!handles[1].run(|_| unreachable!("nothing runs")));
    stop.close();
    thread.join().unwrap();
}

#[test]
fn a_timer_that_is_set_between_turns_counts_from_then() {
    let mut event_loop = EventLoop::new().unwrap();
    std::thread::sleep(Duration::from_millis(1_100));
    let fired = Rc::new(Cell::new(false));
    let flag = Rc::clone(&fired);
    let within = event_loop.context();
    within.after(Duration::from_secs(1), move |_| flag.set(true));
    event_loop.turn(Some(Duration::ZERO)).unwrap();
    assert!(!fired.get());
    while !fired.get() {
        event_loop.turn(Some(Duration::from_millis(50))).unwrap();
    }
}
