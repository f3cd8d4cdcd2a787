//! Rounds: every peer in turn, each time in a fresh process.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use crate::RunArgs;
use crate::load::Load;
use crate::peers::{PEERS, Peer};
use crate::report::{Report, Table};
use crate::scenario::{SCENARIOS, Scenario};
use crate::server::Server;
use crate::system::{self, Cpus};

/// Long enough for a server with nothing to do to fall asleep.
const SETTLE: Duration = Duration::from_millis(5);

/// How long the idle connections are left alone.
const REST: Duration = Duration::from_secs(1);

/// What one peer did in one round.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(untagged)]
pub(crate) enum Sample {
    Echoed {
        messages: u64,
        seconds: f64,
        cpu_ns: u64,
    },
    Rested {
        connections: usize,
        bytes: u64,
    },
}

/// The samples of one peer, in the order of the rounds.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    #[serde(serialize_with = "name_of")]
    pub(crate) peer: &'static Peer,
    pub(crate) samples: Vec<Option<Sample>>,
}

fn name_of<S: serde::Serializer>(peer: &&Peer, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(peer.name)
}

pub(crate) fn run(args: &RunArgs) -> Result<()> {
    system::raise_open_files().context("raising the limit of open files")?;
    let cpus = Cpus::pick().filter(|cpus| system::pin(cpus.load).is_ok());
    let peers: Vec<_> = PEERS
        .iter()
        .filter(|peer| chosen(&args.peers, peer.name))
        .collect();
    let scenarios = SCENARIOS
        .iter()
        .filter(|scenario| chosen(&args.scenarios, scenario.name))
        // The crowd comes when it is called: peers that hold much for each connection would fill the machine.
        .filter(|scenario| scenario.name != "crowd" || !args.scenarios.is_empty());
    let mut report = Report::new(args.rounds, args.seconds, cpus);
    let mut failures = 0;
    for scenario in scenarios {
        let mut rows: Vec<_> = peers
            .iter()
            .map(|&peer| Row {
                peer,
                samples: Vec::new(),
            })
            .collect();
        for round in 1..=args.rounds {
            for row in &mut rows {
                let name = row.peer.name;
                eprintln!("{} {round}/{} {name}", scenario.name, args.rounds);
                let sample = match measure(row.peer, scenario, args.seconds, cpus) {
                    Ok((sample, pinned)) => {
                        if !pinned {
                            report.not_pinned();
                        }
                        Some(sample)
                    }
                    Err(error) => {
                        failures += 1;
                        eprintln!("{name} has failed: {error:#}");
                        None
                    }
                };
                row.samples.push(sample);
            }
        }
        report.add(Table::new(scenario, rows));
    }
    report.print()?;
    if let Some(path) = &args.json {
        report.write(path)?;
    }
    ensure!(failures == 0, "{failures} measurements have failed");
    Ok(())
}

/// Whether a name is among those asked for; none asked for means all.
fn chosen(names: &[String], name: &str) -> bool {
    names.is_empty() || names.iter().any(|asked| asked == name)
}

/// Measures one peer once; also tells whether its process was pinned.
fn measure(
    peer: &Peer,
    scenario: &Scenario,
    seconds: f64,
    cpus: Option<Cpus>,
) -> Result<(Sample, bool)> {
    // Dropped after the server, which so does not see the connections break.
    let mut open = None;
    let server = Server::start(peer.name, cpus)?;
    sleep(SETTLE);
    let fresh = server.resident()?;
    let load = open.insert(Load::open(server.port, peer.wire, scenario)?);
    let sample = if scenario.idle {
        sleep(REST);
        Sample::Rested {
            connections: scenario.connections,
            bytes: server.resident()?.saturating_sub(fresh),
        }
    } else {
        echoed(&server, load, seconds)?
    };
    Ok((sample, server.pinned))
}

fn echoed(server: &Server, load: &mut Load, seconds: f64) -> Result<Sample> {
    load.drive(Duration::from_secs_f64((seconds / 5.0).max(0.1)))?;
    sleep(SETTLE);
    let before = server.cpu_ns()?;
    let totals = load.drive(Duration::from_secs_f64(seconds))?;
    sleep(SETTLE);
    Ok(Sample::Echoed {
        messages: totals.messages,
        seconds: totals.elapsed.as_secs_f64(),
        cpu_ns: server.cpu_ns()? - before,
    })
}
