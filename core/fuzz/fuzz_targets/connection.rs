//! A connection under any octets: chunking never matters, what is held is bounded, one Close at most, frames for the role.
//! RFC 6455 sections 5 to 8; RFC 7692.
#![no_main]

#[path = "../../tests/support/mod.rs"]
mod support;

use libfuzzer_sys::fuzz_target;
use sansws_core::config::{Config, Deflate, Limits};
use support::{End, Got, TAKEOVER, frames};

/// Longest message that is taken.
const MESSAGE: u64 = 4000;

fn end(server: bool, deflate: bool) -> End {
    let config = Config {
        limits: Limits {
            frame: MESSAGE,
            message: MESSAGE,
            fragments: 20,
            ..Limits::default()
        },
        deflate: deflate.then(Deflate::default),
        ..Config::default()
    };
    End::new(server, config, deflate.then_some(TAKEOVER))
}

fuzz_target!(|input: (bool, bool, &[u8], &[u8])| {
    let (server, deflate, chunks, bytes) = input;
    let whole = end(server, deflate).feed(bytes);
    let mut end = end(server, deflate);
    let (mut all, mut rest, mut out) = (Vec::new(), bytes, Vec::new());
    for chunk in chunks {
        let (now, later) = rest.split_at(usize::from(*chunk).min(rest.len()));
        rest = later;
        all.extend(end.feed(now));
        assert!(
            end.input.len() <= 138,
            "{} octets are kept",
            end.input.len()
        );
        if chunk % 4 == 0 {
            let _ = end.connection.send_text("in between");
            out.extend(end.output());
        }
        assert!(
            end.assembly.capacity() <= 4 * MESSAGE as usize,
            "{}",
            end.assembly.capacity()
        );
        // After the end nothing more is told.
        if matches!(all.last(), Some(Got::Wrong(_) | Got::Close(..))) {
            break;
        }
    }
    all.extend(end.feed(rest));
    assert_eq!(all, whole, "in chunks, and whole");
    out.extend(end.output());
    let frames = frames(&out);
    assert!(frames.iter().all(|frame| frame.masked != server), "5.1");
    let closes = frames.iter().filter(|frame| frame.opcode == 8).count();
    assert!(closes <= 1, "{closes} Close frames");
    if closes == 1 {
        assert_eq!(
            frames.last().map(|frame| frame.opcode),
            Some(8),
            "5.5.1: nothing follows a Close"
        );
    }
});
