//! One side of an HTTP/2 connection, which carries the WebSocket of a case on its main stream.
//! RFC 9113 sections 3.4 to 6; RFC 8441 section 3.
//! It keeps the rules of the protocol in its own traffic, and finds where the peer breaks one; frames that a case wants to send go out as
//! they are.

use std::collections::{BTreeSet, VecDeque};

use super::heads::{self, Decoder};
use super::windows::Windows;
use super::wire::{self, Frame, PREFACE, Reader, flag, frame, kind, pairs, setting};
use crate::http::Head;
use crate::inbox::End;
use crate::script::Peer;

/// The largest payload of a frame that the suite takes: the initial SETTINGS_MAX_FRAME_SIZE.
pub(super) const MOST_FRAME: usize = 16_384;

/// The suite's window for the whole connection.
pub(super) const CONNECTION_WINDOW: u32 = 16 << 20;

/// Number of bytes of output above which no more DATA is queued.
const BACKLOG: usize = 256 << 10;

/// Maximum number of streams that are tracked.
const MOST_STREAMS: usize = 1_000;

/// How the suite's side behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The settings that it sends first.
    pub settings: Vec<(u16, u32)>,
    /// Whether it gives the peer new room for what has arrived.
    pub refills: bool,
}

impl Options {
    /// Returns the ordinary behaviour toward such a peer.
    pub fn toward(peer: Peer) -> Self {
        let own = match peer {
            Peer::Server => (setting::ENABLE_PUSH, 0),
            Peer::Client => (setting::ENABLE_CONNECT_PROTOCOL, 1),
        };
        Self {
            settings: vec![own, (setting::INITIAL_WINDOW_SIZE, 1 << 20)],
            refills: true,
        }
    }

    /// Returns it with this window for each stream.
    pub fn window(mut self, size: u32) -> Self {
        for (id, value) in &mut self.settings {
            if *id == setting::INITIAL_WINDOW_SIZE {
                *value = size;
            }
        }
        self
    }

    /// Returns it with another setting at the end.
    pub fn setting(mut self, id: u16, value: u32) -> Self {
        self.settings.push((id, value));
        self
    }

    /// Returns it without new room for what has arrived.
    pub fn holds(mut self) -> Self {
        self.refills = false;
        self
    }
}

/// An event beside the main stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incident {
    /// The answer to another request.
    Head {
        /// Its stream.
        stream: u32,
        /// The answer.
        head: Head,
    },
    /// DATA of another stream.
    Data {
        /// Its stream.
        stream: u32,
        /// The payload.
        bytes: Vec<u8>,
    },
    /// Another stream ended: by END_STREAM, or with an error code.
    End {
        /// The stream.
        stream: u32,
        /// The code of RST_STREAM, if it was one.
        code: Option<u32>,
    },
}

/// The meaning of received bytes.
#[derive(Debug)]
pub enum Carried {
    /// A request, or an answer, on the main stream.
    Head(Head),
    /// Bytes of the main stream.
    Bytes(Vec<u8>),
    /// The main stream ended.
    End(End),
    /// Something beside the main stream.
    Beside(Incident),
    /// The peer broke a rule that holds in all cases.
    Breach(String),
}

/// See the [module](self).
#[derive(Debug)]
pub struct Session {
    pub(super) peer: Peer,
    /// How many octets of the client's preface were received; all of them if the peer is a server.
    pub(super) preface: usize,
    pub(super) reader: Reader,
    pub(super) decoder: Decoder,
    /// An incomplete field block: its stream, whether it ends the stream, and its octets so far.
    pub(super) block: Option<(u32, bool, Vec<u8>)>,
    pub(super) main: Option<u32>,
    /// The main stream has been answered with 2xx, or was opened by a request that was.
    pub(super) tunnel: bool,
    pub(super) ready: VecDeque<Carried>,
    pub(super) out: Vec<u8>,
    pub(super) written: usize,
    pub(super) sends: Windows,
    pub(super) receives: Windows,
    pub(super) refills: bool,
    /// Settings that were sent and are not acknowledged yet: each with its initial window, if it has one.
    pub(super) unsettled: VecDeque<Option<u32>>,
    pub(super) most_frame: usize,
    pub(super) settled: bool,
    pub(super) connect_protocol: Option<u32>,
    pub(super) pings: usize,
    /// The highest stream of the peer.
    pub(super) last: u32,
    pub(super) ended: bool,
    /// Streams that the peer ended by END_STREAM.
    pub(super) complete: BTreeSet<u32>,
    pub(super) over: bool,
    pub(super) deaf: bool,
    pub(super) frames: usize,
    pub(super) received: usize,
    /// A client's request came before our settings were sent.
    pub(super) early: bool,
    /// Nothing was written yet.
    pub(super) silent: bool,
}

impl Session {
    /// Creates a session toward such a peer, which starts with its preface and its settings.
    pub fn new(peer: Peer, options: &Options) -> Self {
        let mut session = Self {
            peer,
            preface: match peer {
                Peer::Server => PREFACE.len(),
                Peer::Client => 0,
            },
            reader: Reader::default(),
            decoder: Decoder::default(),
            block: None,
            main: (peer == Peer::Server).then_some(1),
            tunnel: false,
            ready: VecDeque::new(),
            out: Vec::new(),
            written: 0,
            sends: Windows::default(),
            receives: Windows::default(),
            refills: options.refills,
            unsettled: VecDeque::new(),
            most_frame: MOST_FRAME,
            settled: false,
            connect_protocol: None,
            pings: 0,
            last: 0,
            ended: false,
            complete: BTreeSet::new(),
            over: false,
            deaf: false,
            frames: 0,
            received: 0,
            early: false,
            silent: true,
        };
        if peer == Peer::Server {
            session.out.extend_from_slice(PREFACE);
        }
        let room = wire::window_update(0, CONNECTION_WINDOW);
        session.send(&[wire::settings(&options.settings), room]);
        session
    }

