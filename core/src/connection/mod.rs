//! An open connection: bytes in, events out; messages in, bytes out.
//! RFC 6455 sections 5 to 8.
//! Knows no handshake, no socket and no clock; [`Endpoint`] joins it to the handshake that precedes it.
//!
//! The caller's duties, in full:
//!
//! 1. When bytes arrive, call [`receive`](Connection::receive) until it returns no event, and drop `consumed` bytes each time. While
//!    [`wants_input`](Connection::wants_input) is false, stop receiving and reading: the peer does not read its output, and an answer may find
//!    no room. Keep the remaining bytes, and continue with them later.
//! 2. When input ends, call [`end_of_input`](Connection::end_of_input). When a write fails, call
//!    [`end_of_output`](Connection::end_of_output), and go on reading.
//! 3. After any call that takes `&mut self`, write the slices that [`transmit`](Connection::transmit) lends, and report with
//!    [`transmitted`](Connection::transmitted) how much was written. When nothing is left, do what
//!    [`transport_action`](Connection::transport_action) returns.
//! 4. When [`deadline`](Connection::deadline) has passed, call [`tick`](Connection::tick). It may be called at any time.

mod compression;
mod deadline;
mod direct;
pub mod endpoint;
mod event;
mod inbound;
mod outbound;
mod output;
mod state;

pub use deadline::{Expired, SendProgress, TCP_INFO, fills_tcp_info};
pub use endpoint::Endpoint;
pub use event::{Event, Step};
use state::{Effect, Input};
pub use state::{Role, State, TransportAction};

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::close::{CloseCode, CloseFrame};
use crate::config::Config;
use crate::error::Violation;
use crate::extension::deflate::Agreed;
use crate::frame::{MessageKind, WholeMessage};
use crate::handshake::Agreement;
use crate::mask::Mask;
use crate::message::{Assembly, Payload};
use crate::random::{MaskKeys, Seed};
use crate::time::Instant;
use compression::Compression;

use deadline::{Clock, Times};
use inbound::{Found, Inbound, Mode};
use output::Output;

/// The payload of a pong that is owed (5.5: "MUST have a payload length of 125 bytes or less").
#[derive(Debug)]
struct HeldPong {
    length: u8,
    bytes: [u8; 125],
}

impl HeldPong {
    fn of(payload: &[u8]) -> Box<Self> {
        let mut bytes = [0; 125];
        let length = payload.len().min(bytes.len());
        for (byte, from) in bytes.iter_mut().zip(payload) {
            *byte = *from;
        }
        let length = length.to_le_bytes()[0];
        Box::new(Self { length, bytes })
    }

    fn payload(&self) -> &[u8] {
        self.bytes
            .get(..usize::from(self.length))
            .unwrap_or_default()
    }
}

/// One end of an open connection.
///
/// An idle server's end holds no heap memory; a client's holds its generator of masking keys.
///
/// ```
/// use sansws_core::config::Config;
/// use sansws_core::connection::{Connection, Event};
/// use sansws_core::handshake::Agreement;
/// use sansws_core::message::Assembly;
/// use sansws_core::time::Instant;
///
/// let now = Instant::ZERO;
/// let mut server = Connection::server(Config::default().into(), &Agreement::default(), now);
/// // A ping, a text, and the start of another frame, with masks of zeros.
/// let mut input = b"\x89\x80\0\0\0\0\x81\x82\0\0\0\0hi\x81".to_vec();
/// let mut assembly = Assembly::default();
/// let mut at = 0;
/// loop {
///     let step = server.receive(now, &mut input[at..], &mut assembly)?;
///     at += step.consumed;
///     match step.event {
///         Some(Event::Text(text)) => server.send_text(&text.to_uppercase())?,
///         Some(_) => {} // the pong is already queued
///         None => break,
///     }
/// }
/// assert_eq!(server.take_output(Vec::new()), b"\x8a\x00\x81\x02HI");
/// assert_eq!(input.len() - at, 1); // keep it, and append what arrives
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Connection {
    config: Arc<Config>,
    state: State,
    times: Times,
    inbound: Inbound,
    output: Output,
    /// The newest ping that could not be answered yet.
    pong: Option<Box<HeldPong>>,
    /// Only on a client.
    keys: Option<Box<MaskKeys>>,
    /// The kind of the message that is being sent in chunks, and whether it is compressed.
    sending: Option<(MessageKind, bool)>,
    deflate: Option<Agreed>,
    compression: Compression,
    peer_code: Option<CloseCode>,
    /// The time from the newest keepalive ping to its pong, in ticks of `deadline`; 0 before the first.
    round_trip: u32,
}

