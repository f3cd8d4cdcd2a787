//! Servers: admission, routes, failing handlers, shutdown, listeners; one rule per test.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::channel;
use std::time::Duration;

use sansws_std::metrics::{ClosedBy, CodeClass, RejectReason, RequestKind, StatusClass};
use sansws_std::{
    CloseCode, Config, ConnectOptions, ConnectionPolicy, Error, LimitAction, Limits, Listener,
    OriginPolicy, Rate, Response, Result, Router, Scope, Server, ServerOptions, Status, Stream,
    Timeouts, TrafficLimits, Upgrade, WebSocket, connect, connect_over,
};

use crate::support::{Running, dial, echo, frame, masked, raw_client, read_frame, status};

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
    let server = Running::with(echo, options(timeouts));
    // Its answer to the Close does not make it the first.
    assert_eq!(code(dial(server.address, "/").unwrap()), 1001);
    let handle = server.handle.clone();
    server.close();
    assert_eq!(
        handle
            .metrics()
            .closed_by(ClosedBy::Server, CodeClass::Away),
        1
    );
    let timeouts = Timeouts {
        message: Some(Duration::from_millis(30)),
        ..Timeouts::default()
    };
    let server = Running::with(echo, options(timeouts));
    let mut peer = raw_client(server.address);
    let half = masked(1, b"ab");
    peer.write_all(&half[..half.len() - 1]).unwrap();
    let (opcode, payload) = read_frame(&mut peer);
    assert_eq!((opcode, &payload[..2]), (8, &1008_u16.to_be_bytes()[..]));
    drop(peer);
    let handle = server.handle.clone();
    server.close();
    assert_eq!(
        handle
            .metrics()
            .closed_by(ClosedBy::Server, CodeClass::Policy),
        1
    );
}

#[test]
fn connections_for_which_no_thread_can_be_started_are_counted() {
    // More than the addresses that a process can have.
    let server = Server::bind("127.0.0.1:0").unwrap().stack_size(1 << 50);
    let server = Running::of(server, echo);
    for _ in 0..3 {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    }
    let handle = server.handle.clone();
    server.close();
    let metrics = handle.metrics();
    assert_eq!(metrics.connections, 0);
    assert_eq!(metrics.turned_away(RejectReason::Untold), 3);
}

#[test]
fn the_stack_of_a_thread_has_room_for_a_connection_whatever_its_size() {
    for bytes in [0, 1, 16 << 10] {
        let server = Server::bind("127.0.0.1:0").unwrap().stack_size(bytes);
        let server = Running::of(server, echo);
        let mut socket = dial(server.address, "/").unwrap();
        socket.send_text("x").unwrap();
        assert_eq!(socket.receive_text().unwrap().as_deref(), Some("x"));
        drop(socket);
        server.close();
    }
}

#[test]
fn connections_beyond_the_bound_get_503_and_make_room_again() {
    let server = Running::with(echo, ServerOptions::default().max_connections(2));
    let first = dial(server.address, "/").unwrap();
    let _second = dial(server.address, "/").unwrap();
    assert_eq!(status(dial(server.address, "/")), 503);
    assert_eq!(server.handle.health(None).status, Status::Degraded);
    drop(first);
    // Its thread must notice the end first.
    while status(dial(server.address, "/")) == 503 {}
}

