//! permessage-deflate without sockets: one end compresses, the other inflates; its time, its ratio and its heap, by content, by context
//! and by the number of connections that talk in turn.
//!
//! Run: `cargo bench -p sansws-core --bench deflate`
//! See: microseconds a message for each side, the ratio of compression, and bytes of heap that each connection holds between messages, on
//! either side. The table stands in `docs/compression.md`. `-- --once` runs each row a few times and prints nothing, for a count of
//! instructions.

use std::alloc::System;
use std::fmt::Write as _;
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

/// Number of rounds; the fastest counts, since noise only adds.
const ROUNDS: usize = 5;

/// Number of messages of a kind; together they exceed the largest window.
const MESSAGES: usize = 2048;

/// Random numbers, equal in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Kinds of content.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Json,
    Html,
    Log,
}

const WORDS: [&str; 24] = [
    "time", "person", "year", "way", "day", "thing", "world", "life", "hand", "part", "child",
    "eye", "woman", "place", "work", "week", "case", "point", "company", "number", "group",
    "problem", "fact", "system",
];

/// Returns messages of about `length` bytes.
fn messages(kind: Kind, length: usize) -> Vec<String> {
    let mut numbers = Numbers(7);
    let mut made = Vec::new();
    for at in 0..MESSAGES {
        let mut text = String::new();
        while text.len() < length {
            let word = |numbers: &mut Numbers| WORDS[numbers.below(24) as usize];
            let written = match kind {
                Kind::Json => write!(
                    text,
                    r#"{{"type":"update","id":{},"user":"{}.{}","online":{},"balance":{}.{:02}}}"#,
                    numbers.below(1 << 30),
                    word(&mut numbers),
                    word(&mut numbers),
                    numbers.below(2) == 0,
                    numbers.below(10_000),
                    numbers.below(100)
                ),
                Kind::Html => write!(
                    text,
                    r#"<li class="item" data-id="{}"><a href="/{}/{}">{} {} {}</a></li>"#,
                    numbers.below(100_000),
                    word(&mut numbers),
                    numbers.below(1000),
                    word(&mut numbers),
                    word(&mut numbers),
                    word(&mut numbers)
                ),
                Kind::Log => writeln!(
                    text,
                    r#"10.0.{}.{} - - [28/Nov/2026:12:{:02}:{:02} +0000] "GET /{}/{} HTTP/1.1" 200 {}"#,
                    numbers.below(256),
                    numbers.below(256),
                    at / 60 % 60,
                    at % 60,
                    word(&mut numbers),
                    word(&mut numbers),
                    numbers.below(90_000)
                ),
            };
            assert!(written.is_ok());
        }
        text.truncate(length);
        made.push(text);
    }
    made
}

struct Pair {
    client: Connection,
    server: Connection,
    assembly: Assembly,
}

impl Pair {
    fn new(context: Option<Deflate>) -> Self {
        let takeover = context.is_some();
        let config = Arc::new(Config {
            deflate: Some(context.unwrap_or_default()),
            ..Config::default()
        });
        let agreement = Agreement {
            subprotocol: None,
            deflate: Some(Agreed {
                own_takeover: takeover,
                peer_takeover: takeover,
                own_window_bits: 15,
                peer_window_bits: 15,
            }),
        };
        let seed = Seed::new([1; 32]);
        Self {
            client: Connection::client(Arc::clone(&config), &agreement, seed, Instant::ZERO),
            server: Connection::server(config, &agreement, Instant::ZERO),
            assembly: Assembly::default(),
        }
    }

    fn compress(&mut self, text: &str, bytes: &mut Vec<u8>) {
        bytes.clear();
        let sent = self.client.send_text(black_box(text));
        assert_eq!(sent, Ok(()));
        while self.client.has_output() {
            let mut slices: [&[u8]; 4] = [&[]; 4];
            let filled = self.client.transmit(&mut slices);
            let before = bytes.len();
            for slice in slices.iter().take(filled) {
                bytes.extend_from_slice(slice);
            }
            let count = bytes.len() - before;
            self.client.transmitted(count);
        }
        drop(self.client.reclaim());
        self.client.release();
    }

