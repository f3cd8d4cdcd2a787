//! One end of a WebSocket from the first byte to the last: the opening handshake, messages, closing, the end of TCP.
//! RFC 6455 sections 4 to 8, joined; RFC 9112 section 9.6 for the end after a refusal.
//! Knows that a connection follows a handshake, but not how either works. It opens no socket and reads no clock.

mod event;

pub use event::{EndpointEvent, PeerError};

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Step;
use super::deadline::{Expired, SendProgress};
use super::output::Output;
use super::{Connection, State, TransportAction};
use crate::close::CloseCode;
use crate::config::Config;
use crate::error::{InvalidInput, SendError};
use crate::handshake::{
    AcceptOptions, ClientHandshake, ClientOptions, Refusal, Request, ServerAnswer, ServerHandshake,
};
use crate::http::{Response, Url};
use crate::message::{Assembly, Message, Payload};
use crate::random::Seed;
use crate::time::Instant;

/// One end of a WebSocket, from the first byte to the last.
///
/// The caller's duties are those for a [`Connection`], which starts earlier here, and ends later:
///
/// 1. When bytes arrive, call [`receive`](Self::receive) until it returns no event, and drop `consumed` bytes each time. Stop while
///    [`wants_input`](Self::wants_input) is false, and continue later with the remaining bytes.
/// 2. When input ends or reading fails, call [`end_of_input`](Self::end_of_input), and `receive` with the remaining bytes, even if there
///    are none. When a write fails, call [`end_of_output`](Self::end_of_output), and go on reading.
/// 3. After any of these calls, write what [`transmit`](Self::transmit) lends or [`take_output`](Self::take_output) returns, and report
///    with [`transmitted`](Self::transmitted) how much was written. When nothing is left, do what [`transport_action`](Self::transport_action)
///    returns.
/// 4. When [`deadline`](Self::deadline) has passed, call [`tick`](Self::tick).
///
/// ```
/// use std::sync::Arc;
/// use sansws_core::config::Config;
/// use sansws_core::connection::Endpoint;
/// use sansws_core::connection::endpoint::EndpointEvent;
/// use sansws_core::handshake::{AcceptOptions, ClientOptions};
/// use sansws_core::message::Assembly;
/// use sansws_core::random::Seed;
/// use sansws_core::time::Instant;
///
/// let (config, now) = (Arc::new(Config::default()), Instant::ZERO);
/// let url = "ws://localhost/chat".parse()?;
/// let seed = Seed::new([7; 32]);
/// let mut server = Endpoint::server(config.clone(), now);
/// let mut client = Endpoint::client(config, &url, ClientOptions::default(), seed, now)?;
/// let (mut at_server, mut at_client) = (Assembly::default(), Assembly::default());
///
/// let mut bytes = client.take_output(Vec::new());
/// let step = server.receive(now, &mut bytes, &mut at_server)?;
/// let Some(EndpointEvent::Request(request)) = step.event else { panic!("a request") };
/// assert_eq!(request.path(), "/chat");
/// server.accept(now, &request, AcceptOptions::default())?;
/// server.send("Hello")?;
///
/// let mut bytes = server.take_output(Vec::new());
/// let step = client.receive(now, &mut bytes, &mut at_client)?;
/// assert!(matches!(step.event, Some(EndpointEvent::Open(_))));
/// let consumed = step.consumed;
/// let step = client.receive(now, &mut bytes[consumed..], &mut at_client)?;
/// assert_eq!(step.event, Some(EndpointEvent::Text("Hello")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Endpoint {
    stage: Stage,
    /// No more input will come; this takes effect once the remaining bytes have been received.
    ended: bool,
}

#[derive(Debug)]
enum Stage {
    /// A server that waits for the head of a request.
    Awaiting {
        handshake: ServerHandshake,
        config: Arc<Config>,
        until: Option<Instant>,
    },
    /// A server whose caller decides on the request.
    Deciding {
        config: Arc<Config>,
        until: Option<Instant>,
    },
    /// A client that has sent the request and waits for the answer.
    Dialing(Box<Dialing>),
    Open(Connection),
    /// A server that sends a refusal; then TCP ends.
    Refusing {
        output: Output,
        until: Instant,
    },
    Over,
}

