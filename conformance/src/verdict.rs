//! What is said of a case.
//! The words are those of the classic suite, so that results compare.

use std::fmt;

/// A verdict on the behaviour of a peer, or on how it closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// The RFC leaves it open: what the peer did is told, not judged.
    Informational,
    /// Not forbidden by the RFC, but later or laxer than it could be.
    NonStrict,
    /// The peer declined the extension that the case is about.
    Unimplemented,
    /// The closing handshake was not completed.
    Unclean,
    /// Closed with another code than the RFC names.
    WrongCode,
    /// The server did not end TCP after the closing handshake: the client had to.
    FailedByClient,
    /// Not as it must be.
    Failed,
}

impl Verdict {
    /// All of them, the best first.
    pub const ALL: [Self; 8] = [
        Self::Ok,
        Self::Informational,
        Self::NonStrict,
        Self::Unimplemented,
        Self::Unclean,
        Self::WrongCode,
        Self::FailedByClient,
        Self::Failed,
    ];

    /// The classic suite's word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Informational => "INFORMATIONAL",
            Self::NonStrict => "NON-STRICT",
            Self::Unimplemented => "UNIMPLEMENTED",
            Self::Unclean => "UNCLEAN",
            Self::WrongCode => "WRONG CODE",
            Self::FailedByClient => "FAILED BY CLIENT",
            Self::Failed => "FAILED",
        }
    }

    /// Reads the classic suite's word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|verdict| verdict.as_str() == word)
    }

    /// Whether a run with it may end well.
    pub const fn is_good(self) -> bool {
        matches!(self, Self::Ok | Self::Informational)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
