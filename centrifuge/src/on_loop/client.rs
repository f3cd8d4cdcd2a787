//! One client on an event loop: it feeds its session callbacks, answers, results and time, and does what that wants done.
//!
//! The loop never waits: a future that is not ready becomes a task of the connection. Replies that the client does not take are kept, and
//! meanwhile no more commands are handled.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use sansws_core::close::{CloseCode, Closed};
use sansws_core::hub::Signal;
use sansws_core::message::Message;
use sansws_core::time::{Duration, Instant};
use sansws_mio::hub::Clock;
use sansws_mio::{Error, HubEnv, Result, Sent, Socket, TimerId};

use crate::codes::Disconnect;
use crate::connection::failed;
use crate::connections::UserPermit;
use crate::endpoint::Centrifuge;
use crate::fallback::{StreamRequest, last_message};
use crate::farewell::Farewell;
use crate::protocol::Codec;
use crate::session::{Answer, HubCall, HubResult, Output, Question, Session};

/// The data of a connection of [`Centrifuge`](crate::Centrifuge) on an event loop. For an example see there.
pub struct LoopClient {
    centrifuge: Centrifuge<Clock>,
    codec: Codec,
    session: Session,
    /// That of its user, if the number of its connections is limited.
    permit: Option<UserPermit>,
    farewell: Farewell,
    /// The timer of the session, and when it is due.
    timer: Option<(TimerId, Instant)>,
    /// Messages that wait until the session takes more, and how many bytes they are.
    ahead: VecDeque<Message>,
    ahead_bytes: usize,
    /// Replies for which there was no room, and how many bytes they are.
    unsent: VecDeque<Message>,
    unsent_bytes: usize,
    /// Work that begins once they are sent.
    next: Option<Work>,
    is_paused: bool,
}

/// Maximum number of messages that are read ahead.
const AHEAD: usize = 256;

/// Number of bytes of unsent replies at which there may be no more: commands beside a stream are not held back by its output.
const UNSENT: usize = 1 << 20;

/// Work that a session waits for.
enum Work {
    Ask(Question),
    Call(HubCall),
}

/// A future whose output a session takes.
type Running<T> = Pin<Box<dyn Future<Output = T>>>;

impl LoopClient {
    /// A client over WebSocket.
    pub(super) fn new(centrifuge: Centrifuge<Clock>, codec: Codec) -> Self {
        let session = Session::new(Arc::clone(&centrifuge.options), codec, Clock::now());
        Self::of(centrifuge, codec, session)
    }

    /// A client whose commands come beside its stream, after the first.
    pub(super) fn streamed(centrifuge: Centrifuge<Clock>, request: StreamRequest) -> Self {
        let session = centrifuge.streamed_session(request.codec);
        let mut this = Self::of(centrifuge, request.codec, session);
        this.receive(request.first);
        this
    }

    fn of(centrifuge: Centrifuge<Clock>, codec: Codec, session: Session) -> Self {
        Self {
            session,
            farewell: Farewell::new(centrifuge.application.on_disconnect.clone()),
            centrifuge,
            codec,
            permit: None,
            timer: None,
            ahead: VecDeque::new(),
            ahead_bytes: 0,
            unsent: VecDeque::new(),
            unsent_bytes: 0,
            next: None,
            is_paused: false,
        }
    }

    /// Takes a message of the client, after those that wait.
    pub(super) fn receive(&mut self, message: Message) {
        self.ahead_bytes += message.len();
        self.ahead.push_back(message);
    }

    /// Passes the next message to the session; returns whether there was one that it takes.
    fn has_received(&mut self) -> bool {
        if !self.session.wants_input() || !self.unsent.is_empty() {
            return false;
        }
        let Some(message) = self.ahead.pop_front() else {
            return false;
        };
        self.ahead_bytes -= message.len();
        self.session.receive(Clock::now(), &message);
        true
    }

    /// The hub has joined the client to a group, or failed to: by its own command, or by the application, which no command waits for.
    pub(super) fn joined(&mut self, group: &str, result: HubResult) {
        if self.session.awaits_join(group) {
            self.hub_result(result);
        }
    }

    fn hub_result(&mut self, result: HubResult) {
        self.set_clock();
        self.session.hub_result(Clock::now(), result);
    }

