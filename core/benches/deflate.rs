//! permessage-deflate without sockets: one end compresses JSON, the other inflates it, with and without context takeover; and the
//! heap that each (de)compressor holds.
//!
//! Run: `cargo bench -p sansws-core --bench deflate`
//! See: nanoseconds a message for each side, the ratio of compression, octets of heap of each side. `-- --once` runs each message a
//! fixed number of times and prints nothing, for a count of instructions.

use std::alloc::System;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant as Clock;

use sansws_core::config::{Config, Deflate};
use sansws_core::connection::{Connection, Event};
use sansws_core::extension::deflate::Agreed;
use sansws_core::handshake::Agreement;
use sansws_core::message::Assembly;
use sansws_core::random::Seed;
use sansws_core::time::Instant;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// How often each is measured; the fastest counts, since noise only adds.
const ROUNDS: usize = 30;

/// Octets of messages in one round.
const BYTES: usize = 1 << 20;

fn message(length: usize) -> String {
    let mut text = String::from("[");
    let mut number = 7_u64;
    while text.len() < length {
        number = number
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        text += &format!(
            r#"{{"id":{},"name":"user {}","online":{}}},"#,
            number >> 40,
            number >> 54,
            number & 64 == 0
        );
    }
    text.truncate(length);
    text
}

struct Pair {
    client: Connection,
    server: Connection,
    assembly: Assembly,
    bytes: Vec<u8>,
}

impl Pair {
    fn new(takeover: bool, bits: u8) -> Self {
        let config = Arc::new(Config {
            deflate: Some(Deflate {
                own_takeover: takeover,
                peer_takeover: takeover,
                ..Deflate::default()
            }),
            ..Config::default()
        });
        let agreement = Agreement {
            subprotocol: None,
            deflate: Some(Agreed {
                own_takeover: takeover,
                peer_takeover: takeover,
                own_window_bits: bits,
                peer_window_bits: bits,
            }),
        };
        let seed = Seed::new([1; 32]);
        Self {
            client: Connection::client(Arc::clone(&config), &agreement, seed, Instant::ZERO),
            server: Connection::server(config, &agreement, Instant::ZERO),
            assembly: Assembly::default(),
            bytes: Vec::with_capacity(1 << 20),
        }
    }

    fn compress(&mut self, text: &str) {
        self.bytes.clear();
        let sent = self.client.send_text(black_box(text));
        assert_eq!(sent, Ok(()));
        while self.client.has_output() {
            let mut slices: [&[u8]; 4] = [&[]; 4];
            let filled = self.client.transmit(&mut slices);
            let before = self.bytes.len();
            for slice in slices.iter().take(filled) {
                self.bytes.extend_from_slice(slice);
            }
            let count = self.bytes.len() - before;
            self.client.transmitted(count);
        }
    }

    fn inflate(&mut self, length: usize) {
        let step = self
            .server
            .receive(Instant::ZERO, &mut self.bytes, &mut self.assembly);
        let text = step.map(|step| match step.event {
            Some(Event::Text(text)) => text.len(),
            _ => 0,
        });
        assert_eq!(black_box(text), Ok(length));
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn nanoseconds(work: impl FnOnce()) -> f64 {
    let start = Clock::now();
    work();
    start.elapsed().as_nanos() as f64
}

fn main() {
    let once = std::env::args().any(|argument| argument == "--once");
    if !once {
        println!(
            "{:>8} {:>9} {:>5} {:>12} {:>12} {:>7} {:>12} {:>12}",
            "octets", "takeover", "bits", "compress ns", "inflate ns", "ratio", "heap, out", "in"
        );
    }
    for (takeover, bits) in [(false, 15), (true, 15), (false, 11)] {
        for length in [300, 4 << 10, 64 << 10] {
            let text = message(length);
            let mut pair = Pair::new(takeover, bits);
            let region = Region::new(ALLOCATOR);
            pair.compress(&text);
            let out = region.change();
            let region = Region::new(ALLOCATOR);
            pair.inflate(length);
            let inward = region.change();
            let held = |change: stats_alloc::Stats| {
                change
                    .bytes_allocated
                    .saturating_sub(change.bytes_deallocated)
            };
            let (out, inward) = (held(out), held(inward) - pair.assembly.capacity());
            let count = if once { 20 } else { BYTES / length };
            let rounds = if once { 1 } else { ROUNDS };
            let mut best = [f64::MAX; 2];
            for _ in 0..rounds {
                let mut sums = [0.0; 2];
                for _ in 0..count {
                    sums[0] += nanoseconds(|| pair.compress(&text));
                    sums[1] += nanoseconds(|| pair.inflate(length));
                }
                for (best, sum) in best.iter_mut().zip(sums) {
                    *best = best.min(sum / count as f64);
                }
            }
            if !once {
                println!(
                    "{length:>8} {takeover:>9} {bits:>5} {:>12.0} {:>12.0} {:>7.2} {out:>12} {inward:>12}",
                    best[0],
                    best[1],
                    length as f64 / pair.bytes.len() as f64
                );
            }
        }
    }
}
