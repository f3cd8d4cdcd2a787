//! The results of a run, and the formats in which they are written.
//! Knows how files and agents are named; the file of each format knows its content.

pub mod baseline;
pub mod expected;
pub mod html;
pub mod json;
pub mod junit;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::case::Case;
use crate::engine::Outcome;
use crate::script::Peer;

/// The results of one agent: an endpoint under test, in one role.
#[derive(Clone, Debug)]
pub struct Agent {
    /// Its name.
    pub name: String,
    /// Its role.
    pub peer: Peer,
    /// The outcomes of the cases that were run, in the order of their numbers.
    pub entries: Vec<Entry>,
    /// Remarks on the run for the reader.
    pub notes: Vec<String>,
    /// Why the rest of the cases was not run, if so.
    pub over: Option<String>,
}

/// The result of a case.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its index in [`Report::cases`].
    pub case: usize,
    /// The outcome.
    pub outcome: Outcome,
}

/// All results of a run.
#[derive(Debug)]
pub struct Report<'a> {
    /// All cases.
    pub cases: &'a [Case],
    /// The agents that were run.
    pub agents: Vec<Agent>,
    /// When it was made, in seconds since 1970.
    pub made: u64,
    /// Whether long cases were shortened.
    pub quick: bool,
    /// The seed of keys, nonces and masks.
    pub seed: u64,
}

/// A format of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// One page for people: `index.html`.
    Html,
    /// The classic suite's files: `index.json`, and one file for each agent and case.
    Json,
    /// One file for CI: `junit.xml`.
    Junit,
}

/// Writes the report into a directory, which is created if necessary. Returns the main file of each format.
pub fn write(report: &Report<'_>, dir: &Path, formats: &[Format]) -> io::Result<Vec<PathBuf>> {
    fs::create_dir_all(dir)?;
    let linked = formats.contains(&Format::Json);
    formats
        .iter()
        .map(|format| match format {
            Format::Html => html::write(report, dir, linked),
            Format::Json => json::write(report, dir),
            Format::Junit => junit::write(report, dir),
        })
        .collect()
}

/// Replaces a file at once: a reader never finds a part of it, nor parts of two runs that write to one directory.
fn replace(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let part = path.with_extension(format!("{}-{number}.part", std::process::id()));
    let mut out = BufWriter::new(File::create(&part)?);
    let written = write(&mut out)
        .and_then(|()| out.flush())
        .and_then(|()| fs::rename(&part, path));
    if written.is_err() {
        let _ = fs::remove_file(part);
    }
    written
}

/// The names of an agent in files: they are unique within a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// Its key in `index.json`, and in links to the page.
    pub key: String,
    /// The prefix of the names of its files.
    pub stem: String,
}

impl Name {
    /// Returns the file name of one of its cases.
    pub fn file(&self, case: &Case) -> String {
        format!("{}_case_{}.json", self.stem, case.id.replace('.', "_"))
    }
}

/// Returns the names of the agents, in order.
pub fn names(report: &Report<'_>) -> Vec<Name> {
    let (mut keys, mut stems) = (BTreeSet::new(), BTreeSet::new());
    report
        .agents
        .iter()
        .map(|agent| {
            let role = agent.peer.as_str();
            let key = unique(&agent.name, &format!("{} ({role})", agent.name), &mut keys);
            let stem = stem(&key);
            let stem = unique(&stem, &format!("{stem}_{role}"), &mut stems);
            Name { key, stem }
        })
        .collect()
}

/// Iterates over the agents and their names, in order.
pub(crate) fn named<'r>(report: &'r Report<'_>) -> impl Iterator<Item = (&'r Agent, Name)> {
    report.agents.iter().zip(names(report))
}

/// Returns the first free name; case is ignored, as in some file systems.
fn unique(first: &str, second: &str, taken: &mut BTreeSet<String>) -> String {
    let numbered = (2u32..).map(|number| format!("{second} {number}"));
    let mut all = [first.to_owned(), second.to_owned()]
        .into_iter()
        .chain(numbered);
    all.find(|name| taken.insert(name.to_lowercase()))
        .unwrap_or_default()
}

/// Maximum number of characters of the peer-chosen part of a file name.
const STEM: usize = 100;

/// Replaces all characters but ASCII letters and digits by `_`, as the classic suite does.
fn stem(name: &str) -> String {
    let stem: String = name
        .trim()
        .chars()
        .take(STEM)
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    match stem.as_str() {
        "" => "agent".into(),
        _ => stem,
    }
}

/// Returns bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Formats seconds since 1970 as a time such as `2011-12-11T10:20:30Z`.
pub(crate) fn iso(seconds: u64) -> String {
    let (mut days, second) = (seconds / 86_400, seconds % 86_400);
    let mut year = 1970;
    while days >= days_of(year) {
        days -= days_of(year);
        year += 1;
    }
    let mut month = 1;
    for length in month_lengths(year) {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!(
        "{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z",
        days + 1
    )
}

fn month_lengths(year: u64) -> [u64; 12] {
    let february = days_of(year) - 337;
    [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
}

const fn days_of(year: u64) -> u64 {
    let leap = year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    if leap { 366 } else { 365 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_a_date() {
        for (seconds, date) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_827_696, "2000-02-29T12:34:56Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_735_689_600, "2025-01-01T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(iso(seconds), date);
        }
    }

    #[test]
    fn names_are_unique_and_safe() {
        let agent = |name: &str, peer| Agent::new(name, peer, Vec::new());
        let report = Report {
            cases: &[],
            agents: vec![
                agent("a/../b", Peer::Server),
                agent("a/../b", Peer::Client),
                agent("a/../b", Peer::Client),
                agent("A----B", Peer::Server),
                agent("", Peer::Server),
            ],
            made: 0,
            quick: true,
            seed: 0,
        };
        let names = names(&report);
        let keys: Vec<&str> = names.iter().map(|name| name.key.as_str()).collect();
        let stems: Vec<&str> = names.iter().map(|name| name.stem.as_str()).collect();
        assert_eq!(
            keys,
            [
                "a/../b",
                "a/../b (client)",
                "a/../b (client) 2",
                "A----B",
                ""
            ]
        );
        assert_eq!(
            stems,
            [
                "a____b",
                "a____b__client_",
                "a____b__client__2",
                "A____B_server",
                "agent"
            ]
        );
    }
}
