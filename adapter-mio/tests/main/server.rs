//! Servers: admission, routes, pages, shutdown, listeners; one rule per test. The clients are those of the blocking adapter.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sansws_mio::metrics::{ClosedBy, CodeClass, RequestKind, StatusClass};
use sansws_mio::{
    AcceptOptions, CloseCode, Config, ConnectionPolicy, Endpoint, Error, Incoming, LimitAction,
    Limits, Listener, OriginPolicy, Rate, Response, Result, Router, Scope, Server, ServerOptions,
    Socket, Status, Timeouts, TrafficLimits,
};
use sansws_std::{ConnectOptions, Stream, WebSocket, connect, connect_over};

use crate::blocking::{dial, frame, masked, raw_client, read_frame, status};
use crate::support::groups::until;
use crate::support::{Running, echo};

/// The answer to a request that is written as it stands, up to the end of the connection.
fn ask(server: &Running, request: &str) -> String {
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The code with which the server closes.
fn code(mut socket: WebSocket) -> u16 {
    match socket.receive() {
        Ok(None) => socket.closed().unwrap().code(),
        Err(Error::Disconnect(closed)) => closed.code(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn it_echoes_messages_of_any_length() {
    let server = Running::new(|| echo);
    let mut socket = dial(server.address, "/").unwrap();
    for length in [0, 1, 125, 126, 65_535, 65_536, 1 << 20, 10 << 20] {
        socket.send(vec![7; length]).unwrap();
        assert_eq!(socket.receive().unwrap().unwrap().len(), length);
    }
    for count in 0..2_000 {
        socket.feed(format!("{count}")).unwrap();
    }
    socket.flush().unwrap();
    for count in 0..2_000 {
        assert_eq!(socket.receive_text().unwrap(), Some(format!("{count}")));
    }
    assert!(socket.close(1000, "").unwrap().unwrap().clean);
    let handle = server.handle.clone();
    server.close();
    let metrics = handle.metrics();
    assert_eq!(metrics.messages_received, 2_008);
    assert_eq!(metrics.messages_sent, 2_008);
    assert_eq!(metrics.closed(CodeClass::Normal), 1);
    assert!(metrics.bytes_received > 11 << 20 && metrics.bytes_sent > 11 << 20);
}

#[test]
fn connections_beyond_the_bound_get_503_and_make_room_again() {
    let server = Running::with(ServerOptions::default().max_connections(2), || echo);
    let first = dial(server.address, "/").unwrap();
    let _second = dial(server.address, "/").unwrap();
    assert_eq!(status(dial(server.address, "/")), 503);
    assert_eq!(server.handle.health(None).status, Status::Degraded);
    drop(first);
    // The loop must notice the end first.
    while status(dial(server.address, "/")) == 503 {}
}

/// Greets with its room, by a state of the router.
struct Greeter;

impl Endpoint for Greeter {
    type Data = String;

    fn upgrade(&mut self, request: &mut Scope, _: &mut AcceptOptions) -> Result<String> {
        let room: String = request.param("room")?;
        Ok(format!("{} {room}", request.state::<String>()?))
    }

    fn open(&mut self, socket: &mut Socket<'_, String>) -> Result {
        let greeting = std::mem::take(socket.data());
        let _ = socket.send(greeting);
        socket.close(CloseCode::NORMAL, "");
        Ok(())
    }

    fn message(&mut self, _: &mut Socket<'_, String>, _: Incoming<'_>) -> Result {
        Err("nothing was to come".into())
    }
}

#[test]
fn routes_pages_layers_and_states() {
    let count = AtomicU32::new(0);
    let server = Running::new(|| {
        Router::new()
            .route("/rooms/{room}", Greeter)
            .get("/rooms", "a room\n")
            .get("/panic", |_: Scope| -> &'static str {
                panic!("a page's mistake")
            })
            .post("/rooms", |scope: Scope| {
                let text = format!("{} octets\n", scope.body().len());
                Ok(Response::text(201, text))
            })
            .layer(move |scope: &mut Scope| {
                count.fetch_add(1, Ordering::Relaxed);
                match scope.query_value("key") {
                    Some(_) => Ok(()),
                    None => Err(Response::text(401, "no key\n")),
                }
            })
            .state(String::from("welcome to"))
    });
    let mut socket = dial(server.address, "/rooms/blue?key=1").unwrap();
    let greeting = socket.receive_text().unwrap();
    assert_eq!(greeting.as_deref(), Some("welcome to blue"));
    assert_eq!(code(socket), 1000);
    assert_eq!(status(dial(server.address, "/rooms/blue")), 401);
    assert_eq!(status(dial(server.address, "/rooms?key=1")), 404);
    assert_eq!(status(dial(server.address, "/none?key=1")), 404);
    let posted = ask(
        &server,
        "GET /rooms?key=1 HTTP/1.1\r\nHost: a\r\n\r\n\
         POST /rooms?key=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc",
    );
    assert!(
        posted.contains("HTTP/1.1 200") && posted.ends_with("3 octets\n"),
        "{posted}"
    );
    for (request, want) in [
        (
            "PUT /rooms?key=1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            "405",
        ),
        (
            "GET /rooms/a?key=1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            "426",
        ),
        (
            "GET /panic?key=1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            "500",
        ),
        (
            "POST /rooms?key=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n",
            "413",
        ),
        ("nonsense\r\n\r\n", "400"),
    ] {
        let answer = ask(&server, request);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {want}")),
            "{request}: {answer}"
        );
    }
    server.close();
}

#[test]
fn a_body_that_is_announced_is_awaited_after_100() {
    let server = Running::new(|| {
        Router::new().post("/", |scope: Scope| {
            Ok(Response::text(
                200,
                format!("{} octets\n", scope.body().len()),
            ))
        })
    });
    let mut stream = TcpStream::connect(server.address).unwrap();
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"12345").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("5 octets\n"), "{answer}");
}

