//! A page for people: `index.html`, which is self-contained and makes no requests.
//! This file gathers its data; `page.html`, `page.css`, `page.js` and `page.panel.js` define its look.
//! Repeated texts, frames and lines are stored once, so that a page of many agents stays small.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::json::{counts, micros};
use super::{Agent, Entry, Report, hex, iso, named, replace};
use crate::cases::family_title;
use crate::record::{Line, Record, What, Who};
use crate::script::Peer;
use crate::verdict::Verdict;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
const PANEL: &str = include_str!("page.panel.js");

/// Number of transcript lines of a passed case that the page keeps, at its beginning and at its end.
const GOOD_LINES: (usize, usize) = (14, 6);

/// Writes the page; returns its path. It links to the files of the JSON form if they are `linked`.
pub fn write(report: &Report<'_>, dir: &Path, linked: bool) -> io::Result<PathBuf> {
    let path = dir.join("index.html");
    let page = page(report, linked)?;
    replace(&path, |out| out.write_all(page.as_bytes()))?;
    Ok(path)
}

/// Returns the page.
pub fn page(report: &Report<'_>, linked: bool) -> io::Result<String> {
    let data = serde_json::to_string(&data(report, linked))?;
    // Nothing in it can end its enclosing element.
    let data = data.replace('<', "\\u003c");
    let summary = escape(&summary(report));
    Ok(fill(PAGE, |name| match name {
        "summary" => &summary,
        "style" => STYLE,
        "script" => SCRIPT,
        "panel" => PANEL,
        "data" => &data,
        _ => "",
    }))
}

/// Summarizes the report in a sentence, for link previews.
fn summary(report: &Report<'_>) -> String {
    let mut parts = Vec::new();
    for (agent, name) in named(report).take(MOST_NAMED) {
        let good = agent.entries.iter().filter(|entry| is_good(entry)).count();
        parts.push(format!("{} {good}/{}", name.key, agent.entries.len()));
    }
    if report.agents.len() > MOST_NAMED {
        parts.push(format!("{} more", report.agents.len() - MOST_NAMED));
    }
    format!("WebSocket conformance: {}", parts.join(", "))
}

/// Maximum number of agents named in the page's title.
const MOST_NAMED: usize = 4;

fn is_good(entry: &Entry) -> bool {
    entry.outcome.worst().is_good()
}

/// Replaces each `{{name}}` by the result of `value`, in one pass.
fn fill<'a>(template: &'a str, value: impl Fn(&str) -> &'a str) -> String {
    let mut page = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((name, after)) = after.split_once("}}") else {
            break;
        };
        page.push_str(before);
        page.push_str(value(name));
        rest = after;
    }
    page.push_str(rest);
    page
}

fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// The data for `page.js`. Rows are arrays: the comment at each lists their elements.
#[derive(Serialize)]
struct Data<'r> {
    version: &'static str,
    made: String,
    quick: bool,
    /// As text: numbers of JavaScript are not wide enough.
    seed: String,
    linked: bool,
    /// The number of cases, run or not.
    total: usize,
    verdicts: [&'static str; 8],
    /// Number and title.
    families: Vec<(u32, &'static str)>,
    /// The cases that any agent ran.
    cases: Vec<CaseRow<'r>>,
    agents: Vec<AgentData>,
    /// Texts and payloads, to which rows refer by index.
    strings: Vec<String>,
    /// Lines of transcripts, to which entries refer by index.
    lines: Vec<LineRow>,
}

/// Number, what it does, what it expects, rule, freedom, the role of the tested peers, the word for servers, the word for clients.
type CaseRow<'r> = (
    &'r str,
    &'r str,
    &'r str,
    usize,
    Option<usize>,
    Option<&'static str>,
    &'static str,
    &'static str,
);

#[derive(Serialize)]
struct AgentData {
    key: String,
    name: String,
    role: &'static str,
    /// The prefix of the names of its files.
    stem: String,
    /// Why cases were not run, and what a reader must know.
    notes: Vec<String>,
    entries: Vec<EntryRow>,
}

/// Case, verdict on the behaviour, verdict on the close, sentence, microseconds, round trips, ends, totals, transcript.
type EntryRow = (
    usize,
    usize,
    usize,
    usize,
    u64,
    Option<[u64; 3]>,
    Ends,
    Totals,
    Log,
);

/// The suite's code, the peer's code, the peer's reason, whether it was clean.
type Ends = (Option<u16>, Option<u16>, Option<usize>, u8);

/// Bytes sent, bytes received, frames sent and frames received by opcode.
type Totals = (u64, u64, BTreeMap<usize, u64>, BTreeMap<usize, u64>);

/// The number of lines that were never kept; the number of lines only in the JSON report, and after which line they belong; then,
/// alternating, the time since the previous line in microseconds, and the index of the line.
type Log = (u64, usize, usize, Vec<u64>);

/// Side (1 for the peer), kind (frame, head, octets, note), text, header in hexadecimal, payload, length.
type LineRow = (u8, u8, Option<usize>, String, Option<usize>, usize);

