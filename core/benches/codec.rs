//! The codec without sockets: header, unmasking and UTF-8 of text messages from a client, against the machine's limit
//! (an xor at the speed of memory, then `simdutf8`, over the same bytes) and against tungstenite.
//!
//! Run: `cargo bench -p sansws-core --bench codec`
//! See: nanoseconds a frame, GB/s, and the ratio of ours to each, all measured in turns in one run. Then copies of payloads to places some bytes behind
//! their source, modulo 4 096, by `extend_from_slice` and by ours.

use std::hint::black_box;
use std::io::{self, Cursor, Read, Write};
use std::sync::Arc;
use std::time::Instant as Clock;

use sansws_core::config::Config;
use sansws_core::connection::{Connection, Event};
use sansws_core::frame::{Header, Opcode};
use sansws_core::handshake::Agreement;
use sansws_core::internal::{Mask, append};
use sansws_core::message::Assembly;
use sansws_core::time::Instant;
use tungstenite::protocol::{Role, WebSocket};

/// Octets of one stream: small enough for the second-level cache, but for the largest frames.
const STREAM: usize = 1 << 18;

/// How often each is measured; the fastest counts, since noise only adds.
const ROUNDS: usize = 40;

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

fn stream(length: usize) -> (Vec<u8>, usize) {
    let count = (STREAM / length).max(1);
    let mut bytes = Vec::new();
    for _ in 0..count {
        let header = Header {
            fin: true,
            compressed: false,
            opcode: Opcode::Text,
            mask: Some(KEY),
            length: length as u64,
        };
        header.write(&mut bytes);
        Mask::new(KEY).append(&vec![b'a'; length], &mut bytes);
    }
    (bytes, count)
}

fn ours(bytes: &mut [u8], connection: &mut Connection, assembly: &mut Assembly) -> usize {
    let (mut rest, mut sum) = (bytes, 0);
    while let Ok(step) = connection.receive(Instant::ZERO, rest, assembly) {
        let consumed = step.consumed;
        let Some(Event::Text(text)) = black_box(step.event) else {
            break;
        };
        sum += text.len();
        rest = rest.get_mut(consumed..).unwrap_or_default();
    }
    sum
}

/// No header is read: the payload is known to begin where it begins.
fn limit(bytes: &mut [u8], length: usize) -> usize {
    let (header, key, mut sum) = (
        bytes.len() / (STREAM / length).max(1) - length,
        u64::from_ne_bytes([KEY, KEY].concat().try_into().unwrap_or_default()),
        0,
    );
    for frame in bytes.chunks_exact_mut(header + length) {
        let payload = frame.get_mut(header..).unwrap_or_default();
        let (words, tail) = payload.as_chunks_mut::<8>();
        for word in words {
            *word = (u64::from_ne_bytes(*word) ^ key).to_ne_bytes();
        }
        for (byte, key) in tail.iter_mut().zip(KEY.iter().cycle()) {
            *byte ^= key;
        }
        sum += black_box(simdutf8::basic::from_utf8(payload).map_or(0, str::len));
    }
    sum
}

/// Input for tungstenite, which wants a stream.
struct Wire<'a>(Cursor<&'a [u8]>);

impl Read for Wire<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn theirs(bytes: &[u8]) -> usize {
    let mut socket = WebSocket::from_raw_socket(Wire(Cursor::new(bytes)), Role::Server, None);
    let mut sum = 0;
    while let Ok(message) = socket.read() {
        sum += black_box(message).len();
    }
    sum
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn nanoseconds(work: impl FnOnce() -> usize, want: usize) -> f64 {
    let start = Clock::now();
    let sum = work();
    let time = start.elapsed().as_nanos() as f64;
    assert_eq!(sum, want);
    time
}

/// Returns how long it takes to append a payload, if it is to lie `behind` bytes after its source, modulo 4 096.
fn copy_time(behind: usize, length: usize, append: impl Fn(&mut Vec<u8>, &[u8])) -> f64 {
    const PAGE: usize = 4_096;
    let source = vec![7; length];
    let mut target: Vec<u8> = Vec::with_capacity(length + PAGE);
    let want = source.as_ptr().addr() + behind;
    let front = want.wrapping_sub(target.as_ptr().addr()) % PAGE;
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        target.clear();
        target.resize(front, 0);
        let copied = || {
            append(black_box(&mut target), black_box(&source));
            target.len()
        };
        best = best.min(nanoseconds(copied, front + length));
    }
    best
}

fn copies() {
    println!("\ncopies; ns by the C library, and by ours");
    print!("{:>8}", "octets");
    let places = [0, 2, 15, 64, 2_048];
    for behind in places {
        print!(" {behind:>15} behind");
    }
    println!();
    for length in [1 << 10, 4 << 10, 256 << 10] {
        print!("{length:>8}");
        for behind in places {
            let plain = copy_time(behind, length, |out, bytes| out.extend_from_slice(bytes));
            let ours = copy_time(behind, length, append);
            print!(" {plain:>10.0} {ours:>11.0}");
        }
        println!();
    }
}

fn main() {
    frames();
    copies();
}

fn frames() {
    println!("text frames from a client; ns/frame, GB/s, and ours as a ratio to the others");
    println!(
        "{:>8} {:>19} {:>19} {:>19} {:>8} {:>12}",
        "octets", "ours", "limit", "tungstenite", "/limit", "/tungstenite"
    );
    for length in [16, 125, 1 << 10, 16 << 10, 1 << 20] {
        let (bytes, count) = stream(length);
        let want = count * length;
        let agreement = Agreement::default();
        let mut connection =
            Connection::server(Arc::new(Config::default()), &agreement, Instant::ZERO);
        let mut assembly = Assembly::default();
        let mut best = [f64::MAX; 3];
        for _ in 0..ROUNDS {
            let mut copy = bytes.clone();
            let one = nanoseconds(|| ours(&mut copy, &mut connection, &mut assembly), want);
            let mut copy = bytes.clone();
            let two = nanoseconds(|| limit(&mut copy, length), want);
            let three = nanoseconds(|| theirs(&bytes), want);
            for (best, time) in best.iter_mut().zip([one, two, three]) {
                *best = best.min(time);
            }
        }
        let [ours, limit, theirs] = best;
        let show = |time: f64| format!("{:>10.1} {:>8.2}", time / count as f64, want as f64 / time);
        println!(
            "{length:>8} {} {} {} {:>8.2} {:>12.2}",
            show(ours),
            show(limit),
            show(theirs),
            ours / limit,
            ours / theirs
        );
    }
}
