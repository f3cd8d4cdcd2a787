//! Runs a client, poll by poll.
//! RFC 6455 section 7.2.3.
//! Knows when to dial, wait, send and receive; all half-done work lives in the [`Link`].

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::client::state::{ClientState, Stop};
use crate::client::{Client, Connector, Hook};
use crate::contain::contain;
use crate::error::HandlerError;
use crate::error::{Error, Result};
use crate::server::verdict::Verdict;
use crate::socket::read_ahead::Item;
use crate::socket::wakers::WakerRole;
use crate::socket::websocket::WebSocket;
use crate::socket::websocket::is_closing;
use sansws_common::socket::ending::vanished;
use sansws_core::close::CloseCode;
use sansws_core::error::SendError;
use sansws_core::message::Message;

/// The current activity.
pub(super) enum Link<C: Connector> {
    /// None: dial.
    Idle,
    Dialing(C::Dialing),
    /// The hook runs on the new connection.
    Opening(WebSocket<C::Transport>, Hook),
    Open(WebSocket<C::Transport>),
    /// Waits for the Close frames and the end of TCP: after a hook that failed with this, or permanently.
    Leaving(WebSocket<C::Transport>, Option<Error>),
    Waiting(C::Sleeping),
    Stopped,
}

/// Maximum number of messages that are kept for `receive` while another call sends or waits.
const KEPT: usize = 1 << 10;