#[test]
fn routes_that_conflict_are_not_served() {
    let router = || Router::new().route("/a", echo).route("/a", echo);
    let server = Server::bind("127.0.0.1:0").unwrap();
    assert!(matches!(server.serve(router()), Err(Error::Routes(_))));
    let server = Server::bind("127.0.0.1:0").unwrap();
    let served = server.serve_on_threads(2, |_| router());
    assert!(matches!(served, Err(Error::Routes(_))));
}

#[test]
fn pages_of_other_hosts_are_refused() {
    let server = Running::new(|| echo);
    let from = |server: &Running, origin: &str| {
        let options = ConnectOptions::default().header("Origin", origin);
        status(connect(server.url(), options))
    };
    assert_eq!(from(&server, "https://elsewhere.example"), 403);
    assert_eq!(from(&server, &format!("http://{}", server.address)), 101);
    let policy = ConnectionPolicy::default().origin(OriginPolicy::any());
    let open = Running::with(ServerOptions::default().policy(policy), || echo);
    assert_eq!(from(&open, "https://elsewhere.example"), 101);
}

#[test]
fn closing_tells_all_and_waits_for_no_request() {
    let server = Running::new(|| echo);
    let mut sockets: Vec<_> = (0..8).map(|_| dial(server.address, "/").unwrap()).collect();
    for socket in &mut sockets {
        socket.send_text("here").unwrap();
        socket.receive().unwrap();
    }
    // A client that has not sent its request is not waited for.
    let _idle = TcpStream::connect(server.address).unwrap();
    let closing = std::thread::spawn(|| server.close());
    for socket in sockets {
        assert_eq!(code(socket), 1001);
    }
    closing.join().unwrap();
}

#[test]
fn draining_closes_one_after_the_other_with_1012_and_refuses_new_ones() {
    let mut server = Running::new(|| echo);
    let sockets: Vec<_> = (0..4).map(|_| dial(server.address, "/").unwrap()).collect();
    server.handle.drain(Duration::from_millis(400));
    assert_eq!(status(dial(server.address, "/")), 503);
    for socket in sockets {
        assert_eq!(code(socket), 1012);
    }
    server.join();
}

#[test]
fn connections_that_do_not_end_in_time_are_dropped() {
    let config = Config {
        timeouts: Timeouts {
            shutdown: Duration::from_millis(50),
            close: Duration::from_secs(60),
            ..Timeouts::default()
        },
        ..Config::default()
    };
    let mut server = Running::with(ServerOptions::default().config(config), || echo);
    // It never answers the Close.
    let mut peer = raw_client(server.address);
    server.handle.close();
    server.join();
    assert_eq!(read_frame(&mut peer).0, 8);
    let mut rest = Vec::new();
    // TCP ends, although the close timeout has not passed.
    let _ = peer.read_to_end(&mut rest);
}

