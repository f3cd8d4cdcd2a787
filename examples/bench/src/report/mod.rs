//! The tables, and the samples as JSON.

mod fan_out;

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::run::{Fanned, Row, Sample};
use crate::scenario::{Kind, Mode, Scenario, Shape, Variant};
use crate::stats::{extremes, median};
use crate::system::Cpus;

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    rounds: u32,
    seconds: f64,
    /// Whether the load and every server had a CPU of their own.
    pinned: bool,
    #[serde(skip)]
    cpus: Option<Cpus>,
    tables: Vec<Table>,
}

/// One scenario.
#[derive(Debug, Serialize)]
pub(crate) struct Table {
    scenario: &'static Scenario,
    rows: Vec<Row>,
}

impl Report {
    pub(crate) fn new(rounds: u32, seconds: f64, cpus: Option<Cpus>) -> Self {
        Self {
            rounds,
            seconds,
            pinned: cpus.is_some(),
            cpus,
            tables: Vec::new(),
        }
    }

    /// Notes that a server was not held to its CPU.
    pub(crate) fn not_pinned(&mut self) {
        self.pinned = false;
    }

    pub(crate) fn add(&mut self, table: Table) {
        self.tables.push(table);
    }

    pub(crate) fn print(&self) -> Result<()> {
        let mut out = io::stdout().lock();
        match self.cpus {
            Some(cpus) if self.pinned => writeln!(
                out,
                "load generator on CPU {}, server on CPU {}",
                cpus.load, cpus.server
            )?,
            _ => writeln!(out, "NOT pinned: load generator and server share the CPUs")?,
        }
        writeln!(out, "rounds: {}, window: {} s", self.rounds, self.seconds)?;
        for table in &self.tables {
            table.print(&mut out)?;
        }
        Ok(())
    }

    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        fs::write(path, text).with_context(|| format!("writing {}", path.display()))
    }
}

impl Table {
    pub(crate) fn new(scenario: &'static Scenario, rows: Vec<Row>) -> Self {
        Self { scenario, rows }
    }

    fn print(&self, out: &mut impl Write) -> Result<()> {
        writeln!(out)?;
        match self.scenario.shape {
            Shape::Echo if self.scenario.mode == Mode::Threads => self.print_threads(out),
            Shape::Echo | Shape::Life => self.print_echoes(out),
            Shape::Idle | Shape::Groups => self.print_rest(out),
            Shape::FanOut => fan_out::print(self, out),
        }
    }

    fn print_rest(&self, out: &mut impl Write) -> Result<()> {
        let Scenario {
            name,
            connections,
            shape,
            ..
        } = self.scenario;
        let groups = match shape {
            Shape::Groups => ", each in three groups",
            Shape::Echo | Shape::Idle | Shape::Life | Shape::FanOut => "",
        };
        writeln!(out, "{name}: {connections} connections at rest{groups}")?;
        writeln!(out, "{:<20}{:>18}", "peer", "bytes/connection")?;
        for row in &self.rows {
            let bytes = number(median(&row.bytes()), 0);
            writeln!(out, "{:<20}{bytes:>18}", row.peer.name)?;
        }
        Ok(())
    }

    fn print_echoes(&self, out: &mut impl Write) -> Result<()> {
        let Scenario {
            name,
            size,
            connections,
            in_flight,
            ..
        } = self.scenario;
        let kind = kind_name(self.scenario.kind);
        let mode = mode_name(self.scenario.mode);
        match self.scenario.shape {
            Shape::Life => writeln!(
                out,
                "{name}: connect, handshake, echo of {size} octets of {kind}, close; a message is such a life"
            )?,
            _ => writeln!(
                out,
                "{name}: {size}-octet {kind} messages, {connections} connections, {in_flight} in flight{mode}"
            )?,
        }
        writeln!(
            out,
            "{:<20}{:>12}{:>10}{:>18}{:>14}",
            "peer", "CPU ns/msg", "ratio", "min..max", "messages/s"
        )?;
        for row in &self.rows {
            let ratios = self.ratios(row);
            let range = range(&ratios);
            writeln!(
                out,
                "{:<20}{:>12}{:>10}{range:>18}{:>14}",
                row.peer.name,
                number(median(&row.costs().flatten().collect::<Vec<_>>()), 0),
                number(median(&ratios), 2),
                number(median(&row.rates()), 0),
            )?;
        }
        Ok(())
    }

