//! The same octets through this crate and through tungstenite.
//! RFC 6455 sections 5 to 8; where we are stricter, the sentence stands in the comparison.
#![no_main]

#[path = "../../tests/support/mod.rs"]
mod support;
#[path = "../../tests/support/twin.rs"]
mod twin;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (bool, &[u8])| {
    let (server, bytes) = input;
    if let Err(difference) = twin::compare(server, bytes) {
        panic!("{difference}");
    }
});
