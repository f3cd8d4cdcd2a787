//! Lifetimes: publications outlive their connection, calls a panic, mail a channel; and no loop outlives its end.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use sansws_mio::{
    AcceptOptions, Closed, Config, ConnectOptions, ConnectionId, Dialer, Endpoint, Error,
    EventLoop, GroupOptions, Hub, HubError, HubOptions, Incoming, Joined, Loop, QueueLimits,
    Response, Result, Router, Scope, ServerOptions, Signal, SlowConsumerPolicy, Socket,
    StreamFormat, Target, Timeouts, app,
};

use sansws_std::connect;

use crate::support::groups::{enter, rooms, text, until};
use crate::support::{Running, echo};

/// Joins a group, tells its id, and publishes what it receives.
struct Speaker(Sender<ConnectionId>);

impl Endpoint for Speaker {
    type Data = ();

    fn upgrade(&mut self, _: &mut Scope, _: &mut AcceptOptions) -> Result {
        Ok(())
    }

    fn open(&mut self, socket: &mut Socket<'_, ()>) -> Result {
        self.0.send(socket.id())?;
        assert!(socket.send("joined").is_accepted());
        Ok(())
    }

    fn message(&mut self, socket: &mut Socket<'_, ()>, message: Incoming<'_>) -> Result {
        Ok(socket.publish("lobby", message.into_message())?)
    }
}

#[test]
fn publications_that_wait_outlive_their_connection() {
    let options = HubOptions::default()
        .groups(GroupOptions::default().slow_consumer(SlowConsumerPolicy::Wait))
        .queue_limits(QueueLimits {
            messages: 4,
            ..QueueLimits::default()
        });
    let hub = Hub::with_options(options);
    let (of_router, (tell, told)) = (hub.clone(), channel());
    let server = Running::new(move || {
        let speaker = Speaker(tell);
        rooms(&of_router).route("/speak", speaker)
    });
    let mut reader = enter(server.address, "lobby", ConnectOptions::default());
    let message = "x".repeat(256 << 10);
    let mut sent = 0;
    while hub.publish("lobby", message.as_str()).try_publish().is_ok() {
        sent += 1;
        thread::sleep(Duration::from_millis(1));
    }
    let mut speaker = enter(server.address, "speak", ConnectOptions::default());
    let id = told.recv().unwrap();
    for number in 0..3 {
        speaker.send_text(format!("at last {number}")).unwrap();
    }
    // They wait in the loop, or in its socket: only those that were accepted must arrive. A turn later they are accepted.
    let (accepted, all) = channel();
    server.remote.run(move |within| {
        within.after(Duration::from_millis(300), move |within| {
            within.abort(id);
            accepted.send(()).unwrap();
        });
    });
    all.recv().unwrap();
    while speaker.receive().is_ok() {}
    for _ in 0..sent {
        assert_eq!(text(&mut reader).len(), message.len());
    }
    assert_eq!(text(&mut reader), "at last 0");
    drop(reader);
    until("no channel is left", || {
        hub.metrics().hub.gauges.channels == 0
    });
}

#[test]
fn calls_for_publications_go_on_after_one_that_panics() {
    let hub = Hub::new();
    let publisher = hub.clone();
    let server = Running::new(move || Router::new().route("/", echo).hub(&hub));
    let (tell, heard) = channel();
    let subscription = publisher.subscribe("#".parse().unwrap()).unwrap();
    server.remote.run(move |within| {
        within.on_publications(subscription, move |_, publication| {
            let number: u32 = publication.unwrap().as_text().unwrap().parse().unwrap();
            assert!(number != 2, "as planned");
            tell.send(number).unwrap();
        });
    });
    for number in 1..=3 {
        let text = number.to_string();
        publisher.publish("lobby", text).try_publish().unwrap();
    }
    let patience = Duration::from_secs(20);
    assert_eq!(heard.recv_timeout(patience).unwrap(), 1);
    assert_eq!(heard.recv_timeout(patience).unwrap(), 3);
    server.close();
}

/// Tells its signals.
struct Signalled(Sender<Signal>);

impl Endpoint for Signalled {
    type Data = ();

    fn upgrade(&mut self, _: &mut Scope, _: &mut AcceptOptions) -> Result {
        Ok(())
    }

    fn open(&mut self, socket: &mut Socket<'_, ()>) -> Result {
        Ok(socket.join("lobby")?)
    }