#[test]
fn routes_pages_layers_and_states() {
    let count = std::sync::atomic::AtomicU32::new(0);
    let router = Router::new()
        .route("/rooms/{room}", |upgrade: Upgrade| {
            let room: String = upgrade.param("room")?;
            let greeting = upgrade.state::<String>()?;
            Ok(upgrade.accept()?.send_text(format!("{greeting} {room}"))?)
        })
        .get("/rooms", "a room\n")
        .post("/rooms", |scope: Scope| {
            Ok(Response::text(
                201,
                format!("{} octets\n", scope.body().len()),
            ))
        })
        .layer(move |scope: &mut Scope| {
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            match scope.query_value("key") {
                Some(_) => Ok(()),
                None => Err(Response::text(401, "no key\n")),
            }
        })
        .state(String::from("welcome to"));
    let server = Running::new(router);
    let mut socket = dial(server.address, "/rooms/blue?key=1").unwrap();
    assert_eq!(
        socket.receive_text().unwrap().as_deref(),
        Some("welcome to blue")
    );
    assert_eq!(code(socket), 1000);
    assert_eq!(status(dial(server.address, "/rooms/blue")), 401);
    assert_eq!(status(dial(server.address, "/rooms?key=1")), 404);
    assert_eq!(status(dial(server.address, "/none?key=1")), 404);
    let page = ask(
        &server,
        "GET /rooms?key=1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    );
    assert!(
        page.starts_with("HTTP/1.1 200") && page.ends_with("a room\n"),
        "{page}"
    );
    let posted = ask(
        &server,
        "GET /rooms?key=1 HTTP/1.1\r\nHost: a\r\n\r\n\
         POST /rooms?key=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc",
    );
    assert!(
        posted.contains("HTTP/1.1 200") && posted.ends_with("3 octets\n"),
        "{posted}"
    );
    let wrong = ask(
        &server,
        "PUT /rooms?key=1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    );
    assert!(
        wrong.starts_with("HTTP/1.1 405") && wrong.contains("Allow: GET, HEAD, POST"),
        "{wrong}"
    );
    let plain = ask(
        &server,
        "GET /rooms/a?key=1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    );
    assert!(plain.starts_with("HTTP/1.1 426"), "{plain}");
    server.close();
}

#[test]
fn an_answer_that_cannot_be_written_is_500_and_counted_so() {
    let broken = || Response::text(200, "x").with("Set-Cookie", "a=b\r\nX: y");
    let router = Router::new()
        .get("/", move |_: Scope| Ok(broken()))
        .route("/socket", move |_: Upgrade| Err(Error::reject(broken())));
    let server = Running::new(router);
    let page = ask(
        &server,
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    );
    assert!(page.starts_with("HTTP/1.1 500"), "{page}");
    assert_eq!(status(dial(server.address, "/socket")), 500);
    let metrics = server.handle.metrics();
    for asked in [RequestKind::Page, RequestKind::WebSocket] {
        assert_eq!(metrics.responses(asked, StatusClass::ServerError), 1);
    }
}

/// An error that cannot even say what it is.
#[derive(Debug)]
struct Mute;

impl std::fmt::Display for Mute {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("in the text of an error");
    }
}

impl std::error::Error for Mute {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        panic!("in the source of an error");
    }
}

#[test]
fn an_error_that_panics_is_one_of_the_application() {
    let router = Router::new()
        .get("/", |_: Scope| Err::<Response, _>(Mute.into()))
        .route("/before", |_: Upgrade| Err(Mute.into()))
        .route("/after", |upgrade: Upgrade| {
            upgrade.accept()?;
            Err(Mute.into())
        });
    let server = Running::new(router);
    let page = ask(
        &server,
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    );
    assert!(page.starts_with("HTTP/1.1 500"), "{page}");
    assert_eq!(status(dial(server.address, "/before")), 500);
    assert_eq!(code(dial(server.address, "/after").unwrap()), 1011);
    let handle = server.handle.clone();
    server.close();
    let metrics = handle.metrics();
    assert_eq!((metrics.opened, metrics.websockets()), (1, 0));
    assert_eq!(metrics.handlers_failed, 3);
}

#[test]
fn routes_that_conflict_are_not_served() {
    let router = || Router::new().route("/a", echo).route("/a", echo);
    let server = Server::bind("127.0.0.1:0").unwrap();
    assert!(matches!(server.serve(router()), Err(Error::Routes(_))));
}

#[test]
fn pages_of_other_hosts_are_refused() {
    let server = Running::new(echo);
    let from = |origin: &str| {
        let options = ConnectOptions::default().header("Origin", origin);
        status(connect(server.url(), options))
    };
    assert_eq!(from("https://elsewhere.example"), 403);
    assert_eq!(from(&format!("http://{}", server.address)), 101);
    let open =
        ServerOptions::default().policy(ConnectionPolicy::default().origin(OriginPolicy::any()));
    let open = Running::with(echo, open);
    let options = ConnectOptions::default().header("Origin", "https://elsewhere.example");
    assert_eq!(status(connect(open.url(), options)), 101);
}

#[test]
fn the_error_of_a_handler_becomes_its_code() {
    let router = Router::new()
        .route("/panic", |upgrade: Upgrade| {
            let _socket = upgrade.accept()?;
            panic!("a handler's mistake");
        })
        .route("/error", |upgrade: Upgrade| {
            let _socket = upgrade.accept()?;
            Err("a failure".into())
        })
        .route("/close", |upgrade: Upgrade| {
            let _socket = upgrade.accept()?;
            Err(Error::close(CloseCode::POLICY, "no"))
        })
        .route("/kind", |upgrade: Upgrade| {
            let mut socket = upgrade.accept()?;
            while socket.receive_bytes()?.is_some() {}
            Ok(())
        })
        .route("/silent", |_: Upgrade| Ok(()))
        .route("/reject", |upgrade: Upgrade| {
            Ok(upgrade.reject(Response::text(402, "pay\n"))?)
        })
        .route("/early", |_: Upgrade| -> Result {
            panic!("before it accepted")
        })
        .route("/{number:uint}", |upgrade: Upgrade| {
            let _small: u8 = upgrade.param("number")?;
            upgrade.accept()?;
            Ok(())
        });
    let server = Running::new(router);
    for (path, want) in [
        ("/panic", 1011),
        ("/error", 1011),
        ("/close", 1008),
        ("/7", 1000),
    ] {
        assert_eq!(code(dial(server.address, path).unwrap()), want, "{path}");
    }
    let mut socket = dial(server.address, "/kind").unwrap();
    socket.send_text("text").unwrap();
    assert_eq!(code(socket), 1003);
    for (path, want) in [
        ("/silent", 500),
        ("/reject", 402),
        ("/early", 500),
        ("/1000", 400),
    ] {
        assert_eq!(status(dial(server.address, path)), want, "{path}");
    }
    let handle = server.handle.clone();
    server.close();
    let metrics = handle.metrics();
    // The panics, the error, the request without an answer.
    assert_eq!(metrics.handlers_failed, 4);
    assert_eq!(metrics.closed(CodeClass::Internal), 2);
    assert_eq!((metrics.websockets(), metrics.connections), (0, 0));
}

#[test]
fn closing_wakes_handlers_that_wait() {
    let server = Running::new(echo);
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
fn a_client_is_told_of_the_shutdown_even_if_its_answer_is_not_waited_for() {
    let timeouts = Timeouts {
        close: Duration::ZERO,
        ..Timeouts::default()
    };
    let config = Config {
        timeouts,
        ..Config::default()
    };
    let server = Running::with(echo, ServerOptions::default().config(config));
    let mut peer = raw_client(server.address);
    server.handle.close();
    let (opcode, payload) = read_frame(&mut peer);
    assert_eq!((opcode, &payload[..2]), (8, &1001_u16.to_be_bytes()[..]));
}

#[test]
fn draining_closes_one_after_the_other_with_1012_and_refuses_new_ones() {
    let mut server = Running::new(echo);
    let sockets: Vec<_> = (0..4).map(|_| dial(server.address, "/").unwrap()).collect();
    server.handle.drain(Duration::from_millis(400));
    assert_eq!(status(dial(server.address, "/")), 503);
    for socket in sockets {
        assert_eq!(code(socket), 1012);
    }
    server.join();
}

#[test]
fn a_drain_has_any_length_and_may_be_shortened() {
    let mut server = Running::new(echo);
    let mut socket = connect(server.url(), ConnectOptions::default()).unwrap();
    server.handle.drain(Duration::MAX);
    for text in ["one", "two"] {
        socket.send_text(text).unwrap();
        assert_eq!(socket.receive_text().unwrap().as_deref(), Some(text));
    }
    server.handle.drain(Duration::from_secs(3_600));
    server.handle.drain(Duration::from_millis(10));
    assert_eq!(code(socket), 1012);
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
    let mut server = Running::with(echo, ServerOptions::default().config(config));
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
fn a_call_after_all_connections_were_dropped_meets_the_end() {
    for sends in [false, true] {
        let (tell, accepted) = channel();
        let (go_on, wait) = channel();
        let (told, result) = channel();
        let ends = std::sync::Mutex::new((tell, wait, told));
        let mut server = Running::new(move |upgrade: Upgrade| {
            let (tell, wait, told) = &*ends.lock().unwrap();
            let mut socket = upgrade.accept()?;
            tell.send(()).unwrap();
            wait.recv().unwrap();
            let met = if sends {
                socket.send_text("late").unwrap_err()
            } else {
                socket.try_receive().unwrap_err()
            };
            told.send(met.to_string()).unwrap();
            Ok(())
        });
        let mut peer = raw_client(server.address);
        accepted.recv().unwrap();
        server.handle.drain(Duration::MAX);
        server.handle.drop_all();
        // The server has ended TCP: a write fails.
        assert_eq!(peer.read(&mut [0]).unwrap(), 0);
        go_on.send(()).unwrap();
        assert_eq!(
            result.recv().unwrap(),
            "the connection was lost (1006): this side cut it off"
        );
        let handle = server.handle.clone();
        server.join();
        let ours = handle.metrics();
        assert_eq!(ours.closed_by(ClosedBy::Server, CodeClass::Vanished), 1);
    }
}

#[test]
fn a_handler_that_does_not_use_its_connection_does_not_hold_up_a_server_that_drops_all() {
    let config = Config {
        timeouts: Timeouts {
            shutdown: Duration::MAX,
            ..Timeouts::default()
        },
        ..Config::default()
    };
    let (tell, accepted) = channel();
    let (go_on, wait) = channel::<()>();
    let ends = std::sync::Mutex::new((tell, wait));
    let service = move |upgrade: Upgrade| {
        let _socket = upgrade.accept()?;
        let (tell, wait) = &*ends.lock().unwrap();
        tell.send(()).unwrap();
        let _ = wait.recv();
        Ok(())
    };
    let mut server = Running::with(service, ServerOptions::default().config(config));
    let _peer = raw_client(server.address);
    accepted.recv().unwrap();
    server.handle.drop_all();
    let handle = server.handle.clone();
    let (tell, ended) = channel();
    std::thread::spawn(move || {
        server.join();
        tell.send(handle.open()).unwrap();
    });
    let open = ended.recv_timeout(Duration::from_secs(60));
    drop(go_on);
    assert_eq!(open, Ok(1));
}

#[test]
fn limits_on_traffic_and_on_the_lifetime() {
    let limited = TrafficLimits {
        messages: Some(Rate::new(2, Duration::from_secs(3_600))),
        outcome: LimitAction::Close,
        ..TrafficLimits::default()
    };
    let policy = ConnectionPolicy::default().traffic(limited);
    let server = Running::with(echo, ServerOptions::default().policy(policy));
    let mut socket = dial(server.address, "/").unwrap();
    for _ in 0..16 {
        let _ = socket.feed("a");
    }
    let _ = socket.flush();
    while let Ok(Some(_)) = socket.receive() {}
    assert_eq!(socket.closed().unwrap().code(), 1008);
    let policy = ConnectionPolicy::default().lifetime(Duration::from_millis(20));
    let server = Running::with(echo, ServerOptions::default().policy(policy));
    assert_eq!(code(dial(server.address, "/").unwrap()), 1001);
}

#[test]
fn unix_sockets_and_the_proxy_protocol() {
    let folder = std::env::temp_dir().join(format!("sansws-std-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("socket");
    let server = Server::new(Listener::bind_unix(&path).unwrap())
        .listen(Listener::bind("127.0.0.1:0").unwrap().proxy_protocol());
    let proxied = server.local_addr();
    assert!(proxied.is_err());
    let running = Running::of(server, |upgrade: Upgrade| {
        let address = format!("{:?}", upgrade.client_addr());
        Ok(upgrade.accept()?.send_text(address)?)
    });
    let stream = Stream::unix(UnixStream::connect(&path).unwrap()).unwrap();
    let url = "ws://localhost/";
    let mut socket = connect_over(stream, url, ConnectOptions::default()).unwrap();
    assert_eq!(socket.receive_text().unwrap().as_deref(), Some("None"));
    drop(socket);
    running.close();
    std::fs::remove_dir_all(&folder).unwrap();

    let listener = Listener::bind("127.0.0.1:0").unwrap().proxy_protocol();
    let running = Running::of(Server::new(listener), |upgrade: Upgrade| {
        let address = upgrade.client_addr().unwrap().to_string();
        Ok(upgrade.accept()?.send_text(address)?)
    });
    let mut stream = TcpStream::connect(running.address).unwrap();
    stream
        .write_all(b"PROXY TCP4 192.0.2.7 192.0.2.8 5000 80\r\n")
        .unwrap();
    let url = running.url();
    let mut socket = connect_over(stream, url, ConnectOptions::default()).unwrap();
    assert_eq!(
        socket.receive_text().unwrap().as_deref(),
        Some("192.0.2.7:5000")
    );
    drop(socket);
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
    let options = ServerOptions::default().config(config).max_connections(64);
    let server = Running::with(echo, options);
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
    drop((huge, bare, flood, socket));
    let handle = server.handle.clone();
    server.close();
    assert_eq!((handle.open(), handle.metrics().handlers_failed), (0, 0));
}

#[test]
fn a_handler_may_hand_its_connection_to_another_thread() {
    let (give, take) = channel();
    let give = std::sync::Mutex::new(give);
    let server = Running::new(move |upgrade: Upgrade| {
        let (mut read, write) = upgrade.accept()?.split();
        give.lock().unwrap().send(write)?;
        while read.receive()?.is_some() {}
        Ok(())
    });
    let mut socket = dial(server.address, "/").unwrap();
    let mut write = take.recv().unwrap();
    write.send_text("from elsewhere").unwrap();
    assert_eq!(
        socket.receive_text().unwrap().as_deref(),
        Some("from elsewhere")
    );
    socket.close(1000, "").unwrap();
    assert!(write.send_text("late").is_err());
    server.close();
}

#[test]
fn a_fallback_answers_requests_for_websockets_too_and_ends_their_connections() {
    let fallback = |scope: Scope| Ok(Response::text(404, format!("no {}\n", scope.path())));
    let server = Running::new(Router::new().fallback(fallback));
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

/// Sends many messages at once, and vanishes once the server has read them. Returns what the handler met, and the number of its failures.
fn vanish_after_a_burst(twice: bool) -> (Vec<usize>, u64) {
    let (read, has_read) = channel();
    let (go, goes) = channel();
    let (count, counted) = channel();
    let ends = std::sync::Mutex::new((read, goes, count));
    // A sender reads little ahead, so the end may be hidden behind messages.
    let limits = Limits {
        read_ahead: 1_000,
        ..Limits::default()
    };
    let config = Config {
        limits,
        ..Config::default()
    };
    let handler = move |upgrade: Upgrade| {
        let (read, goes, count) = &*ends.lock().unwrap();
        let mut socket = upgrade.accept()?;
        // The burst is there.
        goes.recv()?;
        let mut received = 0;
        let mut echo = || {
            while let Some(message) = socket.receive()? {
                received += 1;
                if received == 1 {
                    read.send(())?;
                    goes.recv()?;
                }
                if twice {
                    socket.send(message.clone())?;
                }
                socket.send(message)?;
            }
            Ok(())
        };
        let result = echo();
        count.send(received)?;
        result
    };
    let server = Running::with(handler, ServerOptions::default().config(config));
    let mut peer = raw_client(server.address);
    peer.write_all(&masked(1, &[b'x'; 100]).repeat(BURST))
        .unwrap();
    go.send(()).unwrap();
    has_read.recv().unwrap();
    socket2::SockRef::from(&peer)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(peer);
    go.send(()).unwrap();
    let handle = server.handle.clone();
    server.close();
    (counted.iter().collect(), handle.metrics().handlers_failed)
}

/// Number of messages of a burst: one read takes them all.
const BURST: usize = 30;

#[test]
fn a_handler_whose_answers_cannot_be_written_receives_what_came_before() {
    assert_eq!(vanish_after_a_burst(false), (vec![BURST], 0));
}

#[test]
fn a_handler_that_learns_of_the_end_by_sending_has_not_failed() {
    let (received, failed) = vanish_after_a_burst(true);
    assert!(received[0] >= 1, "{received:?}");
    assert_eq!(failed, 0);
}

#[test]
fn each_reply_to_messages_with_a_close_behind_them_arrives() {
    let server = Running::new(|upgrade: Upgrade| {
        let mut socket = upgrade.accept()?;
        while let Some(message) = socket.receive()? {
            socket.send(message.clone())?;
            socket.send(message)?;
        }
        Ok(())
    });
    let mut peer = raw_client(server.address);
    let mut burst = masked(1, b"hello").repeat(1_000);
    burst.extend(masked(8, &1000_u16.to_be_bytes()));
    let mut writer = peer.try_clone().unwrap();
    let writing = std::thread::spawn(move || writer.write_all(&burst).unwrap());
    for _ in 0..2_000 {
        assert_eq!(read_frame(&mut peer), (1, b"hello".to_vec()));
    }
    assert_eq!(read_frame(&mut peer).0, 8);
    writing.join().unwrap();
    drop(peer);
    server.close();
}