#[test]
fn limits_on_traffic_and_on_the_lifetime() {
    let limited = TrafficLimits {
        messages: Some(Rate::new(2, Duration::from_secs(3_600))),
        outcome: LimitAction::Close,
        ..TrafficLimits::default()
    };
    let policy = ConnectionPolicy::default().traffic(limited);
    let server = Running::with(ServerOptions::default().policy(policy), || echo);
    let mut socket = dial(server.address, "/").unwrap();
    for _ in 0..16 {
        let _ = socket.feed("a");
    }
    let _ = socket.flush();
    while let Ok(Some(_)) = socket.receive() {}
    assert_eq!(socket.closed().unwrap().code(), 1008);
    let policy = ConnectionPolicy::default().lifetime(Duration::from_millis(20));
    let server = Running::with(ServerOptions::default().policy(policy), || echo);
    assert_eq!(code(dial(server.address, "/").unwrap()), 1001);
}

#[test]
fn a_limit_that_delays_loses_nothing() {
    let limited = TrafficLimits {
        messages: Some(Rate::new(1, Duration::from_millis(5))),
        outcome: LimitAction::Delay,
        ..TrafficLimits::default()
    };
    let policy = ConnectionPolicy::default().traffic(limited);
    let server = Running::with(ServerOptions::default().policy(policy), || echo);
    let mut socket = dial(server.address, "/").unwrap();
    for count in 0..10 {
        socket.feed(format!("{count}")).unwrap();
    }
    socket.flush().unwrap();
    for count in 0..10 {
        assert_eq!(socket.receive_text().unwrap(), Some(format!("{count}")));
    }
}

