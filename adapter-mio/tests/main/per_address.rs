//! Layers that count connections: a guard is dropped when its connection ends, however it ends; limits per address on several loops.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use sansws_mio::{
    AcceptOptions, AddressLimits, Closed, Config, Endpoint, Incoming, Layer, Listener, PerAddress,
    Response, Result, Router, Scope, Server, ServerOptions, Socket, StreamFormat, Timeouts, app,
};
use sansws_std::{ConnectOptions, connect};

use crate::blocking::{dial, status};
use crate::support::groups::{text, until};
use crate::support::{Running, echo};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn at_most(connections: u32) -> PerAddress {
    PerAddress::new(AddressLimits {
        connections: Some(connections),
        ..AddressLimits::default()
    })
}

/// Keeps a clone of this until the connection has ended, for plain requests too.
struct Guarded(Arc<()>);

impl Layer for Guarded {
    fn check(&self, scope: &mut Scope) -> Result<(), Response> {
        scope.keep_alive_until_close(Arc::clone(&self.0));
        Ok(())
    }
}

/// Fails in the callback that the path names.
struct Fails;

/// Fails in the end, if it is to.
struct Brittle {
    at: String,
}

impl Brittle {
    fn reach(&self, callback: &str) {
        assert_ne!(self.at, callback, "as planned");
    }
}

impl Drop for Brittle {
    fn drop(&mut self) {
        assert!(self.at != "drop" || thread::panicking(), "as planned");
    }
}

impl Endpoint for Fails {
    type Data = Brittle;

    fn upgrade(&mut self, request: &mut Scope, _: &mut AcceptOptions) -> Result<Brittle> {
        let at: String = request.param("at")?;
        assert_ne!(at, "upgrade", "as planned");
        Ok(Brittle { at })
    }

    fn open(&mut self, socket: &mut Socket<'_, Brittle>) -> Result {
        socket.data().reach("open");
        let _ = socket.send("open");
        if socket.data().at == "timer" {
            socket.after(Duration::ZERO, |_| panic!("as planned"));
        }
        Ok(())
    }

    fn message(&mut self, socket: &mut Socket<'_, Brittle>, _: Incoming<'_>) -> Result {
        socket.data().reach("message");
        Ok(())
    }

    fn closing(&mut self, socket: &mut Socket<'_, Brittle>, _: &Closed) -> Result {
        socket.data().reach("closing");
        Ok(())
    }

    fn close(&mut self, socket: &mut Socket<'_, Brittle>, _: &Closed) {
        socket.data().reach("close");
    }
}

const PLACES: [&str; 7] = [
    "upgrade", "open", "timer", "message", "closing", "close", "drop",
];

#[test]
fn a_guard_is_dropped_whichever_callback_panics() {
    let guard = Arc::new(());
    let addresses = at_most(10);
    let layers = (addresses.clone(), Guarded(Arc::clone(&guard)));
    let brittle = |scope: &mut Scope| {
        scope.keep_alive_until_close(Brittle { at: "drop".into() });
        Ok(())
    };
    let server = Running::new(move || {
        Router::new()
            .layer(layers.0)
            .layer(layers.1)
            .layer(brittle)
            .route("/{at}", Fails)
    });
    for at in PLACES {
        match dial(server.address, &format!("/{at}")) {
            Ok(mut socket) => {
                let _ = socket.send_text("a message");
                let _ = socket.close(1000, "");
            }
            Err(error) => assert_eq!((status(Err::<(), _>(error)), at), (500, "upgrade")),
        }
        until("no connection", || addresses.connections(HERE) == 0);
        // The layer's own.
        until("no guard", || Arc::strong_count(&guard) == 2);
    }
    server.close();
}

#[test]
fn a_streamed_response_counts_as_long_as_it_lives() {
    let addresses = at_most(1);
    let layer = addresses.clone();
    let make = || {
        let stream = app::streamed(["GET"], "/{at}", StreamFormat::Raw, Fails);
        Router::new().add(stream).get("/", "a page\n").layer(layer)
    };
    let server = Running::new(make);
    let begin = |path: &str| {
        let mut stream = TcpStream::connect(server.address).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        stream
    };
    let rest = |mut stream: TcpStream| {
        stream.shutdown(Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        String::from_utf8(rest).unwrap()
    };
    for at in PLACES.into_iter().chain(["nothing"]) {
        let mut stream = begin(&format!("/{at}"));
        if !["upgrade", "open", "timer"].contains(&at) {
            let mut some = Vec::new();
            while !some.ends_with(b"open\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                some.extend(byte);
            }
            assert_eq!(addresses.connections(HERE), 1, "{at}");
            assert!(rest(begin("/nothing")).starts_with("HTTP/1.1 429 "), "{at}");
            assert!(rest(begin("/")).starts_with("HTTP/1.1 200 "), "{at}");
        }
        rest(stream);
        until("no connection", || addresses.connections(HERE) == 0);
    }
    // One that the server ends.
    let stays = begin("/nothing");
    until("it streams", || addresses.connections(HERE) == 1);
    server.close();
    assert_eq!(addresses.connections(HERE), 0);
    drop(stays);
}

#[test]
fn a_guard_is_dropped_when_the_time_for_a_request_is_over() {
    let guard = Arc::new(());
    let layer = Guarded(Arc::clone(&guard));
    let timeouts = Timeouts {
        handshake: Some(Duration::from_millis(500)),
        ..Timeouts::default()
    };
    let config = Config {
        timeouts,
        ..Config::default()
    };
    let server = Running::with(ServerOptions::default().config(config), || {
        let never = app::deferred(["GET"], "/never", |scope: Scope| async move {
            std::future::pending::<()>().await;
            Ok(Response::text(200, scope.path()))
        });
        Router::new().layer(layer).add(never).post("/", "a body\n")
    });
    // The body never comes, or the answer.
    for (request, want) in [
        ("POST / HTTP/1.1\r\nContent-Length: 5\r\n", "408"),
        ("GET /never HTTP/1.1\r\n", "503"),
    ] {
        let mut stream = TcpStream::connect(server.address).unwrap();
        let request = format!("{request}Host: a\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert_eq!(answer.split(' ').nth(1), Some(want), "{request} {answer}");
        until("no guard", || Arc::strong_count(&guard) == 2);
    }
}

#[test]
fn the_loops_of_a_server_share_one_limit() {
    let addresses = at_most(2);
    let layer = addresses.clone();
    let mut server = Server::new(Listener::bind_shared("127.0.0.1:0").unwrap());
    let (url, handle) = (server.local_addr().unwrap(), server.handle());
    let url = format!("ws://{url}/");
    let serving = thread::spawn(move || {
        server.serve_on_threads(2, |_| Router::new().route("/", echo).layer(layer.clone()))
    });
    for _ in 0..8 {
        let dial = || connect(&url, ConnectOptions::default());
        let mut held = [dial().unwrap(), dial().unwrap()];
        // Whichever loop it meets.
        for _ in 0..4 {
            assert_eq!(status(dial()), 429);
        }
        for socket in &mut held {
            socket.send_text("here").unwrap();
            assert_eq!(text(socket), "here");
        }
        drop(held);
        until("room", || addresses.connections(HERE) == 0);
    }
    handle.close();
    serving.join().unwrap().unwrap();
}
