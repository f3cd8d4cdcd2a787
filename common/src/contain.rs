//! Runs application code, and stops its panics.
//! Does not know what it runs. None of our locks is held meanwhile.

use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::pin::pin;
use std::task::Poll;

use crate::error::{Error, Result};

/// Runs a callback; a panic becomes an error.
pub fn contain<R>(work: impl FnOnce() -> R) -> Result<R, Error> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| Error::Panic)
}

/// Runs a future, and drops it; a panic of either becomes an error.
pub async fn contained<F: Future>(work: F) -> Result<F::Output, Error> {
    let mut work = pin!(Some(work));
    poll_fn(|cx| {
        let Some(running) = work.as_mut().as_pin_mut() else {
            return Poll::Ready(Err(Error::Panic));
        };
        let done = match contain(|| running.poll(cx)) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(done)) => Ok(done),
            Err(error) => Err(error),
        };
        let dropped = contain(|| work.set(None));
        Poll::Ready(dropped.and(done))
    })
    .await
}
