//! A case: its number, its descriptions, and its script.
//! Knows neither peers nor wires.

use std::fmt;

use crate::script::{Opening, Peer, Script, Setting};
use crate::verdict::Word;

/// How a case may run beside others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// It keeps a CPU busy.
    Works,
    /// It mostly waits: many such cases may wait at once.
    Waits,
    /// It measures time: nothing else may run meanwhile.
    Alone,
}

/// A case.
pub struct Case {
    /// Its number, such as `6.4.1`.
    pub id: String,
    /// The actions of the suite.
    pub does: String,
    /// The behaviour that is expected of the peer.
    pub expects: String,
    /// The text that requires it, with its section.
    pub rule: &'static str,
    /// The word of that text: no failed expectation of the case gets a worse verdict than can stand on it.
    word: Word,
    /// The word for servers, if it differs.
    server_word: Option<Word>,
    /// The peers that it tests; `None` for both.
    pub peer: Option<Peer>,
    /// How it may be run beside others.
    pub pace: Pace,
    /// Why the verdict is informational, if it is.
    pub freedom: Option<&'static str>,
    script: Box<dyn Fn(&Setting) -> Script + Send + Sync>,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Creates a case for both peers, whose rule is a MUST.
pub fn case(
    id: impl Into<String>,
    does: impl Into<String>,
    expects: impl Into<String>,
    rule: &'static str,
    script: impl Fn(&Setting) -> Script + Send + Sync + 'static,
) -> Case {
    Case {
        id: id.into(),
        does: does.into(),
        expects: expects.into(),
        rule,
        word: Word::Must,
        server_word: None,
        peer: None,
        pace: Pace::Works,
        freedom: None,
        script: Box::new(script),
    }
}

impl Case {
    /// Restricts it to servers.
    pub fn for_servers(mut self) -> Self {
        self.peer = Some(Peer::Server);
        self
    }

    /// Restricts it to clients.
    pub fn for_clients(mut self) -> Self {
        self.peer = Some(Peer::Client);
        self
    }

    /// Marks it as mostly waiting.
    pub fn waits(mut self) -> Self {
        self.pace = Pace::Waits;
        self
    }

    /// Marks it as measuring time.
    pub fn alone(mut self) -> Self {
        self.pace = Pace::Alone;
        self
    }

    /// Marks it as possibly informational, because the RFC leaves a choice for this reason.
    pub fn free(mut self, why: &'static str) -> Self {
        self.freedom = Some(why);
        self
    }

    /// Sets the word that its verdict stands on.
    pub fn stands_on(mut self, word: Word) -> Self {
        self.word = word;
        self
    }

    /// Sets the word for servers, where it differs from that for clients.
    pub fn servers_stand_on(mut self, word: Word) -> Self {
        self.server_word = Some(word);
        self
    }

    /// Returns the word that the verdict on such a peer stands on.
    pub fn word(&self, peer: Peer) -> Word {
        match (peer, self.server_word) {
            (Peer::Server, Some(word)) => word,
            _ => self.word,
        }
    }

    /// Returns whether it tests such a peer.
    pub fn is_for(&self, peer: Peer) -> bool {
        self.peer.is_none_or(|only| only == peer)
    }

    /// Returns its script.
    pub fn script(&self, setting: &Setting) -> Script {
        (self.script)(setting)
    }

    /// Returns the number of its family, such as 6.
    pub fn family(&self) -> u32 {
        self.id
            .split('.')
            .next()
            .and_then(|first| first.parse().ok())
            .unwrap_or(0)
    }

    /// Returns whether it runs over HTTP/2 only.
    pub fn is_http2(&self) -> bool {
        self.family() >= 30
    }

    /// Returns whether it can run over HTTP/2: it leaves the opening handshake to the suite.
    pub fn fits_http2(&self, peer: Peer) -> bool {
        let setting = Setting {
            quick: true,
            ..Setting::new(peer)
        };
        let opens = |script: &Script| script.opening != Opening::Raw;
        self.is_http2() || !matches!(self.family(), 20 | 21) && opens(&self.script(&setting))
    }

    /// Returns whether it is one of the classic cases.
    pub fn is_classic(&self) -> bool {
        self.family() < 20
    }
}

/// Compares numbers such as `6.4.10` part by part.
pub fn compare(left: &str, right: &str) -> std::cmp::Ordering {
    let parts = |id: &str| -> Vec<u32> {
        id.split('.')
            .map(|part| part.parse().unwrap_or(0))
            .collect()
    };
    parts(left).cmp(&parts(right))
}
