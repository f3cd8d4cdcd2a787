//! A connection's task: it drives the session.
//!
//! It feeds the [`Session`] messages, answers, results, signals and time, and does what it wants done. One question or call is in progress at
//! a time.

use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::OnceLock;
use std::task::Poll;
use std::time::Duration;

use sansws_async::runtime::{Runtime, sleep};
use sansws_async::{Error, HubEnv, Result};
use sansws_core::hub::{HubError, Signal};
use sansws_core::message::Message;
use sansws_core::time::Instant;

use crate::carrier::{Carrier, Incoming};
use crate::codes::Disconnect;
use crate::connections::UserPermit;
use crate::endpoint::Centrifuge;
use crate::farewell::Farewell;
use crate::protocol::Codec;
use crate::session::{Answer, HubCall, HubResult, Output, Question, Session};

/// A connection, without its reading half.
pub(crate) struct Connection<C, R> {
    centrifuge: Centrifuge<R>,
    codec: Codec,
    pub(crate) carrier: C,
    /// That of its user, if the number of its connections is limited.
    permit: OnceLock<UserPermit>,
}

/// An event that a connection's task waits for.
enum Event {
    Message(Option<Message>),
    Answer(Answer),
    Result(HubResult),
    Signal(Signal),
    Time,
}

type Work<'a> = Pin<Box<dyn Future<Output = Event> + Send + 'a>>;

/// Work in progress, which a session waits for.
enum Pending {
    Ask(Question),
    Call(HubCall),
}

impl<C: Carrier, R: Runtime + HubEnv> Connection<C, R> {
    pub(crate) const fn new(centrifuge: Centrifuge<R>, codec: Codec, carrier: C) -> Self {
        Self {
            centrifuge,
            codec,
            carrier,
            permit: OnceLock::new(),
        }
    }

    /// Serves the client until it leaves; returns how the server ends the connection, if it does.
    pub(crate) async fn serve(
        &mut self,
        mut session: Session,
        reader: &mut impl Incoming,
        farewell: &mut Farewell,
    ) -> Result<Option<Disconnect>> {
        loop {
            farewell.note_client(session.client());
            let mut pending = None;
            while pending.is_none()
                && let Some(output) = session.poll()
            {
                match output {
                    Output::Ask(question) => pending = Some(Pending::Ask(question)),
                    Output::Call(call) => pending = Some(Pending::Call(call)),
                    Output::Send(message) => self.carrier.send(message).await?,
                    other => {
                        if let Some(end) = self.act(other).await? {
                            return Ok(Some(end));
                        }
                    }
                }
            }
            let mut work = pending.map(|pending| self.work(&session, pending));
            loop {
                let is_working = work.is_some();
                let event = self.next(&session, reader, work.as_mut()).await?;
                let is_done = matches!(event, Event::Answer(_) | Event::Result(_));
                // Nothing expires by a message: the clock need not be read for each.
                if !matches!(event, Event::Message(_)) {
                    session.set_unix_time(now::<R>(), R::unix_time());
                }
                match event {
                    Event::Message(None) => return Ok(None),
                    Event::Message(Some(message)) => session.receive(now::<R>(), &message),
                    Event::Answer(answer) => session.answer(now::<R>(), answer),
                    Event::Result(result) => session.hub_result(now::<R>(), result),
                    Event::Signal(signal) => session.signal(now::<R>(), &signal),
                    Event::Time => session.tick(now::<R>()),
                }
                if is_done || !is_working {
                    break;
                }
                // The connection is lent to the work: what is due meanwhile goes through the queue.
                while let Some(output) = session.poll() {
                    if let Some(end) = self.act(output).await? {
                        return Ok(Some(end));
                    }
                }
            }
        }
    }

    /// Does what a session wants done; returns how the connection ends, if it does.
    async fn act(&self, output: Output) -> Result<Option<Disconnect>> {
        match output {
            Output::Send(message) | Output::SendInOrder(message) => {
                self.carrier.send_in_order(&message).await?;
            }
            Output::Leave(channel) => self.carrier.leave(&channel)?,
            Output::Release => self.carrier.hold_queue(false)?,
            Output::Close(end) => return Ok(Some(end)),
            Output::Ask(_) | Output::Call(_) => {}
        }
        Ok(None)
    }

