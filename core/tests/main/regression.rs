//! Octets that once went wrong, each with the sentence it broke.

use crate::support;

use sansws_core::config::{Config, Deflate, Limits};
use sansws_core::error::Violation;
use support::{End, Got, TAKEOVER};

/// Compressed text that is no UTF-8 at first and no deflate later: the fault that comes first in the message is told,
/// whatever the chunking.
#[test]
fn of_two_faults_in_compressed_text_the_chunking_does_not_choose() {
    let bytes = [
        193, 245, 136, 255, 22, 36, 3, 0, 255, 255, 127, 255, 255, 255, 22, 0, 0, 0, 0,
    ];
    for split in 0..bytes.len() {
        let config = Config {
            deflate: Some(Deflate::default()),
            ..Config::default()
        };
        let mut end = End::new(true, config, Some(TAKEOVER));
        let mut got = end.feed(&bytes[..split]);
        if got.is_empty() {
            got = end.feed(&bytes[split..]);
        }
        assert_eq!(
            got,
            [Got::Wrong(Violation::InvalidUtf8)],
            "split at {split}"
        );
    }
}

/// Compressed text with a fault in its third octet, and longer than the limit: whether its octets come out of inflation together
/// or apart, the fault that comes first is told.
#[test]
fn of_bad_text_beyond_the_limit_the_fault_that_comes_first_is_told() {
    let cases: [(&[u8], Violation); 3] = [
        (b"ab\xffdefgh", Violation::InvalidUtf8),
        (b"abcdef\xff", Violation::MessageTooLarge),
        // The limit lies inside a character.
        ("abc\u{e4}".as_bytes(), Violation::MessageTooLarge),
    ];
    for (text, want) in cases {
        // RFC 7692 section 7.2.3.3: a block without compression.
        let length = text.len() as u8;
        let mut bytes = vec![0xc1, 0x80 | (length + 6), 0, 0, 0, 0, 0];
        bytes.extend([length, 0, !length, 0xff]);
        bytes.extend(text);
        bytes.push(0);
        for split in 0..bytes.len() {
            let config = Config {
                deflate: Some(Deflate::default()),
                limits: Limits {
                    message: 4,
                    ..Limits::default()
                },
                ..Config::default()
            };
            let mut end = End::new(true, config, Some(TAKEOVER));
            let mut got = end.feed(&bytes[..split]);
            got.extend(end.feed(&bytes[split..]));
            assert_eq!(got, [Got::Wrong(want)], "{text:?} split at {split}");
        }
    }
}
