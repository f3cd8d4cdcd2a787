//! Octets that once went wrong, each with the sentence it broke.

mod support;

use sansws_core::config::{Config, Deflate};
use sansws_core::error::Violation;
use support::{End, Got, TAKEOVER};

/// Compressed text that is no UTF-8 at first and no deflate later: the fault that comes first in the message is told,
/// whatever the chunking.
#[test]
fn of_two_faults_in_compressed_text_the_chunking_does_not_choose() {
    let octets = [
        193, 245, 136, 255, 22, 36, 3, 0, 255, 255, 127, 255, 255, 255, 22, 0, 0, 0, 0,
    ];
    for split in 0..octets.len() {
        let config = Config {
            deflate: Some(Deflate::default()),
            ..Config::default()
        };
        let mut end = End::new(true, config, Some(TAKEOVER));
        let mut got = end.feed(&octets[..split]);
        if got.is_empty() {
            got = end.feed(&octets[split..]);
        }
        assert_eq!(
            got,
            [Got::Wrong(Violation::InvalidUtf8)],
            "split at {split}"
        );
    }
}
