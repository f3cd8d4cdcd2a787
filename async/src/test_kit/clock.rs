//! Virtual time.
//! Knows no connection: it tells the time, and wakes waiting tasks when it is advanced.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use sansws_core::time::{Duration, Instant};

/// A clock that stands still until it is advanced. Clones share one clock.
///
/// ```
/// use std::time::Duration;
/// use sansws_async::test_kit::{Clock, MemoryTransport, TestServer};
/// use sansws_async::{Result, ServerOptions, Upgrade};
///
/// async fn slow(upgrade: Upgrade<MemoryTransport>) -> Result {
///     let mut socket = upgrade.accept().await?;
///     if let Some(clock) = Clock::current() {
///         clock.sleep(Duration::from_secs(10)).await;
///     }
///     Ok(socket.send_text("at last").await?)
/// }
///
/// # async fn run() -> Result {
/// # let server = TestServer::over(slow, ServerOptions::default(), MemoryTransport::new)?;
/// let before = server.clock().now();
/// let mut socket = server.connect("/").await?;
/// socket.expect_nothing(Duration::from_secs(9)).await; // at once
/// socket.expect_text("at last").await;
/// assert_eq!(server.clock().now().since(before), Duration::from_secs(10));
/// # Ok(())
/// # }
/// # let mut run = std::pin::pin!(run());
/// # let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
/// # for _ in 0..100_000 {
/// #     if let std::task::Poll::Ready(done) = run.as_mut().poll(&mut cx) { return done.unwrap(); }
/// # }
/// # panic!("it does not end");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Clock(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    now: Instant,
    next: u64,
    alarms: BTreeMap<(Instant, u64), Waker>,
}

std::thread_local! {
    /// The clock of the server whose tasks this thread is polling.
    static CURRENT: RefCell<Option<Clock>> = const { RefCell::new(None) };
}

impl Clock {
    /// Returns the clock of the [`TestServer`](super::TestServer) that polls this task, if one does.
    pub fn current() -> Option<Self> {
        CURRENT.with_borrow(Clone::clone)
    }

    /// Makes this the current clock while `work` runs.
    pub(super) fn enter<R>(&self, work: impl FnOnce() -> R) -> R {
        struct Leave(Option<Clock>);
        impl Drop for Leave {
            fn drop(&mut self) {
                CURRENT.set(self.0.take());
            }
        }
        let _leave = Leave(CURRENT.replace(Some(self.clone())));
        work()
    }

    /// Returns the current time.
    pub fn now(&self) -> Instant {
        self.state().now
    }

    /// Returns an alarm of this clock.
    pub fn alarm(&self) -> Alarm {
        let mut state = self.state();
        state.next += 1;
        Alarm {
            clock: self.clone(),
            id: state.next,
            at: None,
        }
    }

    /// Waits for a duration, in virtual time.
    pub async fn sleep(&self, time: Duration) {
        let mut alarm = self.alarm();
        alarm.set(self.now() + time);
        poll_fn(|cx| alarm.poll(cx)).await;
    }

    /// Returns the earliest alarm that a task waits for.
    pub(super) fn next_alarm(&self) -> Option<Instant> {
        self.state().alarms.keys().next().map(|(at, _)| *at)
    }

    /// Advances to `now`, and wakes tasks whose time has come.
    pub(super) fn advance_to(&self, now: Instant) {
        let mut state = self.state();
        state.now = state.now.max(now);
        let border = (state.now, u64::MAX);
        let later = state.alarms.split_off(&border);
        let due = std::mem::replace(&mut state.alarms, later);
        drop(state);
        let due: Vec<Waker> = due.into_values().collect();
        due.into_iter().for_each(Waker::wake);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An alarm in virtual time.
///
/// ```
/// use std::task::{Context, Waker};
/// use std::time::Duration;
/// use sansws_async::test_kit::Clock;
///
/// let clock = Clock::default();
/// let mut alarm = clock.alarm();
/// alarm.set(clock.now() + Duration::from_secs(5));
/// assert!(alarm.poll(&Context::from_waker(Waker::noop())).is_pending());
/// alarm.set(clock.now());
/// assert!(alarm.poll(&Context::from_waker(Waker::noop())).is_ready());
/// ```
#[derive(Debug)]
pub struct Alarm {
    clock: Clock,
    id: u64,
    at: Option<Instant>,
}

impl Alarm {
    /// Returns its clock.
    pub const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Sets it, replacing its earlier time.
    pub fn set(&mut self, at: Instant) {
        self.clear();
        self.at = Some(at);
    }

    /// Is ready once its time has passed.
    pub fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        let Some(at) = self.at else {
            return Poll::Pending;
        };
        let mut state = self.clock.state();
        if state.now >= at {
            return Poll::Ready(());
        }
        state.alarms.insert((at, self.id), cx.waker().clone());
        Poll::Pending
    }

    fn clear(&mut self) {
        if let Some(at) = self.at.take() {
            self.clock.state().alarms.remove(&(at, self.id));
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.clear();
    }
}
