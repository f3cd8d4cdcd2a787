//! An open connection: octets in, events out; messages in, octets out.
//! RFC 6455 sections 5 to 8.
//! Knows no handshake, no socket and no clock; [`Endpoint`] joins it to the handshake before it.
//!
//! The caller's turn, in full:
//!
//! 1. When octets arrive, call [`receive`](Connection::receive) until it has no event left, and drop `consumed` octets
//!    each time. While [`wants_input`](Connection::wants_input) is false, stop receiving and reading: the peer does not take
//!    what we owe it, and an answer may find no room. Keep the octets that are left, and go on with them later.
//! 2. When input ends, call [`end_of_input`](Connection::end_of_input). When a write fails, call
//!    [`end_of_output`](Connection::end_of_output), and go on reading.
//! 3. After any call that takes `&mut self`, write what [`transmit`](Connection::transmit) lends, and say how much was
//!    written with [`transmitted`](Connection::transmitted). When nothing is left, do what [`transport_action`](Connection::transport_action) says.
//! 4. When [`deadline`](Connection::deadline) has passed, call [`tick`](Connection::tick). It may be called at any time.

mod deadline;
pub mod endpoint;
mod event;
mod inbound;
mod outbound;
mod output;
mod state;

pub use deadline::{Expired, SendProgress, TCP_INFO, fills_tcp_info};
pub use endpoint::Endpoint;
pub use event::{Event, Step};
pub use state::{Effect, Input, Role, State, TransportAction};

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::close::{CloseCode, CloseFrame};
use crate::config::Config;
use crate::error::Violation;
use crate::extension::deflate::Agreed;
use crate::frame::MessageKind;
use crate::handshake::Agreement;
use crate::message::{Assembly, Payload};
use crate::random::{MaskKeys, Seed};
use crate::time::Instant;

use deadline::{Clock, Times};
use inbound::{Found, Inbound, Mode};
use output::Output;

/// One end of an open connection.
///
/// Idle, a server's end holds no heap memory; a client's holds its generator of masking keys.
#[derive(Debug)]
pub struct Connection {
    config: Arc<Config>,
    state: State,
    times: Times,
    inbound: Inbound,
    output: Output,
    /// The newest ping that could not be answered yet.
    pong: Option<Box<[u8]>>,
    /// On a client only.
    keys: Option<Box<MaskKeys>>,
    /// The kind of the message that is being sent in pieces, and whether it is compressed.
    sending: Option<(MessageKind, bool)>,
    deflate: Option<Agreed>,
    #[cfg(feature = "deflate")]
    deflater: Option<Box<crate::extension::deflate::Deflater>>,
    #[cfg(feature = "deflate")]
    inflater: Option<Box<crate::extension::deflate::Inflater>>,
    peer_code: Option<CloseCode>,
    /// From the newest ping of keepalive to its pong, in ticks of `deadline`; 0 before the first.
    round_trip: u32,
}

impl Connection {
    /// The server's end, after a handshake that came to `agreement`.
    pub fn server(config: Arc<Config>, agreement: &Agreement, now: Instant) -> Self {
        Self::new(config, agreement, None, now)
    }