    fn message(&mut self, _: &mut Socket<'_, ()>, _: Incoming<'_>) -> Result {
        Ok(())
    }

    fn joined(&mut self, socket: &mut Socket<'_, ()>, _: &str, _: Joined) -> Result {
        assert!(socket.send("joined").is_accepted());
        Ok(())
    }

    fn signal(&mut self, _: &mut Socket<'_, ()>, signal: Signal) -> Result {
        Ok(self.0.send(signal)?)
    }
}

#[test]
fn signals_to_a_busy_loop_are_bounded_and_their_loss_is_told() {
    let hub = Hub::new();
    let (of_router, (tell, told)) = (hub.clone(), channel());
    let server = Running::new(move || {
        Router::new()
            .route("/lobby", Signalled(tell))
            .hub(&of_router)
    });
    let _ada = enter(server.address, "lobby", ConnectOptions::default());
    let id = hub.members("lobby")[0];
    let (busy, is_busy) = channel();
    let (go, goes): (Sender<()>, Receiver<()>) = channel();
    server.remote.run(move |_| {
        busy.send(()).unwrap();
        goes.recv().unwrap();
    });
    is_busy.recv().unwrap();
    for number in 0..400 {
        hub.signal(Target::Channel(id), &number.to_string())
            .unwrap();
    }
    go.send(()).unwrap();
    let patience = Duration::from_secs(20);
    let all: Vec<Signal> = (0..256)
        .map(|_| told.recv_timeout(patience).unwrap())
        .collect();
    assert_eq!(all[0], Signal::Lost);
    assert_eq!(all[255], Signal::Text("399".into()));
    assert!(told.try_recv().is_err());
}

/// Connects again at once, whatever happens.
struct Restless {
    dialer: Dialer<Self>,
    url: String,
    tell: Sender<String>,
}

impl Restless {
    fn again(&self, within: &mut Loop) {
        let dialed = self
            .dialer
            .connect(within, &*self.url, ConnectOptions::default(), ());
        if let Err(error) = dialed {
            let _ = self.tell.send(format!("refused: {error}"));
        }
    }
}

impl Endpoint for Restless {
    type Data = ();

    fn open(&mut self, _: &mut Socket<'_, ()>) -> Result {
        Ok(self.tell.send("open".into())?)
    }

    fn message(&mut self, _: &mut Socket<'_, ()>, _: Incoming<'_>) -> Result {
        Ok(())
    }

    fn close(&mut self, socket: &mut Socket<'_, ()>, _: &Closed) {
        let _ = self.tell.send("closed".into());
        self.again(socket.context());
    }

    fn failed(&mut self, within: &mut Loop, (): (), _: Error) {
        let _ = self.tell.send("failed".into());
        self.again(within);
    }
}

fn restless(url: String, tell: Sender<String>) -> impl FnOnce(&mut Loop) + Send {
    move |within| {
        let dialer = Dialer::new_cyclic(|dialer| Restless {
            dialer,
            url: url.clone(),
            tell,
        });
        dialer
            .connect(within, url, ConnectOptions::default(), ())
            .unwrap();
        // The endpoint lives as long as its connections.
    }
}

#[test]
fn clients_that_connect_again_do_not_hold_up_a_shutdown() {
    let other = Running::new(|| echo);
    // Were it held up, the test would not end.
    let mut options = ServerOptions::default();
    let config = Config {
        timeouts: Timeouts {
            shutdown: Duration::from_secs(3_600),
            ..Timeouts::default()
        },
        ..Config::default()
    };
    options = options.config(config);
    let server = Running::with(options, || Router::new().route("/", echo));
    let (tell, told) = channel();
    let url = format!("ws://{}/", other.address);
    server.remote.run(restless(url, tell));
    let patience = Duration::from_secs(20);
    assert_eq!(told.recv_timeout(patience).unwrap(), "open");
    server.close();
    assert_eq!(told.recv_timeout(patience).unwrap(), "closed");
    assert!(
        told.recv_timeout(patience)
            .unwrap()
            .starts_with("refused: ")
    );
    other.close();
}

#[test]
fn a_loop_that_was_turned_by_hand_ends_with_its_owner() {
    let (tell, told) = channel();
    let mut event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    // Nobody listens there, or answers.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    restless(url, tell)(event_loop.context());
    event_loop.turn(Some(Duration::from_millis(10))).unwrap();
    assert!(handle.run(|_| ()));
    drop(event_loop);
    assert_eq!(told.try_recv().unwrap(), "failed");
    assert!(told.try_recv().unwrap().starts_with("refused: "));
    assert!(!handle.run(|_| ()), "nobody would run it");
}

