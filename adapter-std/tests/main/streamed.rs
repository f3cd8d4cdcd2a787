//! Responses whose bodies are written while they are made, one rule per test. The clients are bare sockets.
//! RFC 9112 sections 7.1 and 9.3.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sansws_std::metrics::{RequestKind, StatusClass};
use sansws_std::{
    AddressLimits, Config, ConnectionPolicy, Error, OriginPolicy, PerAddress, Response, Router,
    Scope, ServerOptions, StreamedResponse, app,
};

use crate::support::Running;

/// Tells when it is dropped, and holds up the body until it is told to go on.
struct Probe {
    told: Sender<()>,
    go_on: Arc<Mutex<Receiver<()>>>,
    /// It panics when it is dropped.
    panics: bool,
}

impl Drop for Probe {
    fn drop(&mut self) {
        let _ = self.told.send(());
        assert!(!self.panics, "as planned");
    }
}

/// What a test has of the bodies: each can go on, and tells its end.
struct Bodies {
    dropped: Receiver<()>,
    go_on: Sender<()>,
}

impl Bodies {
    fn ended(&self) {
        self.dropped.recv_timeout(PATIENCE).unwrap();
    }

    /// A body has told that it is asked for a chunk.
    fn told(&self) {
        self.ended();
    }
}

const PATIENCE: Duration = Duration::from_secs(30);

/// The query names the end after the chunks.
fn streams() -> (Router, Bodies) {
    let ((tell, dropped), (go_on, may_go)) = (channel(), channel());
    let may_go = Arc::new(Mutex::new(may_go));
    let tell = Mutex::new(tell);
    let page = move |scope: Scope| {
        let play = scope.raw_query().unwrap_or_default().to_owned();
        match &*play {
            "refused" => return Err(Error::reject(Response::text(403, "no\n"))),
            "fails" => return Err("it fails".into()),
            "bad" => {
                let head = Response::new(200).with("X-Bad", "a\r\nb: c");
                return Ok(StreamedResponse::new(head, std::iter::empty()));
            }
            _ => {}
        }
        let probe = Probe {
            told: tell.lock().unwrap().clone(),
            go_on: Arc::clone(&may_go),
            panics: play == "ends-badly",
        };
        let mut chunks = ["one", "", "three\r\n"].map(Vec::from).into_iter();
        let body = std::iter::from_fn(move || match (chunks.next(), &*play) {
            (Some(chunk), _) => Some(chunk),
            (None, "panics") => panic!("as planned"),
            (None, "tells-and-waits") => {
                probe.told.send(()).unwrap();
                probe.go_on.lock().unwrap().recv().unwrap();
                Some(b"next".into())
            }
            (None, "waits") => {
                probe.go_on.lock().unwrap().recv().unwrap();
                Some(b"next".into())
            }
            (None, "floods") => Some(vec![b'x'; 512]),
            (None, _) => None,
        });
        let head = Response::new(200).with("Content-Type", "text/plain");
        Ok(StreamedResponse::new(head, body))
    };
    let router = Router::new()
        .add(app::streamed(["GET", "HEAD", "POST"], "/stream", page))
        .get("/next", "next");
    (router, Bodies { dropped, go_on })
}

fn request(method: &str, target: &str, more: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: test\r\n{more}\r\n")
}

fn ask(server: &Running, bytes: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(bytes.as_bytes()).unwrap();
    stream
}

/// The rest of the answers, to the end of the connection.
fn rest(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}

/// Reads up to these bytes.
fn read_to(stream: &mut TcpStream, end: &str) {
    let (mut all, mut byte) = (Vec::new(), [0]);
    while !all.ends_with(end.as_bytes()) {
        stream.read_exact(&mut byte).unwrap();
        all.extend(byte);
    }
}

const CHUNKS: &str = "3\r\none\r\n7\r\nthree\r\n\r\n";

#[test]
fn chunks_are_written_as_they_come_and_another_request_follows() {
    let (router, bodies) = streams();
    let server = Running::new(router);
    let requests = [
        request("GET", "/stream", ""),
        request("POST", "/stream", "Content-Length: 1\r\n") + "x",
        request("HEAD", "/stream", ""),
        request("GET", "/stream?refused", ""),
        request("GET", "/stream?fails", ""),
        request("GET", "/stream?bad", ""),
        request("GET", "/next", "Connection: close\r\n"),
    ];
    let answer = rest(ask(&server, &requests.concat()));
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n";
    let streamed = format!("{head}{CHUNKS}0\r\n\r\n").repeat(2) + head;
    let others = answer
        .strip_prefix(&streamed)
        .unwrap_or_else(|| panic!("{answer}"));
    let statuses = others.lines().filter(|line| line.contains("HTTP/1.1 "));
    let statuses: Vec<_> = statuses
        .map(|line| line.split_once("HTTP/1.1 ").unwrap().1)
        .collect();
    let failed = "500 Internal Server Error";
    assert_eq!(statuses, ["403 Forbidden", failed, failed, "200 OK"]);
    assert!(
        answer.ends_with("Connection: close\r\n\r\nnext"),
        "{answer}"
    );
    // That of HEAD too.
    for _ in 0..3 {
        bodies.ended();
    }
    let metrics = server.handle.metrics();
    assert_eq!(metrics.handlers_failed, 1);
    let answers = |class| metrics.responses(RequestKind::Page, class);
    assert_eq!(answers(StatusClass::Success), 4);
    server.close();
}

