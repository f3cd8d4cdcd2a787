//! TLS: clients, servers, and halves that two threads use over one session.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;

use sansws_std::tls::rustls;
use sansws_std::{
    ConnectOptions, Error, Listener, Message, Result, Server, Upgrade, connect, connect_over,
};

use crate::support::{Certs, Running, echo, masked};

fn secure(certs: &Certs, handler: fn(Upgrade) -> Result) -> (Running, String) {
    let listener = Listener::bind("127.0.0.1:0").unwrap().tls(certs.server());
    let running = Running::of(Server::new(listener), handler);
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
    let (running, url) = secure(&certs, echo);
    let mut socket = connect(&url, trusting(&certs, &running)).unwrap();
    assert!(socket.get_ref().is_secure() && socket.get_ref().tls().is_some());
    for length in [0, 1, 16_384, 16_385, 4 << 20] {
        socket.send(vec![9; length]).unwrap();
        assert_eq!(socket.receive().unwrap().unwrap().len(), length);
    }
    assert!(socket.close(1000, "").unwrap().unwrap().clean);
    running.close();
}

#[test]
fn a_stranger_is_not_trusted() {
    let certs = Certs::new();
    let (running, url) = secure(&certs, echo);
    let options = trusting(&Certs::new(), &running);
    let error = connect(&url, options).unwrap_err();
    assert!(
        matches!(&error, Error::Io(io) if io.to_string().contains("certificate")),
        "{error}"
    );
    running.close();
}

#[test]
fn a_secure_client_of_a_plain_port_says_what_to_do() {
    let running = Running::of(Server::bind("127.0.0.1:0").unwrap(), echo);
    let url = format!("wss://localhost:{}/", running.address.port());
    let error = connect(&url, trusting(&Certs::new(), &running)).unwrap_err();
    assert!(error.to_string().ends_with("with ws://"), "{error}");
    running.close();
}

#[test]
fn halves_send_and_receive_at_once() {
    let certs = Certs::new();
    let (running, url) = secure(&certs, echo);
    let socket = connect(&url, trusting(&certs, &running)).unwrap();
    let (mut read, mut write) = socket.split();
    // Far more than the buffers between us hold: the writer must wait, and the reader make room.
    let messages = 64;
    let reader = thread::spawn(move || {
        for count in 0..messages {
            let message = read.receive().unwrap().unwrap();
            assert_eq!(message, Message::Binary(vec![count; 300_000]));
        }
        read
    });
    for count in 0..messages {
        write.send(vec![count; 300_000]).unwrap();
    }
    let mut socket = reader.join().unwrap().reunite(write).unwrap();
    assert!(socket.close(1000, "").unwrap().unwrap().clean);
    running.close();
}

#[test]
fn a_reader_that_waits_for_a_silent_peer_does_not_hold_up_the_writer() {
    fn count(upgrade: Upgrade) -> Result {
        let mut socket = upgrade.accept()?;
        for count in 0..100 {
            assert_eq!(socket.receive_text()?, Some(format!("{count}")));
        }
        Ok(socket.send_text("all")?)
    }
    let certs = Certs::new();
    let (running, url) = secure(&certs, count);
    let (mut read, mut write) = connect(&url, trusting(&certs, &running)).unwrap().split();
    let reader = thread::spawn(move || (read.receive_text().unwrap(), read.receive().unwrap()));
    for count in 0..100 {
        write.send_text(format!("{count}")).unwrap();
    }
    assert_eq!(reader.join().unwrap(), (Some("all".into()), None));
    drop(write);
    running.close();
}

#[test]
fn a_plain_client_of_a_tls_server_is_told_nothing_and_others_are_served() {
    let certs = Certs::new();
    let (running, url) = secure(&certs, echo);
    let plain = format!("ws://{}/", running.address);
    assert!(connect(&plain, ConnectOptions::default()).is_err());
    let mut socket = connect(&url, trusting(&certs, &running)).unwrap();
    socket.send_text("a").unwrap();
    assert_eq!(socket.receive_text().unwrap().as_deref(), Some("a"));
    drop(socket);
    assert_eq!(Arc::new(running.handle.metrics()).accepted, 2);
    running.close();
}

#[test]
fn messages_before_a_broken_record_are_received() {
    // A record that cannot be decrypted, and one of no known type: after the handshake, TLS was the right choice.
    for kind in [23, 99] {
        let (tell, told) = channel();
        let handler = move |upgrade: Upgrade| {
            let mut socket = upgrade.accept()?;
            let first = socket.receive_text().unwrap_or_default();
            tell.send(first.unwrap_or_default()).unwrap();
            let error = socket.receive().unwrap_err();
            tell.send(format!("{error:?}")).unwrap();
            Err(error.into())
        };
        let certs = Certs::new();
        let listener = Listener::bind("127.0.0.1:0").unwrap().tls(certs.server());
        let running = Running::of(Server::new(listener), handler);
        let name = "localhost".try_into().unwrap();
        let tls = rustls::ClientConnection::new(certs.client(), name).unwrap();
        let tcp = TcpStream::connect(running.address).unwrap();
        let stream = rustls::StreamOwned::new(tls, tcp);
        let socket = connect_over(stream, "wss://localhost/", ConnectOptions::default()).unwrap();
        let mut stream = socket.into_inner().unwrap().0;
        let message = masked(1, b"last words");
        stream.conn.writer().write_all(&message).unwrap();
        let mut records = Vec::new();
        stream.conn.write_tls(&mut records).unwrap();
        records.extend([kind, 3, 3, 0, 32]);
        records.extend([0; 32]);
        stream.sock.write_all(&records).unwrap();
        assert_eq!(told.recv().unwrap(), "last words");
        let error = told.recv().unwrap();
        assert!(!error.contains("ws://"), "{error}");
        running.close();
    }
}
