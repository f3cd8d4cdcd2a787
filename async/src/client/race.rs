//! Connects to a host with several addresses: the first that connects wins.
//! RFC 8305; `sansws_core::dial::Attempts` decides on order and times.
//! Knows no socket: an adapter provides the attempt, the clock and the timer.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;

use sansws_core::dial::{Attempt, Attempts};
use sansws_core::time::{Duration, Instant};

/// Connects to one of the addresses of `attempts` by `dial`; losing attempts are dropped.
///
/// # Errors
/// The error of the attempt that failed last; `NotFound` if there are no addresses.
pub async fn first_to_connect<S, D, W>(
    mut attempts: Attempts,
    now: impl Fn() -> Instant,
    sleep: impl Fn(Duration) -> W,
    dial: impl Fn(SocketAddr) -> D,
) -> io::Result<S>
where
    D: Future<Output = io::Result<S>>,
    W: Future,
{
    let mut running: Vec<Pin<Box<D>>> = Vec::new();
    let mut waiting: Option<(Instant, Pin<Box<W>>)> = None;
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    poll_fn(move |cx| {
        loop {
            let mut at = 0;
            while let Some(attempt) = running.get_mut(at) {
                match attempt.as_mut().poll(cx) {
                    Poll::Ready(Ok(stream)) => return Poll::Ready(Ok(stream)),
                    Poll::Ready(Err(error)) => {
                        last = error;
                        attempts.failed();
                        drop(running.swap_remove(at));
                    }
                    Poll::Pending => at += 1,
                }
            }
            let now = now();
            match attempts.step(now) {
                Attempt::Begin(address) => running.push(Box::pin(dial(address))),
                Attempt::Until(until) => {
                    let mut wait = match waiting.take() {
                        Some((at, wait)) if at == until => wait,
                        _ => Box::pin(sleep(until.since(now))),
                    };
                    if wait.as_mut().poll(cx).is_pending() {
                        waiting = Some((until, wait));
                        return Poll::Pending;
                    }
                }
                Attempt::Wait => return Poll::Pending,
                Attempt::Failed => {
                    let none = io::Error::from(io::ErrorKind::NotFound);
                    return Poll::Ready(Err(std::mem::replace(&mut last, none)));
                }
            }
        }
    })
    .await
}
