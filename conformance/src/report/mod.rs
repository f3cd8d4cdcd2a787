//! What came of a run, and the forms it is written in.

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
    /// What came of the cases that were run, in the order of their numbers.
    pub entries: Vec<Entry>,
}

/// What came of a case.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its place in [`Report::cases`].
    pub case: usize,
    /// What it came to.
    pub outcome: Outcome,
}

/// All results of a run.
#[derive(Debug)]
pub struct Report<'a> {
    /// All cases that there are.
    pub cases: &'a [Case],
    /// The agents that were run.
    pub agents: Vec<Agent>,
    /// When it was made, in seconds since 1970.
    pub made: u64,
    /// Whether long cases were cut short.
    pub quick: bool,
}
