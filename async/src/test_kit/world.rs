//! Polls the tasks of a test, and advances the clock when none of them can proceed, or follows real time.
//! Knows no connection.

use std::cell::{OnceCell, RefCell};
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::Wake;
use std::task::{Context, Poll, Waker};

use crate::test_kit::clock::Clock;
use sansws_core::time::{Duration, Instant};

/// How long, in virtual time, an answer is awaited.
const PATIENCE: Duration = Duration::from_secs(60);

/// A world in real time.
const REAL_PATIENCE: Duration = Duration::from_secs(10);

/// Number of turns that the tasks of the surrounding runtime get before time advances.
const TURNS: usize = 32;

/// Tasks and their time. Clones share one world.
#[derive(Clone, Default)]
pub(super) struct World(Rc<Inner>);

#[derive(Default)]
struct Inner {
    clock: Clock,
    tasks: RefCell<Vec<Task>>,
    /// Tasks started while others are polled.
    begun: RefCell<Vec<Task>>,
    /// Time is real.
    pace: OnceCell<Pace>,
}

type Sleeping = Pin<Box<dyn Future<Output = ()>>>;

/// Real time, provided by the caller.
struct Pace {
    /// Returns the time that has passed.
    passed: Box<dyn Fn() -> Duration>,
    sleep: Box<dyn Fn(Duration) -> Sleeping>,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("clock", &self.0.clock)
            .finish_non_exhaustive()
    }
}

struct Task {
    work: Pin<Box<dyn Future<Output = ()>>>,
    flag: Arc<Flag>,
}

/// Whether a task is to be polled, and by whom.
#[derive(Default)]
struct Flag {
    ready: AtomicBool,
    outer: Mutex<Option<Waker>>,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.ready.store(true, Ordering::SeqCst);
        let outer = self.outer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(outer) = &*outer {
            outer.wake_by_ref();
        }
    }
}

impl World {
    pub(super) fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Uses real time from now on.
    pub(super) fn set_pace<S: Future<Output = ()> + 'static>(
        &self,
        now: impl Fn() -> Instant + 'static,
        sleep: impl Fn(Duration) -> S + 'static,
    ) {
        let began = now();
        let _ = self.0.pace.set(Pace {
            passed: Box::new(move || now().since(began)),
            sleep: Box::new(move |time| Box::pin(sleep(time))),
        });
    }

    /// Returns whether time is virtual.
    pub(super) fn is_virtual(&self) -> bool {
        self.0.pace.get().is_none()
    }

    /// Returns how long an expectation waits.
    pub(super) fn patience(&self) -> Duration {
        if self.is_virtual() {
            PATIENCE
        } else {
            REAL_PATIENCE
        }
    }

    /// Returns a note about time for a failed expectation.
    pub(super) fn note(&self) -> String {
        let passed = self.0.clock.now().since(Instant::ZERO).as_secs();
        if !self.is_virtual() || passed == 0 {
            return String::new();
        }
        format!(
            "\nnote: time is virtual in this test, and {passed} s of it have passed in a moment, since all that was left to wait for was \
             the clock. What a handler waits for elsewhere (a thread, as of `spawn_blocking`; a timer or a socket of the runtime, as of \
             a database) takes real time, for which virtual time does not wait: test such a handler with `server_in_real_time`"
        )
    }

    pub(super) fn spawn(&self, work: impl Future<Output = ()> + 'static) {
        let flag = Arc::new(Flag::default());
        flag.ready.store(true, Ordering::SeqCst);
        let work = Box::pin(work);
        self.0.begun.borrow_mut().push(Task { work, flag });
    }

    /// Polls each ready task once; returns whether there were any.
    fn turn(&self, outer: &Waker) -> bool {
        let mut tasks = self.0.tasks.borrow_mut();
        tasks.append(&mut self.0.begun.borrow_mut());
        let mut moved = false;
        tasks.retain_mut(|task| {
            *task
                .flag
                .outer
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = Some(outer.clone());
            if !task.flag.ready.swap(false, Ordering::SeqCst) {
                return true;
            }
            moved = true;
            let waker = Waker::from(Arc::clone(&task.flag));
            let poll = || task.work.as_mut().poll(&mut Context::from_waker(&waker));
            self.0.clock.enter(poll).is_pending()
        });
        moved
    }

    /// Runs the tasks until `work` completes; `None` when virtual time reaches `deadline` first.
    pub(super) async fn run<R>(
        &self,
        deadline: Instant,
        work: impl Future<Output = R>,
    ) -> Option<R> {
        let (mut work, mut idle) = (pin!(work), 0);
        let mut sleeping: Option<Sleeping> = None;
        poll_fn(|cx| {
            loop {
                if let Some(pace) = self.0.pace.get() {
                    self.0.clock.advance_to(Instant::ZERO + (pace.passed)());
                }
                if let Poll::Ready(done) = self.0.clock.enter(|| work.as_mut().poll(cx)) {
                    return Poll::Ready(Some(done));
                }
                if self.turn(cx.waker()) {
                    idle = 0;
                    continue;
                }
                if idle < TURNS && self.is_virtual() {
                    // Something outside, such as another task of the runtime, may have work for a handler.
                    idle += 1;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                idle = 0;
                let clock = &self.0.clock;
                if let Some(pace) = self.0.pace.get() {
                    if clock.now() >= deadline {
                        return Poll::Ready(None);
                    }
                    let until = clock.next_alarm().map_or(deadline, |at| at.min(deadline));
                    let next = until.since(clock.now());
                    let sleeping = sleeping.insert((pace.sleep)(next));
                    std::task::ready!(sleeping.as_mut().poll(cx));
                    continue;
                }
                match clock.next_alarm() {
                    Some(at) if at <= deadline => clock.advance_to(at),
                    _ if clock.now() >= deadline => return Poll::Ready(None),
                    _ => clock.advance_to(deadline),
                }
            }
        })
        .await
    }
}
