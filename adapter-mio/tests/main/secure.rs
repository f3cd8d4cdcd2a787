//! TLS: what rustls accepted and the socket did not take is not forgotten.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use rustls::{ClientConnection, StreamOwned};
use sansws_mio::{
    AcceptOptions, CloseCode, Endpoint, Incoming, Listener, Result, Router, Scope, Server, Socket,
    StreamFormat, app,
};
use sansws_std::{ConnectOptions, Error, connect, connect_over};

use crate::blocking::Certs;
use crate::support::Running;

fn echo(socket: &mut Socket<'_, ()>, message: Incoming<'_>) -> Result {
    assert!(socket.tls().is_some());
    let _ = socket.send(message);
    Ok(())
}

fn secure(certs: &Certs) -> (Running, String) {
    let listener = Listener::bind("127.0.0.1:0").unwrap().tls(certs.server());
    let running = Running::of(Server::new(listener), || echo);
    let url = format!("wss://localhost:{}/", running.address.port());
    (running, url)
}

fn trusting(certs: &Certs, running: &Running) -> ConnectOptions {
    ConnectOptions::default()
        .resolve("localhost", [running.address])
        .tls(certs.client())
}

#[test]
fn messages_of_any_length_cross_it() {
    let certs = Certs::new();
    let (running, url) = secure(&certs);
    let mut socket = connect(&url, trusting(&certs, &running)).unwrap();
    for length in [0, 1, 16_384, 16_385, 4 << 20] {
        socket.send(vec![9; length]).unwrap();
        assert_eq!(socket.receive().unwrap().unwrap().len(), length);
    }
    assert!(socket.close(1000, "").unwrap().unwrap().clean);
    running.close();
}

#[test]
fn both_directions_are_full_at_once() {
    let certs = Certs::new();
    let (running, url) = secure(&certs);
    let socket = connect(&url, trusting(&certs, &running)).unwrap();
    let (mut read, mut write) = socket.split();
    // Far more than the buffers between us hold.
    let messages = 64;
    let reader = thread::spawn(move || {
        for count in 0..messages {
            let message = read.receive().unwrap().unwrap();
            assert_eq!((message.len(), message.as_bytes()[0]), (1 << 18, count));
        }
        read
    });
    for count in 0..messages {
        write.send(vec![count; 1 << 18]).unwrap();
    }
    let socket = reader.join().unwrap().reunite(write).unwrap();
    drop(socket);
    running.close();
}

#[test]
fn a_peer_that_ends_tcp_without_a_close_is_told_that_this_is_the_end() {
    let certs = Certs::new();
    let (running, url) = secure(&certs);
    let name = "localhost".try_into().unwrap();
    let tls = ClientConnection::new(certs.client(), name).unwrap();
    let stream = StreamOwned::new(tls, TcpStream::connect(running.address).unwrap());
    let mut socket = connect_over(stream, &url, ConnectOptions::default()).unwrap();
    socket.send_text("last words").unwrap();
    let mut stream = socket.into_inner().unwrap().0;
    stream.sock.shutdown(Shutdown::Write).unwrap();
    // Without its alert, this fails: the end could be anybody's doing.
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"\x81\x0alast words");
    running.close();
}

#[test]
fn strangers_and_plain_text_are_turned_away() {
    let certs = Certs::new();
    let (running, url) = secure(&certs);
    let stranger = connect(&url, trusting(&Certs::new(), &running));
    assert!(matches!(stranger, Err(Error::Io(_))), "{stranger:?}");
    let mut plain = TcpStream::connect(running.address).unwrap();
    plain
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    let mut rest = Vec::new();
    let _ = Read::read_to_end(&mut plain, &mut rest);
    assert!(!rest.starts_with(b"HTTP"));
    let mut socket = connect(&url, trusting(&certs, &running)).unwrap();
    socket.send_text("still").unwrap();
    assert_eq!(socket.receive_text().unwrap().as_deref(), Some("still"));
}

/// Sends much, and closes.
struct Report;

/// Messages of this many bytes, with room for all of them.
const ROWS: usize = 900;
const ROW: usize = 1_000;

impl Endpoint for Report {
    type Data = ();

    fn upgrade(&mut self, _: &mut Scope, _: &mut AcceptOptions) -> Result {
        Ok(())
    }

    fn open(&mut self, socket: &mut Socket<'_, ()>) -> Result {
        assert!(socket.tls().is_some());
        for row in 0..ROWS {
            assert!(socket.send(format!("{row:0ROW$}")).is_accepted());
        }
        socket.close(CloseCode::NORMAL, "");
        Ok(())
    }
}

#[test]
fn a_streamed_response_crosses_it_to_its_end() {
    let certs = Certs::new();
    let listener = Listener::bind("127.0.0.1:0").unwrap().tls(certs.server());
    let running = Running::of(Server::new(listener), || {
        let report = app::streamed(["GET"], "/", StreamFormat::Raw, Report);
        Router::new().add(report)
    });
    let name = "localhost".try_into().unwrap();
    let client = ClientConnection::new(certs.client(), name).unwrap();
    let stream = TcpStream::connect(running.address).unwrap();
    let mut stream = StreamOwned::new(client, stream);
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    // Nothing is read until the server can send no more.
    thread::sleep(Duration::from_millis(50));
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    assert!(said.ends_with("\r\n0\r\n\r\n"));
    for row in 0..ROWS {
        assert!(said.contains(&format!("{row:010}")), "{row}");
    }
    drop(stream);
    running.close();
}