impl Connection {
    /// Creates the server's end, after a handshake that resulted in `agreement`.
    pub fn server(config: Arc<Config>, agreement: &Agreement, now: Instant) -> Self {
        Self::new(config, agreement, None, now)
    }

    /// Creates the client's end. The seed must be fresh entropy: masking keys are drawn from it.
    pub fn client(config: Arc<Config>, agreement: &Agreement, seed: Seed, now: Instant) -> Self {
        Self::new(config, agreement, Some(Box::new(seed.mask_keys())), now)
    }

    fn new(
        config: Arc<Config>,
        agreement: &Agreement,
        keys: Option<Box<MaskKeys>>,
        now: Instant,
    ) -> Self {
        Self {
            config,
            state: State::Open,
            times: Times::new(now),
            inbound: Inbound::default(),
            output: Output::default(),
            pong: None,
            keys,
            sending: None,
            deflate: agreement.deflate,
            compression: Compression::default(),
            peer_code: None,
            round_trip: 0,
        }
    }

    /// Sends the response of the handshake before everything else. Call it on a connection that has sent nothing.
    #[doc(hidden)]
    pub fn precede_with(&mut self, response: Vec<u8>) {
        self.output = Output::of(response);
    }

    /// Returns its settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Returns which end this is.
    pub const fn role(&self) -> Role {
        if self.keys.is_some() {
            Role::Client
        } else {
            Role::Server
        }
    }

    /// Returns the state of the closing handshake.
    pub const fn state(&self) -> State {
        self.state
    }

    /// Returns whether messages can be sent and received.
    pub const fn is_open(&self) -> bool {
        matches!(self.state, State::Open)
    }

    /// Returns the code of the peer's Close frame, if one arrived and had one (7.1.5).
    pub const fn peer_code(&self) -> Option<CloseCode> {
        self.peer_code
    }

    /// Returns the negotiated compression.
    pub const fn deflate(&self) -> Option<Agreed> {
        self.deflate
    }

