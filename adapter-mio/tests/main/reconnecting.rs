//! Clients that connect again: states, data, and being closed from each callback.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sansws_mio::core::dial::{Backoff, ReconnectOptions};
use sansws_mio::core::handshake::accept_key;
use sansws_mio::{
    Client, ClientHandle, ClientState, CloseCode, Closed, Config, ConnectOptions, Dialer, Endpoint,
    Error, EventLoop, Incoming, Loop, Result, Sent, Socket, Stop, Timeouts,
};

/// A server that sends "hello" on each connection, and closes with these codes, one for each; 0 cuts TCP instead. It drops further
/// connections without an answer, and keeps its port, which would be another test's otherwise.
struct Server {
    address: SocketAddr,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

fn server(codes: Vec<u16>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let is_over = Arc::new(AtomicBool::new(false));
    let over = Arc::clone(&is_over);
    let thread = thread::spawn(move || {
        for code in codes {
            let (stream, _) = listener.accept().unwrap();
            if over.load(Ordering::Relaxed) {
                return;
            }
            let upgrade = sansws_std::accept(stream, Config::default().into()).unwrap();
            let mut socket = upgrade.accept().unwrap();
            socket.ping("?").unwrap();
            socket.send_text("hello").unwrap();
            if code != 0 {
                let _ = socket.close(code, "");
            }
        }
        while !over.load(Ordering::Relaxed) {
            drop(listener.accept().unwrap());
        }
    });
    Server {
        address,
        is_over,
        thread: Some(thread),
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(thread::panicking() || ended.is_ok());
        }
    }
}

/// An address that refuses connections.
fn refuses() -> SocketAddr {
    ([127, 0, 0, 1], 1).into()
}

#[derive(Clone, Default)]
struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    fn note(&self, text: impl Into<String>) {
        self.0.borrow_mut().push(text.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.borrow_mut())
    }

    fn has_stopped(&self) -> bool {
        let log = self.0.borrow();
        log.iter().any(|line| line.starts_with("stopped"))
    }
}

/// Notes its callbacks, and acts in one of them.
struct Noting {
    log: Log,
    /// A callback, and its action.
    act: Option<(&'static str, Act)>,
}

type Act = Box<dyn FnMut(&mut Loop)>;

/// The data of a client: how often it was open.
type Opens = Rc<RefCell<u32>>;

impl Noting {
    fn did(&mut self, callback: &str, within: &mut Loop) {
        self.log.note(callback);
        if let Some((at, act)) = &mut self.act
            && *at == callback
        {
            act(within);
        }
    }
}

impl Endpoint for Noting {
    type Data = Opens;

    fn open(&mut self, socket: &mut Socket<'_, Opens>) -> Result {
        *socket.data().borrow_mut() += 1;
        self.did("open", socket.context());
        Ok(())
    }

    fn ping(&mut self, socket: &mut Socket<'_, Opens>, payload: &[u8]) -> Result {
        assert_eq!(payload, b"?");
        self.did("ping", socket.context());
        Ok(())
    }

    fn message(&mut self, socket: &mut Socket<'_, Opens>, message: Incoming<'_>) -> Result {
        assert_eq!(message.text()?, "hello");
        self.did("message", socket.context());
        Ok(())
    }

    fn close(&mut self, socket: &mut Socket<'_, Opens>, _: &Closed) {
        self.did("close", socket.context());
    }

    fn failed(&mut self, within: &mut Loop, opens: Opens, _: Error) {
        self.log.note(format!("{} opens", opens.borrow()));
        self.did("failed", within);
    }
}

fn soon() -> ReconnectOptions {
    ReconnectOptions {
        backoff: Backoff {
            base: Duration::from_millis(2),
            max: Duration::from_millis(5),
        },
        attempts: Some(3),
        ..ReconnectOptions::default()
    }
}

fn note_states(log: &Log) -> impl FnMut(&ClientState) + 'static {
    let log = log.clone();
    move |state| {
        log.note(match state {
            ClientState::Connecting => "connecting".to_owned(),
            ClientState::Open => "is open".to_owned(),
            ClientState::Waiting { .. } => "waiting".to_owned(),
            ClientState::Stopped(Stop::Done(_)) => "stopped: done".to_owned(),
            ClientState::Stopped(Stop::Closed(Some(_))) => "stopped: closed".to_owned(),
            ClientState::Stopped(Stop::Closed(None)) => "stopped: given up".to_owned(),
            ClientState::Stopped(Stop::Failed(_)) => "stopped: failed".to_owned(),
            _ => "?".to_owned(),
        });
    }
}

