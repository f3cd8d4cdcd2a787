//! Connections over TCP: each call, one rule per test.

use std::io;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use sansws_core::connection::Role;
use sansws_std::{CloseCode, ConnectOptions, Error, Message, connect};

use crate::support::{Running, echo};

#[test]
fn messages_of_any_length_come_back_and_the_close_is_clean() {
    let server = Running::new(echo);
    let mut socket = connect(server.url(), ConnectOptions::default()).unwrap();
    for length in [0, 1, 125, 126, 65_535, 65_536, 3 << 20] {
        let message = Message::Binary(vec![7; length]);
        socket.send(message.clone()).unwrap();
        assert_eq!(socket.receive().unwrap(), Some(message), "{length}");
    }
    socket.send_text("ä").unwrap();
    assert_eq!(socket.receive_text().unwrap().as_deref(), Some("ä"));
    let closed = socket.close(1000, "bye").unwrap().unwrap();
    assert_eq!((closed.code, closed.clean), (CloseCode::new(1000), true));
    assert_eq!(socket.receive().unwrap(), None);
    server.close();
}

fn kind<T>(result: Result<T, Error>) -> Option<io::ErrorKind> {
    match result {
        Err(Error::Io(error)) => Some(error.kind()),
        _ => None,
    }
}

#[test]
fn a_call_waits_as_long_as_it_may() {
    let server = Running::new(echo);
    let mut socket = connect(server.url(), ConnectOptions::default()).unwrap();
    assert_eq!(kind(socket.try_receive()), Some(io::ErrorKind::WouldBlock));
    let received = socket.receive_timeout(Duration::from_millis(20));
    assert!(received.as_ref().is_err_and(Error::is_timeout));
    assert_eq!(kind(received), Some(io::ErrorKind::TimedOut));
    socket.send_text("a").unwrap();
    let received = socket.receive_timeout(Duration::from_secs(60)).unwrap();
    assert_eq!(received, Some("a".into()));
    drop(socket);
    server.close();
}

#[test]
fn a_reader_that_waits_does_not_hold_up_the_writer() {
    let server = Running::new(echo);
    let socket = connect(server.url(), ConnectOptions::default()).unwrap();
    let (mut read, mut write) = socket.split();
    let (give, texts) = channel();
    let reader = thread::spawn(move || {
        for message in read.by_ref() {
            give.send(message.unwrap()).unwrap();
        }
        read
    });
    for count in 0..100 {
        write.send_text(format!("{count}")).unwrap();
    }
    for count in 0..100 {
        let text = texts.recv_timeout(Duration::from_secs(60)).unwrap();
        assert_eq!(text, format!("{count}").into());
    }
    let closed = write.close(1000, "").unwrap().unwrap();
    assert!(closed.clean);
    let read = reader.join().unwrap();
    assert_eq!(
        [read.closed(), write.closed()],
        [(); 2].map(|()| Some(closed.clone()))
    );
    assert_eq!([read.role(), write.role()], [Role::Client; 2]);
    assert!(read.reunite(write).is_ok());
    server.close();
}