    /// Waits for the next event.
    async fn next(
        &self,
        session: &Session,
        reader: &mut impl Incoming,
        mut work: Option<&mut Work<'_>>,
    ) -> Result<Event> {
        let wants_input = session.wants_input();
        let is_open = session.client().is_some();
        let wait = session.deadline().map(|at| {
            let wait = at.as_micros().saturating_sub(now::<R>().as_micros());
            Duration::from_micros(wait)
        });
        // A client that is never silent must not keep what is due from its turn.
        if wait.is_some_and(|wait| wait.is_zero()) {
            return Ok(Event::Time);
        }
        let mut time = pin!(async {
            match wait {
                Some(wait) => sleep::<R>(wait).await,
                None => pending().await,
            }
        });
        let mut signal = pin!(self.carrier.signal());
        let mut message = pin!(reader.receive());
        let mut is_gone = false;
        poll_fn(|cx| {
            if let Some(work) = &mut work
                && let Poll::Ready(event) = work.as_mut().poll(cx)
            {
                return Poll::Ready(Ok(event));
            }
            if is_open
                && !is_gone
                && let Poll::Ready(signal) = signal.as_mut().poll(cx)
            {
                match signal {
                    // The reader has the end, behind what the client sent before.
                    Err(Error::Hub(HubError::Gone)) if wants_input => is_gone = true,
                    // Nothing is read while this much waits for a handler, which may never return.
                    Err(Error::Hub(HubError::Gone)) => {
                        return Poll::Ready(Ok(Event::Message(None)));
                    }
                    signal => return Poll::Ready(Ok(Event::Signal(signal?))),
                }
            }
            if wants_input && let Poll::Ready(message) = message.as_mut().poll(cx) {
                return Poll::Ready(Ok(Event::Message(message?)));
            }
            time.as_mut().poll(cx).map(|()| Ok(Event::Time))
        })
        .await
    }

    fn work<'a>(&'a self, session: &Session, pending: Pending) -> Work<'a> {
        let client = session.client().cloned().unwrap_or_default();
        match pending {
            Pending::Ask(question) => Box::pin(async {
                let Centrifuge {
                    application,
                    options,
                    ..
                } = &self.centrifuge;
                let answer = application.answer(options, R::unix_time(), client, question);
                Event::Answer(answer.await)
            }),
            Pending::Call(call) => Box::pin(async {
                let result = self.call(call).await;
                Event::Result(result.unwrap_or_else(failed))
            }),
        }
    }

    async fn call(&self, call: HubCall) -> Result<HubResult, Error> {
        let hub = &self.centrifuge.hub;
        Ok(match call {
            HubCall::Open { user } => {
                let Some(permit) = self.centrifuge.admit(user.as_deref()) else {
                    return Ok(HubResult::UserLimit);
                };
                if let Some(permit) = permit {
                    self.permit.get_or_init(|| permit);
                }
                let id = self.carrier.open_channel(self.codec.channel(user))?;
                self.carrier.hold_queue(true)?;
                HubResult::Opened(id)
            }
            HubCall::Join(channel, join) => {
                HubResult::Joined(self.carrier.join(&channel, join).await?)
            }
            HubCall::Publish {
                channel,
                message,
                info,
            } => {
                self.carrier.publish(&channel, message, &info).await?;
                HubResult::Published
            }
            HubCall::Presence(channel) => HubResult::Presence(hub.presence(&channel).await?),
            HubCall::History(query) => HubResult::History(hub.query_history(query).await?),
        })
    }
}

/// Returns the result of a call of the hub that failed.
pub(crate) fn failed(error: Error) -> HubResult {
    HubResult::Failed(match error {
        Error::Hub(error) => error,
        _ => HubError::Gone,
    })
}

pub(crate) fn now<R: HubEnv>() -> Instant {
    R::now()
}
