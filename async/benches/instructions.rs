//! Instructions that one echoed message costs through the async layer, beside the bare core over the same bytes.
//!
//! Run: `cargo bench -p sansws-async --bench instructions`
//! See: instructions a message for several lengths and numbers of messages in one read, for a handler that receives and sends, and for one
//! that is lent its messages (`receive_each`). The transport is in memory, and valgrind counts:
//! a figure is exact, and a change shows however noisy the machine is. System calls and the runtime are not in it.
//!
//! `cargo bench -p sansws-async --bench instructions -- async 125 1 1000` echoes 1000 reads of one message of 125 bytes without
//! counting: run the program so under `valgrind --tool=callgrind` for a profile by function.

use std::error::Error;
use std::future::Future;
use std::hint::black_box;
use std::io::{self, IoSlice};
use std::pin::pin;
use std::process::Command;
use std::task::{Context, Poll, Waker};

use sansws_async::internal::{ConnectInfo, serve};
use sansws_async::server::IntoService;
use sansws_async::{Result, ServerHandle, ServerOptions, Transport, Upgrade};
use sansws_core::config::Config;
use sansws_core::connection::{Connection, Event};
use sansws_core::frame::{Header, Opcode};
use sansws_core::handshake::Agreement;
use sansws_core::internal::Mask;
use sansws_core::message::Assembly;
use sansws_core::time::Instant;

type Outcome<T> = std::result::Result<T, Box<dyn Error>>;

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// Length of a message in bytes, and number of messages in one read.
const LOADS: [(usize, usize); 5] = [(5, 1), (16, 64), (125, 1), (4096, 15), (65_536, 1)];

/// Numbers of reads between which the difference is taken.
const READS: [usize; 2] = [200, 1200];

/// Messages of a client, one behind the other.
fn messages(length: usize, count: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..count {
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        let header = Header {
            fin: true,
            compressed: false,
            opcode: Opcode::Binary,
            mask: Some(mask),
            length: length as u64,
        };
        header.write(&mut bytes);
        Mask::new(mask).append(&vec![b'a'; length], &mut bytes);
    }
    bytes
}

/// A client in memory: its request, then the same messages again and again. Between two reads there is nothing to read, as on a socket.
struct Script {
    request: &'static [u8],
    batch: Vec<u8>,
    at: usize,
    left: usize,
    dry: bool,
}

