//! The event loop over real sockets: its server against the foreign clients, its clients against the foreign servers, and while it drains
//! under load.

use core::time::Duration;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use sansws_async::tls;
use sansws_core::config::{Config, Deflate, Timeouts};
use sansws_core::handshake::{AcceptOptions, OriginPolicy};
use sansws_mio::{
    CloseCode, Closed, ConnectOptions, ConnectionPolicy, Dialer, Endpoint, Error, EventLoop,
    Incoming, Listener, Message, Response, Result, Scope, Sent, Server, ServerHandle,
    ServerOptions, Socket,
};
use sansws_std::connect;
use serde_json::{Map, Value};

use crate::support::certs::Certs;
use crate::support::data::{SIZES, noise, text};
use crate::support::foreign::{Language, content, run_client};
use crate::support::side::{self, Compression, Options, Side};

/// Our server. It ends with this value.
struct Looping {
    port: u16,
    handle: ServerHandle,
    thread: Option<JoinHandle<Result<(), Error>>>,
}

impl Looping {
    fn start(deflate: Option<Deflate>, certs: Option<&Certs>, names: &[&str]) -> Self {
        let mut listener = Listener::bind("127.0.0.1:0").unwrap();
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
        let mut server = Server::new(listener).options(options);
        let port = server.local_addr().unwrap().port();
        let handle = server.handle();
        let names = names.iter().map(ToString::to_string).collect();
        let thread = Some(thread::spawn(move || server.serve(Answer { names })));
        Self {
            port,
            handle,
            thread,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("ws://127.0.0.1:{}{path}", self.port)
    }
}

impl Drop for Looping {
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
struct Answer {
    names: Vec<String>,
}

impl Endpoint for Answer {
    /// The path, and the header fields as JSON.
    type Data = (String, Value);

    fn upgrade(&mut self, request: &mut Scope, accept: &mut AcceptOptions) -> Result<Self::Data> {
        let path = request.path().to_owned();
        if path == "/reject" {
            let response = Response::text(403, "no entry").with("X-Why", "test");
            return Err(Error::reject(response));
        }
        accept.subprotocol = request.select_subprotocol(self.names.iter().map(String::as_str));
        let mut headers = Map::new();
        for (name, value) in request.fields.iter() {
            let value = String::from_utf8_lossy(value).into_owned();
            headers.insert(name.to_ascii_lowercase(), value.into());
        }
        Ok((path, Value::Object(headers)))
    }

    fn open(&mut self, socket: &mut Socket<'_, Self::Data>) -> Result {
        let (path, headers) = socket.data().clone();
        let words: Vec<&str> = path.split('/').skip(1).collect();
        match words.as_slice() {
            ["close", code, reason] => {
                let code: u16 = code.parse()?;
                socket.close(CloseCode::try_from(code)?, reason);
            }
            ["ping"] => {
                socket.ping("hello")?;
                assert_eq!(socket.send("pong ok"), Sent::Sent);
            }
            ["fragments"] => {
                for (chunk, last) in [("one ", false), ("two ", false), ("three", true)] {
                    assert!(socket.send_piece(chunk, last)?.is_accepted());
                }
            }
            ["headers"] => assert!(socket.send_json(&headers)?.is_accepted()),
            _ => {}
        }
        Ok(())
    }

