//! The blocking adapter over real sockets: its client against Python `websockets`, Node `ws` and our async servers, its server against the
//! foreign clients.

use core::time::Duration;
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};

use sansws_async::tls;
use sansws_core::config::{Config, Deflate};
use sansws_core::dial::{Backoff, ReconnectOptions};
use sansws_core::frame::MessageKind;
use sansws_core::handshake::{AcceptOptions, OriginPolicy};
use sansws_core::message::{Message, PreparedMessage};
use sansws_std::{
    Client, ConnectOptions, ConnectionPolicy, Error, Listener, Result, Server, ServerHandle,
    ServerOptions, Upgrade, WebSocket, connect,
};
use serde_json::{Map, Value};

use crate::support::certs::Certs;
use crate::support::data::{SIZES, noise, text};
use crate::support::foreign::{Language, content, run_client};
use crate::support::proxies::{Kind, Proxy, free_port};
use crate::support::side;
use crate::support::side::{Compression, Options, Side};

mod messages {
    crate::support::each_side!(super::messages);
}
mod chunks_pings_and_halves {
    crate::support::each_side!(super::chunks_pings_and_halves);
}
mod closing {
    crate::support::each_side!(super::closing);
}
mod deflate {
    crate::support::each_side!(super::deflate);
}
mod secure {
    crate::support::each_side!(super::secure);
}

fn against(side: Side, options: &Options<'_>, scenario: impl FnOnce(&side::Server) -> Result) {
    let server = side::Server::start(side, options);
    scenario(&server).unwrap();
    server.stop();
}

fn dial(server: &side::Server, path: &str) -> Result<WebSocket, Error> {
    connect(server.url(path), ConnectOptions::default())
}

fn round_trip(socket: &mut WebSocket, message: impl Into<Message>) -> Result {
    let message = message.into();
    socket.send(message.clone())?;
    let echo = socket.receive()?;
    // Not by assert_eq: megabytes would be printed.
    assert!(echo.as_ref() == Some(&message), "{} octets", message.len());
    Ok(())
}

/// Closes with 1000; both must agree.
fn finish(mut socket: WebSocket) -> Result {
    let closed = socket.close(1000, "")?;
    let closed = closed.map(|closed| (closed.code(), closed.clean));
    assert_eq!(closed, Some((1000, true)));
    Ok(())
}

fn messages(side: Side) {
    against(side, &Options::default(), |server| {
        let mut socket = dial(server, "/")?;
        for size in SIZES {
            round_trip(&mut socket, text(size))?;
            round_trip(&mut socket, noise(size))?;
        }
        finish(socket)
    });
}

fn chunks_pings_and_halves(side: Side) {
    against(side, &Options::default(), |server| {
        let mut socket = dial(server, "/fragments")?;
        assert_eq!(socket.receive_text()?.as_deref(), Some("one two three"));
        let mut writer = socket.send_stream(MessageKind::Text);
        for piece in ["one ", "two ", "three"] {
            writer.write(piece)?;
        }
        writer.finish()?;
        let mut reader = socket.receive_stream()?.unwrap();
        let mut whole = String::new();
        while let Some(piece) = reader.next()? {
            whole.push_str(piece.as_text().unwrap());
        }
        assert_eq!(whole, "one two three");
        socket.ping("hello")?;
        round_trip(&mut socket, "after a ping")?;
        finish(socket)?;

        let mut socket = dial(server, "/ping")?;
        assert_eq!(socket.receive_text()?.as_deref(), Some("pong ok"));
        let (mut read, mut write) = socket.split();
        let reader = thread::spawn(move || {
            for count in 0..1_000 {
                assert_eq!(read.receive_text().unwrap(), Some(format!("{count}")));
            }
            read
        });
        for count in 0..1_000 {
            write.send_text(format!("{count}"))?;
        }
        let read = reader.join().unwrap();
        finish(read.reunite(write).unwrap())
    });
}

fn closing(side: Side) {
    against(side, &Options::default(), |server| {
        let mut socket = dial(server, "/close/4001/bye")?;
        let error = socket.receive().unwrap_err();
        assert!(
            matches!(&error, Error::Disconnect(closed) if closed.code() == 4001 && closed.reason == "bye"),
            "{error}"
        );
        let socket = dial(server, "/close/1000/done")?;
        let rest: Vec<_> = socket.collect();
        assert!(rest.is_empty(), "{rest:?}");
        let refused = dial(server, "/reject").unwrap_err();
        assert!(matches!(&refused, Error::Refused(response) if response.status == 403));
        Ok(())
    });
}

