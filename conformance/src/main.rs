//! `wsconform`: a conformance suite for WebSocket servers and clients in any language.

#![forbid(unsafe_code)]

mod command;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    command::run(command::Options::parse())
}
