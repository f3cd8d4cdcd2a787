//! Runs a loop: sleeps, and gives everyone their turn.
//! Knows no byte.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;

use mio::{Events, Poll, Token};
use sansws_common::contain::contain;
use sansws_common::error::{Error, Result};
use sansws_common::hub::HubRef;
use sansws_common::socket::memory::keep_large_blocks;
use sansws_core::time::{Duration, Instant};

use super::{App, Handle, Key, Loop, Mailbox, Served, WAKER};
use crate::ServerOptions;
use crate::clock::now;
use crate::listener::Listener;
use sansws_common::ServerHandle;

/// The token of the first listener; those of connections are below.
const LISTENERS: usize = usize::MAX - 1_024;

/// Maximum number of events of one poll.
const EVENTS: usize = 1_024;

/// An event loop, for timers and closures of other threads. A [`Server`](crate::Server) makes its own.
///
/// It belongs to the thread that made it.
///
/// ```
/// use std::time::Duration;
/// use sansws_mio::EventLoop;
///
/// # fn main() -> sansws_mio::Result {
/// let mut event_loop = EventLoop::new()?;
/// event_loop.context().after(Duration::from_millis(5), |within| {
///     println!("{} connections", within.connections());
///     within.stop();
/// });
/// event_loop.run()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct EventLoop {
    poll: Poll,
    events: Events,
    inner: Loop,
}

impl EventLoop {
    /// Makes a loop without connections.
    ///
    /// # Errors
    /// When the system has no descriptors left.
    pub fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let mailbox = Mailbox::new(poll.registry())?;
        Self::of(poll, mailbox)
    }

    /// Makes the loop of a poll, whose mailbox others may know already.
    pub(crate) fn of(poll: Poll, mailbox: Arc<Mailbox>) -> io::Result<Self> {
        keep_large_blocks();
        let registry = poll.registry().try_clone()?;
        Ok(Self {
            poll,
            events: Events::with_capacity(EVENTS),
            inner: Loop::new(registry, mailbox),
        })
    }

    /// Serves on these listeners until the handle is closed.
    pub(crate) fn serve(
        &mut self,
        listeners: Vec<Listener>,
        app: App,
        options: Arc<ServerOptions>,
        handle: ServerHandle,
        slow: Duration,
    ) -> Result<(), Error> {
        let mut polled = Vec::new();
        for (index, listener) in listeners.into_iter().enumerate() {
            let listener = listener.polled(self.poll.registry(), Token(LISTENERS + index))?;
            polled.push(Some(listener));
        }
        let all = 0..polled.len();
        let hubs = app.hubs(HubRef::is_same);
        self.inner.served = Some(Rc::new(Served {
            app,
            options,
            handle: handle.clone(),
        }));
        self.inner.accepting.listeners = polled;
        self.inner.slow = slow;
        for hub in hubs {
            self.inner.hub_index(&hub);
        }
        all.for_each(|index| self.inner.listener_is_ready(index));
        let _bell = handle.on_shutdown(Waker::from(Arc::clone(&self.inner.mailbox)));
        self.run()
    }

    /// Returns a handle for other threads.
    pub fn handle(&self) -> Handle {
        self.inner.handle()
    }

    /// Returns the loop, to set timers before it runs, or between turns.
    pub fn context(&mut self) -> &mut Loop {
        self.inner.now = now();
        &mut self.inner
    }

    /// Runs until the loop is [stopped](Loop::stop).
    ///
    /// # Errors
    /// When the system cannot wait for its sockets.
    pub fn run(&mut self) -> Result<(), Error> {
        while !self.inner.stopped && !self.inner.has_shut_down() {
            self.turn(None)?;
        }
        self.inner.end();
        Ok(())
    }

    /// Waits for events, at most for a time, and handles them: for a loop of your own, such as that of a game.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    pub fn turn(&mut self, most: Option<Duration>) -> Result<(), Error> {
        let now = now();
        let due = self.inner.timers.next().map(|at| at.since(now));
        self.inner.mailbox.sleep();
        let wait = if self.inner.is_busy() {
            Some(Duration::ZERO)
        } else {
            [due, most].into_iter().flatten().min()
        };
        match self.poll.poll(&mut self.events, wait) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            polled => polled?,
        }
        self.inner.mailbox.awake();
        self.inner.now = crate::clock::now();
        self.inner.go_on();
        for event in &self.events {
            match event.token() {
                WAKER => {}
                Token(token) if token >= LISTENERS => {
                    self.inner.listener_is_ready(token - LISTENERS);
                }
                Token(slot) => {
                    self.inner.ready(
                        slot,
                        event.is_readable(),
                        event.is_read_closed(),
                        event.is_writable(),
                    );
                }
            }
        }
        self.inner.write_batch();
        self.inner.batch.note_turn();
        self.inner.finish_turn();
        Ok(())
    }
}

/// A loop that was driven by [`turn`](EventLoop::turn), or could not wait for its sockets, ends here.
impl Drop for EventLoop {
    fn drop(&mut self) {
        self.inner.end();
    }
}