/// A client in a loop of its own.
struct Stage {
    event_loop: EventLoop,
    dialer: Dialer<Noting>,
    log: Log,
    opens: Weak<RefCell<u32>>,
    handle: ClientHandle,
}

impl Stage {
    /// Starts it; `act` acts with a handle of the client in the callback of this name.
    fn start(
        address: SocketAddr,
        act: Option<(&'static str, fn(&ClientHandle, &mut Loop))>,
    ) -> Self {
        let mut event_loop = EventLoop::new().unwrap();
        let log = Log::default();
        let handle: Rc<RefCell<Option<ClientHandle>>> = Rc::default();
        let act = act.map(|(at, act)| {
            let handle = Rc::clone(&handle);
            let act: Act = Box::new(move |within| {
                let handle = handle.borrow().clone().unwrap();
                act(&handle, within);
            });
            (at, act)
        });
        let noting = Noting {
            log: log.clone(),
            act,
        };
        let opens = Opens::default();
        let weak = Rc::downgrade(&opens);
        let dialer = Dialer::new(noting);
        let started = client(address, &log)
            .start(event_loop.context(), &dialer, opens)
            .unwrap();
        *handle.borrow_mut() = Some(started.clone());
        Self {
            event_loop,
            dialer,
            log,
            opens: weak,
            handle: started,
        }
    }

    fn until(&mut self, mut holds: impl FnMut(&Self) -> bool) {
        for _ in 0..10_000 {
            if holds(self) {
                return;
            }
            self.event_loop
                .turn(Some(Duration::from_millis(10)))
                .unwrap();
        }
        panic!("not in time: {:?}", self.log.take());
    }

    /// Runs until it has stopped; returns its log.
    fn finish(mut self) -> Vec<String> {
        self.until(|stage| stage.log.has_stopped() && stage.opens.upgrade().is_none());
        while self.event_loop.context().connections() > 0 {
            self.event_loop.turn(None).unwrap();
        }
        // Nothing more comes: no timer, no attempt, no callback.
        for _ in 0..5 {
            let most = Some(Duration::from_millis(5));
            self.event_loop.turn(most).unwrap();
        }
        assert_eq!(self.handle.connection(), None);
        self.log.take()
    }
}

/// Turns a loop until something holds.
fn turn_until(event_loop: &mut EventLoop, mut holds: impl FnMut() -> bool) {
    for _ in 0..10_000 {
        if holds() {
            return;
        }
        event_loop.turn(Some(Duration::from_millis(10))).unwrap();
    }
    panic!("not in time");
}

fn client(address: SocketAddr, log: &Log) -> Client {
    client_with(address, log, Duration::from_secs(1))
}

/// A client that waits so long for a peer's Close and the end of TCP.
fn client_with(address: SocketAddr, log: &Log, close: Duration) -> Client {
    let config = Config {
        timeouts: Timeouts {
            close,
            ..Timeouts::default()
        },
        control_frames: true,
        ..Config::default()
    };
    let options = ConnectOptions::default().config(config);
    Client::new(format!("ws://{address}/"), options)
        .unwrap()
        .reconnect(soon())
        .on_change(note_states(log))
}

const OPENED: [&str; 5] = ["connecting", "open", "is open", "ping", "message"];

#[test]
fn data_stay_with_a_client_over_its_connections() {
    let server = server(vec![1012, 0, 1000]);
    let address = server.address;
    let mut stage = Stage::start(address, None);
    stage.until(|stage| {
        stage
            .opens
            .upgrade()
            .is_some_and(|opens| *opens.borrow() == 3)
            || stage.log.has_stopped()
    });
    let log = stage.finish();
    let mut want = Vec::new();
    for _ in 0..2 {
        want.extend(OPENED);
        want.extend(["close", "waiting"]);
    }
    want.extend(OPENED);
    want.extend(["close", "stopped: done"]);
    assert_eq!(log, want);
    drop(server);
}

#[test]
fn a_client_that_gives_up_returns_its_data() {
    let want = [
        "connecting",
        "waiting",
        "connecting",
        "waiting",
        "connecting",
        "waiting",
        "connecting",
        "stopped: failed",
        "0 opens",
        "failed",
    ];
    assert_eq!(Stage::start(refuses(), None).finish(), want);
    // After a connection, too.
    let server = server(vec![1012]);
    let address = server.address;
    let log = Stage::start(address, None).finish();
    assert_eq!(
        log[log.len() - 3..],
        ["stopped: failed", "1 opens", "failed"]
    );
    drop(server);
}

#[test]
fn a_client_is_closed_from_each_callback() {
    let close = |handle: &ClientHandle, within: &mut Loop| {
        handle.close(within, CloseCode::AWAY, "enough");
        handle.close(within, CloseCode::NORMAL, "more than enough");
    };
    let cases: [(&str, &[&str]); 4] = [
        (
            "open",
            &["connecting", "open", "is open", "close", "stopped: closed"],
        ),
        (
            "message",
            &[
                "connecting",
                "open",
                "is open",
                "ping",
                "message",
                "close",
                "stopped: closed",
            ],
        ),
        // It waits then: its endpoint gets the data.
        (
            "close",
            &[
                "connecting",
                "open",
                "is open",
                "ping",
                "message",
                "close",
                "stopped: given up",
                "1 opens",
                "failed",
            ],
        ),
        ("failed", &["stopped: failed", "1 opens", "failed"]),
    ];
    for (at, want) in cases {
        let server = server(vec![1012]);
        let address = server.address;
        let log = Stage::start(address, Some((at, close))).finish();
        let log: Vec<_> = log.iter().map(String::as_str).collect();
        assert!(log.ends_with(want), "{at}: {log:?}");
        drop(server);
    }
}

#[test]
fn a_client_is_closed_while_it_connects_or_waits() {
    let hanging = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut connecting = Stage::start(hanging.local_addr().unwrap(), None);
    for _ in 0..5 {
        let most = Some(Duration::from_millis(5));
        connecting.event_loop.turn(most).unwrap();
    }
    let waiting = Stage::start(refuses(), None);
    for (name, mut stage) in [("connecting", connecting), ("waiting", waiting)] {
        if name == "waiting" {
            stage.until(|stage| stage.handle.connection().is_none());
        }
        let handle = stage.handle.clone();
        handle.close(stage.event_loop.context(), CloseCode::NORMAL, "");
        let log = stage.finish();
        assert_eq!(
            log[log.len() - 3..],
            ["stopped: given up", "0 opens", "failed"],
            "{name}"
        );
        assert_eq!(log[..log.len() - 3].last().unwrap(), name);
    }
}

#[test]
fn a_callback_that_panics_does_not_stop_a_client() {
    for at in ["open", "message", "close"] {
        let server = server(vec![1012; 4]);
        let address = server.address;
        let log = Stage::start(address, Some((at, |_, _| panic!("as a test does")))).finish();
        let opens = log.iter().filter(|line| *line == "open").count();
        // 1011, with which a panic of `open` or `message` closes, is one to come back after.
        assert_eq!(opens, 4, "{at}: {log:?}");
        assert_eq!(log[log.len() - 2..], ["close", "stopped: failed"], "{at}");
        drop(server);
    }
    // A hook that panics at each state does no harm.
    let server = server(vec![1012, 1000]);
    let address = server.address;
    let mut event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let noting = Noting {
        log: log.clone(),
        act: None,
    };
    let opens = Opens::default();
    let weak = Rc::downgrade(&opens);
    let client = client(address, &log).on_change(|_| panic!("as a test does"));
    client
        .start(event_loop.context(), &Dialer::new(noting), opens)
        .unwrap();
    while weak.upgrade().is_some() {
        event_loop.turn(Some(Duration::from_millis(10))).unwrap();
    }
    assert_eq!(
        log.take(),
        [
            "open", "ping", "message", "close", "open", "ping", "message", "close"
        ]
    );
    drop(server);
}

#[test]
fn a_loop_that_ends_stops_its_clients() {
    let far = ReconnectOptions {
        backoff: Backoff {
            base: Duration::from_secs(600),
            max: Duration::from_secs(600),
        },
        ..ReconnectOptions::default()
    };
    let waits = |log: &Log| log.0.borrow().iter().any(|line| line == "waiting");
    for (codes, want) in [
        (vec![], ["stopped: given up", "0 opens", "failed"]),
        (vec![1012], ["stopped: given up", "1 opens", "failed"]),
    ] {
        for is_closed in [false, true] {
            let server = server(codes.clone());
            let address = server.address;
            let address = if codes.is_empty() { refuses() } else { address };
            let mut event_loop = EventLoop::new().unwrap();
            let log = Log::default();
            let noting = Noting {
                log: log.clone(),
                act: None,
            };
            let dialer = Dialer::new(noting);
            let opens = Opens::default();
            let weak = Rc::downgrade(&opens);
            let client = client(address, &log).reconnect(far.clone());
            let handle = client.start(event_loop.context(), &dialer, opens).unwrap();
            turn_until(&mut event_loop, || waits(&log));
            if is_closed {
                // The loop ends before the client learns of it.
                handle.close(event_loop.context(), None, "");
            }
            drop(event_loop);
            let log = log.take();
            assert_eq!(log[log.len() - 3..], want, "{is_closed}");
            assert!(weak.upgrade().is_none(), "the dialer keeps no data");
            drop(dialer);
            drop(server);
        }
    }
    // One that is open.
    let (address, thread) = hold(1, |_, _| {});
    let mut stage = Stage::start(address, None);
    stage.until(|stage| stage.log.0.borrow().iter().any(|line| line == "open"));
    let Stage {
        event_loop,
        dialer,
        log,
        opens,
        ..
    } = stage;
    drop(event_loop);
    assert_eq!(log.take().last().unwrap(), "stopped: closed");
    assert!(opens.upgrade().is_none());
    drop(dialer);
    thread.join().unwrap();
}

/// Accepts connections, lets `play` have each with its number, and leaves the end of TCP to the clients.
fn hold(count: usize, play: fn(&mut TcpStream, usize)) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = thread::spawn(move || {
        let held = (0..count).map(|number| {
            let (mut stream, _) = listener.accept().unwrap();
            thread::spawn(move || {
                opens(&mut stream);
                play(&mut stream, number);
                let _ = stream.read_to_end(&mut Vec::new());
            })
        });
        for thread in held.collect::<Vec<_>>() {
            thread.join().unwrap();
        }
    });
    (address, thread)
}