    pub(super) fn signal(&mut self, signal: &Signal) {
        self.set_clock();
        self.session.signal(Clock::now(), signal);
    }

    /// Tells the session what time it is by the clock of the system.
    fn set_clock(&mut self) {
        self.session.set_unix_time(Clock::now(), Clock::unix_time());
    }

    fn answer(&mut self, answer: Answer) {
        self.set_clock();
        self.session.answer(Clock::now(), answer);
    }
}

/// Does all that the session wants done now.
pub(super) fn go_on(socket: &mut Socket<'_, LoopClient>) -> Result {
    send_unsent(socket);
    loop {
        let client = socket.data();
        client.farewell.note_client(client.session.client());
        if client.unsent.is_empty()
            && let Some(work) = client.next.take()
        {
            begin(socket, work);
        } else if let Some(output) = client.session.poll() {
            act(socket, output)?;
        } else if !client.has_received() {
            break;
        }
    }
    receive_if_wanted(socket);
    await_deadline(socket);
    Ok(())
}

/// The stream is about to end: a last message says why.
pub(super) fn say_end(socket: &mut Socket<'_, LoopClient>, closed: &Closed) {
    let end = Disconnect {
        code: closed.code(),
        reason: closed.reason.clone(),
    };
    // There is always room for it.
    let message = last_message(socket.data().codec, &end);
    let _ = socket.send(message);
}

/// The connection has ended.
pub(super) fn end(socket: &mut Socket<'_, LoopClient>, closed: &Closed) {
    let (client, within) = socket.parts();
    client.farewell.note_closed(Some(closed.clone()));
    // TCP may go on for a while.
    client.permit = None;
    drop(std::mem::replace(&mut client.farewell, Farewell::new(None)));
    if let Some((timer, _)) = client.timer.take() {
        within.cancel(timer);
    }
}

fn act(socket: &mut Socket<'_, LoopClient>, output: Output) -> Result {
    match output {
        Output::Send(message) => send(socket, message),
        Output::SendInOrder(message) => socket.send_in_order(message)?,
        Output::Ask(question) => socket.data().next = Some(Work::Ask(question)),
        Output::Call(call) => socket.data().next = Some(Work::Call(call)),
        Output::Leave(channel) => drop(socket.leave(&channel)?),
        Output::Release => socket.hold_queue(false)?,
        Output::Close(end) => close(socket, &end),
    }
    Ok(())
}

fn close(socket: &mut Socket<'_, LoopClient>, end: &Disconnect) {
    let client = socket.data();
    client.farewell.note_end(end);
    // The client comes back once it knows, perhaps before this connection has ended.
    client.permit = None;
    let code = CloseCode::new(end.code).unwrap_or(CloseCode::INTERNAL);
    socket.close(code, &end.reason);
}

/// Sends a reply after those that wait for room.
fn send(socket: &mut Socket<'_, LoopClient>, message: Message) {
    if socket.data().unsent.is_empty() && has_sent(socket, &message) {
        return;
    }
    let client = socket.data();
    if client.unsent_bytes >= UNSENT {
        return close(socket, &Disconnect::slow());
    }
    client.unsent_bytes += message.len();
    client.unsent.push_back(message);
}

fn send_unsent(socket: &mut Socket<'_, LoopClient>) {
    while let Some(message) = socket.data().unsent.pop_front() {
        if !has_sent(socket, &message) {
            return socket.data().unsent.push_front(message);
        }
        socket.data().unsent_bytes -= message.len();
    }
}

/// Sends a message; returns `false` if there is no room for it. What nobody receives any more needs none.
fn has_sent(socket: &mut Socket<'_, LoopClient>, message: &Message) -> bool {
    let sent = match message {
        Message::Text(text) => socket.send(text.as_str()),
        Message::Binary(bytes) => socket.send(bytes.as_slice()),
    };
    sent != Sent::Full
}

