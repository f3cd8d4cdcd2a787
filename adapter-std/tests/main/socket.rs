//! Connections over TCP: each call, one rule per test.

use std::io::{self, Write};
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use sansws_core::connection::Role;
use sansws_std::{
    CloseCode, Config, ConnectOptions, Error, Message, ServerOptions, SocketEvent, Upgrade, connect,
};

use crate::support::{Running, echo, masked, raw_client, read_frame};

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

#[test]
fn answers_to_pings_that_precede_the_end_are_lost_without_an_error() {
    let config = Config {
        control_frames: true,
        ..Config::default()
    };
    let ((go, may_go), (tell, told)) = (channel(), channel());
    let (may_go, tell) = (Mutex::new(may_go), Mutex::new(tell));
    let handler = move |upgrade: Upgrade| {
        let mut socket = upgrade.accept()?;
        may_go.lock().unwrap().recv()?;
        // It reads ahead, to the Close.
        socket.send_text("first")?;
        while let Some(event) = socket.receive_event()? {
            tell.lock().unwrap().send(event)?;
            socket.send_text("an answer")?;
            socket.pong("another")?;
        }
        Ok(())
    };
    let options = ServerOptions::default().config(config);
    let server = Running::with(handler, options);
    let mut peer = raw_client(server.address);
    let says = [
        masked(9, b"0"),
        masked(9, b"1"),
        masked(1, b"one"),
        masked(8, &[0x0f, 0xa1]),
    ];
    peer.write_all(&says.concat()).unwrap();
    // The time for a look at the input has come.
    thread::sleep(Duration::from_millis(2));
    go.send(()).unwrap();
    assert_eq!(read_frame(&mut peer), (1, b"first".into()));
    let rest = [(); 3].map(|()| read_frame(&mut peer));
    let pong = |payload: &[u8]| (10, payload.to_vec());
    assert_eq!(rest, [pong(b"0"), pong(b"1"), (8, vec![0x0f, 0xa1])]);
    drop(peer);
    server.close();
    let ping = |payload: &[u8]| SocketEvent::Ping(payload.into());
    let seen: Vec<_> = told.try_iter().collect();
    assert_eq!(seen, [ping(b"0"), ping(b"1"), Message::from("one").into()]);
}
