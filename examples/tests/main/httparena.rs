//! The checks of the HttpArena benchmark for `echo-ws`, as its page on validation describes them, in its order.

use std::io::{Read, Write};
use std::net::TcpStream;

use sansws_std::{ConnectOptions, Message, WebSocket, connect};

use crate::support::listening;

fn dial(url: &str) -> WebSocket {
    // The handshake fails unless the status is 101 and the accept value fits the nonce.
    connect(format!("{url}/ws"), ConnectOptions::default()).unwrap()
}

fn comes_back(socket: &mut WebSocket, message: impl Into<Message>) {
    let message = message.into();
    socket.send(message.clone()).unwrap();
    assert_eq!(socket.receive().unwrap(), Some(message));
}

#[test]
fn the_checks_of_the_benchmark_pass() {
    let program = env!("CARGO_BIN_EXE_httparena");
    let (_running, url) = listening(program, &["--listen", "127.0.0.1:0", "--threads", "2"]);
    let mut socket = dial(&url);
    comes_back(&mut socket, "HttpArena-validate-5f3a");
    comes_back(&mut socket, (0..=255).collect::<Vec<u8>>());
    let burst: Vec<String> = (0..5).map(|number| format!("burst-{number}")).collect();
    for text in &burst {
        socket.feed(text.as_str()).unwrap();
    }
    socket.flush().unwrap();
    for text in &burst {
        assert_eq!(socket.receive_text().unwrap().as_ref(), Some(text));
    }
    let closed = socket.close(1000, "validate done").unwrap().unwrap();
    assert_eq!((closed.code(), closed.clean), (1000, true));

    let address = url.trim_start_matches("ws://");
    let mut plain = TcpStream::connect(address).unwrap();
    write!(
        plain,
        "GET /ws HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    plain.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");

    // Many connections, each with one message in flight, on both loops.
    let mut many: Vec<_> = (0..512).map(|_| dial(&url)).collect();
    for _ in 0..3 {
        for socket in &mut many {
            socket.send("hello").unwrap();
        }
        for socket in &mut many {
            assert_eq!(socket.receive_text().unwrap().as_deref(), Some("hello"));
        }
    }
    let mut health = dial(&url);
    comes_back(&mut health, "health");
    assert!(health.close(1000, "").unwrap().unwrap().clean);
}
