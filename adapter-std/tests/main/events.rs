//! Events and requests with a time limit. What all adapters have is tested with its siblings, in `sansws-conformance`.

use std::io::{ErrorKind, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use sansws_std::app::{EventSocket, RequestRefused};
use sansws_std::{ConnectOptions, Error, Result, connect};

use crate::support::{frame, raw_server, read_frame};

/// A client that speaks events, and its server's bare socket.
fn pair() -> (EventSocket, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let peer = std::thread::spawn(move || raw_server(&listener));
    let socket = connect(&url, ConnectOptions::default()).unwrap();
    (EventSocket::new(socket), peer.join().unwrap())
}

fn says(peer: &mut TcpStream, text: &str) {
    peer.write_all(&frame(1, text.as_bytes())).unwrap();
}

fn hears(peer: &mut TcpStream, want: &str) {
    let (opcode, payload) = read_frame(peer);
    assert_eq!(
        (opcode, String::from_utf8(payload).unwrap()),
        (1, want.into())
    );
}

#[test]
fn a_request_can_be_given_up_and_its_late_reply_is_ignored() {
    let (mut events, mut peer) = pair();
    let late: Result<Result<String, RequestRefused>> =
        events.request_timeout("name", &(), Duration::from_millis(1));
    assert!(
        matches!(Error::from(late.unwrap_err()), Error::Io(error) if error.kind() == ErrorKind::TimedOut)
    );
    hears(&mut peer, r#"{"event":"name","id":1,"data":null}"#);
    says(&mut peer, r#"{"event":"moved","data":1}"#);
    says(&mut peer, r#"{"reply":1,"data":"late"}"#);
    says(&mut peer, r#"{"reply":2,"data":"Ada"}"#);
    let hour = Duration::from_secs(3_600);
    let name: String = events.request_timeout("name", &(), hour).unwrap().unwrap();
    assert_eq!(name, "Ada");
    hears(&mut peer, r#"{"event":"name","id":2,"data":null}"#);
    // One that was kept waits for nothing.
    let moved = events.next_timeout(Duration::ZERO).unwrap().unwrap();
    assert_eq!(
        (moved.name(), events.data::<u8>(&moved).unwrap()),
        ("moved", 1)
    );
    let none = events.next_timeout(Duration::from_millis(1));
    assert!(matches!(none, Err(Error::Io(error)) if error.kind() == ErrorKind::TimedOut));
    says(&mut peer, r#"{"event":"left"}"#);
    assert_eq!(events.next_timeout(hour).unwrap().unwrap().name(), "left");
}

/// Replies that nobody asked for are there whenever it looks.
#[test]
fn a_timeout_ends_though_useless_replies_keep_coming() {
    let (mut events, mut peer) = pair();
    let useless = frame(1, br#"{"reply":77,"data":0}"#).repeat(100);
    let flooding = std::thread::spawn(move || while peer.write_all(&useless).is_ok() {});
    let is_late =
        |error: Error| matches!(error, Error::Io(error) if error.kind() == ErrorKind::TimedOut);
    assert!(is_late(
        events.next_timeout(Duration::from_millis(20)).unwrap_err()
    ));
    let late: Result<Result<String, RequestRefused>> =
        events.request_timeout("name", &(), Duration::from_millis(20));
    assert!(is_late(Error::from(late.unwrap_err())));
    drop(events);
    flooding.join().unwrap();
}
