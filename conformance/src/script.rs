//! The vocabulary of cases: what the suite does, what it awaits, and what each outcome is worth.
//! Knows no octet on the wire and no socket: `run` carries a script out.

use std::fmt;
use std::time::Duration;

use crate::deflate::Params;
use crate::frame::{self, Frame};
use crate::http::Head;
use crate::inbox::Event;
use crate::verdict::Verdict;

/// Which end is under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Peer {
    /// A server: the suite is the client.
    Server,
    /// A client: the suite is the server.
    Client,
}

impl Peer {
    /// `server` or `client`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
        }
    }
}

/// What a script may depend on.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Which end is under test.
    pub peer: Peer,
    /// The target that requests ask for, such as `/`.
    pub target: String,
    /// The host, with its port.
    pub host: String,
    /// 100 messages instead of 1000 in long cases.
    pub quick: bool,
}

impl Setting {
    /// A good request with this case's key.
    pub fn request(&self) -> Head {
        Head::request(&self.target, &self.host, KEY)
    }
}

/// The key of requests that the suite writes: the example of RFC 6455 section 1.3.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// Looks at a head: what is wrong with it?
pub type HeadCheck = Box<dyn Fn(&Head) -> Result<(), String> + Send>;

/// Makes the answer to a request.
pub type Answer = Box<dyn Fn(&Head) -> Vec<u8> + Send>;

/// What is awaited next.
pub enum Want {
    /// This message.
    Message {
        /// Whether it is text.
        text: bool,
        /// What it says.
        payload: Vec<u8>,
    },
    /// A pong with this payload.
    Pong(Vec<u8>),
    /// A Close frame with one of these codes, 1005 for none; any Close when there are no codes.
    Close(&'static [u16]),
    /// The end of the connection: a Close frame with one of these codes, or the end of TCP.
    Fail(&'static [u16]),
    /// The end of TCP, without a Close frame.
    End,
    /// A head that passes the check.
    Head(&'static str, HeadCheck),
}

impl fmt::Debug for Want {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Want {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message { text, payload } => {
                let kind = if *text { "text" } else { "binary" };
                write!(f, "a {kind} message of {} octets", payload.len())
            }
            Self::Pong(payload) => write!(f, "a pong of {} octets", payload.len()),
            Self::Close([]) => f.write_str("a Close frame"),
            Self::Close(codes) => write!(f, "a Close frame with {}", Codes(codes)),
            Self::Fail([]) => f.write_str("the end of the connection"),
            Self::Fail(codes) => write!(f, "the end of the connection ({})", Codes(codes)),
            Self::End => f.write_str("the end of TCP"),
            Self::Head(what, _) => f.write_str(what),
        }
    }
}

struct Codes(&'static [u16]);

impl fmt::Display for Codes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, code) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(" or ")?;
            }
            match code {
                1005 => f.write_str("no code")?,
                code => write!(f, "{code}")?,
            }
        }
        Ok(())
    }
}

/// What is awaited, what it is worth, and whether the case is over with it.
#[derive(Debug)]
pub struct Branch {
    /// What is awaited.
    pub want: Want,
    /// What it is worth.
    pub verdict: Verdict,
    /// Whether the rest of the script is passed over.
    pub ends: bool,
}

/// How octets are handed to the transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chop {
    /// All at once.
    Whole,
    /// Frame by frame.
    Frames,
    /// In pieces of so many octets.
    Octets(usize),
}

/// Messages that go out and come back, one at a time.
pub struct Trips {
    /// How many.
    pub count: usize,
    /// The message of a turn.
    pub message: Box<dyn Fn(usize) -> Vec<u8> + Send>,
    /// Whether they are text.
    pub text: bool,
    /// Length of a fragment, in octets as they go over the wire; `None` for one frame.
    pub fragment: Option<usize>,
    /// After how many messages they repeat: what compresses alike is then compressed once.
    pub repeats: usize,
}

impl fmt::Debug for Trips {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} round trips", self.count)
    }
}

