//! The vocabulary of cases: what the suite does, what it expects, and the verdict of each outcome.
//! Knows no bytes on the wire and no socket: `run` executes a script.

use std::fmt;
use std::time::Duration;

use crate::deflate::Params;
use crate::frame::{self, Frame};
use crate::http::Head;
use crate::http2::{self, Fields, Session, wire};
use crate::inbox::Event;
use crate::keys::Pattern;
pub use crate::setting::{Peer, Setting};
use crate::verdict::Verdict;

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
    /// A Close frame, with one of these codes, 1005 for none; without codes, any Close frame.
    Close(&'static [u16]),
    /// A Close frame with exactly one of these codes: any other does not match.
    Refusal(&'static [u16]),
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
            Self::Close(codes) | Self::Refusal(codes) => {
                write!(f, "a Close frame with {}", Codes(codes))
            }
            Self::Fail([]) => f.write_str("the end of the connection"),
            Self::Fail(codes) => write!(f, "the end of the connection ({})", Codes(codes)),
            Self::End => f.write_str("the end of TCP"),
            Self::Head(what, _) => f.write_str(what),
        }
    }
}

/// Close codes, as alternatives.
pub(crate) struct Codes<'a>(pub(crate) &'a [u16]);

impl fmt::Display for Codes<'_> {
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

/// Events that must all happen: messages in their order, pongs in theirs.
#[derive(Debug)]
pub struct All {
    /// The events, in the order in which they should happen.
    pub wants: Vec<Want>,
    /// The verdict when a message precedes a pong that should have come before it.
    pub late: Verdict,
    /// Whether the peer may end the connection instead, because so much at once exceeds a limit: that is informational.
    pub limited: bool,
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
    /// As expected, but in a way that the RFC advises against: non-strict, and the last event.
    Lax,
}

/// Checks an event.
pub type Check = Box<dyn FnMut(&Event) -> Result<Seen, String> + Send>;

/// Looks at the session until it can tell whether what it waits for is right.
pub type Look = Box<dyn Fn(&Session) -> Option<Result<(), String>> + Send>;

/// Makes the fields of the answer to a request over HTTP/2.
pub type Fielded = Box<dyn Fn(&Head) -> Fields + Send>;

/// An action of a case beside the stream of its WebSocket, over HTTP/2.
pub enum Act {
    /// Send frames as they are.
    Frames(Vec<wire::Frame>),
    /// Send a request on this stream, once the peer enables extended CONNECT; then end our side of the stream, or not.
    Request(u32, Fields, bool),
    /// Answer the received request with these fields.
    Answer {
        /// Makes the fields.
        make: Fielded,
        /// Whether the connection is open afterwards.
        opens: bool,
    },
    /// Wait until the session shows something.
    Await(&'static str, Look),
    /// Whether the peer gets new room for what has arrived.
    Refill(bool),
    /// From here on the peer sends frames of its WebSocket.
    Opened,
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frames(frames) => {
                let says: Vec<String> = frames.iter().take(6).map(wire::Frame::says).collect();
                let more = match frames.len().saturating_sub(says.len()) {
                    0 => String::new(),
                    more => format!(", and {more} more"),
                };
                write!(f, "Send {}{more}.", says.join("; "))
            }
            Self::Request(stream, fields, _) => write!(
                f,
                "Send this request on stream {stream}:\n{}",
                http2::session::lines(fields).trim_end()
            ),
            Self::Answer { make, .. } => {
                let request = http2::heads::head(http2::heads::connect("http", "host", "/"));
                let fields = make(&request);
                write!(
                    f,
                    "Read the request, and answer it:\n{}",
                    http2::session::lines(&fields).trim_end()
                )
            }
            Self::Await(what, _) => write!(f, "Expect {what}."),
            Self::Opened => f.write_str("Take what follows for frames of the WebSocket."),
            Self::Refill(true) => f.write_str("Give new room for what has arrived."),
            Self::Refill(false) => f.write_str("Give no new room for what arrives."),
        }
    }
}

