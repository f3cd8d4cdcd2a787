//! What the examples have in common: the choice of a runtime, and the settings of an echo server.

use std::path::PathBuf;

use clap::ValueEnum;
use sansws_core::config::{Config, Deflate, Limits};

/// Which adapter a program runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Runtime {
    /// `sansws-tokio`
    Tokio,
    /// `sansws-smol`
    Smol,
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
) -> Result<Option<sansws_core::drive::tls::Identity>, Box<dyn std::error::Error>> {
    match paths {
        [chain, key] => Ok(Some(sansws_core::drive::tls::Identity::from_pem(
            &std::fs::read(chain)?,
            &std::fs::read(key)?,
        )?)),
        _ => Ok(None),
    }
}