/// Answers the opening handshake.
fn opens(stream: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    let key = lines.find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
    let accept = accept_key(key.unwrap().as_bytes());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    stream.write_all(answer.as_bytes()).unwrap();
}

#[test]
fn connections_that_wait_for_the_end_of_tcp_share_the_data_with_the_next() {
    // Two clients of one endpoint, on eight connections of which none ends TCP; the last two closes are final. A connection ends by its
    // timeout while the next one is open.
    let (address, thread) = hold(8, |stream, number| {
        thread::sleep(Duration::from_millis(100));
        let code: u16 = if number < 6 { 1012 } else { 1000 };
        let [high, low] = code.to_be_bytes();
        let bytes = [b"\x81\x05hello\x88\x02".as_slice(), &[high, low]].concat();
        stream.write_all(&bytes).unwrap();
    });
    let many = ReconnectOptions {
        attempts: Some(20),
        ..soon()
    };
    let mut event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let dialer = Dialer::new(Noting {
        log: log.clone(),
        act: None,
    });
    let states = [Log::default(), Log::default()];
    let data = states.each_ref().map(|states| {
        let opens = Opens::default();
        let brief = client_with(address, states, Duration::from_millis(50));
        let brief = brief.reconnect(many.clone());
        brief
            .start(event_loop.context(), &dialer, Rc::clone(&opens))
            .unwrap();
        opens
    });
    turn_until(&mut event_loop, || states.iter().all(Log::has_stopped));
    while event_loop.context().connections() > 0 {
        event_loop.turn(None).unwrap();
    }
    let log = log.take();
    for callback in ["open", "message", "close"] {
        let called = log.iter().filter(|line| *line == callback).count();
        assert_eq!(called, 8, "{callback}: {log:?}");
    }
    for (states, opens) in states.iter().zip(data) {
        let log = states.take();
        let count = log.iter().filter(|line| *line == "is open").count();
        assert_eq!(count, *opens.borrow() as usize, "{log:?}");
        assert_eq!(log.last().unwrap(), "stopped: done");
        assert_eq!(Rc::strong_count(&opens), 1, "its data are dropped");
    }
    thread.join().unwrap();
}