    fn inflate(&mut self, length: usize, bytes: &mut [u8]) {
        let step = self
            .server
            .receive(Instant::ZERO, bytes, &mut self.assembly);
        let text = step.map(|step| match step.event {
            Some(Event::Text(text)) => text.len(),
            _ => 0,
        });
        assert_eq!(black_box(text), Ok(length));
        self.server.release();
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn microseconds(work: impl FnOnce()) -> f64 {
    let start = Clock::now();
    work();
    start.elapsed().as_nanos() as f64 / 1000.0
}

/// What one row says.
struct Row {
    compress: f64,
    inflate: f64,
    ratio: f64,
    out: usize,
    inward: usize,
}

fn measure(context: Option<&Deflate>, texts: &[String], connections: usize, rounds: usize) -> Row {
    let mut bytes = Vec::with_capacity(1 << 20);
    let mut pairs: Vec<_> = (0..connections)
        .map(|_| Pair::new(context.cloned()))
        .collect();
    // The streams of the thread are there, and the histories full.
    let filling = (64 << 10) / texts[0].len();
    let mut held = [0_isize; 2];
    for pair in &mut pairs {
        for text in texts.iter().cycle().take(filling) {
            let region = Region::new(ALLOCATOR);
            pair.compress(text, &mut bytes);
            let out = region.change();
            let region = Region::new(ALLOCATOR);
            pair.inflate(text.len(), &mut bytes);
            let inward = region.change();
            for (held, change) in held.iter_mut().zip([out, inward]) {
                let allocated =
                    change.bytes_allocated.cast_signed() - change.bytes_deallocated.cast_signed();
                *held += allocated;
            }
        }
        held[1] -= pair.assembly.capacity().cast_signed();
        pair.assembly = Assembly::default();
    }
    let each = |held: isize| held.max(0).cast_unsigned() / connections;
    let mut row = Row {
        compress: f64::MAX,
        inflate: f64::MAX,
        ratio: 0.0,
        out: each(held[0]),
        inward: each(held[1]),
    };
    for round in 0..rounds {
        let (mut sums, mut plain, mut packed) = ([0.0; 2], 0, 0);
        for (at, text) in texts.iter().enumerate() {
            // No connection sends a message again while it is in its window.
            let pair = &mut pairs[(at + round * 97) % connections];
            sums[0] += microseconds(|| pair.compress(text, &mut bytes));
            (plain, packed) = (plain + text.len(), packed + bytes.len());
            sums[1] += microseconds(|| pair.inflate(text.len(), &mut bytes));
        }
        row.compress = row.compress.min(sums[0] / texts.len() as f64);
        row.inflate = row.inflate.min(sums[1] / texts.len() as f64);
        row.ratio = plain as f64 / packed as f64;
    }
    row
}

fn main() {
    let once = std::env::args().any(|argument| argument == "--once");
    let context = |own_history| Deflate {
        own_takeover: true,
        own_history,
        peer_takeover: true,
        ..Deflate::default()
    };
    let contexts = [
        ("none", None),
        ("1 KiB", Some(context(Some(1 << 10)))),
        ("4 KiB", Some(context(Some(4 << 10)))),
        ("16 KiB", Some(context(Some(16 << 10)))),
        ("compressor", Some(context(None))),
    ];
    if !once {
        println!(
            "| content | bytes | connections | context | compress µs | inflate µs | ratio | heap, sending | heap, receiving |"
        );
        println!("| --- | ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: |");
    }
    for (kind, length, connections) in [
        (Kind::Json, 512, 1),
        (Kind::Json, 512, 256),
        (Kind::Html, 512, 256),
        (Kind::Log, 512, 256),
        (Kind::Json, 4096, 256),
    ] {
        let texts = messages(kind, length);
        for (name, context) in &contexts {
            let row = measure(
                context.as_ref(),
                &texts,
                connections,
                if once { 1 } else { ROUNDS },
            );
            if !once {
                println!(
                    "| {kind:?} | {length} | {connections} | {name} | {:.1} | {:.1} | {:.2} | {} | {} |",
                    row.compress, row.inflate, row.ratio, row.out, row.inward
                );
            }
        }
    }
}