    fn message(&mut self, socket: &mut Socket<'_, Self::Data>, message: Incoming<'_>) -> Result {
        assert!(socket.send(message).is_accepted());
        Ok(())
    }
}

fn clients(language: Language) {
    let server = Looping::start(Some(Deflate::default()), None, &[]);
    content(language, &server.url("/"), "all", &[]);
    drop(server);

    let server = Looping::start(None, None, &["chat.v1", "chat.v2"]);
    let expected = ["--expect", "chat.v1"];
    content(language, &server.url("/"), "subprotocol", &expected);
    drop(server);

    let deflate = Deflate {
        own_takeover: true,
        peer_takeover: true,
        own_window_bits: 10,
        peer_window_bits: 10,
        threshold: 0,
        ..Deflate::default()
    };
    let server = Looping::start(Some(deflate), None, &[]);
    for scenario in ["deflate", "deflate-window"] {
        content(language, &server.url("/"), scenario, &[]);
    }
    drop(server);

    let certs = Certs::new();
    let server = Looping::start(None, Some(&certs), &[]);
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

/// Sends messages of many lengths, each when the echo of the one before is there; closes after the last.
struct Sender {
    messages: Vec<Message>,
    deflates: bool,
    /// Connections that have not ended.
    left: usize,
    /// Other ends than the expected one: the code, whether it was clean, and how many echoes came.
    wrong: Arc<Mutex<Vec<(u16, bool, usize)>>>,
}

impl Sender {
    fn next(&self, socket: &mut Socket<'_, usize>) {
        match self.messages.get(*socket.data()) {
            Some(message) => assert!(socket.send(message).is_accepted()),
            None => socket.close(CloseCode::NORMAL, ""),
        }
    }
}

impl Endpoint for Sender {
    /// The number of echoes.
    type Data = usize;

    fn open(&mut self, socket: &mut Socket<'_, usize>) -> Result {
        assert_eq!(socket.is_deflated(), self.deflates);
        let agreed = socket.opened().unwrap().agreement.subprotocol.clone();
        assert_eq!(agreed.as_deref(), Some("chat.v2"));
        self.next(socket);
        Ok(())
    }

    fn message(&mut self, socket: &mut Socket<'_, usize>, message: Incoming<'_>) -> Result {
        let count = *socket.data();
        // Not by assert_eq: megabytes would be printed.
        assert!(message.into_message() == self.messages[count], "{count}");
        *socket.data() += 1;
        self.next(socket);
        Ok(())
    }

    fn close(&mut self, socket: &mut Socket<'_, usize>, closed: &Closed) {
        let end = (closed.code(), closed.clean, *socket.data());
        if end != (1000, true, self.messages.len()) {
            // A panic would be contained, and the loop would never end.
            self.wrong.lock().unwrap().push(end);
        }
        self.left -= 1;
        if self.left == 0 {
            socket.context().stop();
        }
    }

    fn failed(&mut self, within: &mut sansws_mio::Loop, _: usize, error: Error) {
        within.stop();
        panic!("{error}");
    }
}

fn servers(side: Side) {
    let certs = Certs::new();
    for (tls, compression) in [
        (None, Compression::None),
        (None, Compression::On),
        (Some(&certs), Compression::NoTakeover),
    ] {
        let server = side::Server::start(
            side,
            &Options {
                tls,
                compression,
                subprotocols: &["chat.v2", "chat.v1"],
                ..Options::default()
            },
        );
        let deflates = compression != Compression::None;
        let mut options = ConnectOptions::default()
            .config(Config {
                deflate: deflates.then(Deflate::default),
                // The server may be busy with the messages of the others.
                timeouts: Timeouts {
                    close: Duration::from_secs(60),
                    ..Timeouts::default()
                },
                ..Config::default()
            })
            .subprotocol("chat.v2");
        if let Some(certs) = tls {
            options = options.tls(tls::client(certs.roots(), None).unwrap());
        }
        let (left, wrong) = (8, Arc::<Mutex<Vec<_>>>::default());
        let sender = Sender {
            messages: SIZES
                .into_iter()
                .flat_map(|size| [text(size).into(), noise(size).into()])
                .collect(),
            deflates,
            left,
            wrong: Arc::clone(&wrong),
        };
        let mut event_loop = EventLoop::new().unwrap();
        let dialer = Dialer::new(sender);
        for _ in 0..left {
            let url = server.url("/");
            dialer
                .connect(event_loop.context(), url, options.clone(), 0)
                .unwrap();
        }
        event_loop.run().unwrap();
        assert_eq!(*wrong.lock().unwrap(), []);
        server.stop();
    }
}

#[test]
fn python_servers() {
    servers(Side::PYTHON);
}

#[test]
fn node_servers() {
    servers(Side::NODE);
}

#[test]
fn servers_on_tokio() {
    servers(Side::Tokio);
}

#[test]
fn many_clients_at_once_lose_nothing_while_the_server_drains() {
    let server = Looping::start(None, None, &[]);
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
