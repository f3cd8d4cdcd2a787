//! Compares a run with the `index.json` of an earlier one: which cases are worse, better, or missing.
//! Reads the classic suite's own `index.json` as well.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::{error, fmt, fs, io};

use serde::Deserialize;

use super::{Report, named};
use crate::engine::Outcome;
use crate::verdict::Verdict;

/// An earlier run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baseline {
    agents: BTreeMap<String, BTreeMap<String, Verdicts>>,
}

/// The two verdicts of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdicts {
    /// On the behaviour.
    pub behavior: Verdict,
    /// On the close.
    pub close: Verdict,
}

/// The differences between a run and an earlier one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Cases that are worse.
    pub worse: Vec<Change>,
    /// Cases that are better.
    pub better: Vec<Change>,
    /// Cases of the earlier run that are missing in this one.
    pub missing: Vec<Place>,
    /// Cases that are new in this run, and did not pass.
    pub fresh: Vec<(Place, Verdicts)>,
}

/// A case of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The agent's key in `index.json`.
    pub agent: String,
    /// The case's number.
    pub case: String,
}

/// A case whose verdict changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The case.
    pub place: Place,
    /// The earlier verdict.
    pub before: Verdicts,
    /// The current verdict.
    pub after: Verdicts,
}

/// Why a baseline cannot be read.
#[derive(Debug)]
pub enum BaselineError {
    /// The file cannot be read.
    Io(io::Error),
    /// It is not JSON of the expected shape.
    Json(serde_json::Error),
    /// It contains an unknown verdict.
    Verdict {
        /// The case.
        place: Place,
        /// The text.
        word: String,
    },
}

impl Baseline {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, BaselineError> {
        Self::parse(&fs::read_to_string(path)?)
    }

    /// Parses the text of a file.
    pub fn parse(text: &str) -> Result<Self, BaselineError> {
        let index: BTreeMap<String, BTreeMap<String, Summary>> = serde_json::from_str(text)?;
        let mut agents = BTreeMap::new();
        for (agent, cases) in index {
            let mut known = BTreeMap::new();
            for (case, summary) in cases {
                let verdicts = summary.verdicts(&agent, &case)?;
                known.insert(case, verdicts);
            }
            agents.insert(agent, known);
        }
        Ok(Self { agents })
    }

    /// Compares the report with this baseline.
    pub fn compare(&self, report: &Report<'_>) -> Comparison {
        let mut found = Comparison::default();
        let mut seen = BTreeSet::new();
        for (agent, name) in named(report) {
            let known = self.agents.get(&name.key);
            for entry in &agent.entries {
                let Some(case) = report.cases.get(entry.case) else {
                    continue;
                };
                let before = known.and_then(|cases| cases.get(&case.id)).copied();
                let place = Place {
                    agent: name.key.clone(),
                    case: case.id.clone(),
                };
                found.add(place, before, Verdicts::of(&entry.outcome));
                seen.insert((name.key.clone(), case.id.clone()));
            }
        }
        found.missing = self
            .places()
            .filter(|place| !seen.contains(&place.pair()))
            .collect();
        found
    }

    /// Iterates over all its cases.
    fn places(&self) -> impl Iterator<Item = Place> {
        self.agents.iter().flat_map(|(agent, cases)| {
            cases.keys().map(|case| Place {
                agent: agent.clone(),
                case: case.clone(),
            })
        })
    }
}

impl Comparison {
    fn add(&mut self, place: Place, before: Option<Verdicts>, after: Verdicts) {
        let Some(before) = before else {
            if !after.worst().is_good() {
                self.fresh.push((place, after));
            }
            return;
        };
        let list = match after.rank().cmp(&before.rank()) {
            std::cmp::Ordering::Equal => return,
            std::cmp::Ordering::Greater => &mut self.worse,
            std::cmp::Ordering::Less => &mut self.better,
        };
        list.push(Change {
            place,
            before,
            after,
        });
    }
}

impl Verdicts {
    /// Returns the verdicts of an outcome.
    pub const fn of(outcome: &Outcome) -> Self {
        Self {
            behavior: outcome.behavior,
            close: outcome.close,
        }
    }

    /// Returns the worse of the two.
    pub fn worst(self) -> Verdict {
        self.behavior.max(self.close)
    }

    /// Orders by the worse verdict, and then by the other.
    fn rank(self) -> (Verdict, Verdict) {
        (self.worst(), self.behavior.min(self.close))
    }
}

impl Place {
    fn pair(&self) -> (String, String) {
        (self.agent.clone(), self.case.clone())
    }
}

/// The relevant parts of a case in `index.json`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    behavior: String,
    behavior_close: String,
}

impl Summary {
    fn verdicts(&self, agent: &str, case: &str) -> Result<Verdicts, BaselineError> {
        let parse = |word: &String| {
            Verdict::parse(word).ok_or_else(|| BaselineError::Verdict {
                place: Place {
                    agent: agent.into(),
                    case: case.into(),
                },
                word: word.clone(),
            })
        };
        Ok(Verdicts {
            behavior: parse(&self.behavior)?,
            close: parse(&self.behavior_close)?,
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: case {}", self.agent, self.case)
    }
}

impl fmt::Display for Verdicts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, close {}", self.behavior, self.close)
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} -> {}", self.place, self.before, self.after)
    }
}

impl fmt::Display for BaselineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "the baseline cannot be read: {error}"),
            Self::Json(error) => write!(f, "the baseline is not an index.json: {error}"),
            Self::Verdict { place, word } => {
                write!(f, "the baseline has no verdict for {place}, but {word:?}")
            }
        }
    }
}

impl error::Error for BaselineError {}

impl From<io::Error> for BaselineError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<serde_json::Error> for BaselineError {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error)
    }
}
