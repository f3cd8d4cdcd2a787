//! `wsconform`: a conformance suite for WebSocket servers and clients in any language.

#![forbid(unsafe_code)]

mod command;

use std::process::ExitCode;

fn main() -> ExitCode {
    command::run(std::env::args_os().collect())
}