fn deflate(side: Side) {
    for compression in [Compression::On, Compression::NoTakeover] {
        let options = Options {
            compression,
            ..Options::default()
        };
        against(side, &options, |server| {
            let deflate = Deflate {
                own_takeover: true,
                peer_takeover: true,
                threshold: 0,
                ..Deflate::default()
            };
            let config = Config {
                deflate: Some(deflate),
                ..Config::default()
            };
            let options = ConnectOptions::default().config(config);
            let mut socket = connect(server.url("/"), options)?;
            assert!(socket.is_deflated());
            for size in SIZES {
                round_trip(&mut socket, text(size))?;
            }
            let prepared = PreparedMessage::new("for many").deflated(6, 15);
            socket.send_prepared(&prepared)?;
            assert_eq!(socket.receive_text()?.as_deref(), Some("for many"));
            round_trip(&mut socket, text(10_000))?;
            finish(socket)
        });
    }
}

fn secure(side: Side) {
    let certs = Certs::new();
    let options = Options {
        tls: Some(&certs),
        client_ca: true,
        ..Options::default()
    };
    against(side, &options, |server| {
        let known = tls::client(certs.roots(), Some(certs.identity("client")))?;
        let mut socket = connect(server.url("/"), ConnectOptions::default().tls(known))?;
        for size in SIZES {
            round_trip(&mut socket, noise(size))?;
        }
        finish(socket)?;
        let stranger = tls::client(certs.strange_roots(), None)?;
        let error = connect(server.url("/"), ConnectOptions::default().tls(stranger));
        assert!(matches!(error, Err(Error::Io(_))), "{error:?}");
        Ok(())
    });
}

/// Our blocking server. It ends with this value.
struct Blocking {
    port: u16,
    handle: ServerHandle,
    thread: Option<JoinHandle<Result<(), Error>>>,
}

impl Blocking {
    fn start(deflate: Option<Deflate>, certs: Option<&Certs>, names: &[&str]) -> Self {
        let listener = Listener::bind("127.0.0.1:0").unwrap();
        Self::over(listener, deflate, certs, names)
    }

    /// Echoes on that port.
    fn start_on(port: u16) -> Self {
        let listener = Listener::bind(("127.0.0.1", port)).unwrap();
        Self::over(listener, None, None, &[])
    }

    fn over(
        mut listener: Listener,
        deflate: Option<Deflate>,
        certs: Option<&Certs>,
        names: &[&str],
    ) -> Self {
        if let Some(certs) = certs {
            listener = listener.tls(tls::server(certs.identity("server"), None).unwrap());
        }
        let config = Config {
            deflate,
            ..Config::default()
        };
        // The foreign clients send origins of their own.
        let policy = ConnectionPolicy::default().origin(OriginPolicy::any());
        let options = ServerOptions::default().config(config).policy(policy);
        let mut server = Server::new(listener).options(options.max_connections(256));
        let port = server.local_addr().unwrap().port();
        let handle = server.handle();
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let serve = move || server.serve(move |upgrade: Upgrade| answer(upgrade, &names));
        Self {
            port,
            handle,
            thread: Some(thread::spawn(serve)),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("ws://127.0.0.1:{}{path}", self.port)
    }
}

impl Drop for Blocking {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(thread) = self.thread.take() {
            let joined = thread.join();
            if !thread::panicking() {
                joined.unwrap().unwrap();
                assert_eq!(self.handle.open(), 0, "connections that outlive the server");
            }
        }
    }
}

/// Does what the path asks for, as the foreign servers do, then echoes.
fn answer(upgrade: Upgrade, names: &[String]) -> Result {
    let path = upgrade.path().to_string();
    let words: Vec<&str> = path.split('/').skip(1).collect();
    if let ["reject"] = words.as_slice() {
        let response = sansws_std::Response::text(403, "no entry").with("X-Why", "test");
        return Ok(upgrade.reject(response)?);
    }
    let subprotocol = upgrade.select_subprotocol(names.iter().map(String::as_str));
    let mut headers = Map::new();
    for (name, value) in upgrade.fields.iter() {
        let value = String::from_utf8_lossy(value).into_owned();
        headers.insert(name.to_ascii_lowercase(), value.into());
    }
    let mut socket = upgrade.accept_with(AcceptOptions {
        subprotocol,
        ..AcceptOptions::default()
    })?;
    match words.as_slice() {
        ["close", code, reason] => {
            socket.close(code.parse()?, reason)?;
        }
        ["ping"] => {
            socket.ping("hello")?;
            socket.send_text("pong ok")?;
        }
        ["fragments"] => {
            let mut writer = socket.send_stream(MessageKind::Text);
            for piece in ["one ", "two ", "three"] {
                writer.write(piece)?;
            }
            writer.finish()?;
        }
        ["headers"] => socket.send_json(&Value::Object(headers))?,
        _ => {}
    }
    while let Some(message) = socket.receive()? {
        socket.send(message)?;
    }
    Ok(())
}