impl fmt::Debug for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

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
    /// All of these must happen. A pong may stand for those before it, which is informational (RFC 6455 section 5.5.3).
    All(All),
    /// The peer should send this pong within the time; if it does not, the case continues and is non-strict.
    PongWithin(Duration, Vec<u8>),
    /// Send a compressed message that refers to earlier ones; or its content, if the peer has no window of them.
    Reference(Frame, Vec<u8>),
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
    /// The peer's masking keys must not show this pattern.
    Keys(Pattern),
    /// The first masking key of this connection must differ from those of the client's earlier connections.
    KeysStartAnew,
    /// The nonce of this connection must differ from those of the client's earlier connections.
    NonceIsNew,
    /// The Host of the request must name the port, unless that is the default.
    HostNamesPort,
    /// From here on, a pong that no ping asked for is informational.
    TellPongs,
    /// A remark for the transcript, after which the verdict is at least this.
    Say(Verdict, String),
    /// Something beside the stream of HTTP/2.
    Http2(Act),
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
            Self::All(all) => write!(f, "expect all of {:?}", all.wants),
            Self::PongWithin(time, payload) => {
                write!(f, "a pong of {} octets within {time:?}", payload.len())
            }
            Self::Reference(..) => f.write_str("send a message that refers to earlier ones"),
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
            Self::Keys(pattern) => write!(f, "no masking keys that show {pattern:?}"),
            Self::KeysStartAnew => {
                f.write_str("another first masking key than on earlier connections")
            }
            Self::HostNamesPort => f.write_str("Host names the port"),
            Self::TellPongs => f.write_str("report pongs that no ping asked for"),
            Self::NonceIsNew => f.write_str("another nonce than on earlier connections"),
            Self::Say(verdict, text) => write!(f, "{verdict}: {text}"),
            Self::Http2(act) => write!(f, "{act}"),
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
    /// How the suite's side of HTTP/2 behaves, if the case runs over HTTP/2 whatever the run does.
    pub http2: Option<http2::Options>,
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
            ..Self::default()
        }
    }

    /// Starts with nothing.
    pub fn raw() -> Self {
        Self {
            opening: Opening::Raw,
            ..Self::default()
        }
    }

    /// Runs it over HTTP/2.
    pub fn over(mut self, options: http2::Options) -> Self {
        self.http2 = Some(options);
        self
    }

    /// Does something beside the stream of HTTP/2.
    pub fn act(self, act: Act) -> Self {
        self.step(Step::Http2(act))
    }

    /// Sends frames of HTTP/2.
    pub fn frames(self, frames: impl Into<Vec<wire::Frame>>) -> Self {
        self.act(Act::Frames(frames.into()))
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

    /// Expects pongs for these pings, then this message. A message before a pong is non-strict: "SHOULD respond with Pong frame as soon
    /// as is practical" (RFC 6455 section 5.5.2).
    pub fn pongs_then(
        self,
        pongs: impl IntoIterator<Item = impl Into<Vec<u8>>>,
        message: Option<Want>,
    ) -> Self {
        let pongs = pongs.into_iter().map(|payload| Want::Pong(payload.into()));
        self.step(Step::All(All {
            wants: pongs.chain(message).collect(),
            late: Verdict::NonStrict,
            limited: false,
        }))
    }

    /// Expects a pong.
    pub fn pong(self, payload: impl Into<Vec<u8>>) -> Self {
        self.expect(Want::Pong(payload.into()))
    }

    /// Expects the peer to end the connection, with one of the codes if it sends a Close frame.
    pub fn fails(self, codes: &'static [u16]) -> Self {
        self.expect(Want::Fail(codes))
    }

    /// Inserts a step before the last one, which closes.
    pub fn before_close(mut self, step: Step) -> Self {
        let at = self.steps.len().saturating_sub(1);
        self.steps.insert(at, step);
        self
    }

    /// Sends a Close frame, and expects the answer, with any code.
    pub fn close(self) -> Self {
        self.close_with(frame::close(1000, ""), &[])
    }

    /// Sends this Close frame, and expects an answer. One with other codes than these is informational.
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