#[test]
fn a_close_with_1000_by_the_endpoint_is_final_whatever_the_server_answers() {
    for play in [
        // No Close at all, none with a code, another code.
        |stream: &mut TcpStream, _: usize| stream.shutdown(Shutdown::Both).unwrap(),
        |stream: &mut TcpStream, _| stream.write_all(b"\x88\x00").unwrap(),
        |stream: &mut TcpStream, _| stream.write_all(b"\x88\x02\x03\xe9").unwrap(),
    ] as [fn(&mut TcpStream, usize); 3]
    {
        let (address, thread) = hold(1, play);
        let close = |handle: &ClientHandle, within: &mut Loop| {
            within.close(handle.connection().unwrap(), CloseCode::NORMAL, "");
        };
        let log = Stage::start(address, Some(("open", close))).finish();
        assert_eq!(
            log[log.len() - 2..],
            ["close", "stopped: closed"],
            "{log:?}"
        );
        thread.join().unwrap();
    }
}

#[test]
fn an_aborted_connection_is_followed_by_another() {
    let (address, thread) = hold(2, |stream, number| {
        let bytes: [&[u8]; 2] = [b"\x81\x05hello", b"\x88\x02\x03\xe8"];
        stream.write_all(bytes[number]).unwrap();
    });
    let mut stage = Stage::start(address, None);
    stage.until(|stage| stage.log.0.borrow().iter().any(|line| line == "message"));
    let connection = stage.handle.connection().unwrap();
    stage.event_loop.context().abort(connection);
    stage.until(|stage| stage.log.0.borrow().iter().any(|line| line == "waiting"));
    let log = stage.finish();
    assert_eq!(log.last().unwrap(), "stopped: done", "{log:?}");
    thread.join().unwrap();
    // Before it is open, the attempt fails.
    let hanging = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut stage = Stage::start(hanging.local_addr().unwrap(), None);
    for _ in 0..4 {
        let attempt = stage.handle.connection();
        if let Some(attempt) = attempt {
            stage.event_loop.context().abort(attempt);
        }
        stage.until(|stage| stage.handle.connection() != attempt);
        stage.until(|stage| stage.handle.connection().is_some() || stage.log.has_stopped());
    }
    let log = stage.finish();
    assert_eq!(
        log[log.len() - 3..],
        ["stopped: failed", "0 opens", "failed"],
        "{log:?}"
    );
}

