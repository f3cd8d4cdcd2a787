//! A connection that several handles share: the engine behind a lock.

use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, ready};

use sansws_core::close::CloseCode;
use sansws_core::message::Message;

use crate::error::{ConnectionTag, Error, Result};
use crate::socket::engine::Engine;
use crate::socket::from_message::FromMessage;
use crate::socket::wakers::WakerRole;
use crate::transport::Transport;

/// A connection that its handles share with the task that drives it.
#[derive(Debug)]
pub(crate) struct Shared<T>(Mutex<Engine<T>>);

impl<T> Shared<T> {
    pub(crate) const fn new(engine: Engine<T>) -> Self {
        Self(Mutex::new(engine))
    }

    pub(crate) fn into_engine(self) -> Engine<T> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn engine(&self) -> MutexGuard<'_, Engine<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Transport> Shared<T> {
    /// Distinguishes its errors from those of other connections. Its address never changes.
    pub(crate) fn tag(&self) -> ConnectionTag {
        ConnectionTag::new(std::ptr::from_ref(self).addr())
    }

    /// Sends something once there is room for it, and writes it if it is time.
    ///
    /// It is not an `async fn`: that would store the message twice, and this lies in the future of each handler.
    pub(crate) fn submit(
        &self,
        send: impl FnOnce(&mut Engine<T>) -> Result<(), Error>,
    ) -> impl Future<Output = Result<(), Error>> {
        let mut send = Some(send);
        poll_fn(move |cx| {
            let mut engine = self.engine();
            ready!(engine.poll_ready_to_answer(cx, WakerRole::Writer))?;
            if let Some(send) = send.take() {
                send(&mut engine)?;
            }
            engine.flush_if_due(cx, WakerRole::Writer);
            Poll::Ready(Ok(()))
        })
    }
}

impl<T: Transport> Shared<T> {
    /// Converts a message of this connection; an error is attributed to it.
    pub(crate) fn parse<M: FromMessage>(&self, message: Message) -> Result<M, Error> {
        M::from_message(message).map_err(|error| self.at_fault(error))
    }

    #[cold]
    fn at_fault(&self, error: Error) -> Error {
        let error = error.met_by(self.tag());
        match &error {
            Error::WrongKind(_) => {
                let reason = error.to_string();
                (self.engine()).note_fault(&error, CloseCode::UNSUPPORTED, reason);
            }
            #[cfg(feature = "json")]
            Error::Json(_) => {
                let reason = crate::error::NOT_JSON.into();
                self.engine().note_fault(&error, CloseCode::INVALID, reason);
            }
            _ => {}
        }
        error
    }
}