#[test]
fn unix_sockets_and_the_proxy_protocol() {
    let folder = std::env::temp_dir().join(format!("sansws-mio-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("socket");
    let server = Server::new(Listener::bind_unix(&path).unwrap());
    let running = Running::of(server, || echo);
    let stream = Stream::unix(UnixStream::connect(&path).unwrap()).unwrap();
    let url = "ws://localhost/";
    let mut socket = connect_over(stream, url, ConnectOptions::default()).unwrap();
    socket.send_text("over a path").unwrap();
    assert_eq!(
        socket.receive_text().unwrap().as_deref(),
        Some("over a path")
    );
    drop(socket);
    running.close();
    std::fs::remove_dir_all(&folder).unwrap();

    let listener = Listener::bind("127.0.0.1:0").unwrap().proxy_protocol();
    let running = Running::of(Server::new(listener), || {
        Router::new().get("/", |scope: Scope| {
            Ok(Response::text(200, format!("{:?}\n", scope.client_addr())))
        })
    });
    let mut stream = TcpStream::connect(running.address).unwrap();
    // The header in two parts, the second with the request behind it.
    stream.write_all(b"PROXY TCP4 192.0.2.7 192.").unwrap();
    let rest = b"0.2.8 5000 80\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    stream.write_all(rest).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("Some(192.0.2.7:5000)\n"), "{answer}");
    let mut wrong = TcpStream::connect(running.address).unwrap();
    wrong
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    let mut nothing = Vec::new();
    let _ = wrong.read_to_end(&mut nothing);
    assert!(nothing.is_empty());
    running.close();
}

#[test]
fn peers_that_misbehave_hurt_only_themselves() {
    let config = Config {
        limits: Limits {
            message: 1 << 20,
            ..Limits::default()
        },
        timeouts: Timeouts {
            handshake: Some(Duration::from_millis(300)),
            close: Duration::from_millis(100),
            ..Timeouts::default()
        },
        ..Config::default()
    };
    let server = Running::with(ServerOptions::default().config(config), || echo);
    // A frame of a terabyte.
    let mut huge = raw_client(server.address);
    let mut head = vec![0x82, 0xff];
    head.extend_from_slice(&(1_u64 << 40).to_be_bytes());
    head.extend_from_slice(&[0; 4]);
    huge.write_all(&head).unwrap();
    let (opcode, payload) = read_frame(&mut huge);
    assert_eq!((opcode, &payload[..2]), (8, &1009_u16.to_be_bytes()[..]));
    // A frame that is not masked.
    let mut bare = raw_client(server.address);
    bare.write_all(&frame(1, b"a")).unwrap();
    let (opcode, payload) = read_frame(&mut bare);
    assert_eq!((opcode, &payload[..2]), (8, &1002_u16.to_be_bytes()[..]));
    // Pings without end, whose answers are not read, then nothing.
    let mut flood = raw_client(server.address);
    let pings = masked(9, &[7; 100]).repeat(1_000);
    for _ in 0..100 {
        flood.write_all(&pings).unwrap();
    }
    // Messages without end, whose echoes are not read: it has to wait.
    let mut deaf = raw_client(server.address);
    deaf.set_write_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    let messages = masked(2, &[7; 100]).repeat(10_000);
    while deaf.write_all(&messages).is_ok() {}
    // A request that never ends, and none at all.
    let mut slow = TcpStream::connect(server.address).unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(ask(&server, "nonsense\r\n\r\n").starts_with("HTTP/1.1 400"));
    // One that vanishes inside a message.
    let mut gone = raw_client(server.address);
    gone.write_all(&[0x81, 0xfe, 1]).unwrap();
    drop(gone);
    // The others are served.
    let mut socket = dial(server.address, "/").unwrap();
    socket.send_text("still").unwrap();
    assert_eq!(socket.receive_text().unwrap().as_deref(), Some("still"));
    drop((huge, bare, flood, deaf, socket));
    let handle = server.handle.clone();
    server.close();
    assert_eq!((handle.open(), handle.metrics().handlers_failed), (0, 0));
}

/// The buffer for messages that do not arrive whole is the loop's, except in the middle of one.
#[test]
fn a_message_that_arrives_octet_by_octet_is_not_mixed_with_those_of_others() {
    let server = Running::new(|| echo);
    let mut slow = raw_client(server.address);
    slow.set_nodelay(true).unwrap();
    let mut other = dial(server.address, "/").unwrap();
    for octet in masked(1, b"a message of its own") {
        slow.write_all(&[octet]).unwrap();
        // It does not fit the loop's input, and is assembled.
        other.send(vec![7; 100_000]).unwrap();
        assert_eq!(other.receive().unwrap().unwrap().len(), 100_000);
    }
    assert_eq!(read_frame(&mut slow), (1, b"a message of its own".to_vec()));
}

#[test]
fn a_peer_that_floods_does_not_hold_up_the_others() {
    let server = Running::new(|| echo);
    let mut flood = raw_client(server.address);
    let mut drain = flood.try_clone().unwrap();
    let reader = std::thread::spawn(move || {
        let mut bytes = [0; 65_536];
        while matches!(drain.read(&mut bytes), Ok(count) if count > 0) {}
    });
    let writer = std::thread::spawn(move || {
        let messages = masked(2, &[7; 100]).repeat(1_000);
        while flood.write_all(&messages).is_ok() {}
    });
    let mut socket = dial(server.address, "/").unwrap();
    for count in 0..100 {
        socket.send_text(format!("{count}")).unwrap();
        assert_eq!(socket.receive_text().unwrap(), Some(format!("{count}")));
    }
    server.handle.drop_all();
    writer.join().unwrap();
    reader.join().unwrap();
}

#[test]
fn peers_that_flood_after_their_refusal_do_not_hold_up_the_others() {
    let server = Running::new(|| echo);
    let writers: Vec<_> = (0..4)
        .map(|_| {
            let mut flood = TcpStream::connect(server.address).unwrap();
            std::thread::spawn(move || {
                flood.write_all(b"NONSENSE\r\n\r\n").unwrap();
                while flood.write_all(&[7; 1 << 20]).is_ok() {}
            })
        })
        .collect();
    let mut socket = dial(server.address, "/").unwrap();
    for count in 0..100 {
        socket.send_text(format!("{count}")).unwrap();
        assert_eq!(socket.receive_text().unwrap(), Some(format!("{count}")));
    }
    server.handle.drop_all();
    writers
        .into_iter()
        .for_each(|writer| writer.join().unwrap());
}

#[test]
fn silent_peers_are_pinged_and_given_up_and_idle_ones_closed() {
    let patient = |pong| Config {
        timeouts: Timeouts {
            ping: Some(Duration::from_millis(30)),
            pong: Some(pong),
            ..Timeouts::default()
        },
        ..Config::default()
    };
    let brief = patient(Duration::from_millis(30));
    let server = Running::with(ServerOptions::default().config(brief), || echo);
    let mut peer = raw_client(server.address);
    assert_eq!(read_frame(&mut peer), (9, Vec::new()));
    let mut rest = Vec::new();
    let _ = peer.read_to_end(&mut rest);
    // A client that answers stays for twice the time that one answer may take.
    let config = patient(Duration::from_secs(2));
    let server = Running::with(ServerOptions::default().config(config), || echo);
    let mut socket = dial(server.address, "/").unwrap();
    let quiet = socket.receive_timeout(Duration::from_secs(4));
    assert!(matches!(quiet, Err(Error::Io(_))) && socket.closed().is_none());
    let config = Config {
        timeouts: Timeouts {
            idle: Some(Duration::from_millis(30)),
            ..Timeouts::default()
        },
        ..Config::default()
    };
    let server = Running::with(ServerOptions::default().config(config), || echo);
    assert_eq!(code(dial(server.address, "/").unwrap()), 1001);
}

#[test]
fn timeouts_count_as_closed_by_the_server() {
    let options = |timeouts| {
        let config = Config {
            timeouts,
            ..Config::default()
        };
        ServerOptions::default().config(config)
    };
    let timeouts = Timeouts {
        idle: Some(Duration::from_millis(30)),
        ..Timeouts::default()
    };
    let server = Running::with(options(timeouts), || echo);
    // Its answer to the Close does not make it the first.
    assert_eq!(code(dial(server.address, "/").unwrap()), 1001);
    let metrics = || server.handle.metrics();
    until("it has ended", || metrics().all_closed() == 1);
    assert_eq!(metrics().closed_by(ClosedBy::Server, CodeClass::Away), 1);
    let timeouts = Timeouts {
        message: Some(Duration::from_millis(30)),
        ..Timeouts::default()
    };
    let server = Running::with(options(timeouts), || echo);
    let mut peer = raw_client(server.address);
    let half = masked(1, b"ab");
    peer.write_all(&half[..half.len() - 1]).unwrap();
    let (opcode, payload) = read_frame(&mut peer);
    assert_eq!((opcode, &payload[..2]), (8, &1008_u16.to_be_bytes()[..]));
    drop(peer);
    let metrics = || server.handle.metrics();
    until("it has ended", || metrics().all_closed() == 1);
    assert_eq!(metrics().closed_by(ClosedBy::Server, CodeClass::Policy), 1);
}

#[test]
fn several_loops_share_a_port_and_shut_down_together() {
    let listener = Listener::bind_shared("127.0.0.1:0").unwrap();
    let mut server = Server::new(listener);
    let (address, handle) = (server.local_addr().unwrap(), server.handle());
    let serving =
        std::thread::spawn(move || server.serve_on_threads(3, |_| Router::new().route("/", echo)));
    let url = format!("ws://{address}/");
    let mut sockets: Vec<_> = (0..32)
        .map(|_| connect(&url, ConnectOptions::default()).unwrap())
        .collect();
    for socket in &mut sockets {
        socket.send_text("here").unwrap();
        assert_eq!(socket.receive_text().unwrap().as_deref(), Some("here"));
    }
    // A loop counts at the end of its turn, when the answer has left.
    until("all are counted", || {
        handle.metrics().messages_received == 32
    });
    handle.close();
    for socket in sockets {
        assert_eq!(code(socket), 1001);
    }
    serving.join().unwrap().unwrap();
    assert_eq!(handle.open(), 0);
}

#[test]
fn a_fallback_answers_requests_for_websockets_too_and_ends_their_connections() {
    let fallback = |scope: Scope| Ok(Response::text(404, format!("no {}\n", scope.path())));
    let server = Running::new(move || Router::new().route("/echo", echo).fallback(fallback));
    let ask_for = |path: &str| {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        ask(&server, &request)
    };
    let answer = ask_for("/none");
    assert!(
        answer.starts_with("HTTP/1.1 404 ") && answer.ends_with("no /none\n"),
        "{answer}"
    );
    let metrics = server.handle.metrics();
    let refused = |asked| metrics.responses(asked, StatusClass::ClientError);
    assert_eq!(
        [refused(RequestKind::WebSocket), refused(RequestKind::Page)],
        [1, 0]
    );
    server.close();
}

#[test]
fn dropped_connections_count_as_closed_by_the_server() {
    let server = Running::new(|| echo);
    let mut socket = dial(server.address, "/").unwrap();
    socket.send_text("it is open").unwrap();
    assert!(socket.receive().unwrap().is_some());
    let handle = server.handle.clone();
    handle.drop_all();
    server.close();
    let ours = handle.metrics();
    assert_eq!(ours.closed_by(ClosedBy::Server, CodeClass::Vanished), 1);
}
