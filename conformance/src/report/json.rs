//! The classic suite's files: `index.json`, and one file for each agent and case.
//! Its keys keep their names and meanings where the value is known here; additional values have their own keys.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::{Agent, Entry, Name, Report, hex, iso, named, replace};
use crate::case::Case;
use crate::record::{Line, What, Who};
use crate::script::Peer;

/// Writes the files; returns the path of `index.json`.
pub fn write(report: &Report<'_>, dir: &Path) -> io::Result<PathBuf> {
    for (agent, name) in named(report) {
        for (case, entry) in entries(report, agent) {
            let detail = detail(report, agent, &name, case, entry);
            write_file(&dir.join(name.file(case)), &detail)?;
        }
    }
    let path = dir.join("index.json");
    write_file(&path, &index(report))?;
    Ok(path)
}

/// Returns the content of `index.json`.
pub fn index(report: &Report<'_>) -> impl Serialize {
    InOrder(
        named(report)
            .map(|(agent, name)| {
                let cases = entries(report, agent)
                    .map(|(case, entry)| (case.id.clone(), Summary::new(case, entry, &name)))
                    .collect();
                (name.key.clone(), InOrder(cases))
            })
            .collect(),
    )
}

fn entries<'r>(
    report: &'r Report<'_>,
    agent: &'r Agent,
) -> impl Iterator<Item = (&'r Case, &'r Entry)> {
    agent
        .entries
        .iter()
        .filter_map(|entry| Some((report.cases.get(entry.case)?, entry)))
}

fn write_file(path: &Path, value: &impl Serialize) -> io::Result<()> {
    replace(path, |out| {
        serde_json::to_writer_pretty(&mut *out, value)?;
        out.write_all(b"\n")
    })
}

/// A map that keeps its order: agents as they were run, cases by their numbers.
struct InOrder<T>(Vec<(String, T)>);

impl<T: Serialize> Serialize for InOrder<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

/// A case in `index.json`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    behavior: &'static str,
    behavior_close: &'static str,
    /// In milliseconds.
    duration: u64,
    remote_close_code: Option<u16>,
    #[serde(rename = "reportfile")]
    report_file: String,
}

impl Summary {
    fn new(case: &Case, entry: &Entry, name: &Name) -> Self {
        let outcome = &entry.outcome;
        Self {
            behavior: outcome.behavior.as_str(),
            behavior_close: outcome.close.as_str(),
            duration: millis(outcome.duration),
            remote_close_code: outcome.remote_code,
            report_file: name.file(case),
        }
    }
}

/// All details of a case of an agent.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Detail<'r> {
    agent: &'r str,
    id: &'r str,
    /// The index of the case among all, from 1.
    case: usize,
    description: &'r str,
    expectation: &'r str,
    rule: &'r str,
    /// The word of the rule that the verdict stands on.
    word: &'static str,
    freedom: Option<&'r str>,
    behavior: &'static str,
    behavior_close: &'static str,
    result: &'r str,
    /// In milliseconds.
    duration: u64,
    /// The shortest, the median and the longest, in microseconds.
    round_trips: Option<[u64; 3]>,
    /// Whether there are round trips to report, as in the classic suite.
    report_time: bool,
    /// The seed of keys, nonces and masks.
    seed: u64,
    /// When the report was made.
    started: String,
    /// Whether the suite is the server.
    is_server: bool,
    was_clean: bool,
    local_close_code: Option<u16>,
    remote_close_code: Option<u16>,
    remote_close_reason: Option<&'r str>,
    rx_bytes: u64,
    tx_bytes: u64,
    /// Counts by opcode.
    rx_frame_stats: BTreeMap<usize, u64>,
    tx_frame_stats: BTreeMap<usize, u64>,
    wire_log: Vec<Wire<'r>>,
    /// The number of lines that were not kept.
    wire_log_left_out: u64,
}

fn detail<'r>(
    report: &Report<'_>,
    agent: &'r Agent,
    name: &'r Name,
    case: &'r Case,
    entry: &'r Entry,
) -> Detail<'r> {
    let outcome = &entry.outcome;
    let record = &outcome.record;
    Detail {
        agent: &name.key,
        id: &case.id,
        case: entry.case + 1,
        description: &case.does,
        expectation: &case.expects,
        rule: case.rule,
        word: case.word(agent.peer).as_str(),
        freedom: case.freedom,
        behavior: outcome.behavior.as_str(),
        behavior_close: outcome.close.as_str(),
        result: &outcome.says,
        duration: millis(outcome.duration),
        round_trips: outcome.trips.map(|trips| trips.map(micros)),
        report_time: outcome.trips.is_some(),
        seed: report.seed,
        started: iso(report.made),
        is_server: agent.peer == Peer::Client,
        was_clean: outcome.clean,
        local_close_code: outcome.local_code,
        remote_close_code: outcome.remote_code,
        remote_close_reason: outcome.remote_reason.as_deref(),
        rx_bytes: record.received,
        tx_bytes: record.sent,
        rx_frame_stats: counts(&record.received_frames),
        tx_frame_stats: counts(&record.sent_frames),
        wire_log: record.lines.iter().map(Wire::new).collect(),
        wire_log_left_out: record.left_out,
    }
}

/// A line of the transcript.
#[derive(Serialize)]
struct Wire<'r> {
    /// In seconds since the connection was made.
    time: f64,
    who: &'static str,
    kind: &'static str,
    /// The description of the frame, the HTTP head, or the note.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'r str>,
    /// In hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    header: Option<String>,
    /// Its first bytes, unmasked, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
    /// The length of the whole payload.
    #[serde(skip_serializing_if = "Option::is_none")]
    length: Option<usize>,
}

impl<'r> Wire<'r> {
    fn new(line: &'r Line) -> Self {
        let wire = Self {
            time: line.at.as_secs_f64(),
            who: match line.who {
                Who::Suite => "suite",
                Who::Peer => "peer",
            },
            kind: "note",
            text: None,
            header: None,
            payload: None,
            length: None,
        };
        match &line.what {
            What::Frame {
                says,
                header,
                payload,
                length,
            } => Self {
                kind: "frame",
                text: Some(says),
                header: Some(hex(header)),
                payload: Some(hex(payload)),
                length: Some(*length),
                ..wire
            },
            What::Bytes { bytes, length } => Self {
                kind: "octets",
                payload: Some(hex(bytes)),
                length: Some(*length),
                ..wire
            },
            What::Http(text) => Self {
                kind: "http",
                text: Some(text),
                ..wire
            },
            What::Note(text) => Self {
                text: Some(text),
                ..wire
            },
        }
    }
}

/// Returns the counts that are not 0, by opcode.
pub(super) fn counts(frames: &[u64; 16]) -> BTreeMap<usize, u64> {
    frames
        .iter()
        .copied()
        .enumerate()
        .filter(|(_, count)| *count > 0)
        .collect()
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