/// Tells failures.
struct Failing(Sender<Error>);

impl Endpoint for Failing {
    type Data = ();

    fn message(&mut self, _: &mut Socket<'_, ()>, _: Incoming<'_>) -> Result {
        Ok(())
    }

    fn failed(&mut self, within: &mut Loop, (): (), error: Error) {
        self.0.send(error).unwrap();
        within.stop();
    }
}

#[test]
fn a_client_that_is_not_open_yet_has_no_channel_and_can_be_closed_aborted_and_failed() {
    let ways: [fn(&mut Loop, ConnectionId); 3] = [
        |within, id| within.close(id, None, ""),
        |within, id| within.abort(id),
        |within, id| within.socket(id).unwrap().fail(HubError::Gone),
    ];
    for way in ways {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        let (tell, told) = channel();
        let dialer = Dialer::new(Failing(tell));
        let mut event_loop = EventLoop::new().unwrap();
        let within = event_loop.context();
        let id = dialer
            .connect(within, url, ConnectOptions::default(), ())
            .unwrap();
        let mut socket = within.socket(id).unwrap();
        socket.use_hub(Hub::new());
        let refused = socket.join("lobby").unwrap_err();
        assert!(matches!(refused, Error::Hub(HubError::Gone)), "{refused}");
        event_loop.turn(Some(Duration::from_millis(10))).unwrap();
        way(event_loop.context(), id);
        // Without the end of the client, the test would wait for the handshake to be late.
        event_loop.turn(Some(Duration::ZERO)).unwrap();
        let error = told.try_recv().unwrap();
        assert!(
            matches!(&error, Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionAborted),
            "{error}"
        );
    }
}

/// A value of an application whose end fails.
struct Brittle;

impl Drop for Brittle {
    fn drop(&mut self) {
        assert!(thread::panicking(), "as planned");
    }
}

#[test]
fn values_of_a_request_whose_ends_panic_harm_nobody() {
    let server = Running::new(move || {
        Router::new()
            .layer(|scope: &mut Scope| {
                scope.attach(Brittle);
                scope.keep_alive_until_close(Brittle);
                match scope.path() {
                    "/refused" => Err(Response::text(403, "no\n")),
                    _ => Ok(()),
                }
            })
            .route("/", echo)
            .post("/page", "page\n")
            .add(app::streamed(
                ["GET", "POST"],
                "/stream",
                StreamFormat::Raw,
                echo,
            ))
    });
    let request = |method: &str, path: &str| {
        format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nx")
    };
    for (method, path) in [
        ("GET", "/refused"),
        ("GET", "/nowhere"),
        ("POST", "/page"),
        ("POST", "/stream"),
    ] {
        for rest in ["", "x"] {
            let mut stream = TcpStream::connect(server.address).unwrap();
            let whole = request(method, path) + rest;
            stream.write_all(whole.as_bytes()).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let _ = stream.read_to_end(&mut Vec::new());
        }
    }
    for _ in 0..2 {
        let mut socket = connect(server.url(), ConnectOptions::default()).unwrap();
        socket.send_text("still").unwrap();
        assert_eq!(text(&mut socket), "still");
    }
    // Tasks that have not run when the loop ends are dropped with it.
    server.remote.run(|within| {
        let brittle = Brittle;
        within.after(Duration::from_secs(3_600), move |_| drop(brittle));
        within.stop();
    });
    let brittle = Brittle;
    server.remote.run(move |_| drop(brittle));
    server.close();
}

#[test]
fn an_endpoint_whose_dialer_is_gone_says_which_one_to_keep() {
    fn ignore(_: &mut Socket<'_, ()>, _: Incoming<'_>) -> Result {
        Ok(())
    }
    let mut event_loop = EventLoop::new().unwrap();
    let mut own = None;
    drop(Dialer::new_cyclic(|dialer| {
        own = Some(dialer);
        ignore
    }));
    let (options, url) = (ConnectOptions::default(), "ws://127.0.0.1:1/");
    let connected = own.unwrap().connect(event_loop.context(), url, options, ());
    let error = connected.unwrap_err().to_string();
    assert_eq!(error, "the dialer that `new_cyclic` returned is gone");
}
