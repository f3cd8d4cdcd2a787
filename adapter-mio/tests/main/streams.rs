//! Streamed responses: an endpoint's messages as the body of a response; one rule per test. The clients are bare sockets.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use sansws_mio::metrics::{RequestKind, StatusClass};
use sansws_mio::{
    AcceptOptions, CloseCode, Closed, Config, ConnectionPolicy, Endpoint, Error, Hub, Incoming,
    Joined, Response, Result, Router, Scope, Sent, ServerOptions, Socket, StreamFormat, app,
};
use sansws_std::{ConnectOptions, connect};

use crate::support::Running;
use crate::support::groups::until;

/// The variant of a page, from the query of the request.
struct Stage {
    tell: Sender<String>,
}

struct Played {
    play: String,
    sent: usize,
}

/// Length of a message that fills queues.
const LONG: usize = 10_000;

impl Stage {
    fn tell(&self, text: impl Into<String>) {
        let _ = self.tell.send(text.into());
    }
}

fn send(socket: &mut Socket<'_, Played>, text: &str) {
    let sent = socket.send(text);
    assert!(sent.is_accepted(), "{text}: {sent:?}");
}

/// Sends until there is no room.
fn fill(socket: &mut Socket<'_, Played>) {
    loop {
        let number = socket.data().sent;
        let sent = socket.send(format!("{number:0LONG$}"));
        match sent {
            Sent::Full => return assert!(socket.queued() >= 1 << 20),
            sent => assert!(sent.is_accepted(), "{sent:?}"),
        }
        socket.data().sent += 1;
    }
}

/// Sends little, again and again, until the peer takes no more.
fn trickle(socket: &mut Socket<'_, Played>) -> Result {
    if socket.send("x".repeat(900)) == Sent::Sent {
        socket.after(Duration::ZERO, trickle);
    }
    Ok(())
}

impl Endpoint for Stage {
    type Data = Played;

    fn upgrade(&mut self, request: &mut Scope, accept: &mut AcceptOptions) -> Result<Played> {
        let play = match request.raw_query() {
            Some(play) => play.to_owned(),
            None => String::from_utf8_lossy(request.body()).into_owned(),
        };
        match &*play {
            "reject" => return Err(Error::reject(Response::text(402, "pay\n"))),
            "fail" => return Err("no reason".into()),
            "panic" => panic!("in upgrade"),
            "bad head" => accept.fields.push("X-Bad", b"a\r\nb: c"),
            _ => accept.fields.push("cache-control", b"private"),
        }
        Ok(Played { play, sent: 0 })
    }

    fn open(&mut self, socket: &mut Socket<'_, Played>) -> Result {
        let play = socket.data().play.clone();
        match &*play {
            "all" => {
                send(socket, "one");
                let _ = socket.send(b"two\nlines".as_slice());
                let pinged = socket.ping("x").and_then(|()| socket.pong("x"));
                assert!(pinged.is_err(), "a response has messages alone");
                socket.after(Duration::ZERO, |socket| {
                    send(socket, "from a timer");
                    socket.spawn(std::future::ready(4), |socket, number| {
                        send(socket, &number.to_string());
                        socket.close(CloseCode::NORMAL, "done");
                        assert_eq!(socket.send("too late"), Sent::Closed);
                        Ok(())
                    });
                    Ok(())
                });
            }
            "fill" => fill(socket),
            "fill twice" => {
                fill(socket);
                socket.close(CloseCode::NORMAL, "");
            }
            "trickle" => trickle(socket)?,
            "panic in open" => panic!("in open"),
            "panic later" => {
                send(socket, "one");
                socket.after(Duration::ZERO, |_| panic!("in a timer"));
            }
            "fail later" => {
                send(socket, "one");
                socket.after(Duration::ZERO, |_| Err("no reason".into()));
            }
            "panic in closing" | "close" => {
                send(socket, "one");
                socket.after(Duration::ZERO, |_| {
                    Err(Error::close(CloseCode::POLICY, "no"))
                });
            }
            "abort" => {
                send(socket, "one");
                socket.after(Duration::ZERO, |socket| {
                    socket.abort();
                    Ok(())
                });
            }
            "join" => socket.join("news")?,
            _ => send(socket, "one"),
        }
        Ok(())
    }