impl Transport for Script {
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let from = if self.request.is_empty() {
            if std::mem::take(&mut self.dry) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if self.left == 0 {
                return Poll::Ready(Ok(0));
            }
            self.batch.get(self.at..).unwrap_or_default()
        } else {
            self.request
        };
        let count = from.len().min(into.len());
        if let (Some(into), Some(from)) = (into.get_mut(..count), from.get(..count)) {
            into.copy_from_slice(from);
        }
        if self.request.is_empty() {
            self.at += count;
            if self.at == self.batch.len() {
                (self.at, self.dry) = (0, true);
                self.left -= 1;
            }
        } else {
            self.request = self.request.get(count..).unwrap_or_default();
        }
        Poll::Ready(Ok(count))
    }

    fn poll_write(&mut self, _: &mut Context<'_>, from: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(from.iter().map(|slice| black_box(slice).len()).sum()))
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn now(&self) -> Instant {
        Instant::ZERO
    }

    fn set_alarm(&mut self, _: Instant) {}

    fn poll_alarm(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

async fn echo(upgrade: Upgrade<Script>) -> Result {
    let mut socket = upgrade.accept().await?;
    while let Some(message) = socket.receive().await? {
        socket.send(message).await?;
    }
    Ok(())
}

/// An echo that is lent its messages.
async fn echo_lent(upgrade: Upgrade<Script>) -> Result {
    let mut socket = upgrade.accept().await?;
    socket
        .receive_each(|message, out| out.send(message))
        .await?;
    Ok(())
}

/// A server's connection through the async layer, until the client is gone.
fn through_async<S>(handler: S, batch: Vec<u8>, reads: usize) -> Outcome<()>
where
    S: IntoService<Script>,
{
    let options = ServerOptions::default();
    let service = handler.into_service(&options)?;
    let transport = Script {
        request: REQUEST.as_bytes(),
        batch,
        at: 0,
        left: reads,
        dry: false,
    };
    let arrival = ConnectInfo {
        begun: Instant::ZERO,
        peer: None,
        secure: false,
    };
    let permit = ServerHandle::new(1).enter().ok_or("it is full")?;
    let mut task = pin!(serve(transport, options.into(), service, permit, arrival));
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(outcome) = task.as_mut().poll(&mut cx) {
            black_box(outcome);
            return Ok(());
        }
    }
}

/// The bare core, as a loop of one's own would use it.
fn through_core(batch: &[u8], reads: usize) -> Outcome<()> {
    let mut connection = Connection::server(
        Config::default().into(),
        &Agreement::default(),
        Instant::ZERO,
    );
    let (mut assembly, mut buffer) = (Assembly::default(), vec![0; 64 << 10]);
    for _ in 0..reads {
        for part in batch.chunks(buffer.len()) {
            let mut rest = buffer.get_mut(..part.len()).unwrap_or_default();
            rest.copy_from_slice(part);
            loop {
                let step = connection.receive(Instant::ZERO, rest, &mut assembly)?;
                let consumed = step.consumed;
                match step.event {
                    Some(Event::Binary(bytes)) => connection.send_binary(bytes)?,
                    _ => break,
                }
                rest = rest.get_mut(consumed..).unwrap_or_default();
            }
        }
        while connection.has_output() {
            let mut slices: [&[u8]; 16] = [&[]; 16];
            let filled = connection.transmit(&mut slices);
            let count = slices
                .iter()
                .take(filled)
                .map(|slice| black_box(slice).len())
                .sum();
            connection.transmitted(count);
        }
    }
    Ok(())
}

fn run(layer: &str, length: usize, count: usize, reads: usize) -> Outcome<()> {
    let batch = messages(length, count);
    match layer {
        "async" => through_async(echo, batch, reads),
        "lent" => through_async(echo_lent, batch, reads),
        "core" => through_core(&batch, reads),
        _ => Err("the layer is `async`, `lent` or `core`".into()),
    }
}

/// Returns the number of instructions of a run of this program.
fn count(arguments: [String; 4]) -> Outcome<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(arguments)
        .output()
        .map_err(|error| format!("install valgrind, which counts: {error}"))?;
    let report = String::from_utf8_lossy(&output.stderr);
    let counted = report
        .lines()
        .find_map(|line| line.split("Collected :").nth(1));
    match counted {
        Some(counted) if output.status.success() => Ok(counted.trim().parse()?),
        _ => Err(report.into()),
    }
}

fn per_message(layer: &str, length: usize, messages: usize) -> Outcome<u64> {
    let [few, many] = READS.map(|reads| {
        count([
            layer.into(),
            length.to_string(),
            messages.to_string(),
            reads.to_string(),
        ])
    });
    let [fewer, more] = READS.map(|reads| (reads * messages) as u64);
    Ok((many? - few?) / (more - fewer))
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [layer, length, count, reads] = arguments.as_slice() {
        return run(layer, length.parse()?, count.parse()?, reads.parse()?);
    }
    println!("  bytes  in one read    core   async  more    lent");
    for (length, messages) in LOADS {
        let [core, shell, lent] =
            ["core", "async", "lent"].map(|layer| per_message(layer, length, messages));
        let (core, shell, lent) = (core?, shell?, lent?);
        let more = shell.saturating_sub(core);
        println!("{length:7} {messages:12} {core:7} {shell:7} {more:5} {lent:7}");
    }
    Ok(())
}