#[test]
fn a_body_that_panics_ends_the_connection_without_the_end_of_the_body() {
    let (router, bodies) = streams();
    let server = Running::new(router);
    let answer = rest(ask(&server, &request("GET", "/stream?panics", "")));
    assert!(answer.ends_with(CHUNKS), "{answer}");
    bodies.ended();
    let handle = server.handle.clone();
    server.close();
    assert_eq!(handle.metrics().handlers_failed, 1);
}

#[test]
fn a_body_that_panics_in_its_end_was_written_whole() {
    let (router, bodies) = streams();
    let server = Running::new(router);
    let answer = rest(ask(&server, &request("GET", "/stream?ends-badly", "")));
    assert!(answer.ends_with(&format!("{CHUNKS}0\r\n\r\n")), "{answer}");
    bodies.ended();
    let handle = server.handle.clone();
    server.close();
    assert_eq!(handle.metrics().handlers_failed, 1);
}

#[test]
fn a_server_that_drains_ends_its_bodies() {
    let (router, bodies) = streams();
    let server = Running::new(router);
    let mut stream = ask(&server, &request("GET", "/stream?tells-and-waits", ""));
    read_to(&mut stream, CHUNKS);
    bodies.told();
    server.handle.drain(Duration::ZERO);
    // The chunk that it waits for is the last one.
    bodies.go_on.send(()).unwrap();
    assert_eq!(rest(stream), "4\r\nnext\r\n0\r\n\r\n");
    bodies.ended();
    server.close();
}

#[test]
fn the_body_of_a_peer_that_left_is_dropped() {
    let (router, bodies) = streams();
    let server = Running::new(router);
    let mut stream = ask(&server, &request("GET", "/stream?waits", ""));
    read_to(&mut stream, CHUNKS);
    drop(stream);
    bodies.go_on.send(()).unwrap();
    bodies.ended();
    let handle = server.handle.clone();
    server.close();
    assert_eq!(handle.metrics().handlers_failed, 0);
}

#[test]
fn a_peer_that_sends_much_more_meanwhile_is_left() {
    let (router, bodies) = streams();
    let server = Running::new(router);
    let mut stream = ask(&server, &request("GET", "/stream?waits", ""));
    read_to(&mut stream, CHUNKS);
    stream.write_all(&[b' '; 70_000]).unwrap();
    bodies.go_on.send(()).unwrap();
    bodies.ended();
    server.close();
}

#[test]
fn a_peer_that_takes_nothing_is_given_up() {
    let (router, bodies) = streams();
    let mut config = Config::default();
    // It has another second for each KiB.
    config.timeouts.keep_alive = Duration::ZERO;
    let server = Running::with(router, ServerOptions::default().config(config));
    let stream = ask(&server, &request("GET", "/stream?floods", ""));
    bodies.ended();
    drop((stream, server));
}

#[test]
fn a_server_that_drops_all_does_not_wait_for_peers() {
    let (router, bodies) = streams();
    let mut config = Config::default();
    config.timeouts.keep_alive = Duration::from_secs(3_600);
    let server = Running::with(router, ServerOptions::default().config(config));
    let mut stream = ask(&server, &request("GET", "/stream?floods", ""));
    read_to(&mut stream, CHUNKS);
    server.handle.drop_all();
    bodies.ended();
    let handle = server.handle.clone();
    server.close();
    assert_eq!(handle.metrics().handlers_failed, 0);
}

#[test]
fn a_streamed_response_counts_for_its_address_until_it_ends() {
    let (router, bodies) = streams();
    let addresses = PerAddress::new(AddressLimits {
        connections: Some(1),
        ..AddressLimits::default()
    });
    let server = Running::new(router.layer(addresses.clone()));
    let mut stream = ask(&server, &request("GET", "/stream?waits", ""));
    read_to(&mut stream, CHUNKS);
    let beyond = rest(ask(
        &server,
        &request("GET", "/stream", "Connection: close\r\n"),
    ));
    assert!(beyond.starts_with("HTTP/1.1 429 "), "{beyond}");
    drop(stream);
    bodies.go_on.send(()).unwrap();
    bodies.ended();
    server.close();
    assert_eq!(addresses.connections([127, 0, 0, 1].into()), 0);
}

#[test]
fn a_page_of_another_host_may_not_send_to_it() {
    let (router, _bodies) = streams();
    let list = OriginPolicy::list(["https://here.example"]).unwrap();
    let policy = ConnectionPolicy::default().origin(list);
    let server = Running::with(router, ServerOptions::default().policy(policy));
    let more = "Origin: https://elsewhere.example\r\nContent-Length: 0\r\nConnection: close\r\n";
    let refused = rest(ask(&server, &request("POST", "/stream", more)));
    assert!(refused.starts_with("HTTP/1.1 403 "), "{refused}");
}