    fn message(&mut self, socket: &mut Socket<'_, Played>, message: Incoming<'_>) -> Result {
        let _ = socket.send(message);
        Ok(())
    }

    fn drained(&mut self, socket: &mut Socket<'_, Played>) -> Result {
        self.tell("drained");
        // Enough.
        if socket.data().sent < 1_000 {
            fill(socket);
        } else {
            socket.close(CloseCode::NORMAL, "");
        }
        Ok(())
    }

    fn joined(&mut self, socket: &mut Socket<'_, Played>, group: &str, _: Joined) -> Result {
        send(socket, &format!("joined {group}"));
        Ok(())
    }

    fn closing(&mut self, socket: &mut Socket<'_, Played>, closed: &Closed) -> Result {
        assert!(!socket.is_open());
        assert_ne!(socket.data().play, "panic in closing", "it panics");
        if socket.data().play == "fill twice" {
            fill(socket);
            return Ok(());
        }
        send(
            socket,
            &format!("closing {} {}", closed.code(), closed.reason),
        );
        Ok(())
    }

    fn close(&mut self, socket: &mut Socket<'_, Played>, closed: &Closed) {
        assert_eq!(socket.send("too late"), Sent::Closed);
        let sent = socket.data().sent;
        let how = match (closed.cause, closed.clean) {
            (Some(cause), _) => format!("{cause:?}"),
            (None, true) => "clean".into(),
            (None, false) => "cut off".into(),
        };
        self.tell(format!("{} {how} {sent}", closed.code()));
    }
}

fn stage(options: ServerOptions) -> (Running, Receiver<String>, Hub) {
    let (tell, told) = channel();
    let hub = Hub::new();
    let of_hub = hub.clone();
    let server = Running::with(options, move || {
        let methods = ["GET", "HEAD", "POST"];
        let stage = |tell: &Sender<String>| Stage { tell: tell.clone() };
        Router::new()
            .add(app::streamed(
                methods,
                "/raw",
                StreamFormat::Raw,
                stage(&tell),
            ))
            .add(app::streamed(
                methods,
                "/lines",
                StreamFormat::Lines,
                stage(&tell),
            ))
            .add(app::streamed(
                methods,
                "/events",
                StreamFormat::Events,
                stage(&tell),
            ))
            .add(
                app::streamed(methods, "/brief", StreamFormat::Raw, stage(&tell))
                    .policy(ConnectionPolicy::default().lifetime(Duration::from_millis(20))),
            )
            .route("/events", stage(&tell))
            .get("/page", "page\n")
            .hub(&of_hub)
    });
    (server, told, hub)
}

fn begin(server: &Running, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).unwrap();
    let wait = Some(Duration::from_secs(30));
    stream.set_read_timeout(wait).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

/// Reads to the end of the connection.
fn rest(mut stream: TcpStream) -> String {
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    said
}

/// Reads up to a text.
fn read_to(stream: &mut TcpStream, end: &str) -> String {
    let mut said = Vec::new();
    let mut byte = [0];
    while !said.ends_with(end.as_bytes()) {
        stream.read_exact(&mut byte).unwrap();
        said.extend_from_slice(&byte);
    }
    String::from_utf8(said).unwrap()
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

/// Returns the body of a response in chunks, and whether that is complete.
fn body(response: &str) -> (String, bool) {
    let (_, mut rest) = response.split_once("\r\n\r\n").expect(response);
    let mut body = String::new();
    while let Some((length, after)) = rest.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).expect(length);
        let (chunk, after) = after.split_at_checked(length).unwrap_or((after, ""));
        body += chunk;
        if length == 0 {
            assert_eq!(after, "\r\n");
            return (body, true);
        }
        rest = after.strip_prefix("\r\n").unwrap_or_default();
    }
    (body, false)
}

