//! The output of a connection: masks, and control frames between the fragments of a message.
//! RFC 6455 sections 5.3, 5.4 and 5.5.

use crate::support;

use std::collections::BTreeSet;

use sansws_core::config::{Config, Deflate};
use sansws_core::message::{Payload, PreparedMessage};
use support::{End, Frame, Got, TAKEOVER, frame, frames};

/// One frame of each kind that a client sends.
fn all_kinds(end: &mut End) -> Vec<Frame> {
    let connection = &mut end.connection;
    connection.send_text("Hello").unwrap();
    connection.send(vec![0u8; 20_000]).unwrap();
    connection
        .send_prepared(&PreparedMessage::new("Hello"))
        .unwrap();
    connection.ping(b"Hello").unwrap();
    connection.pong(b"Hello").unwrap();
    connection.send_piece(Payload::Text("Hel"), false).unwrap();
    connection.send_piece(Payload::Text("lo"), true).unwrap();
    end.feed(&frame(0x89, b"ping", None));
    frames(&end.output())
}

#[test]
fn five_three_each_frame_of_a_client_has_a_key_of_its_own() {
    // 5.3: "the masking key MUST be chosen freshly for each frame"
    let mut end = End::new(false, Config::default(), None);
    let mut all = Vec::new();
    for _ in 0..50 {
        all.extend(all_kinds(&mut end));
    }
    end.connection.close(end.now, None, "").unwrap();
    all.extend(frames(&end.output()));
    assert_eq!(all.len(), 401);
    assert!(all.iter().all(|frame| frame.masked));
    let keys: BTreeSet<[u8; 4]> = all.iter().map(|frame| frame.key).collect();
    assert_eq!(keys.len(), all.len(), "a key was used twice");
    for byte in 0..4 {
        let bytes: BTreeSet<u8> = keys.iter().map(|key| key[byte]).collect();
        assert!(bytes.len() > 100, "octet {byte} hardly changes");
    }
    // A server masks nothing.
    let mut end = End::new(true, Config::default(), None);
    end.connection.send_text("Hello").unwrap();
    assert!(!frames(&end.output())[0].masked);
}

#[test]
fn five_four_a_pong_goes_between_the_fragments_that_we_send() {
    // 5.4: "Control frames [...] MAY be injected in the middle of a fragmented message"
    for (server, deflate) in [(true, false), (false, false), (true, true), (false, true)] {
        let config = Config {
            deflate: deflate.then(|| Deflate {
                threshold: 0,
                ..Deflate::default()
            }),
            ..Config::default()
        };
        let agreed = deflate.then_some(TAKEOVER);
        let mut end = End::new(server, config.clone(), agreed);
        let mut peer = End::new(!server, config, agreed);
        let piece = |end: &mut End, text, last| {
            end.connection
                .send_piece(Payload::Text(text), last)
                .unwrap();
        };
        piece(&mut end, "one ", false);
        end.feed(&frame(0x89, b"ping", server.then_some([1, 2, 3, 4])));
        piece(&mut end, "two ", false);
        end.connection.ping(b"ours").unwrap();
        piece(&mut end, "three", true);
        let bytes = end.output();
        let sent: Vec<(u8, bool, bool)> = frames(&bytes)
            .iter()
            .map(|frame| (frame.opcode, frame.fin, frame.rsv1))
            .collect();
        assert_eq!(
            sent,
            [
                (1, false, deflate),
                (10, true, false),
                (0, false, false),
                (9, true, false),
                (0, true, false),
            ]
        );
        assert_eq!(
            peer.feed(&bytes),
            [
                Got::Pong(b"ping".into()),
                Got::Ping(b"ours".into()),
                Got::Text("one two three".into()),
            ]
        );
    }
}
