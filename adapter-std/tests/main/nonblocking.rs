//! Streams of other crates: those that do not block resume after `WouldBlock`, at every byte; those that block are read as they are.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use sansws_std::{
    Accepting, Config, ConnectOptions, Connecting, Error, Message, WebSocket, accept, connect_over,
};

/// One direction of a pipe in memory.
type Bytes = Arc<Mutex<Vec<u8>>>;

/// One end of a pipe that passes on one byte at a time, and every other time would block or was interrupted.
struct Drip {
    input: Bytes,
    output: Bytes,
    turn: usize,
}

fn pipe() -> (Drip, Drip) {
    let (one, two) = (Bytes::default(), Bytes::default());
    let end = |input: &Bytes, output: &Bytes| Drip {
        input: Arc::clone(input),
        output: Arc::clone(output),
        turn: 0,
    };
    (end(&one, &two), end(&two, &one))
}

impl Drip {
    fn try_now(&mut self) -> io::Result<()> {
        self.turn += 1;
        match self.turn % 4 {
            0 => Err(ErrorKind::WouldBlock.into()),
            2 => Err(ErrorKind::Interrupted.into()),
            _ => Ok(()),
        }
    }
}

impl Read for Drip {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut input = self.input.lock().unwrap();
        if input.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        drop(input);
        self.try_now()?;
        input = self.input.lock().unwrap();
        into[0] = input.remove(0);
        Ok(1)
    }
}

impl Write for Drip {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.try_now()?;
        self.output.lock().unwrap().push(from[0]);
        Ok(1)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.try_now()
    }
}

/// The result, unless the stream would block.
fn now<T>(result: Result<T, Error>) -> Option<Result<T, Error>> {
    match result {
        Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => None,
        result => Some(result),
    }
}

fn shake_hands() -> (WebSocket<Drip>, WebSocket<Drip>) {
    let (client, server) = pipe();
    let url = "ws://memory/chat";
    let mut connecting = Connecting::new(client, url, ConnectOptions::default()).unwrap();
    let mut accepting = Accepting::new(server, Arc::new(Config::default()));
    let (mut waits, mut upgrade) = (0, None);
    while upgrade.is_none() {
        assert!(connecting.resume().unwrap().is_none());
        upgrade = accepting.resume().unwrap();
        waits += 1;
    }
    assert!(waits > 50, "{waits}");
    let upgrade = upgrade.unwrap();
    assert_eq!(upgrade.path(), "/chat");
    let mut server = upgrade.accept().unwrap();
    loop {
        let _ = now(server.flush());
        if let Some(client) = connecting.resume().unwrap() {
            return (client, server);
        }
    }
}

#[test]
fn a_handshake_messages_and_the_close_resume_at_every_byte() {
    let (mut client, mut server) = shake_hands();
    let message: Message = "x".repeat(300).into();
    // The message was accepted: its rest is sent by later calls.
    assert!(now(client.send(message.clone())).is_none());
    let received = loop {
        let _ = now(client.flush());
        if let Some(received) = now(server.receive()) {
            break received;
        }
    };
    assert_eq!(received.unwrap(), Some(message));
    let (mut at_client, mut at_server) = (None, None);
    while at_client.is_none() || at_server.is_none() {
        at_client = at_client.or_else(|| now(client.close(1000, "bye")));
        at_server = at_server.or_else(|| now(server.receive()));
        let _ = now(server.flush());
    }
    let closed = at_client.unwrap().unwrap().unwrap();
    assert!(closed.clean && closed.code() == 1000);
    assert!(matches!(at_server, Some(Ok(None))));
}

#[test]
fn a_message_that_finds_no_room_is_not_accepted() {
    let (mut client, _server) = shake_hands();
    let big = || Message::Binary(vec![0; 1 << 20]);
    assert!(now(client.send(big())).is_none() && client.is_queue_full());
    assert!(now(client.send("no")).is_none());
    assert_eq!(client.counters().sent, 1);
}

#[test]
fn an_iterator_goes_on_after_would_block() {
    let (mut client, mut server) = shake_hands();
    let _ = now(server.send("late"));
    let text = client
        .by_ref()
        .find_map(|message| {
            let _ = now(server.flush());
            now(message)
        })
        .unwrap();
    assert_eq!(text.unwrap(), "late".into());
}

#[test]
fn a_stream_that_blocks_is_enough() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut socket = accept(stream, Arc::default()).unwrap().accept().unwrap();
        while let Some(message) = socket.receive().unwrap() {
            socket.send(message).unwrap();
        }
        socket.close(1000, "").unwrap();
    });
    let stream = TcpStream::connect(address).unwrap();
    let url = format!("ws://{address}/");
    let mut socket = connect_over(stream, url, ConnectOptions::default()).unwrap();
    for length in [0, 200, 300_000] {
        socket.send(vec![1; length]).unwrap();
        assert_eq!(socket.receive().unwrap().unwrap().len(), length);
    }
    // The stream's own timeout ends a call, and the next one goes on.
    socket
        .get_ref()
        .set_read_timeout(Some(std::time::Duration::from_millis(10)))
        .unwrap();
    assert!(now(socket.receive()).is_none());
    socket.get_ref().set_read_timeout(None).unwrap();
    socket.send("again").unwrap();
    assert_eq!(socket.receive_text().unwrap().as_deref(), Some("again"));
    let closed = socket.close(1000, "").unwrap().unwrap();
    assert!(closed.clean);
    let (_, unread) = socket.into_inner().unwrap();
    assert!(unread.is_empty());
    server.join().unwrap();
}

#[test]
fn bytes_read_ahead_are_returned_with_the_stream() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let peer = std::thread::spawn(move || {
        let mut stream = crate::support::raw_server(&listener);
        let two = [
            crate::support::frame(1, b"one"),
            crate::support::frame(1, b"two"),
        ]
        .concat();
        stream.write_all(&two).unwrap();
        stream
    });
    let stream = TcpStream::connect(address).unwrap();
    let url = format!("ws://{address}/");
    let mut socket = connect_over(stream, url, ConnectOptions::default()).unwrap();
    let stream = peer.join().unwrap();
    assert_eq!(socket.receive().unwrap(), Some("one".into()));
    let (mut own, mut unread) = socket.into_inner().unwrap();
    drop(stream);
    own.read_to_end(&mut unread).unwrap();
    assert_eq!(unread, crate::support::frame(1, b"two"));
}