fn next(told: &Receiver<String>) -> String {
    told.recv_timeout(Duration::from_secs(30)).unwrap()
}

#[test]
fn messages_become_the_body_in_each_format() {
    let (server, told, _) = stage(ServerOptions::default());
    for (path, kind, want) in [
        (
            "raw",
            "application/octet-stream",
            "onetwo\nlinesfrom a timer4closing 1000 done",
        ),
        (
            "lines",
            "application/x-ndjson",
            "one\ntwo\nlinesfrom a timer\n4\nclosing 1000 done\n",
        ),
        (
            "events",
            "text/event-stream",
            "data: one\n\ndata: two\ndata: lines\n\ndata: from a timer\n\ndata: 4\n\ndata: closing 1000 done\n\n",
        ),
    ] {
        let said = rest(begin(&server, &get(&format!("/{path}?all"))));
        let (head, _) = said.split_once("\r\n\r\n").unwrap();
        let want_head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\nx-accel-buffering: no\r\ncache-control: private\r\nTransfer-Encoding: chunked\r\nConnection: close"
        );
        assert_eq!(head.to_lowercase(), want_head.to_lowercase());
        assert_eq!(body(&said), (want.into(), true), "{said}");
        assert_eq!(next(&told), "1000 clean 0");
    }
    // The endpoint gets the body of a request, and the same one serves WebSockets.
    let post = "POST /raw HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nclose";
    let said = rest(begin(&server, post));
    assert_eq!(body(&said), ("oneclosing 1008 no".into(), true), "{said}");
    let url = format!("{}events", server.url());
    let mut socket = connect(url, ConnectOptions::default()).unwrap();
    assert_eq!(socket.receive_text().unwrap().as_deref(), Some("one"));
    socket.close(1000, "").unwrap();
    let handle = server.handle.clone();
    server.close();
    let metrics = handle.metrics();
    // The counters of the WebSocket.
    assert_eq!((metrics.messages_sent, metrics.handlers_failed), (1, 0));
}

#[test]
fn responses_without_a_stream_are_whole() {
    let (server, told, _) = stage(ServerOptions::default());
    for (query, status) in [("reject", "402"), ("fail", "500"), ("panic", "500")] {
        let mut stream = begin(&server, &get(&format!("/raw?{query}")));
        let said = read_to(&mut stream, "\r\n\r\n");
        assert!(
            said.starts_with(&format!("HTTP/1.1 {status} ")),
            "{query}: {said}"
        );
    }
    let bad = "POST /raw HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8\r\n\r\nbad head";
    let failed = || {
        let metrics = server.handle.metrics();
        metrics.responses(RequestKind::Page, StatusClass::ServerError)
    };
    let before = failed();
    assert!(rest(begin(&server, bad)).starts_with("HTTP/1.1 500 "));
    assert_eq!(failed(), before + 1);
    // The connection of a rejected request goes on.
    let both =
        get("/raw?reject") + &get("/page").replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    let said = rest(begin(&server, &both));
    assert!(said.ends_with("\r\n\r\npage\n"), "{said}");
    let said = rest(begin(&server, &get("/raw?all").replace("GET", "HEAD")));
    assert!(
        said.contains("\r\nTransfer-Encoding: chunked\r\n"),
        "{said}"
    );
    assert!(said.ends_with("\r\n\r\n"), "{said}");
    // HTTP/1.0 has no chunks.
    let said = rest(begin(
        &server,
        &get("/raw?all").replace("HTTP/1.1", "HTTP/1.0"),
    ));
    assert!(said.starts_with("HTTP/1.1 505 "), "{said}");
    let said = rest(begin(
        &server,
        &get("/raw?all")
            .replace("GET", "PUT")
            .replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"),
    ));
    assert!(said.starts_with("HTTP/1.1 405 "), "{said}");
    assert!(told.try_recv().is_err());
    let handle = server.handle.clone();
    server.close();
    assert_eq!(handle.metrics().handlers_failed, 2);
}