#[derive(Debug)]
struct Dialing {
    handshake: ClientHandshake,
    config: Arc<Config>,
    seed: Seed,
    output: Output,
    until: Option<Instant>,
}

impl Endpoint {
    /// Creates the server's end of a transport that was just accepted. The request must arrive, and be decided on, within
    /// [`Timeouts::handshake`](crate::config::Timeouts::handshake) from now: otherwise it answers 408 or 503.
    pub fn server(config: Arc<Config>, now: Instant) -> Self {
        Self::at(Stage::Awaiting {
            handshake: ServerHandshake::new(Arc::clone(&config)),
            until: config.timeouts.handshake.map(|wait| now + wait),
            config,
        })
    }

    /// Creates the client's end of a transport that was just connected; the request is queued. The seed must be fresh entropy: the key
    /// of the handshake and the masking keys are drawn from it. The answer must arrive within
    /// [`Timeouts::handshake`](crate::config::Timeouts::handshake) from now.
    ///
    /// # Errors
    /// The options contain values that are not allowed in a request.
    pub fn client(
        config: Arc<Config>,
        url: &Url,
        options: ClientOptions,
        seed: Seed,
        now: Instant,
    ) -> Result<Self, InvalidInput> {
        let handshake = ClientHandshake::new(&config, url, options, seed.nonce())?;
        let mut output = Output::default();
        output.append(|out| out.extend_from_slice(handshake.request()));
        Ok(Self::at(Stage::Dialing(Box::new(Dialing {
            handshake,
            until: config.timeouts.handshake.map(|wait| now + wait),
            config,
            seed,
            output,
        }))))
    }

    const fn at(stage: Stage) -> Self {
        Self {
            stage,
            ended: false,
        }
    }

    /// Accepts the request: the response is queued, and messages may be sent.
    ///
    /// # Errors
    /// [`InvalidInput::OutOfTurn`] when no request waits for a decision, [`InvalidInput::TooLate`] when the decision took too long. Otherwise
    /// `accept` contains values that are not allowed in a response, and the request still waits.
    pub fn accept(
        &mut self,
        now: Instant,
        request: &Request,
        accept: AcceptOptions,
    ) -> Result<(), InvalidInput> {
        let Stage::Deciding { config, .. } = &self.stage else {
            return Err(self.undecidable());
        };
        let (response, agreement) = request.accept(config, accept)?;
        let mut connection = Connection::server(Arc::clone(config), &agreement, now);
        connection.output = Output::of(response);
        self.stage = Stage::Open(connection);
        Ok(())
    }

    /// Refuses the request: the response is queued, and TCP ends once it is written.
    ///
    /// # Errors
    /// As for [`accept`](Self::accept); or the status of the response does not refuse, or it contains values that are not allowed.
    pub fn refuse(&mut self, now: Instant, response: &Response) -> Result<(), InvalidInput> {
        let Stage::Deciding { config, .. } = &self.stage else {
            return Err(self.undecidable());
        };
        let mut bytes = Vec::new();
        response.write(&mut bytes)?;
        self.stage = Stage::Refusing {
            output: Output::of(bytes),
            until: now + config.timeouts.close,
        };
        Ok(())
    }

