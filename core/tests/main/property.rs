//! Properties: any chunking gives the same events, what is sent is received, nothing panics. RFC 6455 section 5.

use crate::support;

use proptest::collection::vec;
use proptest::prelude::*;
use sansws_core::config::Config;
use sansws_core::extension::deflate::Agreed;
use sansws_core::message::Payload;
use support::{End, Got, TAKEOVER, frame, frames};

/// The behaviour of a peer.
#[derive(Clone, Debug)]
enum Act {
    Text(String),
    Binary(Vec<u8>),
    TextPieces(Vec<String>),
    BinaryPieces(Vec<Vec<u8>>),
    Ping(Vec<u8>),
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..300),
        (any::<u8>(), 0..40_000usize).prop_map(|(byte, n)| vec![byte; n])
    ]
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        ".{0,80}".prop_map(Act::Text),
        bytes().prop_map(Act::Binary),
        vec(".{0,20}", 1..5).prop_map(Act::TextPieces),
        vec(bytes(), 1..5).prop_map(Act::BinaryPieces),
        vec(any::<u8>(), 0..126).prop_map(Act::Ping),
    ]
}

fn agreed() -> impl Strategy<Value = Option<Agreed>> {
    let some = (any::<bool>(), any::<bool>(), 8..16u8, 8..16u8).prop_map(
        |(own_takeover, peer_takeover, own_window_bits, peer_window_bits)| Agreed {
            own_takeover,
            peer_takeover,
            own_window_bits,
            peer_window_bits,
        },
    );
    proptest::option::of(some)
}

const fn mirrored(agreed: Agreed) -> Agreed {
    Agreed {
        own_takeover: agreed.peer_takeover,
        peer_takeover: agreed.own_takeover,
        own_window_bits: agreed.peer_window_bits,
        peer_window_bits: agreed.own_window_bits,
    }
}

fn config() -> Config {
    Config {
        deflate: Some(sansws_core::config::Deflate {
            threshold: 0,
            ..Default::default()
        }),
        ..Config::default()
    }
}

fn perform(end: &mut End, act: &Act) -> Got {
    let connection = &mut end.connection;
    match act {
        Act::Text(text) => {
            connection.send_text(text).unwrap();
            Got::Text(text.clone())
        }
        Act::Binary(bytes) => {
            connection.send(bytes.clone()).unwrap();
            Got::Binary(bytes.clone())
        }
        Act::TextPieces(pieces) => {
            for (at, piece) in pieces.iter().enumerate() {
                connection
                    .send_piece(Payload::Text(piece), at + 1 == pieces.len())
                    .unwrap();
            }
            Got::Text(pieces.concat())
        }
        Act::BinaryPieces(pieces) => {
            for (at, piece) in pieces.iter().enumerate() {
                connection
                    .send_piece(Payload::Binary(piece), at + 1 == pieces.len())
                    .unwrap();
            }
            Got::Binary(pieces.concat())
        }
        Act::Ping(bytes) => {
            connection.ping(bytes).unwrap();
            Got::Ping(bytes.clone())
        }
    }
}

/// Cuts `bytes` at pseudo-random places.
fn parts(bytes: &[u8], mut seed: u64) -> Vec<&[u8]> {
    let (mut all, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let most = [1, 3, 17, 200, 5_000, 70_000][(seed >> 60) as usize % 6];
        let (part, after) = rest.split_at((1 + (seed >> 33) as usize % most).min(rest.len()));
        all.push(part);
        rest = after;
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn sent_messages_are_received(acts in vec(act(), 0..12), server in any::<bool>(), agreed in agreed(), seed in any::<u64>()) {
        let mut sender = End::new(!server, config(), agreed.map(mirrored));
        let mut receiver = End::new(server, config(), agreed);
        let want: Vec<Got> = acts.iter().map(|act| perform(&mut sender, act)).collect();
        let sent = sender.output();
        let got: Vec<Got> = parts(&sent, seed).into_iter().flat_map(|part| receiver.feed(part)).collect();
        // A ping between the pieces of nothing keeps its place; messages arrive in order.
        prop_assert_eq!(got, want);
        // Masked by a client, not by a server; every key another one is shown in `random`.
        prop_assert!(frames(&sent).iter().all(|frame| frame.masked == server));
    }

    #[test]
    fn pieces_put_together_are_the_messages(acts in vec(act(), 0..8), agreed in agreed(), seed in any::<u64>()) {
        let mut sender = End::new(true, config(), agreed.map(mirrored));
        let mut receiver = End::new(false, config(), agreed);
        receiver.pieces = true;
        let want: Vec<Got> = acts.iter().map(|act| perform(&mut sender, act)).filter(|got| !matches!(got, Got::Ping(_))).collect();
        let sent = sender.output();
        let (mut messages, mut open) = (Vec::new(), false);
        for part in parts(&sent, seed) {
            for got in receiver.feed(part) {
                match got {
                    Got::Piece(bytes, first, last) => {
                        prop_assert_eq!(first, !open, "a piece is the first when no message is open");
                        if first { messages.push(Vec::new()) }
                        messages.last_mut().unwrap().extend(bytes);
                        open = !last;
                    }
                    Got::Ping(_) => {}
                    other => prop_assert!(false, "{:?}", other),
                }
            }
        }
        let want: Vec<Vec<u8>> = want.into_iter().map(|got| match got {
            Got::Text(text) => text.into_bytes(),
            Got::Binary(bytes) => bytes,
            _ => unreachable!(),
        }).collect();
        prop_assert_eq!(messages, want);
    }

    #[test]
    fn any_chunking_of_anything_gives_the_same_events_and_output(
        heads in vec((any::<u8>(), vec(any::<u8>(), 0..140), any::<bool>()), 0..12),
        tail in vec(any::<u8>(), 0..30),
        server in any::<bool>(), deflate in any::<bool>(), seed in any::<u64>(),
    ) {
        let mut input = Vec::new();
        for (first, payload, right) in &heads {
            // Mostly sensible first octets, so that streams live longer than one frame.
            let first = if *right { [0x81, 0x82, 0x01, 0x00, 0x80, 0x89, 0x8a, 0xc1][usize::from(*first) % 8] } else { *first };
            input.extend(frame(first, payload, server.then_some([1, 2, 3, *right as u8])));
        }
        input.extend(&tail);
        let agreed = deflate.then_some(TAKEOVER);
        let (mut whole, mut cut) = (End::new(server, config(), agreed), End::new(server, config(), agreed));
        let want = whole.feed(&input);
        let got: Vec<Got> = parts(&input, seed).into_iter().flat_map(|part| cut.feed(part)).collect();
        prop_assert_eq!(&got, &want);
        prop_assert_eq!(cut.output(), whole.output());
        prop_assert_eq!(cut.connection.state(), whole.connection.state());
        prop_assert!(got.iter().filter(|got| matches!(got, Got::Wrong(_))).count() <= 1);
    }
}