    /// Returns whether the peer's settings have come.
    pub const fn is_settled(&self) -> bool {
        self.settled
    }

    /// Returns the peer's SETTINGS_ENABLE_CONNECT_PROTOCOL; `None` if it did not send it.
    pub const fn connect_protocol(&self) -> Option<u32> {
        self.connect_protocol
    }

    /// Returns whether the peer has acknowledged all settings so far.
    pub fn is_acknowledged(&self) -> bool {
        self.unsettled.is_empty()
    }

    /// Returns whether the client's request came before our settings were sent.
    pub const fn is_early(&self) -> bool {
        self.early
    }

    /// Returns the number of acknowledged pings.
    pub const fn pings(&self) -> usize {
        self.pings
    }

    /// Returns the number of DATA frames of the main stream that were received.
    pub const fn frames(&self) -> usize {
        self.frames
    }

    /// Returns the number of octets of DATA of the main stream that were received.
    pub const fn received(&self) -> usize {
        self.received
    }

    /// Returns the main stream, once there is one.
    pub const fn main(&self) -> Option<u32> {
        self.main
    }

    /// Sets whether the peer gets new room for what arrives.
    pub const fn refill(&mut self, on: bool) {
        self.refills = on;
    }

    /// Returns the bytes to write.
    pub fn output(&self) -> Option<&[u8]> {
        let rest = self.out.get(self.written..).unwrap_or_default();
        (!rest.is_empty()).then_some(rest)
    }

    /// Reports that so many of them were written.
    pub fn written(&mut self, count: usize) {
        self.written += count;
        self.silent = false;
        if self.written >= self.out.len() {
            self.out.clear();
            self.written = 0;
        }
    }

    /// Discards the output.
    pub fn clear(&mut self) {
        self.out.clear();
        self.written = 0;
    }

    /// Returns how many bytes of the main stream may be sent now.
    pub fn room(&self) -> usize {
        let Some(main) = self.main.filter(|_| !self.ended && !self.over) else {
            return 0;
        };
        if self.out.len() > BACKLOG {
            return 0;
        }
        let window = usize::try_from(self.sends.room(main)).unwrap_or(0);
        window.min(self.most_frame)
    }

    /// Sends bytes of the main stream, for which there is [`room`](Self::room), in one DATA frame.
    pub fn data(&mut self, bytes: &[u8]) {
        if let Some(main) = self.main {
            self.send(&[wire::data(main, bytes)]);
        }
    }

    /// Ends our side of the main stream.
    pub fn end_stream(&mut self) {
        if let Some(main) = self.main.filter(|_| !self.ended) {
            self.send(&[wire::data(main, "").flags(flag::END_STREAM)]);
            self.ended = true;
        }
    }

    /// Returns whether our side of the main stream was ended.
    pub const fn has_ended(&self) -> bool {
        self.ended
    }

    /// Sends a head in one frame. A client's opens the stream.
    pub fn head(&mut self, stream: u32, fields: &[(String, String)], end: bool) {
        let flags = flag::END_HEADERS | if end { flag::END_STREAM } else { 0 };
        self.send(&[frame(kind::HEADERS, flags, stream, heads::encode(fields))]);
    }

    /// Sends frames as they are, and remembers what they change.
    pub fn send(&mut self, frames: &[Frame]) {
        for frame in frames {
            match (frame.kind, frame.has(flag::ACK)) {
                (kind::SETTINGS, false) => self.announce(&pairs(&frame.payload)),
                (kind::DATA, _) => self.sends.take(frame.stream, frame.payload.len()),
                (kind::HEADERS, _) => self.open(frame.stream),
                (kind::WINDOW_UPDATE, _) => self.widen(frame),
                (kind::RST_STREAM, _) if self.main == Some(frame.stream) => self.ended = true,
                _ => {}
            }
            frame.write(&mut self.out);
        }
    }

    pub(super) fn open(&mut self, stream: u32) {
        if self.sends.streams.len() < MOST_STREAMS {
            self.sends.open(stream);
            self.receives.open(stream);
        }
    }

    /// 6.9.2: a smaller window is certain only once it is acknowledged; a larger one holds at once.
    fn announce(&mut self, pairs: &[(u16, u32)]) {
        let initial = pairs
            .iter()
            .rev()
            .find(|(id, _)| *id == setting::INITIAL_WINDOW_SIZE)
            .map(|(_, value)| *value);
        let larger = initial.filter(|size| i64::from(*size) > self.receives.initial);
        if let Some(size) = larger {
            self.receives.set_initial(size);
        }
        self.unsettled
            .push_back(initial.filter(|_| larger.is_none()));
    }

    fn widen(&mut self, frame: &Frame) {
        if let [a, b, c, d] = *frame.payload.as_slice() {
            let count = u32::from_be_bytes([a, b, c, d]);
            self.receives.add(frame.stream, i64::from(count));
        }
    }
}

/// Returns fields as lines, for the transcript.
pub(crate) fn lines(fields: &[(String, String)]) -> String {
    let line = |(name, value): &(String, String)| format!("{name}: {value}\n");
    fields.iter().map(line).collect()
}