/// Receives unless enough messages wait. Some are read ahead, so that a client that leaves is noticed while a handler works.
fn receive_if_wanted(socket: &mut Socket<'_, LoopClient>) {
    let most = socket.config().map_or(0, |config| config.limits.read_ahead);
    let client = socket.data();
    let is_paused = client.ahead_bytes > most || client.ahead.len() >= AHEAD;
    if std::mem::replace(&mut client.is_paused, is_paused) == is_paused {
        return;
    }
    if is_paused {
        socket.pause();
    } else {
        socket.resume();
    }
}

/// Sets the timer of the session. One that is due earlier than necessary sets it again.
fn await_deadline(socket: &mut Socket<'_, LoopClient>) {
    let client = socket.data();
    let Some(due) = client.session.deadline() else {
        return;
    };
    if client.timer.is_some_and(|(_, armed)| armed <= due) {
        return;
    }
    let wait = due.as_micros().saturating_sub(Clock::now().as_micros());
    if let Some((timer, _)) = client.timer.take() {
        socket.context().cancel(timer);
    }
    let timer = socket.after(Duration::from_micros(wait), |socket| {
        let client = socket.data();
        client.timer = None;
        client.set_clock();
        client.session.tick(Clock::now());
        go_on(socket)
    });
    socket.data().timer = Some((timer, due));
}

/// Begins work, and passes its result to the session once it is there.
fn begin(socket: &mut Socket<'_, LoopClient>, work: Work) {
    match work {
        Work::Ask(question) => {
            let client = socket.data();
            let user = client.session.client().cloned().unwrap_or_default();
            let centrifuge = client.centrifuge.clone();
            let answer = async move {
                let application = &centrifuge.application;
                let options = &centrifuge.options;
                application
                    .answer(options, Clock::unix_time(), user, question)
                    .await
            };
            run(socket, Box::pin(answer), LoopClient::answer);
        }
        Work::Call(call) => {
            if let Err(error) = begin_call(socket, call) {
                socket.data().hub_result(failed(error));
            }
        }
    }
}

fn begin_call(socket: &mut Socket<'_, LoopClient>, call: HubCall) -> Result<(), Error> {
    let hub = socket.data().centrifuge.hub.clone();
    match call {
        HubCall::Open { user } => {
            let result = open(socket, user)?;
            socket.data().hub_result(result);
        }
        // `Endpoint::joined` has the result.
        HubCall::Join(channel, join) => socket.join_with(&channel, join)?,
        HubCall::Publish {
            channel,
            message,
            info,
        } => {
            let publication = socket.publication(&*channel, message).info(&info);
            let published = publication.into_future();
            let result = async { published.await.map(|_| HubResult::Published) };
            call_hub(socket, result);
        }
        HubCall::Presence(channel) => call_hub(socket, async move {
            Ok(HubResult::Presence(hub.presence(&channel).await?))
        }),
        HubCall::History(query) => call_hub(socket, async move {
            Ok(HubResult::History(hub.query_history(query).await?))
        }),
    }
    Ok(())
}

/// Opens the channel of a user's connection.
fn open(socket: &mut Socket<'_, LoopClient>, user: Option<String>) -> Result<HubResult, Error> {
    let client = socket.data();
    let Some(permit) = client.centrifuge.admit(user.as_deref()) else {
        return Ok(HubResult::UserLimit);
    };
    client.permit = permit;
    let options = client.codec.channel(user);
    let id = socket.open_channel(options)?;
    socket.hold_queue(true)?;
    Ok(HubResult::Opened(id))
}

fn call_hub(
    socket: &mut Socket<'_, LoopClient>,
    call: impl Future<Output = Result<HubResult, Error>> + 'static,
) {
    let result = async { call.await.unwrap_or_else(failed) };
    run(socket, Box::pin(result), LoopClient::hub_result);
}

/// Passes the output of a future on, now if it is ready.
fn run<T: 'static>(
    socket: &mut Socket<'_, LoopClient>,
    mut running: Running<T>,
    take: fn(&mut LoopClient, T),
) {
    // A task polls it anew, with a waker.
    if let Poll::Ready(output) = running
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        return take(socket.data(), output);
    }
    socket.spawn(running, move |socket, output| {
        take(socket.data(), output);
        go_on(socket)
    });
}

impl fmt::Debug for LoopClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoopClient")
            .field("codec", &self.codec)
            .field("client", &self.session.client())
            .finish_non_exhaustive()
    }
}
