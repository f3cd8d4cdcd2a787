//! Each violation is provoked by octets, whole and at every split, and closes with its code. One row for each sentence.
//! RFC 6455 sections 5, 7.4, 8.1 and 10.4; RFC 7692 section 7.2.2.

use crate::support;

use sansws_core::config::{Config, Deflate, Limits};
use sansws_core::error::Violation;
use support::{End, Got, TAKEOVER, frame, frames};

const KEY: Option<[u8; 4]> = Some([9, 8, 7, 6]);

/// Input that breaks the sentence; to a server, except for the one that only a server can break.
fn bytes(violation: Violation) -> Vec<u8> {
    let long = vec![b'a'; 2000];
    match violation {
        Violation::ReservedBit => frame(0xa1, b"a", KEY),
        Violation::ReservedOpcode => frame(0x83, b"a", KEY),
        Violation::LengthNotMinimal => vec![0x82, 0xfe, 0, 5, 0, 0, 0, 0, 1, 2, 3, 4, 5],
        Violation::LengthTooLarge => vec![0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        Violation::MaskMissing => frame(0x81, b"a", None),
        Violation::MaskUnexpected => frame(0x81, b"a", KEY),
        Violation::ControlFragmented => frame(0x09, b"a", KEY),
        Violation::ControlTooLong => frame(0x89, &[0; 126], KEY),
        Violation::ContinuationUnexpected => frame(0x80, b"a", KEY),
        Violation::ContinuationExpected => {
            [frame(0x01, b"a", KEY), frame(0x01, b"b", KEY)].concat()
        }
        Violation::CloseTooShort => frame(0x88, &[3], KEY),
        Violation::CloseCodeInvalid => frame(0x88, &[3, 237], KEY),
        Violation::CloseReasonInvalid => frame(0x88, &[3, 232, 0xff], KEY),
        Violation::InvalidUtf8 => frame(0x81, &[b'a', 0xc0, 0xaf], KEY),
        Violation::FrameTooLarge => frame(0x82, &long, KEY),
        Violation::MessageTooLarge => [
            frame(0x02, &long[..900], KEY),
            frame(0x80, &long[..900], KEY),
        ]
        .concat(),
        Violation::TooManyFragments => {
            [frame(0x02, b"", KEY), frame(0x00, b"", KEY).repeat(4)].concat()
        }
        Violation::DeflateInvalid => frame(0xc2, &[0xff; 8], KEY),
        // A violation without a row fails here.
        other => panic!("{other:?} has no octets"),
    }
}

fn end(violation: Violation) -> End {
    let limits = Limits {
        frame: 1000,
        message: 1500,
        fragments: 4,
        ..Limits::default()
    };
    let config = Config {
        limits,
        deflate: Some(Deflate::default()),
        ..Config::default()
    };
    End::new(
        violation != Violation::MaskUnexpected,
        config,
        Some(TAKEOVER),
    )
}

/// Further octets that break a sentence: it holds for each kind of frame.
fn further() -> Vec<(&'static str, Violation, Vec<u8>)> {
    let begun = frame(0xc2, b"\xf2\x48", KEY);
    let begun = [&[begun[0] & 0x7f], &begun[1..]].concat();
    vec![
        (
            "5.5 a Close of 126 octets",
            Violation::ControlTooLong,
            frame(0x88, &[b'a'; 126], KEY),
        ),
        (
            "5.5 a pong of 126 octets",
            Violation::ControlTooLong,
            frame(0x8a, &[0; 126], KEY),
        ),
        (
            "5.5 a Close in two",
            Violation::ControlFragmented,
            frame(0x08, b"\x03\xe8", KEY),
        ),
        (
            "5.5 a pong in two",
            Violation::ControlFragmented,
            frame(0x0a, b"", KEY),
        ),
        (
            "7692 6.1 RSV1 on a ping",
            Violation::ReservedBit,
            frame(0xc9, b"", KEY),
        ),
        (
            "7692 6.1 RSV1 on a pong",
            Violation::ReservedBit,
            frame(0xca, b"", KEY),
        ),
        (
            "7692 6.1 RSV1 on a Close",
            Violation::ReservedBit,
            frame(0xc8, b"\x03\xe8", KEY),
        ),
        (
            "7692 6.1 RSV1 on a later fragment",
            Violation::ReservedBit,
            [begun, frame(0xc0, b"\xcd\xc9\xc9\x07\x00", KEY)].concat(),
        ),
        (
            "7692 7.2.2 data that was cut off",
            Violation::DeflateInvalid,
            frame(0xc2, b"\xf2\x48\xcd", KEY),
        ),
    ]
}

#[test]
fn each_violation_is_found_whatever_the_chunking_and_closes_with_its_code() {
    let first = Violation::ALL.map(|violation| ("", violation, bytes(violation)));
    for (name, violation, bytes) in first.into_iter().chain(further()) {
        for split in 0..bytes.len() {
            let mut end = end(violation);
            let mut got = end.feed(&bytes[..split]);
            if got.is_empty() {
                got = end.feed(&bytes[split..]);
            }
            assert_eq!(got, [Got::Wrong(violation)], "{name} split at {split}");
            let sent = frames(&end.output());
            let code = violation.close_code().get().to_be_bytes();
            assert_eq!(
                sent.len(),
                1,
                "{violation:?}: one Close frame, and nothing else"
            );
            assert_eq!(
                (sent[0].opcode, &sent[0].payload[..2]),
                (8, &code[..]),
                "{violation:?}"
            );
            // Event loops share an assembly by this rule.
            if !end.connection.is_receiving() {
                let mut next = End::new(true, Config::default(), None);
                next.assembly = std::mem::take(&mut end.assembly);
                let parts = [frame(0x01, b"Hel", KEY), frame(0x80, b"lo", KEY)];
                let whole = next.feed(&parts.concat());
                let said = format!("after {violation:?}, split at {split}");
                assert_eq!(whole, [Got::Text("Hello".into())], "{said}");
            }
            // 7.1.7: "An endpoint MUST NOT continue to attempt to process data"
            assert!(
                end.feed(&frame(0x81, b"more", KEY)).is_empty(),
                "{violation:?}"
            );
            assert!(!violation.section().is_empty() && !violation.to_string().is_empty());
        }
    }
}
