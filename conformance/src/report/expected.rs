//! A list of expected failures with their reasons, to be checked in: a line for each case, or for several by a glob.
//! `CASE<TAB>VERDICT<TAB>REASON`; empty lines, and lines that start with `#`, are skipped.

use std::path::Path;
use std::{error, fmt, fs, io};

use super::{Report, named};
use crate::verdict::Verdict;

/// The list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    lines: Vec<Line>,
}

/// An expected failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The number of a case, or a glob.
    pub cases: String,
    /// The verdict that is expected.
    pub verdict: Verdict,
    /// Why it is.
    pub reason: String,
}

/// A run beside the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// Results that did not pass, and that no line expects: agent, case, verdict, what happened.
    pub unexpected: Vec<(String, String, Verdict, String)>,
    /// The number of results that did not pass, as expected.
    pub expected: usize,
    /// Lines whose cases were run, and that nothing came of.
    pub stale: Vec<Line>,
}

/// Why a list cannot be read.
#[derive(Debug)]
pub enum ExpectedError {
    /// The file cannot be read.
    Io(io::Error),
    /// A line has not the form of one.
    Line {
        /// Its number, from 1.
        number: usize,
        /// The fault of the line.
        what: String,
    },
}

impl Expected {
    /// Reads a file.
    ///
    /// # Errors
    /// An error of the system, or a line that cannot be parsed.
    pub fn read(path: &Path) -> Result<Self, ExpectedError> {
        Self::parse(&fs::read_to_string(path).map_err(ExpectedError::Io)?)
    }

    /// Parses the text of a file.
    ///
    /// # Errors
    /// A line that cannot be parsed.
    pub fn parse(text: &str) -> Result<Self, ExpectedError> {
        let mut lines = Vec::new();
        for (line, number) in text.lines().zip(1..) {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let bad = |what: String| ExpectedError::Line { number, what };
            let mut columns = line.splitn(3, '\t').map(str::trim);
            let (Some(cases), Some(word), reason) =
                (columns.next(), columns.next(), columns.next())
            else {
                return Err(bad(
                    "it has not CASE, VERDICT and REASON, between tabs".into()
                ));
            };
            let verdict = Verdict::parse(word)
                .filter(|verdict| !verdict.is_good())
                .ok_or_else(|| bad(format!("{word:?} is no verdict that does not pass")))?;
            let reason = reason
                .filter(|reason| !reason.is_empty())
                .ok_or_else(|| bad("it has no reason".into()))?;
            lines.push(Line {
                cases: cases.into(),
                verdict,
                reason: reason.into(),
            });
        }
        Ok(Self { lines })
    }

    /// Compares a run with the list.
    pub fn compare(&self, report: &Report<'_>) -> Compared {
        let mut found = Compared::default();
        let mut met = vec![false; self.lines.len()];
        let mut ran = vec![false; self.lines.len()];
        for (agent, name) in named(report) {
            for entry in &agent.entries {
                let Some(case) = report.cases.get(entry.case) else {
                    continue;
                };
                let verdict = entry.outcome.worst();
                let mut expected = false;
                for ((line, met), ran) in self.lines.iter().zip(&mut met).zip(&mut ran) {
                    if !glob_match::glob_match(&line.cases, &case.id) {
                        continue;
                    }
                    *ran = true;
                    if line.verdict == verdict {
                        (*met, expected) = (true, true);
                    }
                }
                if expected {
                    found.expected += 1;
                } else if !verdict.is_good() {
                    let says = entry.outcome.says.clone();
                    let place = (name.key.clone(), case.id.clone(), verdict, says);
                    found.unexpected.push(place);
                }
            }
        }
        let lines = self.lines.iter().zip(met).zip(ran);
        let stale = lines.filter(|((_, met), ran)| *ran && !met);
        found.stale = stale.map(|((line, _), _)| line.clone()).collect();
        found
    }

    /// Returns the text of a list that expects what this run found. Reasons of this list are kept; others are what happened.
    pub fn text(&self, report: &Report<'_>) -> String {
        let mut text = String::from(
            "# Expected failures: the case or a glob, its verdict, and why, between tabs.\n",
        );
        let mut told = Vec::new();
        for (agent, _) in named(report) {
            for entry in &agent.entries {
                let Some(case) = report.cases.get(entry.case) else {
                    continue;
                };
                let verdict = entry.outcome.worst();
                if verdict.is_good() {
                    continue;
                }
                let same = |line: &&Line| {
                    line.verdict == verdict && glob_match::glob_match(&line.cases, &case.id)
                };
                let line = self
                    .lines
                    .iter()
                    .find(same)
                    .cloned()
                    .unwrap_or_else(|| Line {
                        cases: case.id.clone(),
                        verdict,
                        reason: plain(&entry.outcome.says),
                    });
                if !told.contains(&line) {
                    text.push_str(&format!("{line}\n"));
                    told.push(line);
                }
            }
        }
        text
    }
}

/// Text from a peer may contain anything.
fn plain(says: &str) -> String {
    let plain: String = says
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    match plain.trim() {
        "" => "?".into(),
        plain => plain.into(),
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\t{}\t{}", self.cases, self.verdict, self.reason)
    }
}

impl fmt::Display for ExpectedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "the list of expected failures cannot be read: {error}"),
            Self::Line { number, what } => {
                write!(f, "line {number} of the expected failures: {what}")
            }
        }
    }
}

impl error::Error for ExpectedError {}
