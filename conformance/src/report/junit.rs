//! One file for CI: `junit.xml`, with a suite for each agent and a test for each case.
//! A case that neither passed nor was declined is a failure; a declined one is skipped.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use quick_junit::{NonSuccessKind, Report as Suites, TestCase, TestCaseStatus, TestSuite};

use super::{Agent, Entry, Report, hex, iso, named, replace};
use crate::case::Case;
use crate::cases::family_title;
use crate::engine::Outcome;
use crate::record::{Line, What, Who};
use crate::verdict::Verdict;

/// Writes the file; returns its path.
pub fn write(report: &Report<'_>, dir: &Path) -> io::Result<PathBuf> {
    let text = suites(report).to_string().map_err(io::Error::other)?;
    let path = dir.join("junit.xml");
    replace(&path, |out| out.write_all(text.as_bytes()))?;
    Ok(path)
}

/// Returns the content of the file.
pub fn suites(report: &Report<'_>) -> Suites {
    let mut suites = Suites::new("wsconform");
    for (agent, name) in named(report) {
        let mut suite = TestSuite::new(name.key);
        suite.add_property(("role", agent.peer.as_str()));
        suite.add_property(("quick", if report.quick { "true" } else { "false" }));
        for note in agent.over.iter().chain(&agent.notes) {
            suite.add_property(("note", note.as_str()));
        }
        suite.add_property(("seed", report.seed.to_string().as_str()));
        suite.add_property(("made", iso(report.made).as_str()));
        suite.add_test_cases(tests(report, agent));
        suite.set_time(
            agent
                .entries
                .iter()
                .map(|entry| entry.outcome.duration)
                .sum(),
        );
        suites.add_test_suite(suite);
    }
    suites
}

fn tests<'r>(report: &'r Report<'_>, agent: &'r Agent) -> impl Iterator<Item = TestCase> {
    agent
        .entries
        .iter()
        .filter_map(|entry| Some(test(report.cases.get(entry.case)?, entry)))
}

fn test(case: &Case, entry: &Entry) -> TestCase {
    let outcome = &entry.outcome;
    let mut test = TestCase::new(case.id.as_str(), status(case, outcome));
    test.set_classname(family_title(case.family()));
    test.set_time(outcome.duration);
    test
}

fn status(case: &Case, outcome: &Outcome) -> TestCaseStatus {
    match outcome.worst() {
        Verdict::Ok | Verdict::Informational => TestCaseStatus::success(),
        Verdict::Unimplemented => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(outcome.says.as_str());
            status
        }
        worst @ (Verdict::NonStrict
        | Verdict::Unclean
        | Verdict::WrongCode
        | Verdict::FailedByClient
        | Verdict::Failed) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_type(worst.as_str());
            status.set_message(outcome.says.as_str());
            status.set_description(description(case, outcome));
            status
        }
    }
}

/// Returns all details of a failure, as plain text.
fn description(case: &Case, outcome: &Outcome) -> String {
    let record = &outcome.record;
    let mut text = format!(
        "{}\nExpected: {}\nRule: {}\nBehaviour: {}; close: {}\n\n",
        case.does, case.expects, case.rule, outcome.behavior, outcome.close
    );
    for line in &record.lines {
        text.push_str(&plain(line));
        text.push('\n');
    }
    if record.left_out > 0 {
        text.push_str(&format!("{} more lines were left out\n", record.left_out));
    }
    text
}

/// A line of the transcript, such as `0.001 s -> TEXT, masked: 81 85 …`.
fn plain(line: &Line) -> String {
    let arrow = match line.who {
        Who::Suite => "->",
        Who::Peer => "<-",
    };
    let what = match &line.what {
        What::Frame {
            says,
            header,
            payload,
            length,
        } => format!(
            "{says}: {} + {length} octets {}",
            hex(header),
            start(payload, *length)
        ),
        What::Bytes { bytes, length } => format!("{length} octets {}", start(bytes, *length)),
        What::Http(text) => text.trim_end().to_owned(),
        What::Note(text) => text.clone(),
    };
    format!("{:.6} s {arrow} {what}", line.at.as_secs_f64())
}

fn start(bytes: &[u8], length: usize) -> String {
    let more = if length > bytes.len() { "..." } else { "" };
    format!("{}{more}", hex(bytes))
}
