//! Equal octets through this crate and through tungstenite: equal messages, and an equal failure, or ours is stricter
//! with the sentence of the RFC beside it.

use crate::support;
use crate::support::twin;

use proptest::collection::vec;
use proptest::prelude::*;
use support::frame;

fn compare(server: bool, bytes: &[u8]) -> Result<(), TestCaseError> {
    twin::compare(server, bytes).map_err(TestCaseError::fail)
}

fn valid(server: bool) -> impl Strategy<Value = Vec<u8>> {
    let key = any::<[u8; 4]>();
    let message = prop_oneof![
        (".{0,60}", key).prop_map(|(text, key)| vec![(0x81, text.into_bytes(), key)]),
        (vec(any::<u8>(), 0..300), key).prop_map(|(bytes, key)| vec![(0x82, bytes, key)]),
        (".{0,60}", key, 0..60usize, vec(any::<u8>(), 0..20)).prop_map(|(text, key, at, ping)| {
            let bytes = text.into_bytes();
            let (one, two) = bytes.split_at(at.min(bytes.len()));
            vec![
                (0x01, one.to_vec(), key),
                (0x89, ping, key),
                (0x80, two.to_vec(), key),
            ]
        }),
        (vec(any::<u8>(), 0..125), key).prop_map(|(bytes, key)| vec![(0x8a, bytes, key)]),
    ];
    vec(message, 0..8).prop_map(move |messages| {
        messages
            .into_iter()
            .flatten()
            .flat_map(|(first, payload, key)| frame(first, &payload, server.then_some(key)))
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn valid_streams(server in any::<bool>(), bytes in valid(true), plain in valid(false)) {
        let bytes = if server { bytes } else { plain };
        twin::compare_valid(server, &bytes).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn mutated_streams(server in any::<bool>(), bytes in valid(true), plain in valid(false), at in any::<prop::sample::Index>(), bit in 0..8u8, cut in any::<bool>()) {
        let mut bytes = if server { bytes } else { plain };
        if bytes.is_empty() {
            return Ok(());
        }
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if cut {
            bytes.truncate(at + 1 + bytes.len() / 2);
        }
        compare(server, &bytes)?;
    }
}
