//! Code that the examples share: the choice of a runtime, clocks, the settings of an echo server, a chat with its page, and live metrics.

pub mod board;
pub mod chat;
pub mod chat_loop;
pub mod cluster;
pub mod monitor;
pub mod node;
pub mod pages;
pub mod talk;

use std::io::BufRead;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use async_channel::{Receiver, bounded};
use clap::ValueEnum;
use sansws_async::hub::Hub;
use sansws_async::{HubEnv, Transport, WebSocket};
use sansws_core::config::{Config, Deflate, Limits};
use sansws_core::hub::{Joined, Position};

/// The code of the README compiles; it names several adapters.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// The runtime, and thus the adapter, of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Runtime {
    /// `sansws-tokio`
    Tokio,
    /// `sansws-smol`
    Smol,
}

/// The adapter of a program that also has callbacks: those of [`Runtime`], and event loops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RuntimeOrLoop {
    /// `sansws-tokio`
    Tokio,
    /// `sansws-smol`
    Smol,
    /// `sansws-mio`: one event loop
    Mio,
}

impl RuntimeOrLoop {
    /// Returns the runtime; an event loop has none.
    pub const fn runtime(self) -> Option<Runtime> {
        match self {
            Self::Tokio => Some(Runtime::Tokio),
            Self::Smol => Some(Runtime::Smol),
            Self::Mio => None,
        }
    }
}

/// Runs a future to completion on the chosen runtime. Inside, `$adapter` stands for the adapter, `sansws_tokio` or `sansws_smol`, which export
/// identical names.
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

/// Logs to stderr: warnings and errors, or the events that `RUST_LOG` selects, such as `sansws=debug`, which logs the client, the route
/// and the end of each connection.
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

/// Returns the lines of standard input. A separate thread reads them; nothing waits for that thread, because a read of a terminal ends only
/// when Enter is pressed.
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

/// Returns the time of day in milliseconds since 1970.
pub fn milliseconds() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "a program may read the clock")]
    let now = SystemTime::now();
    let since = now.duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(since.unwrap_or(Duration::ZERO).as_millis()).unwrap_or(u64::MAX)
}

/// Joins a group, and sends the peer the kept messages since a position, or all of them. All are sent also if the position has another epoch,
/// because they are then new to the peer.
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

/// Returns a configuration for messages of up to 64 MiB, compressed if `deflate`, with context takeover as the peer prefers.
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
