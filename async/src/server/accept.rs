//! Accepts connections, and stops accepting on shutdown.
//! RFC 6455 section 4.2.
//! Knows no socket: an adapter brings listeners, a way to sleep, and starts a task for each connection.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::{Context, Poll};

use crate::contain::{contain, contained};
use crate::server::handle::{Admission, ServerHandle, Watcher};
use sansws_common::listen::is_of_one;
use sansws_core::time::Duration;

/// A source of connections.
pub trait Listen {
    /// An accepted connection, before any data.
    type Accepted;

    /// Returns the next connection.
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Self::Accepted>>;

    /// Returns whether it is dropped when a drain begins, not when it is over.
    fn closes_on_drain(&self) -> bool {
        false
    }
}

/// How long accepting pauses after an error such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// Number of connections to accept in a row before other tasks have their turn.
const IN_A_ROW: usize = 64;

/// Accepts on all of `listeners`, and starts each connection that `handle` admits, until the handle is closed and all connections have
/// ended or had their time; then the remaining ones are dropped. `signals` is polled alongside, and never completes.
pub async fn accept<L, S>(
    mut listeners: Vec<L>,
    handle: &ServerHandle,
    shutdown: Duration,
    signals: impl Future<Output = ()>,
    sleep: impl Fn(Duration) -> S,
    mut start: impl FnMut(L::Accepted, Admission),
) where
    L: Listen,
    S: Future<Output = ()>,
{
    let (mut paused, mut in_a_row) = (false, 0_usize);
    let mut signals = pin!(signals);
    let mut over = pin!(over(handle, &sleep));
    loop {
        let next = poll_fn(|cx| {
            let _ = signals.as_mut().poll(cx);
            if over.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            if handle.is_closing() {
                listeners.retain(|listener| !listener.closes_on_drain());
                if listeners.is_empty() && handle.poll_empty(cx).is_ready() {
                    return Poll::Ready(None);
                }
            }
            for (at, listener) in listeners.iter().enumerate() {
                if let Poll::Ready(accepted) = listener.poll_accept(cx) {
                    // The next poll starts with the listener after this one.
                    listeners.rotate_left(at + 1);
                    return Poll::Ready(Some(accepted));
                }
            }
            // Not at the first that is accepted: with as many clients as descriptors, that fails and succeeds all the time.
            if std::mem::take(&mut paused) {
                tell(|| tracing::warn!("accepting resumed"));
            }
            Poll::Pending
        });
        match next.await {
            None => break,
            Some(Ok(accepted)) => {
                // Cloning a handler, and spawning, may run application code.
                if let Some(leave) = handle.admit()
                    && contain(|| start(accepted, leave)).is_err()
                {
                    handle.counters().handler_failed();
                    tell(|| tracing::error!("starting a connection panicked"));
                }
                // Under load, leave time to open connections.
                in_a_row += 1;
                if in_a_row.is_multiple_of(IN_A_ROW) {
                    give_way().await;
                }
            }
            // A connection that was gone before it was accepted says nothing about the others.
            Some(Err(error)) if is_of_one(&error) => {}
            Some(Err(error)) => {
                if !std::mem::replace(&mut paused, true) {
                    tell(|| {
                        tracing::warn!(%error, "accepting failed; retrying until it succeeds");
                    });
                }
                sleep(PAUSE).await;
            }
        }
    }
    drop(listeners);
    let mut late = pin!(sleep(shutdown));
    poll_fn(|cx| {
        let _ = signals.as_mut().poll(cx);
        if handle.poll_empty(cx).is_ready() {
            return Poll::Ready(());
        }
        late.as_mut().poll(cx).map(|()| handle.drop_all())
    })
    .await;
}

/// Waits until accepting ends: the handle is closed, and all connections had time to leave, or get none.
async fn over<S: Future<Output = ()>>(handle: &ServerHandle, sleep: &impl Fn(Duration) -> S) {
    let mut watcher = Watcher::default();
    poll_fn(|cx| handle.poll_until(cx, &mut watcher, ServerHandle::is_closing)).await;
    let mut window = handle.window();
    let mut late = pin!(sleep(window));
    poll_fn(|cx| {
        while handle
            .poll_until(cx, &mut watcher, |handle| handle.window() < window)
            .is_ready()
        {
            window = handle.window();
            if window.is_zero() {
                return Poll::Ready(());
            }
            late.set(sleep(window));
        }
        late.as_mut().poll(cx)
    })
    .await;
}

/// Logs an event. A subscriber that panics does not stop accepting.
fn tell(event: impl FnOnce()) {
    let _ = contain(event);
}

/// Gives other tasks a turn.
async fn give_way() {
    let mut gave = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut gave, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Waits for the future of an application that ends when the server is to shut down. If it panics, the server shuts down too: nothing else
/// would tell it.
pub async fn until_told(signal: impl Future, handle: &ServerHandle) {
    if contained(signal).await.is_err() {
        handle.counters().handler_failed();
        tell(|| tracing::error!("the future that is to shut the server down panicked"));
    }
}

/// Drains over `window` on a signal, and drops all connections on a second one. It never completes.
pub async fn obey_signals(
    handle: &ServerHandle,
    window: Option<Duration>,
    mut poll_signal: impl FnMut(&mut Context<'_>) -> Poll<io::Result<()>>,
) {
    if let Some(window) = window {
        let obeyed: io::Result<()> = async {
            poll_fn(&mut poll_signal).await?;
            tell(|| {
                tracing::info!(
                    websocket.drain_seconds = window.as_secs_f64(),
                    "signal received, draining"
                );
            });
            handle.drain(window);
            poll_fn(&mut poll_signal).await?;
            tell(|| tracing::info!("second signal received, dropping the remaining connections"));
            handle.drop_all();
            Ok(())
        }
        .await;
        if let Err(error) = obeyed {
            tell(|| tracing::error!(%error, "cannot listen for signals"));
        }
    }
    std::future::pending().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    #[test]
    fn accepting_ends_with_the_shortest_drain() {
        let (handle, cx) = (
            ServerHandle::new(1),
            &mut Context::from_waker(Waker::noop()),
        );
        // A minute passes at once, an hour never.
        let sleep = |time: Duration| {
            poll_fn(move |_| match time.as_secs() {
                0..=60 => Poll::Ready(()),
                _ => Poll::Pending,
            })
        };
        let mut over = pin!(over(&handle, &sleep));
        assert!(over.as_mut().poll(cx).is_pending());
        for time in [Duration::from_secs(3_600), Duration::MAX] {
            handle.drain(time);
            assert!(over.as_mut().poll(cx).is_pending());
        }
        handle.drain(Duration::from_secs(60));
        assert!(over.as_mut().poll(cx).is_ready());
    }
}