#[test]
fn a_group_reaches_a_stream_in_order_and_the_end_of_that_leaves_it() {
    let (server, told, hub) = stage(ServerOptions::default());
    let mut stream = begin(&server, &get("/events?join"));
    read_to(&mut stream, "data: joined news\n\n");
    for number in 0..100 {
        hub.publish("news", format!("{number}\n"))
            .try_publish()
            .unwrap();
    }
    let mut missing: VecDeque<String> = (0..100)
        .map(|number| format!("data: {number}\ndata: \n\n"))
        .collect();
    while let Some(event) = missing.pop_front() {
        let said = read_to(&mut stream, "\n\n");
        assert!(said.ends_with(&event), "{event:?}: {said:?}");
    }
    assert_eq!(hub.count("news"), 1);
    stream.shutdown(Shutdown::Both).unwrap();
    assert_eq!(next(&told), "1006 EndOfStream 0");
    until("it has left", || hub.count("news") == 0);
    // The hub ends one.
    let mut stream = begin(&server, &get("/events?join"));
    read_to(&mut stream, "data: joined news\n\n");
    hub.publish("news", "last").try_publish().unwrap();
    hub.close_all("news", CloseCode::new(4_000).unwrap(), "enough")
        .unwrap();
    let said = rest(stream);
    let last = said.find("data: last\n\n").expect(&said);
    assert!(
        said[last..].contains("data: closing 4000 enough\n\n"),
        "{said}"
    );
    assert!(said.ends_with("\r\n0\r\n\r\n"), "{said}");
    assert_eq!(next(&told), "4000 clean 0");
}

#[test]
fn a_slow_reader_bounds_the_output_and_misses_nothing() {
    let (server, told, _) = stage(ServerOptions::default());
    let mut stream = begin(&server, &get("/raw?fill"));
    // The endpoint has filled the queue, and waits.
    read_to(&mut stream, "\r\n\r\n");
    assert!(told.try_recv().is_err());
    let mut all = String::from("\r\n\r\n");
    stream.read_to_string(&mut all).unwrap();
    let (body, is_whole) = body(&all);
    assert!(is_whole);
    let body = body.strip_suffix("closing 1000 ").unwrap();
    for (number, message) in body.as_bytes().chunks(LONG).enumerate() {
        assert_eq!(message, format!("{number:0LONG$}").as_bytes());
    }
    let messages = body.len() / LONG;
    assert!(messages >= 1_000, "{messages}");
    let mut last = next(&told);
    while last == "drained" {
        last = next(&told);
    }
    assert_eq!(last, format!("1000 clean {messages}"));
}

#[test]
fn there_is_room_for_last_words_and_not_for_any_number_of_them() {
    let (server, told, _) = stage(ServerOptions::default());
    let play = "fill twice";
    let post = format!(
        "POST /raw HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{play}",
        play.len()
    );
    let mut stream = begin(&server, &post);
    // The endpoint has filled the queue, and once more before it ends.
    let mut all = read_to(&mut stream, "\r\n\r\n");
    stream.read_to_string(&mut all).unwrap();
    let (body, is_whole) = body(&all);
    assert!(is_whole);
    let messages = body.len() / LONG;
    assert!(body.ends_with(&format!("{:0LONG$}", messages - 1)));
    assert!(messages > (2 << 20) / LONG, "{messages}");
    assert_eq!(next(&told), format!("1000 clean {messages}"));
}

