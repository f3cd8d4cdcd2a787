//! The verdict on a case, and the word of the RFC that it stands on.
//! The names are those of the classic suite, so that results can be compared.
//! RFC 2119 for the words.

use std::fmt;

/// A verdict on the behaviour of a peer, or on how it closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Behaves as required.
    Ok,
    /// The RFC leaves it open: the behaviour is reported, not judged.
    Informational,
    /// Not forbidden by the RFC, but later or laxer than possible, or against a SHOULD.
    NonStrict,
    /// Failed the connection with a code that means something else: RFC 6455 section 7.1.7 says SHOULD.
    WrongCode,
    /// The peer declined the extension that the case is about.
    Unimplemented,
    /// The closing handshake was not completed: RFC 6455 section 5.5.1 says MUST.
    Unclean,
    /// The server did not end TCP after the closing handshake, so that the client had to: RFC 6455 section 5.5.1 says MUST.
    FailedByClient,
    /// Violates a MUST of the RFC.
    Failed,
}

impl Verdict {
    /// All verdicts, best first.
    pub const ALL: [Self; 8] = [
        Self::Ok,
        Self::Informational,
        Self::NonStrict,
        Self::WrongCode,
        Self::Unimplemented,
        Self::Unclean,
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

/// The word of the RFC that a verdict stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Word {
    /// No word: the RFC leaves the behaviour open, or contradicts itself.
    Unsaid,
    /// MAY: both ways are right.
    May,
    /// SHOULD or SHOULD NOT.
    Should,
    /// MUST or MUST NOT.
    Must,
}

impl Word {
    /// Returns the word as the RFC writes it, or `none`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unsaid => "none",
            Self::May => "MAY",
            Self::Should => "SHOULD",
            Self::Must => "MUST",
        }
    }

    /// Returns the worst verdict that can stand on it.
    pub const fn worst(self) -> Verdict {
        match self {
            Self::Unsaid | Self::May => Verdict::Informational,
            Self::Should => Verdict::NonStrict,
            Self::Must => Verdict::Failed,
        }
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