/// An endpoint that holds the handle of its own client.
struct Own {
    handle: Rc<RefCell<Option<ClientHandle>>>,
    _alive: Rc<()>,
}

impl Endpoint for Own {
    type Data = ();

    fn message(&mut self, socket: &mut Socket<'_, ()>, _: Incoming<'_>) -> Result {
        let handle = self.handle.borrow();
        let connection = handle.as_ref().and_then(ClientHandle::connection);
        assert_eq!(connection, Some(socket.id()));
        socket.context().stop();
        Ok(())
    }
}

#[test]
fn a_handle_keeps_nothing() {
    let server = server(vec![0]);
    let address = server.address;
    let alive = Rc::new(());
    let weak = Rc::downgrade(&alive);
    let mut event_loop = EventLoop::new().unwrap();
    let handle: Rc<RefCell<Option<ClientHandle>>> = Rc::default();
    let own = Own {
        handle: Rc::clone(&handle),
        _alive: alive,
    };
    let started = client(address, &Log::default())
        .start(event_loop.context(), &Dialer::new(own), ())
        .unwrap();
    let connection = started.connection().unwrap();
    let early = event_loop.context().send(connection, "too early");
    assert_eq!(early, Sent::Closed);
    *handle.borrow_mut() = Some(started);
    event_loop.run().unwrap();
    drop(event_loop);
    assert!(weak.upgrade().is_none(), "a handle kept its endpoint");
    drop(server);
}
