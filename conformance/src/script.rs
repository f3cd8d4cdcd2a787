//! The vocabulary of cases: what the suite does, what it expects, and the verdict of each outcome.
//! Knows no bytes on the wire and no socket: `run` executes a script.

use std::fmt;
use std::time::Duration;

use crate::deflate::Params;
use crate::frame::{self, Frame};
use crate::http::Head;
use crate::inbox::Event;
use crate::verdict::Verdict;

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
    /// The host, with its port.
    pub host: String,
    /// 100 messages instead of 1000 in long cases.
    pub quick: bool,
}

impl Setting {
    /// Creates a valid request with this case's key.
    pub fn request(&self) -> Head {
        Head::request(&self.target, &self.host, KEY)
    }
}

/// The key in the suite's requests: the example of RFC 6455 section 1.3.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// Checks a head, and returns what is wrong with it.
pub type HeadCheck = Box<dyn Fn(&Head) -> Result<(), String> + Send>;

/// Makes the answer to a request.
pub type Answer = Box<dyn Fn(&Head) -> Vec<u8> + Send>;

/// An expected event.
pub enum Want {
    /// This message.
    Message {
        /// Whether it is text.
        text: bool,
        /// The content.
        payload: Vec<u8>,
    },
    /// A pong with this payload.
    Pong(Vec<u8>),
    /// A Close frame with one of these codes, 1005 for none; without codes, any Close frame.
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

/// An expected event, its verdict, and whether the case is over with it.
#[derive(Debug)]
pub struct Branch {
    /// The expected event.
    pub want: Want,
    /// Its verdict.
    pub verdict: Verdict,
    /// Whether the rest of the script is skipped.
    pub ends: bool,
}

/// How bytes are passed to the transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chop {
    /// All at once.
    Whole,
    /// Frame by frame.
    Frames,
    /// In chunks of so many bytes.
    Bytes(usize),
}

/// Messages that are sent and echoed, one at a time.
pub struct Trips {
    /// Their number.
    pub count: usize,
    /// Makes the message of a round.
    pub message: Box<dyn Fn(usize) -> Vec<u8> + Send>,
    /// Whether they are text.
    pub text: bool,
    /// Length of a fragment, in bytes on the wire; `None` for one frame.
    pub fragment: Option<usize>,
    /// After how many messages they repeat, so that equal messages are compressed only once.
    pub repeats: usize,
}

impl fmt::Debug for Trips {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} round trips", self.count)
    }
}

/// The result of a [`Check`] on an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// As expected; more events follow.
    More,
    /// As expected, and the last event.
    Last,
    /// Something else that the RFC allows: informational, and the case is over.
    Allowed,
}

/// Checks an event.
pub type Check = Box<dyn FnMut(&Event) -> Result<Seen, String> + Send>;

