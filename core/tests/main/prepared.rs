//! Messages that were compressed once for all, between messages of a connection's own.
//! RFC 7692 sections 7.1.1, 7.2.1 and 7.2.2. The same over sockets, into other libraries: `conformance/tests/interop.rs`.

use crate::support;

use proptest::collection::vec;
use proptest::prelude::*;
use sansws_core::config::{Config, Deflate};
use sansws_core::extension::deflate::Agreed;
use sansws_core::frame::MessageKind;
use sansws_core::message::{Payload, PreparedMessage};
use support::{End, Got, frames};

/// How a message is sent.
#[derive(Clone, Copy, Debug)]
enum Way {
    Own,
    /// In two pieces.
    Pieces,
    /// Prepared, not compressed.
    Plain,
    /// Prepared, compressed for the windows of these sizes.
    Shared(&'static [u8]),
}

const ALL: Way = Way::Shared(&[9, 10, 11, 12, 13, 14, 15]);

/// A connection that sends, and its peer.
struct Pair {
    end: End,
    peer: End,
}

impl Pair {
    fn new(server: bool, window_bits: u8, takeover: bool) -> Self {
        let config = Config {
            deflate: Some(Deflate {
                threshold: 0,
                ..Deflate::default()
            }),
            ..Config::default()
        };
        let agreed = |own, peer| Agreed {
            own_takeover: takeover,
            peer_takeover: takeover,
            own_window_bits: own,
            peer_window_bits: peer,
        };
        Self {
            end: End::new(server, config.clone(), Some(agreed(window_bits, 15))),
            peer: End::new(!server, config, Some(agreed(15, window_bits))),
        }
    }

    /// Sends a message, and says how many octets it took and whether they were compressed; the peer must have got it.
    fn send(&mut self, way: Way, bytes: &[u8]) -> (usize, bool) {
        let connection = &mut self.end.connection;
        match way {
            Way::Own => connection.send(bytes).unwrap(),
            Way::Pieces => {
                let (one, two) = bytes.split_at(bytes.len() / 3);
                connection.send_piece(Payload::Binary(one), false).unwrap();
                connection.send_piece(Payload::Binary(two), true).unwrap();
            }
            Way::Plain => connection
                .send_prepared(&PreparedMessage::new(bytes))
                .unwrap(),
            Way::Shared(windows) => {
                let prepared = windows
                    .iter()
                    .fold(PreparedMessage::new(bytes), |prepared, bits| {
                        prepared.deflated(6, *bits)
                    });
                assert_eq!(prepared.kind(), MessageKind::Binary);
                connection.send_prepared(&prepared).unwrap();
            }
        }
        let output = self.end.output();
        let sent = frames(&output);
        assert_eq!(self.peer.feed(&output), [Got::Binary(bytes.into())]);
        let length = sent.iter().map(|frame| frame.payload.len()).sum();
        (length, sent.first().is_some_and(|frame| frame.rsv1))
    }
}

/// 6 bits of noise in an octet.
fn noise(length: usize, mut seed: u32) -> Vec<u8> {
    let mut next = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        b' ' + (seed >> 26) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// Each window, with and without context takeover, of servers and of clients.
fn pairs() -> impl Iterator<Item = (Pair, u8, bool)> {
    let all = (9..=15).flat_map(|bits| [(bits, true), (bits, false)]);
    all.flat_map(|(bits, takeover)| {
        [true, false].map(|server| (Pair::new(server, bits, takeover), bits, takeover))
    })
}

#[test]
fn seven_two_two_own_messages_do_not_refer_to_what_was_shared() {
    for (mut pair, ..) in pairs() {
        for size in [40, 100, 200, 700, 3_000, 12_000, 30_000] {
            let (one, two) = (noise(size, 1), noise(size, 2));
            let both = [one.as_slice(), &two, &one].concat();
            let twice = two.repeat(2);
            pair.send(Way::Own, &one);
            assert!(pair.send(ALL, &twice).1);
            pair.send(Way::Own, &one);
            pair.send(Way::Plain, &two);
            pair.send(Way::Own, &both);
            pair.send(ALL, &both);
            assert!(pair.send(ALL, &twice).1);
            pair.send(Way::Pieces, &both);
        }
    }
}

#[test]
fn seven_one_one_only_a_shared_message_that_is_compressed_ends_the_context() {
    // 7.1.1: with context takeover the window of the message before may be referred to
    let (one, two) = (noise(150, 1), noise(150, 2));
    for (mut pair, _, takeover) in pairs() {
        let first = pair.send(Way::Own, &one);
        let is_small = |sent: (usize, bool)| 2 * sent.0 < first.0;
        assert_eq!(is_small(pair.send(Way::Own, &one)), takeover);
        assert_eq!(pair.send(Way::Plain, &two), (150, false));
        assert_eq!(is_small(pair.send(Way::Own, &one)), takeover);
        let shared = pair.send(ALL, &one);
        assert!(shared.1 && !is_small(shared), "from an empty window");
        assert!(!is_small(pair.send(Way::Own, &one)));
        assert_eq!(is_small(pair.send(Way::Own, &one)), takeover);
    }
}

#[test]
fn seven_one_two_one_the_variant_has_no_larger_window_than_was_agreed_on() {
    // Noise that comes twice, at a distance that only a window of 9 bits and more has, of 10 bits and more, up to 15.
    let far = |bits: u8| noise((1 << bits) - 300, bits.into()).repeat(2);
    let bytes: Vec<u8> = (9..=15).flat_map(far).collect();
    for (mut pair, bits, _) in pairs() {
        let length = |pair: &mut Pair, windows| pair.send(Way::Shared(windows), &bytes);
        assert!(length(&mut pair, &[9]).1);
        assert_eq!(length(&mut pair, &[15]).1, bits == 15);
        let best = length(&mut pair, &[9, 10, 11, 12, 13, 14, 15]);
        let alone: [&[u8]; 7] = [&[9], &[10], &[11], &[12], &[13], &[14], &[15]];
        assert_eq!(best, length(&mut pair, alone[usize::from(bits - 9)]));
        assert_eq!(length(&mut pair, &[12]).1, bits >= 12);
        assert_eq!(length(&mut pair, &[]), (bytes.len(), false));
    }
}

fn way() -> impl Strategy<Value = Way> {
    prop_oneof![
        3 => Just(Way::Own),
        1 => Just(Way::Pieces),
        1 => Just(Way::Plain),
        2 => Just(ALL),
        1 => Just(Way::Shared(&[12])),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_order_of_ways_is_understood(
        server in any::<bool>(), bits in 8..16_u8, takeover in any::<bool>(),
        messages in vec((way(), vec((1..4_u32, 1..2_000_usize), 0..4)), 1..20),
    ) {
        let mut pair = Pair::new(server, bits, takeover);
        for (way, parts) in messages {
            // Few noises, so that messages repeat each other.
            let bytes: Vec<u8> = parts.iter().flat_map(|(seed, length)| noise(*length, *seed)).collect();
            pair.send(way, &bytes);
        }
    }
}
