//! Sleeping, and timeouts.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use sansws_core::time::Duration;

use super::{Runtime, Timer};
use crate::error::Error;

/// The future of a sleep, on the timer of a runtime.
///
/// ```
/// use std::time::Duration;
///
/// use sansws_async::Runtime;
/// use sansws_async::runtime::Sleep;
///
/// async fn twice<R: Runtime>(mut work: impl FnMut()) {
///     work();
///     Sleep::<R>::new(Duration::from_secs(1)).await;
///     work();
/// }
/// ```
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Sleep<R: Runtime>(Option<R::Timer>);

impl<R: Runtime> Sleep<R> {
    /// Waits for `duration` from now.
    pub fn new(duration: Duration) -> Self {
        // If that moment cannot be represented, it waits forever.
        Self(R::now().checked_add(duration).map(R::Timer::new))
    }
}

impl<R: Runtime> Future for Sleep<R> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            Some(timer) => timer.poll(cx),
            None => Poll::Pending,
        }
    }
}

/// Waits for `duration`: in the virtual time of the test kit if it is in use, otherwise in real time.
pub async fn sleep<R: Runtime>(duration: Duration) {
    #[cfg(feature = "test-kit")]
    if let Some(clock) = crate::test_kit::Clock::current() {
        return clock.sleep(duration).await;
    }
    Sleep::<R>::new(duration).await;
}

/// Awaits `work` for at most `limit`; without a limit, as long as it takes.
///
/// # Errors
/// [`Error::ConnectTimeout`] when the time is up first.
pub(crate) async fn within<R: Runtime, T>(
    limit: Option<Duration>,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let Some(limit) = limit else {
        return work.await;
    };
    let mut work = pin!(work);
    let mut late = Sleep::<R>::new(limit);
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(done),
        Poll::Pending => Pin::new(&mut late)
            .poll(cx)
            .map(|()| Err(Error::ConnectTimeout(None))),
    })
    .await
}
