//! The verdict on a case.
//! The names are those of the classic suite, so that results can be compared.

use std::fmt;

/// A verdict on the behaviour of a peer, or on how it closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Behaves as required.
    Ok,
    /// The RFC leaves it open: the behaviour is reported, not judged.
    Informational,
    /// Not forbidden by the RFC, but later or laxer than possible.
    NonStrict,
    /// The peer declined the extension that the case is about.
    Unimplemented,
    /// The closing handshake was not completed.
    Unclean,
    /// Closed with a code other than the one the RFC requires.
    WrongCode,
    /// The server did not end TCP after the closing handshake: the client had to.
    FailedByClient,
    /// Violates the RFC.
    Failed,
}

impl Verdict {
    /// All verdicts, best first.
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

    /// Returns the classic suite's name of it.
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

    /// Parses the classic suite's name.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|verdict| verdict.as_str() == word)
    }

    /// Returns whether a run with it can pass.
    pub const fn is_good(self) -> bool {
        matches!(self, Self::Ok | Self::Informational)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