    /// The client's end. The seed must be fresh entropy: masking keys come from it.
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
            #[cfg(feature = "deflate")]
            deflater: None,
            #[cfg(feature = "deflate")]
            inflater: None,
            peer_code: None,
            round_trip: 0,
        }
    }

    /// The settings it was made with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Which end this is.
    pub const fn role(&self) -> Role {
        if self.keys.is_some() {
            Role::Client
        } else {
            Role::Server
        }
    }

    /// How far the closing has come.
    pub const fn state(&self) -> State {
        self.state
    }

    /// Whether messages flow.
    pub const fn is_open(&self) -> bool {
        matches!(self.state, State::Open)
    }

    /// The code of the peer's Close frame, if one came and had one (7.1.5).
    pub const fn peer_code(&self) -> Option<CloseCode> {
        self.peer_code
    }

    /// What was agreed on compression.
    pub const fn deflate(&self) -> Option<Agreed> {
        self.deflate
    }

    /// Takes what it can from the front of `input`, and says what it means; payloads are unmasked in place.
    ///
    /// Call it again with the rest of `input` until it has no event; then keep the rest, at most 138 octets, and
    /// append what arrives. `assembly` holds messages that do not arrive whole: always the same one for one connection.
    ///
    /// After a [`Violation`] the input is to be thrown away; the Close frame is queued behind all that was owed.
    pub fn receive<'b>(
        &mut self,
        now: Instant,
        input: &'b mut [u8],
        assembly: &'b mut Assembly,
    ) -> Result<Step<'b>, Violation> {
        self.step(&|| now, input, assembly, Mode::Whole)
    }

    /// Like [`receive`](Self::receive), but hands out messages piece by piece, as they arrive.
    ///
    /// The next message is handed out in pieces to its end. If part of one was already assembled, that is its first piece.
    pub fn receive_piece<'b>(
        &mut self,
        now: Instant,
        input: &'b mut [u8],
        assembly: &'b mut Assembly,
    ) -> Result<Step<'b>, Violation> {
        self.step(&|| now, input, assembly, Mode::Pieces)
    }

    /// Like the two above, but asks what time it is only when that matters: not for each message of those that one read brought.
    #[doc(hidden)]
    pub fn receive_timed<'b>(
        &mut self,
        clock: Clock<'_>,
        input: &'b mut [u8],
        assembly: &'b mut Assembly,
        pieces: bool,
    ) -> Result<Step<'b>, Violation> {
        let mode = if pieces { Mode::Pieces } else { Mode::Whole };
        self.step(clock, input, assembly, mode)
    }

    /// Octets of data, as declared by the peer, that `input` goes on with; `None` when it goes on with a control frame or
    /// with less than a header. A caller that cannot take a message now looks here before it asks for it.
    pub fn next_data(&self, input: &[u8]) -> Option<u64> {
        self.inbound.next_data(input, self.expect())
    }

    fn step<'b>(
        &mut self,
        clock: Clock<'_>,
        input: &'b mut [u8],
        assembly: &'b mut Assembly,
        mode: Mode,
    ) -> Result<Step<'b>, Violation> {
        self.offered(input.len(), clock);
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
            Found::Whole {
                kind: MessageKind::Binary,
                range,
            } => Some(Event::Binary(slice(range))),
            Found::Whole {
                kind: MessageKind::Text,
                range,
            } => match crate::utf8::check(slice(range)) {
                Ok(text) => Some(Event::Text(text)),
                Err(_) => return Err(self.fail(clock(), Violation::InvalidUtf8)),
            },
            Found::Assembled { kind } => {
                assembled = true;
                Some(match assembly.payload(kind) {
                    Payload::Text(text) => Event::Text(text),
                    Payload::Binary(octets) => Event::Binary(octets),
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

    /// Says that no more input will come. It is the normal end after the closing handshake; before it, the peer vanished (1006).
    ///
    /// The connection is over with that, and receives nothing any more. While octets are held that could not be received yet, because
    /// [`wants_input`](Self::wants_input) is false or an event is still being handled, what they say, the peer's Close perhaps, would
    /// be lost: receive them first, until there is no event left, and then say it.
    pub fn end_of_input(&mut self) {
        self.turn(Instant::ZERO, Input::EndOfStream);
    }

    /// Says that the transport takes no more output, as after a failed write. What is queued is dropped, and so is what is sent
    /// from now on; input is received to its end, since what the peer said before is not lost by that. An open connection ends
    /// when nothing comes for [`Timeouts::close`](crate::config::Timeouts::close).
    pub fn end_of_output(&mut self, now: Instant) {
        if !self.output.is_shut() {
            self.output.shut();
            self.pong = None;
            self.times.hear(now);
        }
    }

    /// Whether [`end_of_output`](Self::end_of_output) was said.
    pub const fn is_output_over(&self) -> bool {
        self.output.is_shut()
    }

    /// Whether more input should be read: not after the end, and on a server not while unsent output stands at the high-water mark,
    /// since answers would add to it. While we close nothing is answered, and what comes is thrown away: all is read.
    ///
    /// A client reads on: if both ends stopped, each would wait for the other for ever.
    pub fn wants_input(&self) -> bool {
        match self.state {
            State::Open => {
                self.role() == Role::Client || self.output.queued() < self.config.limits.high_water
            }
            State::CloseSent { .. } | State::Lingering { .. } => true,
            State::Closed { .. } => false,
        }
    }

    /// What to do with the transport when nothing is left to transmit.
    pub fn transport_action(&self) -> TransportAction {
        match self.state.transport_action(self.role()) {
            TransportAction::Shutdown if self.output.queued() > 0 => TransportAction::Keep,
            after => after,
        }
    }

    /// Fills `slices` with what is to be written next, in order, and says how many it filled: none when there is nothing.
    pub fn transmit<'a>(&'a mut self, slices: &mut [&'a [u8]]) -> usize {
        self.flush_pong();
        self.output.slices(slices)
    }

    /// Octets that wait to be written.
    pub fn queued(&self) -> usize {
        self.output.queued()
    }

    /// Whether there is anything to write, or is being written.
    pub fn has_output(&self) -> bool {
        self.output.queued() > 0 || self.pong.is_some()
    }

    /// Takes the next part of what is to be written, to own it, as completion I/O and writer threads must: call it until it is empty.
    /// `spare`, perhaps a buffer that was taken and written before, takes its place; it comes back, emptied, when there is nothing.
    /// Nothing is copied but large prepared messages, which other connections send too.
    ///
    /// What was taken counts as unsent, for limits, keepalive and [`transport_action`](Self::transport_action), until [`transmitted`](Self::transmitted) says
    /// that it was written.
    #[must_use]
    pub fn take_output(&mut self, spare: Vec<u8>) -> Vec<u8> {
        self.flush_pong();
        self.output.take(spare)
    }

    /// Says that `count` octets of what [`transmit`](Self::transmit) lent or [`take_output`](Self::take_output) gave were written.
    pub fn transmitted(&mut self, count: usize) {
        self.times.moved |= count > 0 && self.output.queued() >= self.config.limits.high_water;
        self.times.wrote |= count > 0;
        self.output.advance(count);
    }

    /// Lends an empty buffer to gather small frames in; it comes back at once if there is one already.
    pub fn lend(&mut self, buffer: Vec<u8>) -> Option<Vec<u8>> {
        self.output.lend(buffer)
    }

    /// Takes the buffer back when all of it was written.
    pub fn reclaim(&mut self) -> Option<Vec<u8>> {
        self.output.reclaim()
    }

    /// Gives back memory that only the next message would need again: call it before a wait.
    pub fn release(&mut self) {
        #[cfg(feature = "deflate")]
        {
            let agreed = self.deflate;
            if self.deflater.is_some()
                && self.sending.is_none()
                && agreed.is_some_and(|agreed| !agreed.own_takeover)
            {
                self.deflater = None;
            }
            if self.inflater.is_some()
                && !self.inbound.inside()
                && agreed.is_some_and(|agreed| !agreed.peer_takeover)
            {
                self.inflater = None;
            }
        }
    }

    /// Octets of heap memory held, not counting (de)compressors.
    pub fn heap(&self) -> usize {
        let keys = if self.keys.is_some() {
            size_of::<MaskKeys>()
        } else {
            0
        };
        self.output.queued() + self.pong.as_ref().map_or(0, |pong| pong.len()) + keys
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

    /// The one place where the state changes.
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