/// What a [`Check`] says of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// As it should be; more is to come.
    More,
    /// As it should be, and the last.
    Last,
    /// Something else, which the RFC allows: informational, and the case is over.
    Allowed,
}

/// Looks at what happened.
pub type Check = Box<dyn FnMut(&Event) -> Result<Seen, String> + Send>;

/// A step of a script.
pub enum Step {
    /// Send frames.
    Frames(Vec<Frame>, Chop),
    /// Send a message as agreed on: compressed if the case compresses, in fragments of so many octets.
    Message(bool, Vec<u8>, Option<usize>),
    /// Send octets.
    Octets(Vec<u8>, Chop),
    /// Do nothing; what happens meanwhile is looked at later.
    Pause(Duration),
    /// Nothing may happen.
    Quiet(Duration),
    /// One of these must happen next.
    Expect(Vec<Branch>),
    /// The peer should end the connection within the time; if it does not, the case goes on and is non-strict.
    FailsWithin(Duration, &'static [u16]),
    /// The peer should not end TCP before the time; one that does is non-strict.
    EndsNot(Duration),
    /// Whatever happens within the time is told, not judged; nothing follows.
    Anything(Duration),
    /// Send this Close frame; the peer must answer with one of these codes, and nothing else.
    Close(Frame, &'static [u16]),
    /// Round trips.
    Trips(Trips),
    /// Events that pass the check, until it says that one was the last. What it says is awaited is told when it does not come.
    Until(String, Check),
    /// Do nothing, even while octets have not left.
    Sleep(Duration),
    /// Answer the request that was read with these octets, made from it; frames follow if `opens`.
    Respond {
        /// Makes the octets.
        make: Answer,
        /// Whether the connection is open then.
        opens: bool,
        /// In how many octets at a time.
        chop: Chop,
    },
    /// From here on frames come from the peer.
    Open,
    /// Whether to read what the peer sends.
    Reading(bool),
    /// End our side of TCP.
    Shutdown,
    /// The case is over: drop the connection.
    Leave,
    /// The peer's masking keys must differ.
    KeysDiffer,
    /// A remark for the transcript that makes the case's verdict at least this.
    Say(Verdict, String),
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frames(frames, chop) => write!(f, "send {} frames, {chop:?}", frames.len()),
            Self::Message(..) => f.write_str("send a message"),
            Self::Octets(octets, chop) => write!(f, "send {} octets, {chop:?}", octets.len()),
            Self::Pause(time) => write!(f, "pause {time:?}"),
            Self::Quiet(time) => write!(f, "nothing for {time:?}"),
            Self::Expect(branches) => write!(f, "expect {branches:?}"),
            Self::FailsWithin(time, codes) => write!(f, "fails with {codes:?} within {time:?}"),
            Self::EndsNot(time) => write!(f, "no end of TCP for {time:?}"),
            Self::Anything(time) => write!(f, "anything for {time:?}"),
            Self::Close(..) => f.write_str("close"),
            Self::Trips(trips) => trips.fmt(f),
            Self::Until(what, _) => write!(f, "until {what}"),
            Self::Sleep(time) => write!(f, "sleep {time:?}"),
            Self::Respond { .. } => f.write_str("respond"),
            Self::Open => f.write_str("open"),
            Self::Reading(on) => write!(f, "reading {on}"),
            Self::Shutdown => f.write_str("end our side of TCP"),
            Self::Leave => f.write_str("leave"),
            Self::KeysDiffer => f.write_str("keys differ"),
            Self::Say(verdict, text) => write!(f, "{verdict}: {text}"),
        }
    }
}

/// How a script begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Opening {
    /// With a good handshake that offers no extension.
    #[default]
    Plain,
    /// With a good handshake that asks for permessage-deflate: what the suite offers to a server, the best first; from a client it
    /// takes the first offer that can be answered so.
    Deflate(Vec<Params>),
    /// With nothing: the script does it all.
    Raw,
}

/// A case's steps, in the making.
#[derive(Debug, Default)]
pub struct Script {
    /// How it begins.
    pub opening: Opening,
    /// What follows.
    pub steps: Vec<Step>,
}

