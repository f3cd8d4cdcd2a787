//! One connection of a server, from its first octet to its last.
//! RFC 6455 sections 4.2, 7.1 and 7.4.1.
//! Knows no listener: an adapter brings the transport and runs the future.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::{Future, poll_fn};
use core::panic::AssertUnwindSafe;
use core::pin::{Pin, pin};
use core::task::Poll;
use std::panic::catch_unwind;
use std::sync::PoisonError;

use super::buffer::Unread;
use super::gate::{Gate, Ticket};
use super::handshake::{Fate, Slot, Upgrade, answer_and_end, receive_request_for};
use super::parties::Party;
use super::websocket::{Shared, is_closing};
use super::{Error, Result, Transport};
use crate::close::{CloseCode, Closed};
use crate::config::Config;
use crate::handshake::Refusal;
use crate::http::Response;
use crate::time::Instant;

/// How a connection of a server ended.
#[derive(Debug)]
pub struct Outcome {
    /// What the handler returned, or why it was never called.
    pub result: Result<()>,
    /// How the WebSocket connection ended, if there was one.
    pub closed: Option<Closed>,
}

/// Serves one connection: reads the request, runs the handler and drives the socket beside it, closes with the code that
/// the handler's result maps to, and waits for the end of TCP.
///
/// The handler's task is this future: while the handler waits for something else, pings are answered, deadlines kept and
/// output written. A panic of the handler is contained and closes with 1011.
///
/// The time for the handshake counts from `begun`, when the connection was accepted by the clock of the transport: TLS may
/// have taken some of it.
///
/// What only the beginning or the end of a connection needs is boxed: while it is open it does not hold it.
pub fn serve<T, H, F>(
    transport: T,
    config: Arc<Config>,
    handler: H,
    mut ticket: Ticket,
    begun: Instant,
) -> impl Future<Output = Outcome>
where
    T: Transport,
    H: FnOnce(Upgrade<T>) -> F,
    F: Future<Output = Result<()>>,
{
    let slot = Slot::new(Fate::Open.into());
    let opening = receive_request_for(
        transport,
        Arc::clone(&config),
        Some(Arc::clone(&slot)),
        begun,
    );
    let opening = Box::pin(opening);
    async move {
        let mut all = pin!(serve_until(opening, slot, config, handler, ticket.gate()));
        // When the time to leave is over, everything is dropped where it stands.
        poll_fn(|cx| match ticket.poll_dropping(cx) {
            Poll::Ready(()) => Poll::Ready(Outcome {
                result: Ok(()),
                closed: None,
            }),
            Poll::Pending => all.as_mut().poll(cx),
        })
        .await
    }
}

async fn serve_until<T, H, F>(
    opening: Pin<Box<impl Future<Output = Result<Upgrade<T>>>>>,
    slot: Slot<T>,
    config: Arc<Config>,
    handler: H,
    gate: Gate,
) -> Outcome
where
    T: Transport,
    H: FnOnce(Upgrade<T>) -> F,
    F: Future<Output = Result<()>>,
{
    let upgrade = match opening.await {
        Ok(upgrade) => upgrade,
        Err(error) => {
            return Outcome {
                result: Err(error),
                closed: None,
            };
        }
    };
    let mut place = Place::Waiting(slot);
    let result = {
        let mut running = pin!(None);
        // What a handler does before its first await may panic too.
        if let Ok(handler) = catch_unwind(AssertUnwindSafe(|| handler(upgrade))) {
            running.set(Some(handler));
        }
        poll_fn(|cx| {
            let Some(handler) = running.as_mut().as_pin_mut() else {
                return Poll::Ready(Err(Error::Panic));
            };
            match catch_unwind(AssertUnwindSafe(|| handler.poll(cx))) {
                Ok(Poll::Ready(result)) => return Poll::Ready(result),
                Ok(Poll::Pending) => {}
                Err(_) => return Poll::Ready(Err(Error::Panic)),
            }
            place.look();
            if let Place::Open(shared) = &place {
                let mut engine = shared.engine();
                if gate.is_closing() {
                    engine.start_close(Some(CloseCode::AWAY), "the server shuts down");
                }
                // The handler let go of its handle: nobody else will close.
                if Arc::strong_count(shared) == 1 {
                    engine.start_close(Some(CloseCode::NORMAL), "");
                }
                engine.pump(cx);
            }
            Poll::Pending
        })
        .await
    };
    place.look();
    match place {
        Place::Open(shared) => {
            Box::pin(finish(&shared, &result)).await;
            Outcome {
                closed: shared.engine().closed().cloned(),
                result: result.or_else(forgive),
            }
        }
        Place::Waiting(slot) => {
            if let Fate::Dropped(transport) = take(&slot) {
                // 4.2.1: whoever asks is answered, also when the handler did not.
                let response = match &result {
                    Ok(()) => Response::text(403, "the request was not accepted\n"),
                    Err(_) => Response::text(500, "the request could not be handled\n"),
                };
                let _ = Box::pin(reply(transport, &response, &config)).await;
            }
            Outcome {
                closed: None,
                result,
            }
        }
    }
}

/// Where the connection is: with the handler that has not answered yet, or open.
enum Place<T> {
    Waiting(Slot<T>),
    Open(Arc<Shared<T>>),
}

impl<T> Place<T> {
    /// Looks whether it was accepted meanwhile.
    fn look(&mut self) {
        let Self::Waiting(slot) = self else { return };
        let mut fate = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Fate::Accepted(shared) = &*fate {
            let shared = Arc::clone(shared);
            // Whether the handler still holds its handle is seen by counting.
            *fate = Fate::Rejected;
            drop(fate);
            *self = Self::Open(shared);
        }
    }
}

fn take<T>(slot: &Slot<T>) -> Fate<T> {
    let mut fate = slot.lock().unwrap_or_else(PoisonError::into_inner);
    core::mem::replace(&mut *fate, Fate::Rejected)
}

/// Answers a connection that is not let in with 503, and ends it.
pub async fn refuse<T: Transport>(transport: T, config: Arc<Config>) -> Result<()> {
    reply(transport, &Refusal::Busy.response(), &config).await
}

async fn reply<T: Transport>(mut transport: T, response: &Response, config: &Config) -> Result<()> {
    let mut octets = Vec::new();
    response.write(&mut octets)?;
    answer_and_end(&mut transport, Unread::default(), &octets, config).await
}

/// Closes with what the handler's result maps to, if nobody closed before.
async fn finish<T: Transport>(shared: &Shared<T>, result: &Result<()>) {
    let (code, reason) = match result {
        Ok(()) => (CloseCode::NORMAL, String::new()),
        Err(error @ (Error::WrongKind | Error::Violation(_))) => {
            (error.close_code(), error.to_string())
        }
        // What went wrong inside is the log's business, not the peer's.
        Err(error) => (error.close_code(), String::new()),
    };
    shared.engine().start_close(Some(code), &reason);
    poll_fn(|cx| shared.engine().poll_close(cx, Party::Driver)).await;
}

/// A handler that met the end of its connection did not fail.
fn forgive(error: Error) -> Result<()> {
    if error.is_disconnect() || is_closing(&error) {
        Ok(())
    } else {
        Err(error)
    }
}