    /// Returns the cost of a row as a ratio to that of its base under the same load, for each round.
    fn ratios(&self, row: &Row) -> Vec<f64> {
        let base = self.row(row.peer.base, row.variant);
        base.map_or_else(Vec::new, |base| quotients(row.costs(), base.costs()))
    }

    /// Prints how many times the messages of one thread two threads would
    /// carry, were each alone on a processor: twice the messages per CPU
    /// second, over those of one thread.
    fn print_threads(&self, out: &mut impl Write) -> Result<()> {
        let Scenario {
            name,
            size,
            connections,
            ..
        } = self.scenario;
        writeln!(
            out,
            "{name}: {size}-octet messages, {connections} connections, 1 in flight; not pinned"
        )?;
        writeln!(
            out,
            "{:<20}{:>14}{:>14}{:>10}{:>18}",
            "peer", "1: CPU ns/msg", "2: CPU ns/msg", "carries", "min..max"
        )?;
        for row in self
            .rows
            .iter()
            .filter(|row| row.variant.mode == Mode::Threads)
        {
            let one = Variant {
                mode: Mode::Plain,
                ..row.variant
            };
            let Some(one) = self.row(row.peer.name, one) else {
                continue;
            };
            let gains: Vec<f64> = quotients(one.costs(), row.costs())
                .into_iter()
                .map(|quotient| 2.0 * quotient)
                .collect();
            writeln!(
                out,
                "{:<20}{:>14}{:>14}{:>10}{:>18}",
                row.peer.name,
                number(median(&one.costs().flatten().collect::<Vec<_>>()), 0),
                number(median(&row.costs().flatten().collect::<Vec<_>>()), 0),
                number(median(&gains), 2),
                range(&gains),
            )?;
        }
        Ok(())
    }

    fn row(&self, peer: &str, variant: Variant) -> Option<&Row> {
        let mut rows = self.rows.iter();
        rows.find(|row| row.peer.name == peer && row.variant == variant)
    }
}

impl Row {
    /// Nanoseconds of CPU time for a message, round by round.
    fn costs(&self) -> impl Iterator<Item = Option<f64>> {
        self.samples.iter().map(|sample| match *sample {
            Some(Sample::Echoed {
                messages, cpu_ns, ..
            }) => Some(cpu_ns as f64 / messages as f64),
            Some(Sample::Published(Fanned {
                deliveries, cpu_ns, ..
            })) => Some(cpu_ns as f64 / deliveries as f64),
            Some(Sample::Rested { .. }) | None => None,
        })
    }

    fn rates(&self) -> Vec<f64> {
        let rate = |sample: &Option<Sample>| match *sample {
            Some(Sample::Echoed {
                messages, seconds, ..
            }) => Some(messages as f64 / seconds),
            _ => None,
        };
        self.samples.iter().filter_map(rate).collect()
    }

    fn bytes(&self) -> Vec<f64> {
        let bytes = |sample: &Option<Sample>| match *sample {
            Some(Sample::Rested { connections, bytes }) => Some(bytes as f64 / connections as f64),
            _ => None,
        };
        self.samples.iter().filter_map(bytes).collect()
    }
}

/// Returns the quotients of the rounds in which neither has failed.
fn quotients(
    own: impl Iterator<Item = Option<f64>>,
    base: impl Iterator<Item = Option<f64>>,
) -> Vec<f64> {
    own.zip(base)
        .filter_map(|(own, base)| Some(own? / base?))
        .collect()
}

fn range(values: &[f64]) -> String {
    extremes(values).map_or_else(
        || "-".to_owned(),
        |(min, max)| format!("{min:.2}..{max:.2}"),
    )
}

fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Plain | Mode::Threads => "",
        Mode::Tls => ", over TLS",
        Mode::Takeover => ", compressed with context takeover",
        Mode::NoTakeover => ", compressed without context takeover",
    }
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "text",
        Kind::Binary => "binary",
    }
}

fn number(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.decimals$}"))
}
