//! The wakers of a connection, by role.
//! Knows only wakers. A transport keeps one waker for reading and one for writing, but up to three tasks may wait.

use std::sync::Arc;
use std::sync::{Mutex, PoisonError};
use std::task::Wake;
use std::task::{Context, Waker};

/// The role in which a task waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WakerRole {
    Reader,
    Writer,
    Driver,
}

/// The wakers of all roles. While they belong to one task, which is usual, the transport gets only that waker.
#[derive(Debug, Default)]
pub(crate) struct Wakers {
    wakers: [Option<Waker>; 3],
    joint: Option<Arc<Joint>>,
    /// A waker has changed.
    changed: bool,
}

#[derive(Debug, Default)]
struct Joint(Mutex<[Option<Waker>; 3]>);

impl Wake for Joint {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let wakers = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        wakers.into_iter().flatten().for_each(Waker::wake);
    }
}

impl Wakers {
    /// Stores the waker of `party`; returns the waker to give to the transport instead of the context's, if other tasks wait too.
    pub(crate) fn enter(&mut self, party: WakerRole, cx: &Context<'_>) -> Option<Waker> {
        let waker = cx.waker();
        if let Some(slot) = self.wakers.get_mut(party as usize)
            && !slot.as_ref().is_some_and(|known| known.will_wake(waker))
        {
            *slot = Some(waker.clone());
            self.changed = true;
        }
        if self.are_one(cx) {
            return None;
        }
        let joint = self.joint.get_or_insert_default();
        joint
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone_from(&self.wakers);
        Some(Waker::from(Arc::clone(joint)))
    }

    /// Returns whether the set of wakers changed since the last call: an alarm that was set before would wake the old ones.
    pub(crate) const fn take_changed(&mut self) -> bool {
        std::mem::replace(&mut self.changed, false)
    }

    /// Returns whether all known wakers belong to the context's task.
    pub(crate) fn are_one(&self, cx: &Context<'_>) -> bool {
        let mut known = self.wakers.iter().flatten();
        known.all(|known| known.will_wake(cx.waker()))
    }

    /// Wakes all: something changed that they may wait for.
    pub(crate) fn wake_all(&self) {
        self.wakers.iter().flatten().for_each(Waker::wake_by_ref);
    }

    /// Wakes all but the task of `party`: something changed that they may wait for.
    pub(crate) fn wake_others(&self, party: WakerRole) {
        let own = self.wakers.get(party as usize).and_then(Option::as_ref);
        for waker in self.wakers.iter().flatten() {
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
        let wakers = counts.clone().map(Waker::from);
        let mut parties = Wakers::default();
        assert!(
            parties
                .enter(WakerRole::Reader, &Context::from_waker(&wakers[0]))
                .is_none()
        );
        assert!(
            parties
                .enter(WakerRole::Driver, &Context::from_waker(&wakers[0]))
                .is_none()
        );
        let joint = parties
            .enter(WakerRole::Writer, &Context::from_waker(&wakers[1]))
            .unwrap();
        joint.wake_by_ref();
        assert_eq!(counts[0].0.load(Ordering::SeqCst), 2);
        assert_eq!(counts[1].0.load(Ordering::SeqCst), 1);
    }
}