/// The normal code.
pub const NORMAL: &[u16] = &[1000];

/// The codes that a broken protocol is answered with.
pub const PROTOCOL: &[u16] = &[1002];

/// The code for text that is not UTF-8.
pub const INVALID: &[u16] = &[1007];

impl Script {
    /// Begins with a plain handshake.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins with a handshake for permessage-deflate.
    pub fn deflate(params: impl Into<Vec<Params>>) -> Self {
        Self {
            opening: Opening::Deflate(params.into()),
            steps: Vec::new(),
        }
    }

    /// Begins with nothing.
    pub fn raw() -> Self {
        Self {
            opening: Opening::Raw,
            steps: Vec::new(),
        }
    }

    /// Adds a step.
    pub fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Sends frames at once.
    pub fn send(self, frames: impl Into<Vec<Frame>>) -> Self {
        self.step(Step::Frames(frames.into(), Chop::Whole))
    }

    /// Sends frames chopped.
    pub fn send_chopped(self, frames: impl Into<Vec<Frame>>, chop: Chop) -> Self {
        self.step(Step::Frames(frames.into(), chop))
    }

    /// Sends a whole message, compressed if that was agreed on.
    pub fn message(self, text: bool, payload: impl Into<Vec<u8>>) -> Self {
        self.step(Step::Message(text, payload.into(), None))
    }

    /// Sends octets at once.
    pub fn octets(self, octets: impl Into<Vec<u8>>) -> Self {
        self.step(Step::Octets(octets.into(), Chop::Whole))
    }

    /// Waits.
    pub fn pause(self, time: Duration) -> Self {
        self.step(Step::Pause(time))
    }

    /// Nothing may come for a time.
    pub fn quiet(self, time: Duration) -> Self {
        self.step(Step::Quiet(time))
    }

    /// This must come next.
    pub fn expect(self, want: Want) -> Self {
        self.either([(want, Verdict::Ok, false)])
    }

    /// One of these must come next: what, its worth, and whether the case is over with it.
    pub fn either(self, branches: impl IntoIterator<Item = (Want, Verdict, bool)>) -> Self {
        let branches = branches
            .into_iter()
            .map(|(want, verdict, ends)| Branch {
                want,
                verdict,
                ends,
            })
            .collect();
        self.step(Step::Expect(branches))
    }

    /// The message comes back.
    pub fn echo(self, message: &Frame) -> Self {
        self.expect(echo(message))
    }

    /// The text comes back.
    pub fn echo_text(self, payload: impl Into<Vec<u8>>) -> Self {
        self.echo(&frame::text(payload))
    }

    /// The octets come back.
    pub fn echo_binary(self, payload: impl Into<Vec<u8>>) -> Self {
        self.echo(&frame::binary(payload))
    }

    /// The message comes back; a peer that saw the fault behind it first is non-strict, and done.
    pub fn echo_before_failing(self, message: &Frame, codes: &'static [u16]) -> Self {
        self.either([
            (echo(message), Verdict::Ok, false),
            (Want::Fail(codes), Verdict::NonStrict, true),
        ])
    }

    /// A pong comes.
    pub fn pong(self, payload: impl Into<Vec<u8>>) -> Self {
        self.expect(Want::Pong(payload.into()))
    }

    /// The peer ends the connection, with one of the codes if it sends a Close frame.
    pub fn fails(self, codes: &'static [u16]) -> Self {
        self.expect(Want::Fail(codes))
    }

    /// The suite closes, and the peer answers.
    pub fn close(self) -> Self {
        self.close_with(frame::close(1000, ""), NORMAL)
    }

    /// The suite sends this Close frame, and the peer answers with one of these codes.
    pub fn close_with(self, close: Frame, codes: &'static [u16]) -> Self {
        self.step(Step::Close(close, codes))
    }
}

/// The message that a whole frame comes back as.
pub fn echo(message: &Frame) -> Want {
    Want::Message {
        text: message.opcode == frame::opcode::TEXT,
        payload: message.payload.clone(),
    }
}

/// Short for a number of seconds.
pub const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Short for a number of milliseconds.
pub const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}
