//! Application callbacks, isolated from the hub that runs them.
//! Knows neither groups nor messages: a panic in a callback is caught, counted and logged; a call to its own hub is refused.

use std::any::Any;
use std::cell::RefCell;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sansws_core::hub::{Callback, HubError, HubOptions};

std::thread_local! {
    /// The hubs whose callbacks run on this thread, by address.
    static INSIDE: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// Guards the callbacks of one hub.
#[derive(Debug, Default)]
pub(super) struct Callbacks {
    panics: AtomicU64,
}

impl Callbacks {
    /// Returns options whose callbacks are guarded, and their guard.
    pub(super) fn guard(options: HubOptions) -> (HubOptions, Arc<Self>) {
        let this = Arc::new(Self::default());
        let guard = Arc::clone(&this);
        let options = options.guard(move |callback, group, call| guard.run(callback, group, call));
        (options, this)
    }

    /// Returns how often a callback panicked.
    pub(super) fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    pub(super) fn run(&self, callback: Callback, group: &str, call: &mut dyn FnMut()) {
        INSIDE.with_borrow_mut(|inside| inside.push(self.address()));
        let result = catch_unwind(AssertUnwindSafe(call));
        INSIDE.with_borrow_mut(Vec::pop);
        if let Err(panic) = result {
            self.panics.fetch_add(1, Ordering::Relaxed);
            tracing::error!(
                websocket.group = group,
                websocket.callback = callback.as_str(),
                error.message = message(&*panic),
                "a callback of a group panicked"
            );
        }
    }

    /// # Errors
    /// [`HubError::InCallback`] while a callback of this hub runs on this thread: its locks are held.
    pub(super) fn check(&self) -> Result<(), HubError> {
        let address = self.address();
        let is_inside = INSIDE.try_with(|inside| inside.borrow().contains(&address));
        if is_inside.unwrap_or(false) {
            return Err(HubError::InCallback);
        }
        Ok(())
    }

    /// Panics inside a callback, where no error can be returned. Waiting for a lock would block the thread forever.
    ///
    /// # Panics
    /// Inside a callback of this hub, whose guard catches and logs it.
    pub(super) fn assert_outside(&self) {
        if let Err(error) = self.check() {
            std::panic::panic_any(format!("{error}"));
        }
    }
}

/// Returns the text of a caught panic.
pub fn message(panic: &(dyn Any + Send)) -> &str {
    match panic.downcast_ref::<String>() {
        Some(text) => text,
        None => panic.downcast_ref::<&str>().unwrap_or(&"a panic"),
    }
}