fn clients(language: Language) {
    let server = Blocking::start(Some(Deflate::default()), None, &[]);
    content(language, &server.url("/"), "all", &[]);
    drop(server);

    let server = Blocking::start(None, None, &["chat.v1", "chat.v2"]);
    content(
        language,
        &server.url("/"),
        "subprotocol",
        &["--expect", "chat.v1"],
    );
    drop(server);

    let server = Blocking::start(
        Some(Deflate {
            own_takeover: true,
            peer_takeover: true,
            own_window_bits: 10,
            peer_window_bits: 10,
            threshold: 0,
            ..Deflate::default()
        }),
        None,
        &[],
    );
    for scenario in ["deflate", "deflate-window"] {
        content(language, &server.url("/"), scenario, &[]);
    }
    drop(server);

    let certs = Certs::new();
    let server = Blocking::start(None, Some(&certs), &[]);
    let url = format!("wss://localhost:{}/", server.port);
    let ca = certs.file("ca.pem");
    for scenario in ["text", "megabyte", "close"] {
        content(language, &url, scenario, &["--ca", &ca]);
    }
    let (fine, text) = run_client(language, &url, "text", &[]);
    assert!(!fine, "a client that does not know the CA went on: {text}");
}

#[test]
fn python_clients() {
    clients(Language::Python);
}

#[test]
fn node_clients() {
    clients(Language::Node);
}

#[test]
fn through_real_proxies_plain_secure_and_with_a_password() {
    let certs = Certs::new();
    let plain = Blocking::start(None, None, &[]);
    let secure = Blocking::start(None, Some(&certs), &[]);
    let known = || tls::client(certs.roots(), None).unwrap();
    for kind in [Kind::Http, Kind::Socks5] {
        let proxy = Proxy::start(kind, Some(("me", "s3cret-42")));
        let login = Some(("me", "s3cret%2D42"));
        let mut socket = connect(plain.url("/"), proxy.dial(login)).unwrap();
        for size in SIZES {
            round_trip(&mut socket, noise(size)).unwrap();
        }
        finish(socket).unwrap();
        let url = format!("wss://localhost:{}/", secure.port);
        let mut socket = connect(&url, proxy.dial(login).tls(known())).unwrap();
        round_trip(&mut socket, text(1 << 20)).unwrap();
        finish(socket).unwrap();
        let wrong = connect(plain.url("/"), proxy.dial(Some(("me", "guess"))));
        assert!(matches!(wrong, Err(Error::Proxy(_))), "{wrong:?}");
        let nowhere = connect(
            format!("ws://127.0.0.1:{}/", free_port()),
            proxy.dial(login),
        );
        assert!(matches!(nowhere, Err(Error::Proxy(_))), "{nowhere:?}");
    }
}

#[test]
fn a_client_survives_restarts_of_its_server_and_of_its_proxy() {
    let (port, proxy_port) = (free_port(), free_port());
    let proxy = Proxy::start_on(Kind::Socks5, None, proxy_port).unwrap();
    let options = ReconnectOptions {
        backoff: Backoff {
            base: Duration::from_millis(5),
            max: Duration::from_millis(50),
        },
        ..ReconnectOptions::default()
    };
    let url = format!("ws://127.0.0.1:{port}/");
    let mut client = Client::new(&url, proxy.dial(None))
        .unwrap()
        .reconnect(options);
    let mut proxy = Some(proxy);
    for round in 0..3 {
        // It is queued, because the server, and later the proxy, is gone.
        let text = format!("round {round}");
        client.send_text(text.as_str()).unwrap();
        proxy = proxy.or_else(|| Proxy::start_on(Kind::Socks5, None, proxy_port));
        let server = Blocking::start_on(port);
        assert_eq!(client.receive_text().unwrap(), Some(text));
        // The server drops its connections; the client learns of it in its next call.
        server.handle.drop_all();
        drop(server);
        drop(proxy.take());
        while client.socket().is_some() {
            let nothing = client.receive_timeout(Duration::from_millis(1));
            assert!(nothing.is_err(), "{nothing:?}");
        }
    }
    client.close(1000, "").unwrap();
}

#[test]
fn many_clients_at_once_lose_nothing_while_the_server_drains() {
    let server = Blocking::start(None, None, &[]);
    let (tell, told) = channel();
    let clients: Vec<_> = (0..64)
        .map(|number| {
            let (url, tell) = (server.url("/"), tell.clone());
            thread::spawn(move || {
                let mut socket = connect(&url, ConnectOptions::default()).unwrap();
                let _ = tell.send(());
                for count in 0.. {
                    let text = format!("{number} {count}");
                    if socket.send_text(text.as_str()).is_err() {
                        break;
                    }
                    match socket.receive_text() {
                        Ok(Some(echo)) => assert_eq!(echo, text),
                        _ => break,
                    }
                }
                while let Ok(Some(_)) = socket.receive() {}
                socket.closed().map(|closed| closed.code())
            })
        })
        .collect();
    for _ in 0..64 {
        told.recv().unwrap();
    }
    server.handle.drain(Duration::from_millis(500));
    for client in clients {
        assert_eq!(client.join().unwrap(), Some(1012));
    }
    drop(server);
}
