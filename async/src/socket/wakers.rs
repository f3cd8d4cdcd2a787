//! The wakers of a connection, by role.
//! Knows only wakers. A transport keeps one waker for reading and one for writing, but up to three tasks may wait.

use std::sync::Arc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Wake;
use std::task::{Context, Waker};

/// The role in which a task waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WakerRole {
    Reader,
    Writer,
    Driver,
}

/// The wakers of all roles. While they belong to one task, which is usual, that waker is stored once, and the transport gets only it.
#[derive(Debug, Default)]
pub(crate) struct Wakers {
    one: Option<Waker>,
    /// The wakers by role, once tasks differed.
    joint: Option<Arc<Joint>>,
    /// One bit for each role that waits by `one`.
    who: u8,
    /// A waker has changed.
    changed: bool,
}

#[derive(Debug, Default)]
struct Joint(Mutex<[Option<Waker>; 3]>);

impl Joint {
    fn wakers(&self) -> MutexGuard<'_, [Option<Waker>; 3]> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Joint {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let wakers = self.wakers().clone();
        wakers.into_iter().flatten().for_each(Waker::wake);
    }
}

impl Wakers {
    /// Stores the waker of `role`; returns the waker to give to the transport instead of the context's, if other tasks wait too.
    #[inline]
    pub(crate) fn enter(&mut self, role: WakerRole, cx: &Context<'_>) -> Option<Waker> {
        let (waker, bit) = (cx.waker(), 1 << role as u8);
        if self.joint.is_none() {
            let is_known = self.one.as_ref().is_some_and(|one| one.will_wake(waker));
            if is_known && self.who & bit != 0 {
                return None;
            }
            self.changed = true;
            if is_known || self.who & !bit == 0 {
                if !is_known {
                    self.one = Some(waker.clone());
                }
                self.who |= bit;
                return None;
            }
        }
        self.enter_jointly(role, waker)
    }

    /// Stores the waker of `role`, and returns one for all, once tasks have differed.
    #[cold]
    fn enter_jointly(&mut self, role: WakerRole, waker: &Waker) -> Option<Waker> {
        let (one, who) = (self.one.take(), self.who);
        let joint = self.joint.get_or_insert_with(|| {
            let known = |at: u8| one.clone().filter(|_| who & (1 << at) != 0);
            Arc::new(Joint(Mutex::new([known(0), known(1), known(2)])))
        });
        let mut wakers = joint.wakers();
        if let Some(slot) = wakers.get_mut(role as usize)
            && !slot.as_ref().is_some_and(|known| known.will_wake(waker))
        {
            *slot = Some(waker.clone());
            self.changed = true;
        }
        if wakers.iter().flatten().all(|known| known.will_wake(waker)) {
            return None;
        }
        drop(wakers);
        Some(Waker::from(Arc::clone(joint)))
    }

    /// Returns whether the set of wakers changed since the last call: an alarm that was set before would wake the old ones.
    pub(crate) const fn take_changed(&mut self) -> bool {
        std::mem::replace(&mut self.changed, false)
    }

    /// Returns whether all known wakers belong to the context's task.
    #[inline]
    pub(crate) fn are_one(&self, cx: &Context<'_>) -> bool {
        let is_own = |known: &Waker| known.will_wake(cx.waker());
        match &self.joint {
            None => self.one.as_ref().is_none_or(is_own),
            Some(joint) => joint.wakers().iter().flatten().all(is_own),
        }
    }

    /// Wakes all: something changed that they may wait for.
    pub(crate) fn wake_all(&self) {
        match &self.joint {
            None => self.one.iter().for_each(Waker::wake_by_ref),
            Some(joint) => joint.wake_by_ref(),
        }
    }

    /// Wakes all but the task of `role`: something changed that they may wait for.
    pub(crate) fn wake_others(&self, role: WakerRole) {
        let Some(joint) = &self.joint else {
            if self.who & (1 << role as u8) == 0 {
                self.wake_all();
            }
            return;
        };
        let wakers = joint.wakers().clone();
        let own = wakers.get(role as usize).and_then(Option::as_ref);
        for waker in wakers.iter().flatten() {
            if !own.is_some_and(|own| own.will_wake(waker)) {
                waker.wake_by_ref();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn one_task_needs_no_joint_waker_and_two_tasks_are_both_woken() {
        let counts = [
            Arc::new(Count(AtomicUsize::new(0))),
            Arc::new(Count(AtomicUsize::new(0))),
        ];
        let tasks = counts.clone().map(Waker::from);
        let mut wakers = Wakers::default();
        assert!(
            wakers
                .enter(WakerRole::Reader, &Context::from_waker(&tasks[0]))
                .is_none()
        );
        assert!(
            wakers
                .enter(WakerRole::Driver, &Context::from_waker(&tasks[0]))
                .is_none()
        );
        let joint = wakers
            .enter(WakerRole::Writer, &Context::from_waker(&tasks[1]))
            .unwrap();
        joint.wake_by_ref();
        assert_eq!(counts[0].0.load(Ordering::SeqCst), 2);
        assert_eq!(counts[1].0.load(Ordering::SeqCst), 1);
    }
}
