//! The parameters of a script: which side is under test, where, and the seed of everything that varies.
//! Knows no case: those take what they need from here.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::http::{self, Head};
use crate::http2::{Fields, heads};

/// The side that is under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Peer {
    /// A server: the suite is the client.
    Server,
    /// A client: the suite is the server.
    Client,
}

impl Peer {
    /// Returns `server` or `client`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
        }
    }
}

/// The parameters of a script.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The side that is under test.
    pub peer: Peer,
    /// The target of requests, such as `/`.
    pub target: String,
    /// The host, with its port. For clients only the port is known, behind its colon, if anything.
    pub host: String,
    /// Fewer messages in long cases.
    pub quick: bool,
    /// Determines the keys and masks of all cases.
    pub seed: u64,
    /// Additional fields of each request.
    pub fields: Vec<(String, String)>,
    /// The subprotocols that each request offers.
    pub protocols: Vec<String>,
    /// The earlier connections of the client under test.
    pub past: Past,
    /// Whether cases run over HTTP/2, if they do not write their own heads.
    pub http2: bool,
    /// Whether the connection is encrypted.
    pub secure: bool,
}

impl Setting {
    /// Returns a setting for such a peer, with the target `/`.
    pub fn new(peer: Peer) -> Self {
        Self {
            peer,
            target: "/".into(),
            host: "memory:9001".into(),
            quick: false,
            seed: 0,
            fields: Vec::new(),
            protocols: Vec::new(),
            past: Past::default(),
            http2: false,
            secure: false,
        }
    }

    /// Returns the setting of one case, whose keys and masks differ from those of other cases.
    pub fn of_case(&self, id: &str) -> Self {
        // FNV-1a
        let hash = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self {
            seed: Random(self.seed ^ hash).next(),
            ..self.clone()
        }
    }

    /// Creates a valid request with this case's key.
    pub fn request(&self) -> Head {
        self.request_with(&self.key())
    }

    /// Creates a valid request with another key.
    pub fn request_with(&self, key: &str) -> Head {
        let request = Head::request(&self.target, &self.host, key);
        let fields = self.fields.iter();
        let request = fields.fold(request, |request, (name, value)| request.with(name, value));
        match self.protocols.as_slice() {
            [] => request,
            names => request.with("Sec-WebSocket-Protocol", &names.join(", ")),
        }
    }

    /// Returns the fields of a valid request over HTTP/2.
    pub fn connect(&self) -> Fields {
        let scheme = if self.secure { "https" } else { "http" };
        let mut fields = heads::connect(scheme, &self.host, &self.target);
        let own = self.fields.iter();
        fields.extend(own.map(|(name, value)| (name.to_lowercase(), value.clone())));
        if !self.protocols.is_empty() {
            fields.push(("sec-websocket-protocol".into(), self.protocols.join(", ")));
        }
        fields
    }

    /// Returns the case's key. A quarter of the cases has keys with `+`, a quarter with `/`, and a quarter has both in the answer.
    pub fn key(&self) -> String {
        let both = |key: &str| {
            let answer = http::accept(key);
            answer.contains('+') && answer.contains('/')
        };
        match self.seed % 4 {
            0 => self.key_where(|_| true),
            1 => self.key_where(|key| key.contains('+')),
            2 => self.key_where(|key| key.contains('/')),
            _ => self.key_where(both),
        }
    }

    /// Returns a key that has a property.
    pub fn key_where(&self, good: impl Fn(&str) -> bool) -> String {
        let mut random = Random(self.seed);
        let mut key = String::new();
        // A tenth of all keys has the rarest property that is asked for.
        for _ in 0..1000 {
            let halves = (u128::from(random.next()) << 64) | u128::from(random.next());
            key = http::key(halves.to_be_bytes());
            if good(&key) {
                break;
            }
        }
        key
    }
}

/// A generator of numbers: splitmix64. The suite's keys need not be unpredictable.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    /// Returns the next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}

/// The values that a client must choose anew for each connection, from all its connections so far.
#[derive(Clone, Debug, Default)]
pub struct Past(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    nonces: HashSet<String>,
    masks: HashSet<[u8; 4]>,
}

/// Number of connections that are remembered.
const REMEMBERED: usize = 10_000;

impl Past {
    /// Remembers the nonce of a connection; returns whether it is new.
    pub fn nonce(&self, key: &str) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = seen.nonces.len() < REMEMBERED;
        !seen.nonces.contains(key) && (!room || seen.nonces.insert(key.into()))
    }

    /// Remembers the first masking key of a connection; returns whether it is new.
    pub fn mask(&self, key: [u8; 4]) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = seen.masks.len() < REMEMBERED;
        !seen.masks.contains(&key) && (!room || seen.masks.insert(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_vary_by_seed_and_case_and_hold_what_is_easily_spoiled() {
        let setting = Setting::new(Peer::Server);
        let keys: Vec<String> = (0..400)
            .map(|id| setting.of_case(&format!("1.{id}")).key())
            .collect();
        assert_eq!(keys.iter().collect::<HashSet<_>>().len(), 400);
        for key in &keys {
            assert_eq!(http::decoded_length(key), Some(16), "{key}");
        }
        let count = |good: &dyn Fn(&str) -> bool| keys.iter().filter(|key| good(key)).count();
        assert!(count(&|key| key.contains('+')) > 100);
        assert!(count(&|key| key.contains('/')) > 100);
        assert!(count(&|key| http::accept(key).contains('+')) > 150);
        assert!(count(&|key| http::accept(key).contains('/')) > 150);
        let other = Setting {
            seed: 1,
            ..setting.clone()
        };
        assert_ne!(setting.of_case("1.1").key(), other.of_case("1.1").key());
        assert_eq!(setting.of_case("1.1").key(), setting.of_case("1.1").key());
    }

    #[test]
    fn a_value_seen_before_is_not_new() {
        let past = Past::default();
        let same = past.clone();
        assert!(past.nonce("a") && same.nonce("b") && !same.nonce("a"));
        assert!(past.mask([1; 4]) && !same.mask([1; 4]) && past.mask([2; 4]));
    }
}