fn data<'r>(report: &'r Report<'_>, linked: bool) -> Data<'r> {
    let mut tables = Tables::default();
    let run: BTreeSet<usize> = report
        .agents
        .iter()
        .flat_map(|agent| &agent.entries)
        .map(|entry| entry.case)
        .collect();
    let (mut cases, mut places, mut families) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    for (at, case) in report.cases.iter().enumerate() {
        if !run.contains(&at) {
            continue;
        }
        places.insert(at, cases.len());
        families.insert(case.family(), family_title(case.family()));
        cases.push((
            case.id.as_str(),
            case.does.as_str(),
            case.expects.as_str(),
            tables.string(case.rule),
            case.freedom.map(|why| tables.string(why)),
            case.peer.map(|peer| peer.as_str()),
            case.word(Peer::Server).as_str(),
            case.word(Peer::Client).as_str(),
        ));
    }
    let agents = named(report)
        .map(|(agent, name)| AgentData {
            name: agent.name.clone(),
            role: agent.peer.as_str(),
            notes: agent.over.iter().chain(&agent.notes).cloned().collect(),
            entries: entries(agent, &places, &mut tables),
            key: name.key,
            stem: name.stem,
        })
        .collect();
    Data {
        version: env!("CARGO_PKG_VERSION"),
        made: iso(report.made),
        quick: report.quick,
        seed: report.seed.to_string(),
        linked,
        total: report.cases.len(),
        verdicts: Verdict::ALL.map(Verdict::as_str),
        families: families.into_iter().collect(),
        cases,
        agents,
        strings: tables.strings.list,
        lines: tables.lines.list,
    }
}

fn entries(agent: &Agent, places: &BTreeMap<usize, usize>, tables: &mut Tables) -> Vec<EntryRow> {
    agent
        .entries
        .iter()
        .filter_map(|entry| Some(row(*places.get(&entry.case)?, entry, tables)))
        .collect()
}

fn row(case: usize, entry: &Entry, tables: &mut Tables) -> EntryRow {
    let outcome = &entry.outcome;
    let record = &outcome.record;
    let reason = outcome.remote_reason.as_deref();
    let reason = reason.map(|reason| tables.string(reason));
    (
        case,
        place(outcome.behavior),
        place(outcome.close),
        tables.string(&outcome.says),
        micros(outcome.duration),
        outcome.trips.map(|trips| trips.map(micros)),
        (
            outcome.local_code,
            outcome.remote_code,
            reason,
            u8::from(outcome.clean),
        ),
        (
            record.sent,
            record.received,
            counts(&record.sent_frames),
            counts(&record.received_frames),
        ),
        log(record, is_good(entry), tables),
    )
}

fn place(verdict: Verdict) -> usize {
    Verdict::ALL
        .iter()
        .position(|other| *other == verdict)
        .unwrap_or(0)
}

/// Returns the whole transcript, but only the beginning and the end of a long one of a passed case.
fn log(record: &Record, good: bool, tables: &mut Tables) -> Log {
    let (first, last) = GOOD_LINES;
    let count = record.lines.len();
    let skipped = if good {
        count.saturating_sub(first + last)
    } else {
        0
    };
    let mut flat = Vec::new();
    let mut before = 0;
    for (at, line) in record.lines.iter().enumerate() {
        if (first..first + skipped).contains(&at) {
            continue;
        }
        let time = micros(line.at);
        flat.extend([time.saturating_sub(before), tables.line(line) as u64]);
        before = time;
    }
    (record.left_out, skipped, first, flat)
}

/// Data that repeats.
#[derive(Default)]
struct Tables {
    strings: Table<String>,
    lines: Table<LineRow>,
}

impl Tables {
    fn string(&mut self, text: &str) -> usize {
        self.strings.place(text.to_owned())
    }

    fn line(&mut self, line: &Line) -> usize {
        let who = match line.who {
            Who::Suite => 0,
            Who::Peer => 1,
        };
        let row = match &line.what {
            What::Frame {
                says,
                header,
                payload,
                length,
            } => {
                let (says, payload) = (self.string(says), self.string(&hex(payload)));
                (who, 0, Some(says), hex(header), Some(payload), *length)
            }
            What::Http(text) => (who, 1, Some(self.string(text)), String::new(), None, 0),
            What::Bytes { bytes, length } => {
                let bytes = self.string(&hex(bytes));
                (who, 2, None, String::new(), Some(bytes), *length)
            }
            What::Note(text) => (who, 3, Some(self.string(text)), String::new(), None, 0),
        };
        self.lines.place(row)
    }
}

/// Values, each stored once.
struct Table<T> {
    list: Vec<T>,
    places: BTreeMap<T, usize>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            list: Vec::new(),
            places: BTreeMap::new(),
        }
    }
}

impl<T: Ord + Clone> Table<T> {
    fn place(&mut self, value: T) -> usize {
        if let Some(place) = self.places.get(&value) {
            return *place;
        }
        self.list.push(value.clone());
        self.places.insert(value, self.list.len() - 1);
        self.list.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_filled_once() {
        let filled = fill("a {{x}} {{y}} b {{", |name| match name {
            "x" => "{{y}}",
            _ => "1",
        });
        assert_eq!(filled, "a {{y}} 1 b {{");
    }

    #[test]
    fn text_is_escaped() {
        assert_eq!(
            escape("<a href='\"&'>"),
            "&lt;a href=&#39;&quot;&amp;&#39;&gt;"
        );
    }
}
