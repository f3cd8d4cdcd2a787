//! Headers: what is read is written again as it was, and no prefix means something else.
//! RFC 6455 section 5.2.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sansws_core::frame::{Expect, Header};

fuzz_target!(|input: (bool, bool, bool, &[u8])| {
    let (masked, inside_message, deflate, bytes) = input;
    let expect = Expect {
        masked,
        inside_message,
        deflate,
    };
    let whole = Header::parse(bytes, expect);
    if let Ok(Some((header, length))) = whole {
        let mut written = Vec::new();
        header.write(&mut written);
        assert_eq!(written, &bytes[..length], "5.2: one way to write a header");
        assert!(header.length < 1 << 63);
    }
    for end in 0..bytes.len().min(14) {
        match Header::parse(&bytes[..end], expect) {
            Ok(None) => {}
            early => assert_eq!(early, whole, "a prefix of {end} octets"),
        }
    }
});