impl<C: Connector> Client<C> {
    /// Proceeds as far as possible: `true` when the connection is open, and as much of the queue is sent as it accepts; `false` once
    /// stopped.
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        loop {
            match &mut self.link {
                Link::Idle => {
                    let dialing = self.connector.dial(&self.url, &self.dial);
                    self.link = Link::Dialing(dialing);
                    self.change(ClientState::Connecting);
                }
                Link::Dialing(dialing) => match ready!(Pin::new(dialing).poll(cx)) {
                    Ok(socket) => self.begin(socket),
                    Err(error) => self.over(error),
                },
                Link::Opening(_, hook) => {
                    let done = match contain(|| hook.as_mut().poll(cx)) {
                        Ok(done) => ready!(done),
                        Err(panic) => Err(panic.into()),
                    };
                    self.hooked(done);
                }
                Link::Open(_) => match self.poll_queue(cx) {
                    Poll::Ready(Err(error)) if !is_over(&error) => self.over(error),
                    _ => return Poll::Ready(true),
                },
                Link::Leaving(socket, _) => {
                    ready!(socket.shared().engine().poll_close(cx, WakerRole::Writer));
                    self.left();
                }
                Link::Waiting(sleeping) => {
                    ready!(Pin::new(sleeping).poll(cx));
                    self.link = Link::Idle;
                }
                Link::Stopped => return Poll::Ready(false),
            }
        }
    }

    /// The connection is established.
    fn begin(&mut self, socket: WebSocket<C::Transport>) {
        match &mut self.on_open {
            Some(hook) => match contain(|| hook(socket.again())) {
                Ok(hook) => self.link = Link::Opening(socket, hook),
                Err(panic) => self.unhooked(socket, panic.into()),
            },
            None => self.open(socket),
        }
    }

    fn open(&mut self, socket: WebSocket<C::Transport>) {
        self.reconnect.opened(self.connector.now());
        self.dial.opened();
        self.link = Link::Open(socket);
        self.change(ClientState::Open);
    }

    /// The hook completed.
    fn hooked(&mut self, done: Result) {
        let link = mem::replace(&mut self.link, Link::Idle);
        let Link::Opening(socket, hook) = link else {
            self.link = link;
            return;
        };
        let dropped = contain(|| drop(hook));
        match dropped.map_err(HandlerError::from).and(done) {
            Ok(()) => self.open(socket),
            Err(error) => self.unhooked(socket, error),
        }
    }

    /// The hook failed.
    fn unhooked(&mut self, socket: WebSocket<C::Transport>, error: HandlerError) {
        let verdict = Verdict::of_hook(&error, socket.cell());
        if verdict.is_end && !socket.is_open() {
            // The hook met the end of the connection: that end counts, after messages that can still be received.
            self.link = Link::Open(socket);
            return;
        }
        let error = verdict.hook_error(error, || socket.cell().engine().disconnected());
        if verdict.is_end {
            return self.over(error);
        }
        let (code, reason) = (verdict.code, verdict.reason);
        socket
            .shared()
            .engine()
            .start_close(Some(code), sansws_core::close::cut_reason(&reason));
        self.link = Link::Leaving(socket, Some(error));
    }

    /// The abandoned connection has ended.
    fn left(&mut self) {
        let link = mem::replace(&mut self.link, Link::Stopped);
        let Link::Leaving(socket, why) = link else {
            self.link = link;
            return;
        };
        match why {
            Some(error) => self.over(error),
            None => {
                let closed = socket.closed();
                self.change(ClientState::Stopped(Stop::Closed(closed)));
            }
        }
    }

    /// A connection or an attempt has ended.
    fn over(&mut self, error: Error) {
        let state = ClientState::after(error, &mut self.reconnect, self.connector.now());
        self.link = match state {
            ClientState::Waiting { wait, .. } => Link::Waiting(self.connector.sleep(wait)),
            _ => Link::Stopped,
        };
        self.change(state);
    }

    fn change(&mut self, state: ClientState) {
        self.state = state;
        self.state.report(&self.url, self.on_change.as_deref_mut());
    }

    /// Sends queued messages. Ready when none are left, or the connection accepts no more.
    fn poll_queue(&mut self, cx: &Context<'_>) -> Poll<Result<(), Error>> {
        let Link::Open(socket) = &self.link else {
            return Poll::Ready(Ok(()));
        };
        if self.queue.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let shared = socket.shared();
        let mut engine = shared.engine();
        while let Some(message) = self.queue.front() {
            ready!(engine.poll_ready(cx, WakerRole::Writer))?;
            let payload = message.payload();
            engine.send_message(|connection| connection.send_payload(payload))?;
            self.queue.pop();
        }
        engine.flush_if_due(cx, WakerRole::Writer);
        Poll::Ready(Ok(()))
    }

    pub(super) fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Message>, Error>> {
        loop {
            if let Some(Item { message, .. }) = self.inbox.pop() {
                return Poll::Ready(Ok(Some(message)));
            }
            if !ready!(self.poll_open(cx)) {
                return Poll::Ready(Ok(None));
            }
            if let Poll::Ready(got) = self.poll_message(cx) {
                if got.is_some() {
                    return Poll::Ready(Ok(got));
                }
                continue;
            }
            // Reading may have made room.
            let queued = self.queue.len();
            let _ = self.poll_queue(cx);
            if self.queue.len() == queued {
                return Poll::Pending;
            }
        }
    }

    /// Returns a message of the open connection; `None` when it has ended, which has then been judged.
    fn poll_message(&mut self, cx: &Context<'_>) -> Poll<Option<Message>> {
        let Link::Open(socket) = &self.link else {
            return Poll::Ready(None);
        };
        let shared = socket.shared();
        let mut engine = shared.engine();
        let error = match ready!(engine.poll_receive(cx, WakerRole::Reader)) {
            Ok(Some(message)) => return Poll::Ready(Some(message)),
            Ok(None) => engine.disconnected(),
            Err(error) => error,
        };
        drop(engine);
        self.over(error);
        Poll::Ready(None)
    }

    /// Reads ahead for `receive`, so that senders see the end. Returns whether the end came; it has then been judged.
    fn look(&mut self, cx: &Context<'_>) -> bool {
        let most = self.dial.config.limits.read_ahead;
        while self.inbox.bytes() < most && self.inbox.items() < KEPT {
            match self.poll_message(cx) {
                Poll::Ready(Some(message)) => self.keep(message),
                Poll::Ready(None) => return true,
                Poll::Pending => return false,
            }
        }
        false
    }

    fn keep(&mut self, message: Message) {
        self.inbox.push(Item {
            message,
            piece: None,
        });
    }

    pub(super) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        message: &mut Option<Message>,
    ) -> Poll<Result<(), Error>> {
        let mut opened = self.poll_open(cx);
        while opened == Poll::Ready(true) && self.look(cx) {
            opened = self.poll_open(cx);
        }
        match opened {
            Poll::Ready(false) => return Poll::Ready(Err(SendError::Stopped.into())),
            Poll::Ready(true) if self.is_accepting() => {
                if !self.queue.is_empty() {
                    // Earlier messages come first; the task is woken when they can proceed.
                    return Poll::Pending;
                }
                if let Some(sent) = ready!(self.poll_send_now(cx, message)) {
                    return Poll::Ready(sent);
                }
            }
            Poll::Ready(true) | Poll::Pending => {}
        }
        if matches!(self.link, Link::Leaving(_, None)) {
            return Poll::Ready(Err(SendError::Stopped.into()));
        }
        Poll::Ready(self.queue.push(message).map_err(Error::from))
    }

    /// Sends over the open connection; `None` when it accepts no more.
    fn poll_send_now(
        &self,
        cx: &Context<'_>,
        message: &mut Option<Message>,
    ) -> Poll<Option<Result<(), Error>>> {
        let Link::Open(socket) = &self.link else {
            return Poll::Ready(None);
        };
        let shared = socket.shared();
        let mut engine = shared.engine();
        if ready!(engine.poll_ready(cx, WakerRole::Writer)).is_err() {
            return Poll::Ready(None);
        }
        let sent = message.take().map_or(Ok(()), |message| {
            engine.send_message(|connection| connection.send(message))
        });
        engine.flush_if_due(cx, WakerRole::Writer);
        Poll::Ready(Some(sent))
    }

    /// Returns whether messages can be sent: the closing handshake has not started.
    fn is_accepting(&self) -> bool {
        matches!(&self.link, Link::Open(socket) if socket.is_open())
    }

    /// Waits for a connection that accepts messages; with `flush`, until all of them are written.
    pub(super) fn poll_accepting(
        &mut self,
        cx: &mut Context<'_>,
        flush: bool,
    ) -> Poll<Result<(), Error>> {
        loop {
            if !ready!(self.poll_open(cx)) {
                return Poll::Ready(Err(SendError::Stopped.into()));
            }
            if self.look(cx) {
                continue;
            }
            if !self.is_accepting() {
                // Messages before the end are kept; the end leads to the next connection.
                match ready!(self.poll_message(cx)) {
                    Some(message) if self.inbox.items() < KEPT => self.keep(message),
                    Some(_) => self.over(Error::Disconnect(vanished().into())),
                    None => {}
                }
                continue;
            }
            if !flush {
                return Poll::Ready(Ok(()));
            }
            if !self.queue.is_empty() {
                return Poll::Pending;
            }
            let Link::Open(socket) = &self.link else {
                continue;
            };
            let flushed = socket.shared().engine().poll_flushed(cx, WakerRole::Writer);
            if ready!(flushed).is_ok() {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Starts to close permanently.
    pub(super) fn leave(&mut self, code: CloseCode, reason: &str) {
        self.inbox.clear();
        match mem::replace(&mut self.link, Link::Stopped) {
            Link::Opening(socket, hook) => {
                // It is application code.
                let _ = contain(|| drop(hook));
                self.leave_from(socket, code, reason);
            }
            Link::Open(socket) => self.leave_from(socket, code, reason),
            Link::Leaving(socket, _) => self.link = Link::Leaving(socket, None),
            Link::Idle | Link::Dialing(_) | Link::Waiting(_) => {
                self.change(ClientState::Stopped(Stop::Closed(None)));
            }
            Link::Stopped => {}
        }
    }

    fn leave_from(&mut self, socket: WebSocket<C::Transport>, code: CloseCode, reason: &str) {
        socket.shared().engine().start_close(Some(code), reason);
        self.link = Link::Leaving(socket, None);
    }

    pub(super) fn poll_stopped(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while ready!(self.poll_open(cx)) {
            // Only an open connection is not on its way to its end, and there is none.
            self.leave(CloseCode::NORMAL, "");
        }
        Poll::Ready(())
    }
}

/// Records that a send found the connection over: its end is reported after messages that can still be received.
const fn is_over(error: &Error) -> bool {
    is_closing(error) || is_end(error)
}

/// Returns whether the connection is over with this error: nobody is left to send Close to.
const fn is_end(error: &Error) -> bool {
    matches!(
        error,
        Error::Disconnect(_) | Error::Violation(_) | Error::Io(_)
    )
}
