//! Handles of loops for other threads: closures and messages go through a mailbox.
//! Knows no connection: the loop does.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::task::Wake;

use mio::{Registry, Waker};
use sansws_common::contain::contain;
use sansws_core::close::CloseCode;
use sansws_core::message::{Message, PreparedMessage};

use super::{Loop, WAKER};
use crate::id::ConnectionId;
use crate::message::{Outgoing, Sent};

/// The reason for closing a connection that does not take what other threads send.
const SLOW: &str = "too slow";

/// Work for a loop.
type Work = Box<dyn FnOnce(&mut Loop) + Send>;

/// All loops of the process that have not ended.
static LOOPS: RwLock<Vec<(u32, Weak<Mailbox>)>> = RwLock::new(Vec::new());

/// Work that other threads gave to a loop.
pub(crate) struct Mailbox {
    home: u32,
    waker: Waker,
    /// The loop is awake, or was woken.
    woken: AtomicBool,
    work: Mutex<Option<Vec<Work>>>,
}

impl Mailbox {
    /// Makes one that wakes the poll of this registry.
    pub(crate) fn new(registry: &Registry) -> io::Result<Arc<Self>> {
        static HOMES: AtomicU32 = AtomicU32::new(0);
        let home = HOMES.fetch_add(1, Ordering::Relaxed);
        let mailbox = Arc::new(Self {
            home,
            waker: Waker::new(registry, WAKER)?,
            woken: AtomicBool::new(false),
            work: Mutex::new(Some(Vec::new())),
        });
        let mut loops = LOOPS.write().unwrap_or_else(PoisonError::into_inner);
        loops.retain(|(_, known)| known.strong_count() > 0);
        loops.push((home, Arc::downgrade(&mailbox)));
        Ok(mailbox)
    }

    pub(crate) const fn home(&self) -> u32 {
        self.home
    }

    fn of(home: u32) -> Option<Arc<Self>> {
        let loops = LOOPS.read().unwrap_or_else(PoisonError::into_inner);
        let found = loops.iter().find(|(known, _)| *known == home);
        found.and_then(|(_, mailbox)| mailbox.upgrade())
    }

    fn work(&self) -> MutexGuard<'_, Option<Vec<Work>>> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether the loop has not ended.
    pub(super) fn put(&self, work: Work) -> bool {
        match &mut *self.work() {
            Some(waiting) => waiting.push(work),
            None => return false,
        }
        self.ring();
        true
    }

    /// Wakes the loop, if it was not woken before.
    pub(super) fn ring(&self) {
        if !self.woken.swap(true, Ordering::SeqCst) {
            // It fails only when the system has no memory for it; the loop then looks at its next event.
            let _ = self.waker.wake();
        }
    }

    /// The loop is about to sleep: from now on it has to be woken. It looks once more whether there is work.
    pub(super) fn sleep(&self) {
        self.woken.store(false, Ordering::SeqCst);
    }

    /// The loop is awake, and looks by itself.
    pub(super) fn awake(&self) {
        self.woken.store(true, Ordering::SeqCst);
    }

    pub(super) fn has_work(&self) -> bool {
        self.work().as_ref().is_some_and(|work| !work.is_empty())
    }

    /// Takes what was given.
    pub(crate) fn take(&self) -> Vec<Work> {
        self.work().as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The loop has ended, and takes nothing more.
    pub(crate) fn shut(&self) {
        let rest = self.work().take();
        let _ = contain(|| drop(rest));
    }
}

/// A shutdown of the server wakes the loop.
impl Wake for Mailbox {
    fn wake(self: Arc<Self>) {
        self.put(Box::new(|within| within.shutdown.rung = true));
    }
}

impl std::fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mailbox")
            .field("home", &self.home)
            .finish_non_exhaustive()
    }
}

/// A handle of a loop, for any thread. Clones share it.
///
/// Its work is done at the start of the loop's next turn, that of each thread in order.
///
/// ```
/// use std::thread;
/// use sansws_mio::EventLoop;
///
/// # fn main() -> sansws_mio::Result {
/// let mut event_loop = EventLoop::new()?;
/// let handle = event_loop.handle();
/// let other = thread::spawn(move || {
///     handle.run(|within| println!("on the loop, at {:?}", within.now()));
///     handle.stop();
/// });
/// event_loop.run()?; // until it is stopped
/// other.join().expect("it does not panic");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Handle(Arc<Mailbox>);

impl Handle {
    pub(crate) fn new(mailbox: &Arc<Mailbox>) -> Self {
        Self(Arc::clone(mailbox))
    }

    /// Runs a closure in the loop. Returns `false` when the loop has ended: the closure is dropped.
    pub fn run(&self, work: impl FnOnce(&mut Loop) + Send + 'static) -> bool {
        self.0.put(Box::new(work))
    }

    /// Sends a message to a connection of any loop of the process. Returns `false` when that loop has ended.
    ///
    /// The outcome is not known here. A connection that is gone gets nothing; one whose queue is full is closed with 1013, so that no peer
    /// misses a message in between. To react to a slow peer instead, [`run`](Self::run) a closure that calls [`Loop::send`].
    pub fn send(&self, id: ConnectionId, message: impl Into<Message>) -> bool {
        let message = message.into();
        Self::deliver(id, move |within| within.send(id, Outgoing::from(message)))
    }

    /// Sends a prepared message, like [`send`](Self::send).
    pub fn send_prepared(&self, id: ConnectionId, message: &PreparedMessage) -> bool {
        let message = message.clone();
        Self::deliver(id, move |within| within.send(id, &message))
    }

    fn deliver(id: ConnectionId, send: impl FnOnce(&mut Loop) -> Sent + Send + 'static) -> bool {
        let Some(mailbox) = Mailbox::of(id.home) else {
            return false;
        };
        mailbox.put(Box::new(move |within| {
            if send(within) == Sent::Full {
                within.close(id, CloseCode::AGAIN, SLOW);
            }
        }))
    }

    /// Closes a connection of any loop of the process. Returns `false` when that loop has ended.
    pub fn close(&self, id: ConnectionId, code: CloseCode, reason: impl Into<String>) -> bool {
        let reason = reason.into();
        Mailbox::of(id.home).is_some_and(|mailbox| {
            mailbox.put(Box::new(move |within| within.close(id, code, &reason)))
        })
    }

    /// Ends the loop: see [`Loop::stop`].
    pub fn stop(&self) {
        self.run(Loop::stop);
    }
}