    /// Processes bytes at the front of `input` and returns an event; payloads are unmasked in place.
    ///
    /// Call it again with the rest of `input` until it returns no event; then keep the rest, and append what arrives. The rest is at
    /// most a head, or the body of a refusal on a client, as bounded by [`Limits`](crate::config::Limits); later at most 138 bytes.
    /// `assembly` holds messages that do not arrive whole: always pass the same one for an endpoint.
    ///
    /// # Errors
    /// An error of the peer. Discard the input; the answer, if any, is queued.
    pub fn receive<'b>(
        &mut self,
        now: Instant,
        input: &'b mut [u8],
        assembly: &'b mut Assembly,
    ) -> Result<Step<EndpointEvent<'b>>, PeerError> {
        self.step(now, input, assembly, false)
    }

    /// Like [`receive`](Self::receive), but returns messages in chunks, as they arrive.
    ///
    /// # Errors
    /// As for [`receive`](Self::receive).
    pub fn receive_piece<'b>(
        &mut self,
        now: Instant,
        input: &'b mut [u8],
        assembly: &'b mut Assembly,
    ) -> Result<Step<EndpointEvent<'b>>, PeerError> {
        self.step(now, input, assembly, true)
    }

    #[inline]
    fn step<'b>(
        &mut self,
        now: Instant,
        input: &'b mut [u8],
        assembly: &'b mut Assembly,
        pieces: bool,
    ) -> Result<Step<EndpointEvent<'b>>, PeerError> {
        let Stage::Open(connection) = &mut self.stage else {
            return self.shake_hands(now, input);
        };
        let step = if pieces {
            connection.receive_piece(now, input, assembly)
        } else {
            connection.receive(now, input, assembly)
        };
        if self.ended && !matches!(step, Ok(Step { event: Some(_), .. })) {
            end(connection);
        }
        let Step {
            consumed,
            event,
            assembled,
        } = step?;
        Ok(Step {
            consumed,
            event: event.map(EndpointEvent::from),
            assembled,
        })
    }

    /// Makes a step before or after messages.
    fn shake_hands<'b>(
        &mut self,
        now: Instant,
        input: &[u8],
    ) -> Result<Step<EndpointEvent<'b>>, PeerError> {
        let (consumed, event) = match &mut self.stage {
            Stage::Awaiting {
                handshake,
                config,
                until,
            } => match handshake.receive(input) {
                Ok(None) if !self.ended => return Ok(Step::nothing(0)),
                Ok(None) => {
                    self.stage = Stage::Over;
                    // A peer that sends nothing does nothing wrong.
                    return if input.is_empty() {
                        Ok(Step::nothing(0))
                    } else {
                        Err(Refusal::Malformed.into())
                    };
                }
                Ok(Some((request, length))) => {
                    self.stage = Stage::Deciding {
                        config: Arc::clone(config),
                        until: *until,
                    };
                    (length, EndpointEvent::Request(Box::new(request)))
                }
                Err(refusal) => {
                    let wait = config.timeouts.close;
                    self.turn_away(refusal, now + wait);
                    return Err(refusal.into());
                }
            },
            Stage::Dialing(dialing) => match dialing.handshake.receive(input, self.ended) {
                Ok(None) => return Ok(Step::nothing(0)),
                Ok(Some((ServerAnswer::Open(opened), length))) => {
                    let Dialing { config, seed, .. } = dialing.as_ref();
                    let (config, seed) = (Arc::clone(config), *seed);
                    let mut connection = Connection::client(config, &opened.agreement, seed, now);
                    // A server that answers early still gets the rest of the request.
                    connection.output = core::mem::take(&mut dialing.output);
                    self.stage = Stage::Open(connection);
                    (length, EndpointEvent::Open(Box::new(opened)))
                }
                Ok(Some((
                    ServerAnswer::Redirect(response) | ServerAnswer::Refused(response),
                    length,
                ))) => {
                    self.stage = Stage::Over;
                    (length, EndpointEvent::Refused(Box::new(response)))
                }
                Err(failure) => {
                    self.stage = Stage::Over;
                    return Err(failure.into());
                }
            },
            // The bytes after the request belong to the connection, if there will be one.
            Stage::Deciding { .. } => return Ok(Step::nothing(0)),
            // Input after a refusal is ignored.
            Stage::Refusing { .. } | Stage::Open(_) | Stage::Over => {
                return Ok(Step::nothing(input.len()));
            }
        };
        Ok(Step {
            consumed,
            event: Some(event),
            assembled: false,
        })
    }

    /// Refuses an invalid request, or one that arrived or was decided on too late.
    fn turn_away(&mut self, refusal: Refusal, until: Instant) {
        let mut bytes = Vec::new();
        // We choose it, and it is always valid; otherwise the connection would end without an answer.
        let _ = refusal.response().write(&mut bytes);
        self.stage = Stage::Refusing {
            output: Output::of(bytes),
            until,
        };
    }

    /// Reports that no more input will come. This takes effect when [`receive`](Self::receive) finds no event in the remaining bytes:
    /// call that once more, even if there are none, but not before [`wants_input`](Self::wants_input), for which a decision or the peer
    /// may have to be awaited. A final Close frame is still sent.
    pub const fn end_of_input(&mut self) {
        self.ended = true;
    }

    /// Reports that the transport takes no more output, as after a failed write; see [`Connection::end_of_output`]. Before a connection
    /// is open, a server's end is then over, and a client waits for the answer that may be in flight.
    pub fn end_of_output(&mut self, now: Instant) {
        match &mut self.stage {
            Stage::Open(connection) => connection.end_of_output(now),
            Stage::Dialing(dialing) => dialing.output.shut(),
            Stage::Awaiting { .. } | Stage::Deciding { .. } | Stage::Refusing { .. } => {
                self.stage = Stage::Over;
            }
            Stage::Over => {}
        }
    }

    /// Returns whether to read and receive more input: not while a request is being decided on, not while the peer does not read its
    /// output ([`Connection::wants_input`]), and not after the end.
    pub fn wants_input(&self) -> bool {
        match &self.stage {
            Stage::Open(connection) => connection.wants_input(),
            Stage::Awaiting { .. } | Stage::Dialing(_) => true,
            Stage::Refusing { .. } => !self.ended,
            Stage::Deciding { .. } | Stage::Over => false,
        }
    }

    /// Returns what to do with the transport once all output is written.
    pub fn transport_action(&self) -> TransportAction {
        match &self.stage {
            Stage::Open(connection) => connection.transport_action(),
            Stage::Awaiting { .. } | Stage::Deciding { .. } | Stage::Dialing(_) => {
                TransportAction::Keep
            }
            Stage::Refusing { output, .. } if output.queued() > 0 => TransportAction::Keep,
            Stage::Refusing { .. } if self.ended => TransportAction::Drop,
            Stage::Refusing { .. } => TransportAction::Shutdown,
            Stage::Over => TransportAction::Drop,
        }
    }

    /// Returns when to call [`tick`](Self::tick) next, if nothing happens before. Ask again after each call that changes the endpoint.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Open(connection) => connection.deadline(),
            Stage::Awaiting { until, .. } | Stage::Deciding { until, .. } => *until,
            Stage::Dialing(dialing) => dialing.until,
            Stage::Refusing { until, .. } => Some(*until),
            Stage::Over => None,
        }
    }

    /// Reports the current time. Calls that come early, late or twice do no harm; if it returns what expired, call it again.
    pub fn tick(&mut self, now: Instant) -> Option<Expired> {
        self.tick_with(now, None)
    }

    /// Reports the current time, and how much of the output the peer has taken, if the operating system tells.
    pub fn tick_with(&mut self, now: Instant, progress: Option<SendProgress>) -> Option<Expired> {
        if let Stage::Open(connection) = &mut self.stage {
            return connection.tick_with(now, progress);
        }
        if self.deadline().is_none_or(|at| at > now) {
            return None;
        }
        match &self.stage {
            Stage::Awaiting { config, .. } => {
                let until = now + config.timeouts.close;
                self.turn_away(Refusal::Timeout, until);
            }
            Stage::Deciding { config, .. } => {
                let until = now + config.timeouts.close;
                self.turn_away(Refusal::Busy, until);
            }
            Stage::Dialing(_) => self.stage = Stage::Over,
            Stage::Refusing { .. } => {
                self.stage = Stage::Over;
                return Some(Expired::Close);
            }
            Stage::Open(_) | Stage::Over => return None,
        }
        Some(Expired::Handshake)
    }

    /// Fills `slices` with the next output, in order, and returns how many it filled: none if there is no output.
    pub fn transmit<'a>(&'a mut self, slices: &mut [&'a [u8]]) -> usize {
        match &mut self.stage {
            Stage::Open(connection) => connection.transmit(slices),
            Stage::Dialing(dialing) => dialing.output.slices(slices),
            Stage::Refusing { output, .. } => output.slices(slices),
            Stage::Awaiting { .. } | Stage::Deciding { .. } | Stage::Over => 0,
        }
    }

    /// Takes the next part of the output, to own it; see [`Connection::take_output`].
    #[must_use]
    pub fn take_output(&mut self, spare: Vec<u8>) -> Vec<u8> {
        match &mut self.stage {
            Stage::Open(connection) => connection.take_output(spare),
            Stage::Dialing(dialing) => dialing.output.take(spare),
            Stage::Refusing { output, .. } => output.take(spare),
            Stage::Awaiting { .. } | Stage::Deciding { .. } | Stage::Over => spare,
        }
    }

    /// Reports that `count` bytes from [`transmit`](Self::transmit) or [`take_output`](Self::take_output) were written.
    pub fn transmitted(&mut self, count: usize) {
        match &mut self.stage {
            Stage::Open(connection) => {
                connection.transmitted(count);
                if self.ended && matches!(connection.state, State::Lingering { .. }) {
                    end(connection);
                }
            }
            Stage::Dialing(dialing) => dialing.output.advance(count),
            Stage::Refusing { output, .. } => output.advance(count),
            Stage::Awaiting { .. } | Stage::Deciding { .. } | Stage::Over => {}
        }
    }

    /// Returns whether there is output to write, or being written.
    pub fn has_output(&self) -> bool {
        match &self.stage {
            Stage::Open(connection) => connection.has_output(),
            Stage::Dialing(dialing) => dialing.output.queued() > 0,
            Stage::Refusing { output, .. } => output.queued() > 0,
            Stage::Awaiting { .. } | Stage::Deciding { .. } | Stage::Over => false,
        }
    }

    /// Lends an empty buffer to gather small frames in; it is returned at once if there is one already, or none is needed.
    pub fn lend(&mut self, buffer: Vec<u8>) -> Option<Vec<u8>> {
        match &mut self.stage {
            Stage::Open(connection) => connection.lend(buffer),
            _ => Some(buffer),
        }
    }

    /// Takes the buffer back once all of it was written.
    pub fn reclaim(&mut self) -> Option<Vec<u8>> {
        self.connection_mut().and_then(Connection::reclaim)
    }

    /// Frees memory that only the next message would need again: call it before waiting.
    pub fn release(&mut self) {
        if let Stage::Open(connection) = &mut self.stage {
            connection.release();
        }
    }

    /// Sends an owned message.
    ///
    /// # Errors
    /// [`SendError::NotOpen`] before the handshake is done, [`SendError::Closing`] once the connection closes or was refused,
    /// [`SendError::QueueFull`] when the write queue is full.
    pub fn send(&mut self, message: impl Into<Message>) -> Result<(), SendError> {
        self.opened()?.send(message)
    }

    /// Sends a message, which is copied.
    ///
    /// # Errors
    /// As for [`send`](Self::send).
    pub fn send_payload(&mut self, payload: Payload<'_>) -> Result<(), SendError> {
        self.opened()?.send_payload(payload)
    }

    /// Starts the closing handshake; see [`Connection::close`].
    ///
    /// # Errors
    /// [`SendError::NotOpen`] before the handshake is done, when only the transport could be closed; [`SendError::Closing`] when it has
    /// started.
    pub fn close(
        &mut self,
        now: Instant,
        code: Option<CloseCode>,
        reason: &str,
    ) -> Result<(), SendError> {
        self.opened()?.close(now, code, reason)
    }

    fn opened(&mut self) -> Result<&mut Connection, SendError> {
        let error = match self.stage {
            Stage::Refusing { .. } | Stage::Over => SendError::Closing,
            Stage::Awaiting { .. }
            | Stage::Deciding { .. }
            | Stage::Dialing(_)
            | Stage::Open(_) => SendError::NotOpen,
        };
        self.connection_mut().ok_or(error)
    }

    /// Returns why no request can be decided on at this stage.
    const fn undecidable(&self) -> InvalidInput {
        match self.stage {
            Stage::Refusing { .. } | Stage::Over => InvalidInput::TooLate,
            Stage::Awaiting { .. }
            | Stage::Deciding { .. }
            | Stage::Dialing(_)
            | Stage::Open(_) => InvalidInput::OutOfTurn,
        }
    }

    /// Returns the connection, once there is one, for its results and further methods.
    pub const fn connection(&self) -> Option<&Connection> {
        match &self.stage {
            Stage::Open(connection) => Some(connection),
            _ => None,
        }
    }

    /// Returns the connection, once there is one, to send prepared messages and chunks, to ping and to pause.
    pub const fn connection_mut(&mut self) -> Option<&mut Connection> {
        match &mut self.stage {
            Stage::Open(connection) => Some(connection),
            _ => None,
        }
    }
}

/// Input has ended and was received. A final Close frame is sent first.
fn end(connection: &mut Connection) {
    if !matches!(connection.state, State::Lingering { .. }) || !connection.has_output() {
        connection.end_of_input();
    }
}

/// Wraps a connection whose handshake was made elsewhere.
impl From<Connection> for Endpoint {
    fn from(connection: Connection) -> Self {
        Self::at(Stage::Open(connection))
    }
}
