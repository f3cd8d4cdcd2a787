//! The table of a fan-out: two rows for each peer, the second with connections
//! that do not read.

use std::io::Write;

use anyhow::Result;

use super::{Table, kind_name, number, quotients, range};
use crate::run::{Fanned, Row, Sample};
use crate::scenario::{Scenario, Variant};
use crate::stats::{extremes, median};

pub(super) fn print(table: &Table, out: &mut impl Write) -> Result<()> {
    let Scenario {
        name,
        size,
        connections,
        in_flight,
        ..
    } = table.scenario;
    let kind = kind_name(table.scenario.kind);
    writeln!(
        out,
        "{name}: {size}-octet {kind} messages to {connections} connections, {in_flight} in flight"
    )?;
    writeln!(
        out,
        "{:<24}{:>8}{:>14}{:>8}{:>14}{:>8}{:>10}{:>10}{:>10}{:>18}",
        "peer",
        "stalled",
        "CPU ns/dlvry",
        "ratio",
        "min..max",
        "calm",
        "round ms",
        "worst ms",
        "peak MiB",
        "bytes/connection"
    )?;
    for row in &table.rows {
        let ratios = table.ratios(row);
        let costs: Vec<_> = row.costs().flatten().collect();
        let worst = extremes(&all(row, |fanned| fanned.worst_ns)).map(|(_, worst)| worst / 1e6);
        let (_, peak) = extremes(&all(row, |fanned| fanned.peak as f64)).unzip();
        writeln!(
            out,
            "{:<24}{:>8}{:>14}{:>8}{:>14}{:>8}{:>10}{:>10}{:>10}{:>18}",
            row.peer.name,
            row.variant.stalled,
            number(median(&costs), 0),
            number(median(&ratios), 2),
            range(&ratios),
            number(median(&against_calm(table, row)), 2),
            number(median(&all(row, |fanned| fanned.median_ns / 1e6)), 2),
            number(worst, 2),
            number(peak.map(|peak| peak / f64::from(1 << 20)), 1),
            number(
                median(&all(row, |fanned| {
                    fanned.bytes as f64 / fanned.connections as f64
                })),
                0
            ),
        )?;
    }
    Ok(())
}

/// Returns the cost of a delivery as a ratio to that of the same peer while all connections read.
fn against_calm(table: &Table, row: &Row) -> Vec<f64> {
    let calm = Variant {
        stalled: 0,
        ..row.variant
    };
    match table.row(row.peer.name, calm) {
        Some(calm) if row.variant.stalled > 0 => quotients(row.costs(), calm.costs()),
        _ => Vec::new(),
    }
}

fn all(row: &Row, value: impl Fn(&Fanned) -> f64) -> Vec<f64> {
    let fanned = row.samples.iter().filter_map(|sample| match sample {
        Some(Sample::Published(fanned)) => Some(fanned),
        _ => None,
    });
    fanned.map(value).collect()
}
