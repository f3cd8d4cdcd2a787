//! The input of a run beside its script, and its results: timeouts, the outcome, and the action on TCP.

use std::time::Duration;

use crate::record::Record;
use crate::verdict::Verdict;

/// The timeouts of the suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How long the peer may be silent before the case is given up.
    pub silence: Duration,
    /// How long the end of TCP may take once both sides have closed.
    pub linger: Duration,
    /// The maximum duration of a case, as a multiple of the silence.
    pub total: u32,
    /// The maximum duration of a case with many round trips, as a multiple of the silence.
    pub total_trips: u32,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            silence: Duration::from_secs(5),
            linger: Duration::from_secs(2),
            total: 12,
            total_trips: 120,
        }
    }
}

/// The outcome of a case.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The verdict on the behaviour.
    pub behavior: Verdict,
    /// The verdict on the close.
    pub close: Verdict,
    /// The reason, in a sentence.
    pub says: String,
    /// The duration.
    pub duration: Duration,
    /// The code of the peer's Close frame.
    pub remote_code: Option<u16>,
    /// The reason of the peer's Close frame.
    pub remote_reason: Option<String>,
    /// The code of the suite's Close frame.
    pub local_code: Option<u16>,
    /// Whether Close frames were sent in both directions.
    pub clean: bool,
    /// The event that the suite awaited in vain.
    pub waited: Option<Waited>,
    /// The shortest, the median and the longest round trip, for cases that have some.
    pub trips: Option<[Duration; 3]>,
    /// The transcript.
    pub record: Record,
}

impl Outcome {
    /// Returns the worse of the two verdicts.
    pub fn worst(&self) -> Verdict {
        self.behavior.max(self.close)
    }

    /// Returns the outcome of a case that could not even start.
    pub fn failed(says: impl Into<String>) -> Self {
        Self {
            behavior: Verdict::Failed,
            close: Verdict::Failed,
            says: says.into(),
            duration: Duration::ZERO,
            remote_code: None,
            remote_reason: None,
            local_code: None,
            clean: false,
            waited: None,
            trips: None,
            record: Record::default(),
        }
    }
}

/// An action that a peer did not take in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// It did not answer.
    Answer,
    /// It did not end TCP.
    End,
}

/// The action on TCP that is due once all output is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// Go on.
    Keep,
    /// Shut down our side, and go on reading.
    Shutdown,
    /// The case is over.
    Drop,
}
