//! Measures WebSocket servers side by side: `echo-bench run`.

mod load;
mod peers;
mod report;
mod run;
mod runtime;
mod scenario;
mod server;
mod stats;
mod system;
mod tls;

use std::path::PathBuf;

use crate::scenario::Mode;
use clap::{Parser, Subcommand, builder::PossibleValuesParser};

/// Compare WebSocket servers, each in a process of its own.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure the peers in turn and print one table for each scenario.
    Run(RunArgs),
    /// Be one server: print the port, serve until stdin closes.
    Serve {
        /// The server to be.
        #[arg(value_parser = peer_names())]
        peer: String,
        /// The layers between messages and TCP, or the number of threads that serve.
        #[arg(long, value_enum, default_value = "plain")]
        mode: Mode,
        /// Stay on this CPU.
        #[arg(long)]
        cpu: Option<usize>,
    },
}

#[derive(Debug, clap::Args)]
struct RunArgs {
    /// Peers to measure, separated by commas [default: all].
    #[arg(long, value_delimiter = ',', value_parser = peer_names())]
    peers: Vec<String>,
    /// Scenarios to run, separated by commas [default: all but threads, crowd, fan-outs and groups].
    #[arg(long, value_delimiter = ',', value_parser = scenario_names())]
    scenarios: Vec<String>,
    /// How often each peer is measured in each scenario.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Length of one measured window, in seconds.
    #[arg(long, default_value = "1.5", value_parser = positive_seconds)]
    seconds: f64,
    /// Also write every sample to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn peer_names() -> PossibleValuesParser {
    peers::PEERS.iter().map(|peer| peer.name).into()
}

fn scenario_names() -> PossibleValuesParser {
    scenario::SCENARIOS
        .iter()
        .map(|scenario| scenario.name)
        .into()
}

fn positive_seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if seconds > 0.0 && seconds <= 3600.0 => Ok(seconds),
        _ => Err("must be a number over 0 and at most 3600".to_owned()),
    }
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Run(args) => run::run(&args),
        Command::Serve { peer, mode, cpu } => server::serve(&peer, mode, cpu),
    }
}
