//! The tables, and the samples as JSON.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::run::{Row, Sample};
use crate::scenario::{Kind, Scenario};
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
        let Scenario {
            name,
            kind,
            size,
            connections,
            in_flight,
            idle,
        } = self.scenario;
        let kind = match kind {
            Kind::Text => "text",
            Kind::Binary => "binary",
        };
        writeln!(out)?;
        if *idle {
            writeln!(out, "{name}: {connections} connections at rest")?;
            writeln!(out, "{:<20}{:>18}", "peer", "bytes/connection")?;
            for row in &self.rows {
                let bytes = number(median(&row.bytes()), 0);
                writeln!(out, "{:<20}{bytes:>18}", row.peer.name)?;
            }
            return Ok(());
        }
        writeln!(
            out,
            "{name}: {size}-octet {kind} messages, {connections} connections, {in_flight} in flight"
        )?;
        writeln!(
            out,
            "{:<20}{:>12}{:>10}{:>18}{:>14}",
            "peer", "CPU ns/msg", "ratio", "min..max", "messages/s"
        )?;
        for row in &self.rows {
            let ratios = self.ratios(row);
            let range = extremes(&ratios).map_or_else(
                || "-".to_owned(),
                |(min, max)| format!("{min:.2}..{max:.2}"),
            );
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

    /// What a row costs against the plain echo, round by round.
    fn ratios(&self, row: &Row) -> Vec<f64> {
        let Some(base) = self
            .rows
            .iter()
            .find(|base| base.peer.name == row.peer.base)
        else {
            return Vec::new();
        };
        row.costs()
            .zip(base.costs())
            .filter_map(|(own, base)| Some(own? / base?))
            .collect()
    }
}

impl Row {
    /// Nanoseconds of CPU time for a message, round by round.
    fn costs(&self) -> impl Iterator<Item = Option<f64>> {
        self.samples.iter().map(|sample| match *sample {
            Some(Sample::Echoed {
                messages, cpu_ns, ..
            }) => Some(cpu_ns as f64 / messages as f64),
            _ => None,
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

fn number(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.decimals$}"))
}
