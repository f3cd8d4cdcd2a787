//! What the examples have in common: the choice of a runtime, clocks, the settings of an echo server; a chat with its page, and
//! live numbers, which several of them serve.

pub mod board;
pub mod chat;
pub mod cluster;
pub mod monitor;
pub mod node;
pub mod pages;

use std::io::BufRead;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use async_channel::{Receiver, bounded};
use clap::ValueEnum;
use sansws_async::hub::Hub;
use sansws_async::{HubEnv, Transport, WebSocket};
use sansws_core::config::{Config, Deflate, Limits};
use sansws_core::hub::{Joined, Position};

/// Which adapter a program runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Runtime {
    /// `sansws-tokio`
    Tokio,
    /// `sansws-smol`
    Smol,
}

/// Runs a future to its end on the chosen runtime. In it, the name that is given stands for the adapter: `sansws_tokio` or
/// `sansws_smol`, which export the same names.
#[macro_export]
macro_rules! run {
    ($runtime:expr, $adapter:ident, $future:expr) => {
        match $runtime {
            $crate::Runtime::Tokio => {
                use ::sansws_tokio as $adapter;
                ::tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()?
                    .block_on($future)
            }
            $crate::Runtime::Smol => {
                use ::sansws_smol as $adapter;
                ::smol::block_on($future)
            }
        }
    };
}

/// Writes to stderr what the library has to say: warnings and failures, or what `RUST_LOG` asks for, such as
/// `sansws_core=debug`, which says of each connection who came, by which route, and how it ended.
pub fn log() {
    let level = tracing_subscriber::EnvFilter::builder()
        .with_default_directive(tracing_subscriber::filter::LevelFilter::WARN.into())
        .from_env_lossy();
    tracing_subscriber::fmt()
        .with_env_filter(level)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
}

/// Lines of standard input, until it ends. They are read on a thread of their own, which nothing waits for: a read of a terminal ends
/// when somebody presses Enter.
pub fn lines() -> Receiver<String> {
    let (sender, lines) = bounded(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send_blocking(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// The time of day, as pages count it: milliseconds since 1970.
pub fn milliseconds() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "a program may read the clock")]
    let now = SystemTime::now();
    let since = now.duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(since.unwrap_or(Duration::ZERO).as_millis()).unwrap_or(u64::MAX)
}

/// Joins a group, and sends the peer what is kept of what was published since a position, or since the beginning: also when the
/// position is of another time, since then all that is kept is new to the peer.
///
/// # Errors
/// As for [`join`](WebSocket::join).
pub async fn join_kept<T: Transport, O: HubEnv>(
    socket: &WebSocket<T>,
    hub: &Hub<O>,
    group: &str,
    since: Option<Position>,
) -> sansws_async::Result<Joined> {
    let known = |now: Position| match since {
        Some(since) if since.epoch == now.epoch => since,
        _ => Position { offset: 0, ..now },
    };
    let since = hub.history(group, 0).await?.position.map(known);
    Ok(socket.join_since(group, since).await?)
}

/// Messages up to 64 MiB, compressed if `deflate`, with context takeover as the peer likes it.
pub fn config(deflate: bool) -> Config {
    Config {
        limits: Limits {
            frame: 64 << 20,
            message: 64 << 20,
            fragments: 1 << 20,
            ..Limits::default()
        },
        deflate: deflate.then(|| Deflate {
            own_takeover: true,
            peer_takeover: true,
            threshold: 0,
            ..Deflate::default()
        }),
        ..Config::default()
    }
}

/// Reads the two PEM files of a `--tls CERT KEY` option.
pub fn identity(
    paths: &[PathBuf],
) -> Result<Option<sansws_async::tls::Identity>, Box<dyn std::error::Error>> {
    match paths {
        [chain, key] => Ok(Some(sansws_async::tls::Identity::from_pem(
            &std::fs::read(chain)?,
            &std::fs::read(key)?,
        )?)),
        _ => Ok(None),
    }
}
