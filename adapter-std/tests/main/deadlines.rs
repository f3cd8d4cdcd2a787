//! Deadlines: kept while a call waits, and between calls only by a keeper. The peer is a bare socket.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use sansws_std::{
    CloseCode, Config, ConnectOptions, Error, Limits, LossCause, Message, SendError, Socket,
    Timeouts, WebSocket, connect,
};

use crate::support::{frame, raw_server, read_frame};

const PING: u8 = 9;
const PONG: u8 = 10;
const CLOSE: u8 = 8;

/// A client with these timeouts, and its server's bare socket.
fn pair(timeouts: Timeouts) -> (WebSocket, TcpStream) {
    let config = Config {
        timeouts,
        ..Config::default()
    };
    configured(config)
}

fn configured(config: Config) -> (WebSocket, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let peer = std::thread::spawn(move || raw_server(&listener));
    let socket = connect(&url, ConnectOptions::default().config(config)).unwrap();
    (socket, peer.join().unwrap())
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn none() -> Timeouts {
    Timeouts {
        ping: None,
        pong: None,
        ..Timeouts::default()
    }
}

#[test]
fn pings_are_sent_and_answered_while_a_call_waits() {
    let (mut socket, mut peer) = pair(Timeouts {
        ping: Some(ms(30)),
        pong: Some(Duration::from_secs(60)),
        ..none()
    });
    let peer = std::thread::spawn(move || {
        let (opcode, payload) = read_frame(&mut peer);
        assert_eq!((opcode, payload.len()), (PING, 0));
        peer.write_all(&frame(PONG, b"")).unwrap();
        peer.write_all(&frame(PING, b"you?")).unwrap();
        // Another keepalive ping may come first.
        let answer = loop {
            match read_frame(&mut peer) {
                (PING, _) => peer.write_all(&frame(PONG, b"")).unwrap(),
                answer => break answer,
            }
        };
        assert_eq!(answer, (PONG, b"you?".to_vec()));
        peer.write_all(&frame(1, b"done")).unwrap();
        peer
    });
    assert_eq!(socket.receive().unwrap(), Some("done".into()));
    assert!(socket.round_trip().is_some());
    drop(peer.join().unwrap());
}

#[test]
fn a_silent_peer_is_given_up() {
    let (mut socket, peer) = pair(Timeouts {
        ping: Some(ms(20)),
        pong: Some(ms(20)),
        ..none()
    });
    let error = socket.receive().unwrap_err();
    assert!(
        matches!(&error, Error::Disconnect(closed) if closed.cause == Some(LossCause::Unresponsive)),
        "{error}"
    );
    drop(peer);
}

#[test]
fn an_idle_connection_is_closed_with_1001() {
    let (mut socket, mut peer) = pair(Timeouts {
        idle: Some(ms(20)),
        close: ms(50),
        ..none()
    });
    let peer = std::thread::spawn(move || {
        let (opcode, payload) = read_frame(&mut peer);
        assert_eq!(
            (opcode, &payload[..2]),
            (CLOSE, &1001_u16.to_be_bytes()[..])
        );
        // It never answers.
        peer
    });
    let error = socket.receive().unwrap_err();
    assert!(error.is_disconnect(), "{error}");
    drop(peer.join().unwrap());
}

#[test]
fn a_peer_that_does_not_answer_a_close_does_not_hold_it_up() {
    let (mut socket, peer) = pair(Timeouts {
        close: ms(30),
        ..none()
    });
    let closed = socket.close(1000, "bye").unwrap();
    assert!(closed.is_none_or(|closed| !closed.clean));
    // Also when another thread receives.
    drop(peer);
    let (socket, peer) = pair(Timeouts {
        close: ms(30),
        ..none()
    });
    let (mut read, mut write) = socket.split();
    let reader = std::thread::spawn(move || read.receive());
    let _ = write.close(1000, "").unwrap();
    assert!(reader.join().unwrap().is_err());
    drop(peer);
}

#[test]
fn a_message_that_never_ends_is_1008() {
    let (mut socket, mut peer) = pair(Timeouts {
        message: Some(ms(30)),
        close: ms(30),
        ..none()
    });
    peer.write_all(&[0x01, 1, b'a']).unwrap();
    let error = socket.receive().unwrap_err();
    assert!(error.is_disconnect(), "{error}");
    let (opcode, payload) = read_frame(&mut peer);
    assert_eq!(
        (opcode, &payload[..2]),
        (CLOSE, &1008_u16.to_be_bytes()[..])
    );
}

/// Sends a ping, and waits for its answer a while: whether it came.
fn is_answered(peer: &mut TcpStream, wait: Duration) -> bool {
    peer.write_all(&frame(PING, b"x")).unwrap();
    peer.set_read_timeout(Some(wait)).unwrap();
    let mut answer = [0; 64];
    match peer.read(&mut answer) {
        Ok(count) => count > 0,
        Err(error) => {
            assert!(matches!(
                error.kind(),
                ErrorKind::WouldBlock | ErrorKind::TimedOut
            ));
            false
        }
    }
}

#[test]
fn between_calls_only_a_keeper_answers_and_it_loses_nothing() {
    let (mut socket, mut peer) = pair(none());
    assert!(!is_answered(&mut peer, ms(50)));
    let keeper = socket.keep_alive().unwrap();
    assert!(is_answered(&mut peer, Duration::from_secs(30)));
    for text in ["one", "two"] {
        peer.write_all(&frame(1, text.as_bytes())).unwrap();
    }
    assert!(is_answered(&mut peer, Duration::from_secs(30)));
    assert_eq!(socket.receive().unwrap(), Some("one".into()));
    assert_eq!(socket.receive_text().unwrap().as_deref(), Some("two"));
    // It also notices the end.
    peer.write_all(&frame(CLOSE, &1000_u16.to_be_bytes()))
        .unwrap();
    peer.set_read_timeout(None).unwrap();
    loop {
        match read_frame(&mut peer) {
            (PONG, _) => {}
            (opcode, payload) => {
                assert_eq!((opcode, payload), (CLOSE, 1000_u16.to_be_bytes().to_vec()));
                break;
            }
        }
    }
    assert_eq!(socket.receive().unwrap(), None);
    drop(keeper);
}

#[test]
fn tcp_ends_with_the_connection_although_a_keeper_waits() {
    let (socket, mut peer) = pair(none());
    let _keeper = socket.keep_alive().unwrap();
    drop(socket);
    let mut rest = Vec::new();
    // The end, or a reset.
    let _ = peer.read_to_end(&mut rest);
    let (socket, peer) = pair(none());
    let keeper = socket.keep_alive().unwrap();
    let (stream, unread) = socket.into_inner().unwrap();
    drop((keeper, peer));
    assert!(unread.is_empty() && stream.peer_addr().is_some());
}

#[test]
fn one_keeper_may_follow_another() {
    let (mut socket, mut peer) = pair(none());
    drop(socket.keep_alive().unwrap());
    let _first = socket.keep_alive().unwrap();
    let _second = socket.keep_alive().unwrap();
    peer.write_all(&frame(1, b"still here")).unwrap();
    assert_eq!(socket.receive().unwrap(), Some("still here".into()));
}

#[test]
fn the_socket_of_a_connection_that_was_kept_alive_can_be_used_otherwise() {
    let (socket, mut peer) = pair(none());
    let _keeper = socket.keep_alive().unwrap();
    // The keeper runs, and waits for the socket.
    assert!(is_answered(&mut peer, Duration::from_secs(30)));
    let (stream, _) = socket.into_inner().unwrap();
    let Ok(Some(Socket::Tcp(mut own))) = stream.into_socket() else {
        panic!("a keeper still holds it");
    };
    peer.write_all(b"what follows").unwrap();
    let mut read = [0; 12];
    own.read_exact(&mut read).unwrap();
    assert_eq!(&read, b"what follows");
    drop(own);
    assert_eq!(peer.read(&mut read).unwrap(), 0);
}

#[test]
fn a_call_without_time_still_finds_what_has_arrived() {
    let (mut socket, mut peer) = pair(none());
    for text in ["one", "two"] {
        peer.write_all(&frame(1, text.as_bytes())).unwrap();
        // It arrives within 30 s.
        let mut received = None;
        for _ in 0..30_000 {
            match socket.receive_timeout(Duration::ZERO) {
                Err(Error::Io(error)) if error.kind() == ErrorKind::TimedOut => {
                    std::thread::sleep(ms(1));
                }
                done => {
                    received = done.unwrap();
                    break;
                }
            }
        }
        assert_eq!(received, Some(text.into()));
    }
}

#[test]
fn a_thread_that_only_sends_answers_pings_and_notices_a_close() {
    let (mut socket, mut peer) = pair(none());
    peer.write_all(&frame(PING, b"hm")).unwrap();
    peer.write_all(&frame(CLOSE, &4000_u16.to_be_bytes()))
        .unwrap();
    let error = loop {
        match socket.send_text("tick") {
            Ok(()) => std::thread::yield_now(),
            Err(error) => break error,
        }
    };
    assert!(
        matches!(&error, Error::Disconnect(closed) if closed.code == CloseCode::new(4000)),
        "{error}"
    );
    let mut seen = Vec::new();
    while !seen.contains(&PONG) {
        seen.push(read_frame(&mut peer).0);
    }
}

#[test]
fn two_ends_that_both_send_without_reading_do_not_wait_for_each_other() {
    let config = Config {
        limits: Limits {
            read_ahead: 64 << 20,
            ..Limits::default()
        },
        timeouts: none(),
        ..Config::default()
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let big = || Message::Binary(vec![1; 12 << 20]);
    let server = std::thread::spawn({
        let config = config.clone();
        move || {
            let stream = sansws_std::Stream::tcp(listener.accept().unwrap().0).unwrap();
            let upgrade = sansws_std::accept(stream, config.into()).unwrap();
            let mut socket = upgrade.accept().unwrap();
            socket.send(big()).unwrap();
            let got = socket.receive().unwrap().unwrap().len();
            socket.close(1000, "").unwrap();
            got
        }
    });
    let mut socket = connect(&url, ConnectOptions::default().config(config)).unwrap();
    socket.send(big()).unwrap();
    assert_eq!(socket.receive().unwrap().unwrap().len(), 12 << 20);
    assert_eq!(socket.receive().unwrap(), None);
    drop(socket);
    assert_eq!(server.join().unwrap(), 12 << 20);
}

#[test]
fn input_between_calls_is_read_before_the_peer_times_out() {
    let close = ms(50);
    let (mut socket, mut peer) = pair(Timeouts { close, ..none() });
    socket.start_close(Some(CloseCode::NORMAL), "");
    assert_eq!(read_frame(&mut peer).0, CLOSE);
    peer.write_all(&frame(CLOSE, &[3, 232])).unwrap();
    std::thread::sleep(2 * close);
    assert_eq!(socket.receive().unwrap(), None);
    assert!(socket.closed().unwrap().clean);

    let pong = Duration::from_secs(1);
    let (mut socket, mut peer) = pair(Timeouts {
        ping: Some(ms(10)),
        pong: Some(pong),
        ..none()
    });
    let late = socket.receive_timeout(ms(100)).unwrap_err();
    assert!(matches!(&late, Error::Io(_)), "{late}");
    // The pong comes while nobody waits for it.
    assert_eq!(read_frame(&mut peer).0, PING);
    peer.write_all(&frame(PONG, b"")).unwrap();
    std::thread::sleep(pong);
    let late = socket.receive_timeout(ms(1)).unwrap_err();
    assert!(matches!(&late, Error::Io(_)), "{late}");
}

#[test]
fn messages_read_ahead_are_handled_after_the_idle_timeout() {
    let idle = Some(ms(50));
    let (mut socket, mut peer) = pair(Timeouts { idle, ..none() });
    let keeper = socket.keep_alive().unwrap();
    for text in ["one", "two", "three"] {
        peer.write_all(&frame(1, text.as_bytes())).unwrap();
    }
    // Only the keeper receives meanwhile.
    assert_eq!(read_frame(&mut peer).0, CLOSE);
    for text in ["one", "two", "three"] {
        assert_eq!(socket.receive().unwrap(), Some(text.into()));
        socket.send_text("an answer").unwrap();
    }
    drop(keeper);
    peer.write_all(&frame(CLOSE, &[3, 233])).unwrap();
    assert_eq!(socket.receive().unwrap(), None);
    // One that closes by itself answers nothing any more.
    let (mut socket, mut peer) = pair(none());
    peer.write_all(&frame(1, b"one")).unwrap();
    assert_eq!(socket.receive().unwrap(), Some("one".into()));
    socket.start_close(None, "");
    let refused = socket.send_text("an answer").unwrap_err();
    assert!(
        matches!(refused, Error::NotSent(SendError::Closing)),
        "{refused}"
    );
}
