//! Messages that are lent to a closure, or received into the memory of earlier ones. RFC 6455 section 6.2.

use std::io::{self, ErrorKind, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use sansws_std::{Config, Error, Limits, Message, Payload, SendError, WebSocket, accept};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// A peer that says what is in `says` and then nothing; each write is kept.
#[derive(Clone, Default)]
struct Peer(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    says: Vec<u8>,
    /// Number of bytes that it takes; `None` for any.
    takes: Option<usize>,
    heard: Vec<Vec<u8>>,
}

impl Read for Peer {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut state = self.0.lock().unwrap();
        if state.says.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = into.len().min(state.says.len());
        let said: Vec<u8> = state.says.drain(..count).collect();
        into[..count].copy_from_slice(&said);
        Ok(count)
    }
}

impl Write for Peer {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        let mut state = self.0.lock().unwrap();
        let count = from.len().min(state.takes.unwrap_or(usize::MAX));
        if count == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        state.takes = state.takes.map(|takes| takes - count);
        state.heard.push(from[..count].into());
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Peer {
    fn says(&self, bytes: &[u8]) {
        self.0.lock().unwrap().says.extend(bytes);
    }

    fn heard(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.0.lock().unwrap().heard)
    }
}

/// A masked frame of at most 125 bytes, with a mask of zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    [&[first, 0x80 | length, 0, 0, 0, 0], payload].concat()
}

fn open(limits: Limits) -> (Peer, WebSocket<Peer>) {
    let peer = Peer::default();
    peer.says(REQUEST);
    let config = Config {
        limits,
        ..Config::default()
    };
    let upgrade = accept(peer.clone(), Arc::new(config)).unwrap();
    let socket = upgrade.accept().unwrap();
    peer.heard();
    (peer, socket)
}

fn would_block<T: std::fmt::Debug>(result: Result<T, Error>) {
    let is = |error: &Error| matches!(error, Error::Io(io) if io.kind() == ErrorKind::WouldBlock);
    assert!(result.as_ref().is_err_and(is), "{result:?}");
}

#[test]
fn answers_to_messages_that_came_together_leave_in_one_write() {
    let (peer, mut socket) = open(Limits::default());
    peer.says(&frame(0x81, b"hello").repeat(100));
    would_block(socket.receive_each(|message, out| out.send(message)));
    assert_eq!(peer.heard(), [b"\x81\x05hello".repeat(100)]);
    peer.says(&frame(0x82, b"one"));
    let answered = socket.receive_with(|message, out| {
        out.send(message).unwrap();
        out.send("and more").unwrap();
        message.as_bytes().len()
    });
    assert_eq!(answered.unwrap(), Some(3));
    assert_eq!(peer.heard(), [b"\x82\x03one\x81\x08and more"]);
    let counters = socket.counters();
    assert_eq!((counters.received, counters.sent), (101, 102));
}

#[test]
fn pings_and_pongs_leave_with_the_answers_and_are_no_messages() {
    let (peer, mut socket) = open(Limits::default());
    peer.says(&frame(0x81, b"hello"));
    let answered = socket.receive_with(|message, out| {
        out.pong("alive")?;
        out.send(message)?;
        out.ping("you?")
    });
    answered.unwrap().unwrap().unwrap();
    assert_eq!(peer.heard(), [b"\x8a\x05alive\x81\x05hello\x89\x04you?"]);
    assert_eq!(socket.counters().sent, 1);
    peer.says(&frame(0x81, b"hello"));
    let long = socket.receive_with(|_, out| out.pong([0; 126])).unwrap();
    let too_long = SendError::ControlTooLong;
    assert!(matches!(long, Some(Err(Error::NotSent(error))) if error == too_long));
}

#[test]
fn a_payload_is_sent_from_memory_that_is_used_again() {
    let (peer, mut socket) = open(Limits::default());
    let mut buffer = [0; 3];
    for letter in b"ab" {
        buffer.fill(*letter);
        socket.send_payload(buffer.as_slice()).unwrap();
    }
    socket.send_payload("text").unwrap();
    assert_eq!(peer.heard().concat(), b"\x82\x03aaa\x82\x03bbb\x81\x04text");
    assert_eq!(socket.counters().sent, 3);
}

