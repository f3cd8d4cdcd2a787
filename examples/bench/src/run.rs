//! Rounds: every peer in turn, each time in a fresh process.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use crate::RunArgs;
use crate::load::{Audience, Lives, Load};
use crate::peers::{PEERS, Peer, Wire};
use crate::report::{Report, Table};
use crate::scenario::{Mode, SCENARIOS, Scenario, Shape, Variant};
use crate::server::Server;
use crate::stats::{extremes, median};
use crate::system::{self, Cpus};

/// Long enough for a server with nothing to do to fall asleep.
const SETTLE: Duration = Duration::from_millis(5);

/// How long the idle connections are left alone.
const REST: Duration = Duration::from_secs(1);

/// Connections that are open before the memory of the others is measured: code
/// and buffers that all share are there then.
const WARM: usize = 100;

/// The result of one peer in one round.
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
    Published(Fanned),
}

/// The result of a fan-out.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Fanned {
    pub(crate) deliveries: u64,
    pub(crate) seconds: f64,
    pub(crate) cpu_ns: u64,
    pub(crate) rounds: usize,
    /// The median duration of the rounds, in nanoseconds.
    pub(crate) median_ns: f64,
    /// The longest round.
    pub(crate) worst_ns: f64,
    pub(crate) connections: usize,
    /// Resident memory that came with the load, at its end.
    pub(crate) bytes: u64,
    /// Maximum resident memory.
    pub(crate) peak: u64,
}

/// The samples of one peer, in the order of the rounds.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    #[serde(serialize_with = "name_of")]
    pub(crate) peer: &'static Peer,
    #[serde(flatten)]
    pub(crate) variant: Variant,
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
        .filter(|scenario| !scenario.on_request || !args.scenarios.is_empty());
    let mut report = Report::new(args.rounds, args.seconds, cpus);
    let mut failures = 0;
    for scenario in scenarios {
        let fitting = peers
            .iter()
            .filter(|peer| peer.fits(scenario.shape, scenario.mode));
        let mut rows: Vec<_> = fitting
            .flat_map(|&peer| {
                let variants = scenario.variants().into_iter();
                variants.map(move |variant| Row {
                    peer,
                    variant,
                    samples: Vec::new(),
                })
            })
            .collect();
        if rows.is_empty() {
            eprintln!("{}: none of the peers does this", scenario.name);
            continue;
        }
        for round in 1..=args.rounds {
            for row in &mut rows {
                let name = row.peer.name;
                let note = match row.variant {
                    Variant { stalled: 0, mode } if mode == scenario.mode => String::new(),
                    Variant { stalled: 0, .. } => ", one thread".to_owned(),
                    Variant { stalled, .. } => format!(", {stalled} stalled"),
                };
                eprintln!("{} {round}/{} {name}{note}", scenario.name, args.rounds);
                let sample = match measure(row, scenario, args.seconds, cpus) {
                    Ok((sample, pinned)) => {
                        if !pinned && scenario.mode != Mode::Threads {
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
    row: &Row,
    scenario: &Scenario,
    seconds: f64,
    cpus: Option<Cpus>,
) -> Result<(Sample, bool)> {
    // Dropped after the server, which so does not see the connections break.
    let (mut echoes, mut audience) = (None, None);
    let (mut warm_echoes, mut warm_audience) = (None, None);
    // The threads of a server must not share one CPU.
    let cpus = cpus.filter(|_| scenario.mode != Mode::Threads);
    let server = Server::start(row.peer.name, row.variant.mode, cpus)?;
    sleep(SETTLE);
    let fresh = server.resident()?;
    let sample = match scenario.shape {
        Shape::Echo => {
            let load = Load::open(&server.door, row.peer.wire, scenario)?;
            echoed(&server, echoes.insert(load), seconds)?
        }
        Shape::Idle => {
            let few = scenario.connections(WARM);
            let _warm = warm_echoes.insert(Load::open(&server.door, row.peer.wire, &few)?);
            let fresh = rest(&server)?;
            let _load = echoes.insert(Load::open(&server.door, row.peer.wire, scenario)?);
            rested(&server, scenario, fresh)?
        }
        Shape::Life => lived(&server, row.peer.wire, scenario, seconds)?,
        Shape::FanOut => {
            let load = Audience::open(server.door.port, scenario, row.variant.stalled)?;
            let load = audience.insert(load);
            Sample::Published(published(&server, load, scenario, seconds, fresh)?)
        }
        Shape::Groups => {
            let few = scenario.connections(WARM);
            let _warm = warm_audience.insert(Audience::open(server.door.port, &few, 0)?);
            let fresh = rest(&server)?;
            let _load = audience.insert(Audience::open(server.door.port, scenario, 0)?);
            rested(&server, scenario, fresh)?
        }
    };
    Ok((sample, server.pinned))
}

/// The memory of a server once it has nothing to do.
fn rest(server: &Server) -> Result<u64> {
    sleep(REST);
    server.resident()
}

fn rested(server: &Server, scenario: &Scenario, fresh: u64) -> Result<Sample> {
    Ok(Sample::Rested {
        connections: scenario.connections,
        bytes: rest(server)?.saturating_sub(fresh),
    })
}

fn echoed(server: &Server, load: &mut Load, seconds: f64) -> Result<Sample> {
    load.drive(warm_up(seconds))?;
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

fn lived(server: &Server, wire: Wire, scenario: &Scenario, seconds: f64) -> Result<Sample> {
    let mut lives = Lives::new(&server.door, wire, scenario);
    lives.drive(warm_up(seconds))?;
    sleep(SETTLE);
    let before = server.cpu_ns()?;
    let totals = lives.drive(Duration::from_secs_f64(seconds))?;
    sleep(SETTLE);
    Ok(Sample::Echoed {
        messages: totals.messages,
        seconds: totals.elapsed.as_secs_f64(),
        cpu_ns: server.cpu_ns()? - before,
    })
}

fn published(
    server: &Server,
    load: &mut Audience,
    scenario: &Scenario,
    seconds: f64,
    fresh: u64,
) -> Result<Fanned> {
    load.warm_up(warm_up(seconds))?;
    sleep(SETTLE);
    let before = server.cpu_ns()?;
    let totals = load.drive(Duration::from_secs_f64(seconds))?;
    sleep(SETTLE);
    let cpu_ns = server.cpu_ns()? - before;
    let rounds: Vec<_> = totals
        .rounds
        .iter()
        .map(|round| round.as_nanos() as f64)
        .collect();
    let (_, worst_ns) = extremes(&rounds).context("no round")?;
    Ok(Fanned {
        deliveries: totals.deliveries,
        seconds: totals.elapsed.as_secs_f64(),
        cpu_ns,
        rounds: rounds.len(),
        median_ns: median(&rounds).context("no round")?,
        worst_ns,
        connections: scenario.connections,
        bytes: server.resident()?.saturating_sub(fresh),
        peak: server.peak()?,
    })
}

fn warm_up(seconds: f64) -> Duration {
    Duration::from_secs_f64((seconds / 5.0).max(0.1))
}
