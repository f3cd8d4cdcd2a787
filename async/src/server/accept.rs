//! Accepting: who waits at the door, and when nobody is let in any more.
//! RFC 6455 section 4.2.
//! Knows no socket: an adapter brings listeners, a way to sleep, and starts a task for each connection.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::{Context, Poll};

use crate::contain::contain;
use crate::server::handle::{Admission, ServerHandle};
use sansws_core::time::Duration;

/// What connections come from.
pub trait Listen {
    /// A connection on which nothing was said yet.
    type Accepted;

    /// The next connection.
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Self::Accepted>>;
}

/// How long accepting pauses after an error such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// Connections accepted in a row before other tasks have their turn.
const IN_A_ROW: usize = 64;

/// Accepts on all of `listeners`, and starts what `handle` admits, until the handle is closed and all have left or had their time;
/// then those who are still in are dropped. `signals` is polled on the way, and is never done.
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
            for (at, listener) in listeners.iter().enumerate() {
                if let Poll::Ready(accepted) = listener.poll_accept(cx) {
                    // The next one to be asked first is the one behind it.
                    listeners.rotate_left(at + 1);
                    return Poll::Ready(Some(accepted));
                }
            }
            Poll::Pending
        });
        match next.await {
            None => break,
            Some(Ok(accepted)) => {
                if std::mem::take(&mut paused) {
                    tell(|| tracing::warn!("accepting goes on"));
                }
                // A handler is cloned, and what spawns may be the application's.
                if let Some(leave) = handle.admit()
                    && contain(|| start(accepted, leave)).is_err()
                {
                    handle.tally().handler_failed();
                    tell(|| tracing::error!("a connection could not be begun: a panic"));
                }
                // A crowd at the door leaves time for those inside.
                in_a_row += 1;
                if in_a_row.is_multiple_of(IN_A_ROW) {
                    give_way().await;
                }
            }
            // One that was gone before it was accepted says nothing about the others.
            Some(Err(error)) if is_of_one(&error) => {}
            Some(Err(error)) => {
                if !std::mem::replace(&mut paused, true) {
                    tell(|| {
                        tracing::warn!(%error, "accepting failed, and is tried again until it succeeds");
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

/// Waits until nobody is accepted any more: when the door is closed, and all had time to leave, or have none.
async fn over<S: Future<Output = ()>>(handle: &ServerHandle, sleep: &impl Fn(Duration) -> S) {
    poll_fn(|cx| handle.poll_closing(cx)).await;
    let mut late = pin!(sleep(handle.window()));
    poll_fn(|cx| {
        if handle.poll_at_once(cx).is_ready() {
            return Poll::Ready(());
        }
        late.as_mut().poll(cx)
    })
    .await;
}

/// Tells subscribers of an event. Accepting does not end by what they do.
fn tell(event: impl FnOnce()) {
    let _ = contain(event);
}

/// Lets other tasks have a turn.
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

fn is_of_one(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, InvalidInput, NotConnected};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | InvalidInput | NotConnected
    )
}

/// Drains over `window` on a signal, and drops all on a second one: whoever sends it waits no longer. It is never done.
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
                    "a signal: the server drains"
                );
            });
            handle.drain(window);
            poll_fn(&mut poll_signal).await?;
            tell(|| tracing::info!("a second signal: who is still in is dropped"));
            handle.drop_all();
            Ok(())
        }
        .await;
        if let Err(error) = obeyed {
            tell(|| tracing::error!(%error, "signals cannot be had"));
        }
    }
    std::future::pending().await
}