#[test]
fn a_message_is_not_lent_before_there_is_room_for_an_answer() {
    let (peer, mut socket) = open(Limits {
        write_queue: 1_000,
        ..Limits::default()
    });
    peer.0.lock().unwrap().takes = Some(0);
    peer.says(&frame(0x82, &[7; 100]).repeat(20));
    let mut lent = 0;
    for takes in [Some(0), None] {
        peer.0.lock().unwrap().takes = takes;
        would_block(socket.receive_each(|message, out| {
            lent += 1;
            out.send(message.as_bytes().repeat(30).as_slice())?;
            let second = out.send("too much");
            assert!(matches!(second, Err(Error::NotSent(SendError::QueueFull))));
            Ok::<(), Error>(())
        }));
        assert_eq!(lent, if takes.is_some() { 1 } else { 20 });
    }
    assert_eq!(peer.heard().concat().len(), 20 * 3_004);
}

#[test]
fn a_pong_before_a_message_leaves_room_for_its_answer() {
    let (peer, mut socket) = open(Limits {
        write_queue: 1_000,
        ..Limits::default()
    });
    let pings = frame(0x89, &[7; 125]).repeat(10);
    peer.says(&[pings, frame(0x81, b"hello")].concat());
    would_block(socket.receive_each(|message, out| out.send(message)));
    assert!(peer.heard().concat().ends_with(b"\x81\x05hello"));
}

#[test]
fn a_closure_that_panics_has_used_its_message_up() {
    let (peer, mut socket) = open(Limits::default());
    let messages: [&[u8]; 3] = [b"panic", b"one", b"two"];
    peer.says(&messages.map(|text| frame(0x81, text)).concat());
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        socket.receive_with(|message, _| assert_ne!(message, Payload::Text("panic")))
    }));
    assert!(panicked.is_err());
    assert_eq!(socket.receive_text().unwrap().as_deref(), Some("one"));
    let lent = socket.receive_with(|message, _| message.to_message());
    assert_eq!(lent.unwrap(), Some("two".into()));
}

#[test]
fn an_error_of_the_closure_comes_after_the_answers() {
    let (peer, mut socket) = open(Limits::default());
    let messages: [&[u8]; 3] = [b"good", b"bad", b"next"];
    peer.says(&messages.map(|text| frame(0x81, text)).concat());
    let result = socket.receive_each(|message, out| match message {
        Payload::Text("bad") => Err(io::Error::other("it is bad").into()),
        message => out.send(message),
    });
    assert!(matches!(result, Err(Error::Io(error)) if error.kind() == ErrorKind::Other));
    assert_eq!(peer.heard(), [b"\x81\x04good"]);
    assert_eq!(socket.receive_text().unwrap().as_deref(), Some("next"));
    peer.says(&frame(0x88, b"\x03\xe8"));
    assert!(socket.receive_with(|_, _| ()).unwrap().is_none());
    let end: Result<(), Error> = socket.receive_each(|_, _| unreachable!("it has ended"));
    end.unwrap();
}

#[test]
fn messages_of_either_kind_lie_in_one_memory() {
    let (peer, mut socket) = open(Limits::default());
    let mut message = Message::Binary(Vec::with_capacity(64));
    let place = message.as_bytes().as_ptr();
    let sent: [(u8, &[u8]); 4] = [
        (0x81, b"text"),
        (0x82, &[0xff, 0xfe]),
        (0x81, b""),
        (0x82, &[7; 64]),
    ];
    for (opcode, payload) in sent {
        peer.says(&frame(opcode, payload));
        assert!(socket.receive_into(&mut message).unwrap());
        assert_eq!(message.as_bytes(), payload);
        assert_eq!(message.as_text().is_some(), opcode == 0x81);
        assert_eq!(message.as_bytes().as_ptr(), place);
    }
    would_block(socket.receive_into(&mut message));
    assert_eq!(message.as_bytes(), [7; 64]);
    peer.says(&frame(0x88, b"\x03\xe8"));
    assert!(!socket.receive_into(&mut message).unwrap());
}
