//! A connection that several handles share: the engine behind a lock, and how calls wait.
//! Knows no frame.

use std::io;
use std::net::Shutdown;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

#[cfg(feature = "json")]
use sansws_common::error::NOT_JSON;
use sansws_common::error::{ConnectionTag, Error};
use sansws_common::server::verdict::OwnConnection;
use sansws_common::socket::from_message::FromMessage;
use sansws_common::socket::outbox::Handle;
use sansws_common::socket::read_ahead::{Control, Item};
use sansws_common::socket::taking::Taking;
use sansws_core::close::CloseCode;
use sansws_core::connection::Connection;
use sansws_core::error::SendError;
use sansws_core::message::Message;
use sansws_core::time::Instant;

use super::engine::{Engine, Flushed, Step};
use crate::clock::now;
use crate::poll::{Interest, wait};
use crate::stream::{ByteStream, Socket};

/// Maximum time until a thread that waits notices what another thread changed: a new deadline, a shutdown.
const GLANCE: Duration = Duration::from_secs(1);

/// A connection that its handles share.
#[derive(Debug)]
pub(crate) struct Shared<S> {
    engine: Mutex<Engine<S>>,
    socket: Option<Arc<Socket>>,
}

/// How long a call may wait.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    /// As long as the connection lives.
    Forever,
    /// Until this moment; then the call fails with `TimedOut`.
    At(Instant),
    /// Not at all; the call fails with `WouldBlock`.
    Now,
}

impl<S: ByteStream> Shared<S> {
    pub(crate) fn new(engine: Engine<S>) -> Arc<Self> {
        let socket = engine.stream.socket().cloned();
        Arc::new(Self {
            engine: Mutex::new(engine),
            socket,
        })
    }