impl Loop {
    /// Ends: connections are dropped, and nothing is taken from other threads any more.
    fn end(&mut self) {
        self.drop_all();
        self.tell_traffic();
        let tasks = std::mem::take(&mut self.tasks);
        let _ = contain(|| drop(tasks));
        let callbacks = std::mem::take(&mut self.callbacks);
        let _ = contain(|| drop(callbacks));
        self.leave_hubs();
        self.mailbox.shut();
    }

    /// Returns whether there is something to do without an event.
    fn is_busy(&self) -> bool {
        !self.again.is_empty()
            || !self.dirty.is_empty()
            || self.shutdown.rung
            || self.has_arrivals()
            || self.has_mail()
            || self.mailbox.has_work()
    }

    /// Gives those their turn that had more to do.
    fn go_on(&mut self) {
        for slot in std::mem::take(&mut self.again) {
            if let Some(peer) = self.peers.get_mut(slot)
                && std::mem::take(&mut peer.flags.again)
            {
                self.turn(slot);
            }
        }
    }

    /// A socket is ready. Each readiness is reported once: it is remembered until a read would block.
    fn ready(&mut self, slot: usize, readable: bool, hung_up: bool, writable: bool) {
        let Some(peer) = self.peers.get_mut(slot) else {
            return;
        };
        peer.flags.readable |= readable || hung_up;
        peer.flags.hung_up |= hung_up;
        peer.flags.blocked &= !writable;
        self.turn_in_batch(slot);
    }

    /// Does the work that follows the events of a turn.
    fn finish_turn(&mut self) {
        self.accept();
        for work in self.mailbox.take() {
            self.run_contained(work);
        }
        if self.shutdown.rung {
            self.obey_shutdown();
        }
        self.close_clients_if_alone();
        self.expire_due();
        self.drive_hubs();
        // Connections to which other callbacks sent. What they send in turn is for the next turn of the loop.
        for slot in std::mem::take(&mut self.dirty) {
            if let Some(peer) = self.peers.get_mut(slot)
                && std::mem::take(&mut peer.flags.dirty)
            {
                self.turn(slot);
            }
        }
        self.tell_traffic();
    }

    pub(super) fn run_contained(&mut self, work: impl FnOnce(&mut Self)) {
        if contain(|| work(self)).is_err() {
            if let Some(served) = &self.served {
                served.handle.counters().handler_failed();
            }
            let _ = contain(|| tracing::error!("a closure of an event loop panicked"));
        }
        self.now = now();
    }

    /// Does what was due when it began. What callbacks and connections arm meanwhile is for the next turn, even if it is due already: a timer
    /// that arms itself again must not keep the loop from its sockets.
    fn expire_due(&mut self) {
        let due = self.now;
        for _ in 0..self.timers.len() {
            let Some((at, key)) = self.timers.pop(due) else {
                break;
            };
            match key {
                Key::Peer { slot } => self.expire_peer(slot as usize, at),
                Key::Callback { slot } => {
                    let known = self.callbacks.get(slot as usize);
                    if known.is_some_and(|callback| callback.at == at) {
                        let callback = self.callbacks.remove(slot as usize);
                        self.run_contained(callback.run);
                    }
                }
                Key::Accept => {
                    self.accepting.paused = false;
                    self.accept();
                }
                Key::Hub { index } => self.expire_hub(index as usize, at),
                Key::Shutdown => {}
            }
        }
        let most = self.peers.len() + self.callbacks.len() + self.hubs.len() + 8;
        let (peers, callbacks, hubs) = (&self.peers, &self.callbacks, &self.hubs);
        self.timers.tidy(most, |at, key| match key {
            Key::Peer { slot } => {
                let known = peers.get(*slot as usize);
                known.is_some_and(|peer| peer.armed == at)
            }
            Key::Callback { slot } => {
                let known = callbacks.get(*slot as usize);
                known.is_some_and(|callback| callback.at == at)
            }
            Key::Hub { index } => Self::holds_hub(hubs, *index as usize, at),
            Key::Accept | Key::Shutdown => true,
        });
    }

    /// A deadline of a connection has come, or was moved since. Turns of others may have been long since the sockets were asked: what has
    /// arrived meanwhile is read before the peer is judged.
    fn expire_peer(&mut self, slot: usize, at: Instant) {
        let now = self.now;
        let Some(peer) = self.peers.get_mut(slot) else {
            return;
        };
        if peer.armed != at {
            return;
        }
        peer.armed = Instant::from_micros(u64::MAX);
        if peer.deadline().is_none_or(|due| due > now) {
            return self.arm(slot);
        }
        let serial = peer.serial;
        peer.flags.readable = true;
        self.take_turn(slot);
        let peer = self.peers.get_mut(slot);
        let Some(peer) = peer.filter(|peer| peer.serial == serial) else {
            return;
        };
        peer.tick(now);
        self.expire(slot);
        self.turn(slot);
    }
}