/// A step of a script.
pub enum Step {
    /// Send frames.
    Frames(Vec<Frame>, Chop),
    /// Send a message as agreed on: compressed if the case compresses, in fragments of so many bytes.
    Message(bool, Vec<u8>, Option<usize>),
    /// Send bytes.
    Bytes(Vec<u8>, Chop),
    /// Do nothing; events in the meantime are checked later.
    Pause(Duration),
    /// Nothing may happen.
    Quiet(Duration),
    /// One of these must happen next.
    Expect(Vec<Branch>),
    /// The peer should end the connection within the time; if it does not, the case continues and is non-strict.
    FailsWithin(Duration, &'static [u16]),
    /// The peer should not end TCP before the time; a peer that does is non-strict.
    EndsNot(Duration),
    /// Any event within the time is reported, not judged; nothing follows.
    Anything(Duration),
    /// Send this Close frame; the peer must answer with one of these codes, and nothing else.
    Close(Frame, &'static [u16]),
    /// Round trips.
    Trips(Trips),
    /// Expect events that pass the check, until it returns that one was the last. Its description is shown if nothing arrives.
    Until(String, Check),
    /// Do nothing, even while output is unwritten.
    Sleep(Duration),
    /// Answer the received request with these bytes, made from it; frames follow if `opens`.
    Respond {
        /// Makes the bytes.
        make: Answer,
        /// Whether the connection is open afterwards.
        opens: bool,
        /// The number of bytes to write at a time.
        chop: Chop,
    },
    /// From here on the peer sends frames.
    Open,
    /// Whether to read from the peer.
    Reading(bool),
    /// Shut down our side of TCP.
    Shutdown,
    /// The case is over: drop the connection.
    Leave,
    /// The peer's masking keys must differ.
    KeysDiffer,
    /// A remark for the transcript, after which the verdict is at least this.
    Say(Verdict, String),
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frames(frames, chop) => write!(f, "send {} frames, {chop:?}", frames.len()),
            Self::Message(..) => f.write_str("send a message"),
            Self::Bytes(bytes, chop) => write!(f, "send {} octets, {chop:?}", bytes.len()),
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

/// How a script starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Opening {
    /// With a valid handshake that offers no extension.
    #[default]
    Plain,
    /// With a valid handshake that asks for permessage-deflate: the suite offers these to a server, best first; from a client it takes
    /// the first offer that allows one of them.
    Deflate(Vec<Params>),
    /// With nothing: the script does the handshake.
    Raw,
}

/// The steps of a case, under construction.
#[derive(Debug, Default)]
pub struct Script {
    /// How it starts.
    pub opening: Opening,
    /// The steps that follow.
    pub steps: Vec<Step>,
}

/// The normal close code.
pub const NORMAL: &[u16] = &[1000];

/// The codes for a broken protocol.
pub const PROTOCOL: &[u16] = &[1002];

/// The code for text that is not UTF-8.
pub const INVALID: &[u16] = &[1007];

impl Script {
    /// Starts with a plain handshake.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts with a handshake for permessage-deflate.
    pub fn deflate(params: impl Into<Vec<Params>>) -> Self {
        Self {
            opening: Opening::Deflate(params.into()),
            steps: Vec::new(),
        }
    }

    /// Starts with nothing.
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

    /// Sends bytes at once.
    pub fn bytes(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.step(Step::Bytes(bytes.into(), Chop::Whole))
    }

    /// Waits.
    pub fn pause(self, time: Duration) -> Self {
        self.step(Step::Pause(time))
    }

    /// Expects nothing for a time.
    pub fn quiet(self, time: Duration) -> Self {
        self.step(Step::Quiet(time))
    }

    /// Expects this next.
    pub fn expect(self, want: Want) -> Self {
        self.either([(want, Verdict::Ok, false)])
    }

    /// Expects one of these next: each with its verdict, and whether the case is over with it.
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

    /// Expects the message back.
    pub fn echo(self, message: &Frame) -> Self {
        self.expect(echo(message))
    }

    /// Expects the text back.
    pub fn echo_text(self, payload: impl Into<Vec<u8>>) -> Self {
        self.echo(&frame::text(payload))
    }

    /// Expects the bytes back.
    pub fn echo_binary(self, payload: impl Into<Vec<u8>>) -> Self {
        self.echo(&frame::binary(payload))
    }

    /// Expects the message back; a peer that reports the fault after it first is non-strict, and the case is over.
    pub fn echo_before_failing(self, message: &Frame, codes: &'static [u16]) -> Self {
        self.either([
            (echo(message), Verdict::Ok, false),
            (Want::Fail(codes), Verdict::NonStrict, true),
        ])
    }

    /// Expects a pong.
    pub fn pong(self, payload: impl Into<Vec<u8>>) -> Self {
        self.expect(Want::Pong(payload.into()))
    }

    /// Expects the peer to end the connection, with one of the codes if it sends a Close frame.
    pub fn fails(self, codes: &'static [u16]) -> Self {
        self.expect(Want::Fail(codes))
    }

    /// Sends a Close frame, and expects the answer.
    pub fn close(self) -> Self {
        self.close_with(frame::close(1000, ""), NORMAL)
    }

    /// Sends this Close frame, and expects an answer with one of these codes.
    pub fn close_with(self, close: Frame, codes: &'static [u16]) -> Self {
        self.step(Step::Close(close, codes))
    }
}

/// The message that echoes a whole frame.
pub fn echo(message: &Frame) -> Want {
    Want::Message {
        text: message.opcode == frame::opcode::TEXT,
        payload: message.payload.clone(),
    }
}

/// Returns a duration of so many seconds.
pub const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Returns a duration of so many milliseconds.
pub const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}