    pub(crate) fn engine(&self) -> MutexGuard<'_, Engine<S>> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn into_engine(self) -> Engine<S> {
        self.engine
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) const fn socket(&self) -> Option<&Arc<Socket>> {
        self.socket.as_ref()
    }

    /// Distinguishes its errors from those of other connections. Its address never changes.
    fn tag(&self) -> ConnectionTag {
        ConnectionTag::new(std::ptr::from_ref(self).addr())
    }

    /// Repeats `step` until it is done, and waits in between, without the lock. `receives`: the caller takes messages.
    pub(super) fn drive<R>(
        &self,
        until: Until,
        receives: bool,
        mut step: impl FnMut(&mut Engine<S>) -> Step<R>,
    ) -> Result<R, Error> {
        let mut engine = self.engine();
        // However short its time, a call looks for input once.
        let mut has_waited = self.socket.is_none();
        // A call that may wait learns of input by waiting: a read that finds none would cost more.
        if matches!(until, Until::Now) || self.socket.is_none() {
            engine.may_have_input();
        }
        loop {
            let interest = match step(&mut engine) {
                Step::Done(result) => return Ok(result),
                Step::Wait(interest) => interest,
            };
            let limit = match until {
                Until::Now => return Err(io::Error::from(io::ErrorKind::WouldBlock).into()),
                Until::At(at) if has_waited && at <= now() => {
                    return Err(io::Error::from(io::ErrorKind::TimedOut).into());
                }
                Until::At(at) => Some(at),
                Until::Forever => None,
            };
            let Some(socket) = &self.socket else {
                return Err(io::Error::from(io::ErrorKind::WouldBlock).into());
            };
            engine.release();
            engine = self.wait(engine, socket, interest, limit, receives)?;
            has_waited = true;
        }
    }

    fn wait<'a>(
        &'a self,
        mut engine: MutexGuard<'a, Engine<S>>,
        socket: &Socket,
        interest: Interest,
        limit: Option<Instant>,
        receives: bool,
    ) -> Result<MutexGuard<'a, Engine<S>>, Error> {
        let deadline = [engine.deadline(), limit].into_iter().flatten().min();
        let mut timeout = deadline.map(|deadline| deadline.since(now()));
        let served = engine.served.as_ref();
        let closing = served.and_then(|served| served.bell());
        if engine.flags.shared || served.is_some_and(|served| served.is_draining()) {
            timeout = Some(timeout.map_or(GLANCE, |timeout| timeout.min(GLANCE)));
        }
        engine.receivers += u32::from(receives);
        drop(engine);
        let own = (socket.source(), interest);
        let waited = match closing.as_ref().and_then(|bell| bell.source()) {
            Some(bell) => wait(&[own, (bell, Interest::READ)], timeout),
            None => {
                let glance = if closing.is_some() {
                    Some(timeout.map_or(GLANCE, |timeout| timeout.min(GLANCE)))
                } else {
                    timeout
                };
                wait(&[own], glance)
            }
        };
        let mut engine = self.engine();
        engine.receivers -= u32::from(receives);
        engine.may_have_input();
        waited?;
        Ok(engine)
    }

    /// Receives the next message or chunk. `None` is a normal end.
    pub(crate) fn receive(&self, until: Until, pieces: bool) -> Result<Option<Item>, Error> {
        self.receive_as(until, pieces, &mut Taking::Owned)
    }

    /// Receives the next message or chunk; a message that lies in the read buffer is taken so.
    pub(super) fn receive_as(
        &self,
        until: Until,
        pieces: bool,
        taking: &mut Taking<'_, '_>,
    ) -> Result<Option<Item>, Error> {
        self.drive(until, true, |engine| {
            engine.receive(pieces, |engine, pieces| engine.next(pieces, taking))
        })?
    }

    /// Lends the next message, once there is room for an answer. `false` is a normal end.
    pub(super) fn lend(&self, handle: &mut Handle<'_>) -> Result<bool, Error> {
        let lent = self.drive(Until::Forever, true, |engine| {
            loop {
                while engine.lacks_room() {
                    if let Some(interest) = engine.make_room()
                        && engine.lacks_room()
                    {
                        return Step::Wait(interest);
                    }
                }
                match engine.receive(false, |engine, _| engine.lend_next(handle)) {
                    Step::Done(Ok(Some(false))) => {}
                    step => return step,
                }
            }
        })??;
        Ok(lent.is_some())
    }

    /// Writes answers. An error is left to the next call that receives.
    pub(super) fn write_answers(&self) {
        let _ = self.write_all(true);
    }

    /// Receives the next message or control frame. `None` is a normal end.
    pub(crate) fn receive_event(
        &self,
        until: Until,
    ) -> Result<Option<Result<Message, Control>>, Error> {
        self.drive(until, true, |engine| {
            engine.receive(false, |engine, pieces| {
                loop {
                    if let Some(control) = engine.next_control() {
                        return Some(Err(control));
                    }
                    match engine.next_event(pieces, &mut Taking::Owned)? {
                        Ok(item) if item.piece.is_none() => return Some(Ok(item.message)),
                        // The rest of a message whose reader was dropped.
                        Ok(_) => {}
                        Err(control) => return Some(Err(control)),
                    }
                }
            })
        })?
    }

    /// Sends something once there is room for it, and writes it.
    pub(crate) fn submit(
        &self,
        message: bool,
        flush: bool,
        send: impl FnOnce(&mut Connection) -> Result<(), SendError>,
    ) -> Result<(), Error> {
        let mut send = Some(send);
        let mut answers = false;
        self.drive(Until::Forever, false, |engine| {
            loop {
                if !engine.accepts() && !engine.is_answering() {
                    return match engine.refusal() {
                        Some(error) => Step::Done(Err(error)),
                        None if engine.tick() => continue,
                        None => Step::Wait(engine.interest(true)),
                    };
                }
                if engine.connection.has_room() || !engine.accepts() {
                    let send = send.take();
                    answers = engine.is_answering();
                    return Step::Done(send.map_or(Ok(()), |send| engine.send(message, send)));
                }
                if let Some(interest) = engine.make_room() {
                    return Step::Wait(interest);
                }
            }
        })??;
        if flush {
            self.write_all(answers)?;
            self.engine().look_if_due();
        }
        Ok(())
    }

    /// Writes all queued output.
    pub(crate) fn flush(&self) -> Result<(), Error> {
        self.write_all(false)
    }

    /// Writes all queued output. An answer that is lost is no error: messages that can still be received precede the end.
    fn write_all(&self, answers: bool) -> Result<(), Error> {
        self.drive(Until::Forever, false, |engine| {
            loop {
                if engine.flush() == Flushed::Blocked {
                    match engine.make_room() {
                        Some(interest) => return Step::Wait(interest),
                        None => continue,
                    }
                }
                let is_answering = answers || engine.is_answering();
                if engine.connection.is_open() && engine.connection.is_output_over() {
                    if is_answering {
                        return Step::Done(Ok(()));
                    }
                    return match engine.refusal() {
                        Some(error) => Step::Done(Err(error)),
                        None if engine.tick() => continue,
                        None => Step::Wait(engine.interest(true)),
                    };
                }
                return Step::Done(match engine.ending.closed() {
                    Some(closed) if !closed.clean && !is_answering => Err(engine.ending.error()),
                    _ => Ok(()),
                });
            }
        })?
    }

    /// Completes the close: both Close frames, then the end of TCP, each within its timeout.
    pub(crate) fn finish_close(&self) -> Result<(), Error> {
        self.drive(Until::Forever, false, |engine| {
            loop {
                engine.discard();
                engine.flush();
                if engine.is_over() {
                    engine.end_stream();
                    return Step::Done(());
                }
                if !engine.drain() && !engine.tick() {
                    return Step::Wait(engine.closing_interest());
                }
            }
        })?;
        // A thread that still receives learns of the end.
        if let Some(socket) = &self.socket {
            let _ = socket.shutdown(Shutdown::Both);
        }
        Ok(())
    }

    /// Converts a message of this connection; an error is attributed to it.
    pub(crate) fn parse<M: FromMessage>(&self, message: Message) -> Result<M, Error> {
        M::from_message(message).map_err(|error| {
            let error = error.met_by(self.tag());
            let fault = match &error {
                Error::WrongKind(_) => Some((CloseCode::UNSUPPORTED, error.to_string())),
                #[cfg(feature = "json")]
                Error::Json(_) => Some((CloseCode::INVALID, NOT_JSON.into())),
                _ => None,
            };
            if let Some((code, reason)) = fault {
                self.engine().ending.note_fault(&error, code, reason);
            }
            error
        })
    }
}

impl<S: ByteStream> OwnConnection for Shared<S> {
    fn tag(&self) -> ConnectionTag {
        Self::tag(self)
    }

    fn is_open(&self) -> bool {
        self.engine().connection.is_open()
    }

    fn has_met(&self, error: &Error) -> bool {
        self.engine().ending.has_met(error)
    }

    fn has_reported(&self, text: &str) -> Option<(CloseCode, String)> {
        let engine = self.engine();
        let closing = || {
            let is = Error::from(SendError::Closing).to_string() == text;
            (is && !engine.connection.is_open()).then(|| (CloseCode::NORMAL, String::new()))
        };
        engine.ending.has_reported(text).or_else(closing)
    }
}
