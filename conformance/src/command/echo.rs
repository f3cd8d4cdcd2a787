//! The command `peer`: an echo server or an echo client, to try the suite on.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::ValueEnum;
use sansws_conformance::subjects::on_tokio;
use sansws_conformance::target::Target;

use super::tell::say;

/// The role of the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Listen, and echo.
    Server,
    /// Ask the suite for its cases, and echo in each.
    Client,
}

/// The name of the client in reports.
const NAME: &str = "sansws";

/// Runs the peer: a server until it is ended, a client through all cases.
///
/// # Errors
/// The URL cannot be listened at, or the suite is not there.
pub fn run(role: Role, url: &str) -> io::Result<ExitCode> {
    match role {
        Role::Server => {
            let target: Target = url.parse().map_err(io::Error::other)?;
            if target.secure {
                return Err(io::Error::other(format!(
                    "{url}: this server has no certificate; use ws://"
                )));
            }
            let host = match target.host.contains(':') {
                true => format!("[{}]", target.host),
                false => target.host,
            };
            on_tokio::listen(&format!("{host}:{}", target.port), |address| {
                say!("listening on ws://{address}");
            })?;
        }
        Role::Client => {
            let url = url.trim_end_matches('/');
            for case in 1..=count(url)? {
                on_tokio::echo(&format!("{url}/runCase?case={case}&agent={NAME}"));
            }
            on_tokio::echo(&format!("{url}/updateReports?agent={NAME}"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks for the number of cases.
fn count(url: &str) -> io::Result<usize> {
    let text = on_tokio::first_text(&format!("{url}/getCaseCount"))?;
    text.parse()
        .map_err(|_| io::Error::other(format!("the suite has `{text}` cases")))
}