#[test]
fn a_reader_that_takes_nothing_is_given_up() {
    let mut config = Config::default();
    config.timeouts.keep_alive = Duration::from_millis(50);
    let options = ServerOptions {
        config: Arc::new(config),
        ..ServerOptions::default()
    };
    let (server, told, _) = stage(options);
    let _stream = begin(&server, &get("/raw?trickle"));
    assert_eq!(next(&told), "1006 Unresponsive 0");
}

#[test]
fn a_stream_ends_when_it_has_lived_its_time() {
    let (server, told, _) = stage(ServerOptions::default());
    let said = rest(begin(&server, &get("/brief")));
    let want = "oneclosing 1001 the connection has lived its time";
    assert_eq!(body(&said), (want.into(), true), "{said}");
    assert_eq!(next(&told), "1001 clean 0");
}

#[test]
fn a_reader_that_leaves_or_sends_much_is_gone() {
    let (server, told, _) = stage(ServerOptions::default());
    let mut left = begin(&server, &get("/raw"));
    read_to(&mut left, "one\r\n");
    drop(left);
    assert_eq!(next(&told), "1006 EndOfStream 0");
    let mut talks = begin(&server, &get("/raw"));
    read_to(&mut talks, "one\r\n");
    // Some is nothing to leave for.
    talks.write_all(&[b'x'; 1_000]).unwrap();
    assert!(told.recv_timeout(Duration::from_millis(50)).is_err());
    // It may be reset before the last byte.
    let _ = talks.write_all(&[b'x'; 200_000]);
    assert_eq!(next(&told), "1006 Aborted 0");
}

#[test]
fn failed_streams_are_cut_off_and_closed_ones_have_an_end() {
    let (server, told, _) = stage(ServerOptions::default());
    for (play, want, is_whole) in [
        ("panic in open", "", false),
        ("panic later", "one", false),
        ("fail later", "one", false),
        ("panic in closing", "one", false),
        ("abort", "one", false),
        ("close", "oneclosing 1008 no", true),
    ] {
        let length = play.len();
        let post = format!(
            "POST /raw HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{play}"
        );
        let said = rest(begin(&server, &post));
        assert_eq!(body(&said), (want.into(), is_whole), "{play}: {said}");
        let end = match play {
            "close" => "1008 clean 0",
            "abort" => "1006 Aborted 0",
            _ => "1011 cut off 0",
        };
        assert_eq!(next(&told), end, "{play}");
    }
    let handle = server.handle.clone();
    server.close();
    assert_eq!(handle.metrics().handlers_failed, 4);
}

#[test]
fn a_shutdown_ends_streams_in_the_middle() {
    let (server, told, _) = stage(ServerOptions::default());
    let mut streams = [(); 3].map(|()| begin(&server, &get("/raw")));
    for stream in &mut streams {
        read_to(stream, "one\r\n");
    }
    let handle = server.handle.clone();
    handle.drain(Duration::from_millis(100));
    for stream in streams {
        let said = rest(stream);
        assert!(said.contains("closing 1012 "), "{said}");
        assert!(said.ends_with("\r\n0\r\n\r\n"), "{said}");
        assert_eq!(next(&told), "1012 clean 0");
    }
    server.close();
    // One that nobody reads does not hold the server up for longer than a shutdown may take.
    let mut config = Config::default();
    config.timeouts.shutdown = Duration::from_millis(50);
    let options = ServerOptions {
        config: Arc::new(config),
        ..ServerOptions::default()
    };
    let (server, told, _) = stage(options);
    let mut slow = begin(&server, &get("/raw?fill"));
    read_to(&mut slow, "\r\n\r\n");
    server.close();
    assert!(next(&told).starts_with("1006 Aborted "));
    // Dropped at once.
    let (server, told, _) = stage(ServerOptions::default());
    let mut stream = begin(&server, &get("/raw"));
    read_to(&mut stream, "one\r\n");
    server.handle.drop_all();
    assert_eq!(next(&told), "1006 Aborted 0");
    let said = rest(stream);
    assert!(!said.ends_with("\r\n0\r\n\r\n"), "{said}");
}