    /// Processes bytes at the front of `input` and returns an event; payloads are unmasked in place.
    ///
    /// Call it again with the rest of `input` until it returns no event; then keep the rest, at most 138 bytes, and append what
    /// arrives. `assembly` holds messages that do not arrive whole: always pass the same one for a connection.
    ///
    /// After a [`Violation`], discard the input; the Close frame is queued after earlier output.
    pub fn receive<'b>(
        &mut self,
        now: Instant,
        input: &'b mut [u8],
        assembly: &'b mut Assembly,
    ) -> Result<Step<Event<'b>>, Violation> {
        self.step(&|| now, input, assembly, Mode::Whole)
    }

    /// Like [`receive`](Self::receive), but returns messages in chunks, as they arrive.
    ///
    /// The next message is returned in chunks to its end. If a part of one was already assembled, that is its first chunk.
    pub fn receive_piece<'b>(
        &mut self,
        now: Instant,
        input: &'b mut [u8],
        assembly: &'b mut Assembly,
    ) -> Result<Step<Event<'b>>, Violation> {
        self.step(&|| now, input, assembly, Mode::Pieces)
    }

    /// Like the two methods above, but asks for the time only when it matters: not for each of the messages of one read.
    #[doc(hidden)]
    pub fn receive_timed<'b>(
        &mut self,
        clock: Clock<'_>,
        input: &'b mut [u8],
        assembly: &'b mut Assembly,
        pieces: bool,
    ) -> Result<Step<Event<'b>>, Violation> {
        let mode = if pieces { Mode::Pieces } else { Mode::Whole };
        self.step(clock, input, assembly, mode)
    }

    /// Returns the length of the data that `input` continues with, as announced by the peer; `None` if it continues with a control
    /// frame or with less than a header. A caller that cannot take a message now checks this first.
    pub fn next_data(&self, input: &[u8]) -> Option<u64> {
        self.inbound.next_data(input, self.expect())
    }

    fn step<'b>(
        &mut self,
        clock: Clock<'_>,
        input: &'b mut [u8],
        assembly: &'b mut Assembly,
        mode: Mode,
    ) -> Result<Step<Event<'b>>, Violation> {
        self.offered(input.len(), clock);
        if mode == Mode::Whole
            && let Some(whole) = self.find_whole(input)
        {
            return self.take_whole(clock, input, assembly, whole);
        }
        self.step_frames(clock, input, assembly, mode)
    }

    /// Returns a message that is all in the input.
    #[inline]
    fn take_whole<'b>(
        &mut self,
        clock: Clock<'_>,
        input: &'b mut [u8],
        assembly: &mut Assembly,
        whole: WholeMessage,
    ) -> Result<Step<Event<'b>>, Violation> {
        let consumed = whole.payload.end;
        self.times.keep(input.len() - consumed);
        self.times.message = self.times.heard;
        assembly.freshen();
        let payload = input.get_mut(whole.payload).unwrap_or_default();
        if let Some(key) = whole.mask {
            Mask::new(key).apply_whole(payload);
        }
        let event = match whole.kind {
            MessageKind::Binary => Event::Binary(payload),
            MessageKind::Text => match crate::utf8::check(payload) {
                Ok(text) => Event::Text(text),
                Err(_) => return Err(self.fail(clock(), Violation::InvalidUtf8)),
            },
        };
        Ok(Step {
            consumed,
            event: Some(event),
            assembled: false,
        })
    }

    /// Takes frames, one by one, until there is an event.
    #[inline(never)]
    fn step_frames<'b>(
        &mut self,
        clock: Clock<'_>,
        input: &'b mut [u8],
        assembly: &'b mut Assembly,
        mode: Mode,
    ) -> Result<Step<Event<'b>>, Violation> {
        let (consumed, found) = match self.find(input, assembly, mode) {
            Ok(found) => found,
            Err(violation) => return Err(self.fail(clock(), violation)),
        };
        self.times.keep(input.len() - consumed);
        let (input, assembly): (&'b [u8], &'b Assembly) = (input, assembly);
        let slice = |range: core::ops::Range<usize>| input.get(range).unwrap_or_default();
        let mut assembled = false;
        let event = match found {
            Found::Nothing => {
                self.inbound.time(clock);
                None
            }
            Found::Assembled { kind } => {
                assembled = true;
                Some(match assembly.payload(kind) {
                    Payload::Text(text) => Event::Text(text),
                    Payload::Binary(bytes) => Event::Binary(bytes),
                })
            }
            Found::Piece {
                kind,
                range,
                first,
                last,
            } => {
                let payload = match (range, kind) {
                    (None, kind) => assembly.payload(kind),
                    (Some(range), MessageKind::Binary) => Payload::Binary(slice(range)),
                    (Some(range), MessageKind::Text) => match crate::utf8::check(slice(range)) {
                        Ok(text) => Payload::Text(text),
                        Err(_) => return Err(self.fail(clock(), Violation::InvalidUtf8)),
                    },
                };
                Some(Event::Piece(crate::message::Chunk {
                    payload,
                    first,
                    last,
                }))
            }
            Found::Ping(range) => Some(Event::Ping(slice(range))),
            Found::Pong(range) => {
                self.times.answered();
                if range.is_empty() {
                    self.ponged(clock);
                }
                Some(Event::Pong(slice(range)))
            }
            Found::Close(range) => match CloseFrame::parse(slice(range)) {
                Ok(close) => {
                    self.peer_closed(clock(), close);
                    Some(Event::Close(close))
                }
                Err(violation) => return Err(self.fail(clock(), violation)),
            },
        };
        Ok(Step {
            consumed,
            event,
            assembled,
        })
    }

    /// Reports that no more input will come. This is the normal end after the closing handshake; before it, the connection was lost
    /// (1006).
    ///
    /// The connection is then over, and receives nothing any more. While bytes are held that could not be received yet, because
    /// [`wants_input`](Self::wants_input) is false or an event is still being handled, their content, such as the peer's Close, would
    /// be lost: receive them first, until there is no event left, and then call this.
    pub fn end_of_input(&mut self) {
        self.turn(Instant::ZERO, Input::EndOfStream);
    }

    /// Reports that the transport takes no more output, as after a failed write. Queued output is dropped, and so are later messages;
    /// input is still received to its end, because the peer's earlier data is not lost. An open connection ends when nothing arrives
    /// for [`Timeouts::close`](crate::config::Timeouts::close).
    pub fn end_of_output(&mut self, now: Instant) {
        if !self.output.is_shut() {
            self.output.shut();
            self.pong = None;
            self.times.hear(now);
        }
    }

    /// Returns whether [`end_of_output`](Self::end_of_output) was called.
    pub const fn is_output_over(&self) -> bool {
        self.output.is_shut()
    }

    /// Returns whether to read more input: not after the end, and on a server not while unsent output is at the high-water mark,
    /// because answers would add to it. While we close, nothing is answered and input is discarded, so everything is read.
    ///
    /// A client goes on reading: if both ends stopped, each would wait for the other forever.
    pub fn wants_input(&self) -> bool {
        match self.state {
            State::Open => {
                self.role() == Role::Client
                    || self.output.queued() < self.config.limits.reading_bound()
            }
            State::CloseSent { .. } | State::Lingering { .. } => true,
            State::Closed { .. } => false,
        }
    }

    /// Returns whether a message has begun to arrive and is not whole: its [`Assembly`] may not be used for other connections, even if
    /// it holds nothing yet.
    pub const fn is_receiving(&self) -> bool {
        self.inbound.inside()
    }

    /// Returns what to do with the transport once all output is written.
    pub fn transport_action(&self) -> TransportAction {
        match self.state.transport_action(self.role()) {
            TransportAction::Close | TransportAction::Shutdown if self.output.queued() > 0 => {
                TransportAction::Keep
            }
            // A socket that is closed answers input by a reset, which would destroy our Close. 5.5.2: until that arrives, the peer answers pings.
            TransportAction::Close if self.times.unanswered > 0 || self.times.surplus => {
                TransportAction::Shutdown
            }
            action => action,
        }
    }

    /// Fills `slices` with the next output, in order, and returns how many it filled: none if there is no output.
    pub fn transmit<'a>(&'a mut self, slices: &mut [&'a [u8]]) -> usize {
        self.flush_pong();
        self.output.slices(slices)
    }

    /// Returns whether [`transmit`](Self::transmit) would fill at most one slice.
    #[doc(hidden)]
    pub const fn is_output_contiguous(&self) -> bool {
        self.output.is_contiguous() && self.pong.is_none()
    }

    /// Returns the number of unsent bytes.
    pub fn queued(&self) -> usize {
        self.output.queued()
    }

    /// Returns whether there is output to write, or being written.
    pub fn has_output(&self) -> bool {
        self.output.queued() > 0 || self.pong.is_some()
    }

    /// Takes the next part of the output, to own it, as completion I/O and writer threads must: call it until it returns an empty
    /// buffer. `spare`, for example a buffer that was taken and written before, takes its place; it is returned empty if there is no
    /// output. Nothing is copied except large prepared messages, which other connections send too.
    ///
    /// Taken output counts as unsent, for limits, keepalive and [`transport_action`](Self::transport_action), until
    /// [`transmitted`](Self::transmitted) reports that it was written.
    #[must_use]
    pub fn take_output(&mut self, spare: Vec<u8>) -> Vec<u8> {
        self.flush_pong();
        self.output.take(spare)
    }

    /// Reports that `count` bytes from [`transmit`](Self::transmit) or [`take_output`](Self::take_output) were written.
    pub fn transmitted(&mut self, count: usize) {
        self.times.moved |= count > 0 && self.output.queued() >= self.config.limits.reading_bound();
        self.times.wrote |= count > 0;
        self.output.advance(count);
    }

    /// Lends an empty buffer to gather small frames in; it is returned at once if there is one already.
    pub fn lend(&mut self, buffer: Vec<u8>) -> Option<Vec<u8>> {
        self.output.lend(buffer)
    }

    /// Takes the buffer back once all of it was written.
    pub fn reclaim(&mut self) -> Option<Vec<u8>> {
        self.output.reclaim()
    }

    /// Frees memory that only the next message would need again: call it before waiting.
    pub fn release(&mut self) {
        let (sending, receiving) = (self.sending.is_some(), self.inbound.inside());
        self.compression.release(self.deflate, sending, receiving);
    }

    /// Returns the number of bytes of heap memory held, not counting (de)compressors.
    pub fn heap(&self) -> usize {
        let keys = if self.keys.is_some() {
            size_of::<MaskKeys>()
        } else {
            0
        };
        let pong = self.pong.as_ref().map_or(0, |_| size_of::<HeldPong>());
        self.output.queued() + self.inbound.heap() + pong + keys
    }

    fn fail(&mut self, now: Instant, violation: Violation) -> Violation {
        use alloc::string::ToString;
        if self.turn(now, Input::Failure) == Effect::SendClose {
            self.write_close(Some(violation.close_code()), &violation.to_string());
        }
        violation
    }

    fn peer_closed(&mut self, now: Instant, close: CloseFrame<'_>) {
        self.peer_code = close.code;
        if self.turn(now, Input::PeerClose) == Effect::SendClose {
            // 5.5.1: "the endpoint typically echos the status code it received"
            self.write_close(close.code, "");
        }
    }

    /// The only place where the state changes.
    fn turn(&mut self, now: Instant, input: Input) -> Effect {
        let (state, effect) = self.state.next(input, now + self.config.timeouts.close);
        self.state = state;
        if matches!(state, State::Closed { .. }) {
            self.output.clear();
            self.pong = None;
        }
        effect
    }
}
