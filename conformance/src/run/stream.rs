//! A run over a stream: TCP, TLS, or anything that reads and writes.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use smol::Timer;
use smol::io::{AsyncRead, AsyncWrite};

use crate::case::Case;
use crate::engine::{Outcome, Patience, Run, Wire};
use crate::inbox::End;
use crate::script::Setting;

/// Number of bytes to read at a time.
const ROOM: usize = 64 << 10;

/// Number of writes and reads that one poll may do before it yields.
const TURNS: u32 = 64;

/// Runs a case over `stream`, from which `received` was read already. `stop` returns whether the user has interrupted the run.
pub async fn run<S: AsyncRead + AsyncWrite + Unpin>(
    case: &Case,
    setting: &Setting,
    patience: Patience,
    stream: &mut S,
    received: &[u8],
    stop: &(dyn Fn() -> bool + Send + Sync),
) -> Outcome {
    let run = Run::new(case, setting, patience);
    drive(run, stream, received, stop).await
}

/// Drives a run that has not read from `stream` yet.
pub(crate) async fn drive<S: AsyncRead + AsyncWrite + Unpin>(
    run: Run,
    stream: &mut S,
    received: &[u8],
    stop: &(dyn Fn() -> bool + Send + Sync),
) -> Outcome {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock of runs over streams"
    )]
    let begin = Instant::now();
    let mut driver = Driver {
        run,
        begin,
        timer: Timer::at(begin),
        room: vec![0; ROOM],
        unflushed: false,
        shutdown: false,
        ended: false,
    };
    driver.run.receive(Duration::ZERO, received);
    poll_fn(|cx| driver.poll(cx, Pin::new(&mut *stream), stop)).await;
    driver.run.outcome()
}

struct Driver {
    run: Run,
    begin: Instant,
    timer: Timer,
    room: Vec<u8>,
    /// Whether the stream holds output that it could not send yet, as TLS does.
    unflushed: bool,
    shutdown: bool,
    ended: bool,
}

/// How often to check for an interrupt.
const ASK: Duration = Duration::from_millis(200);

impl Driver {
    fn poll<S: AsyncRead + AsyncWrite>(
        &mut self,
        cx: &mut Context<'_>,
        mut stream: Pin<&mut S>,
        stop: &(dyn Fn() -> bool + Send + Sync),
    ) -> Poll<()> {
        for _ in 0..TURNS {
            if self.run.is_over() {
                return Poll::Ready(());
            }
            let wrote = self.write(cx, stream.as_mut());
            let read = self.read(cx, stream.as_mut());
            if wrote || read {
                continue;
            }
            let now = self.begin.elapsed();
            if stop() {
                self.run.give_up("interrupted");
                continue;
            }
            let Some(deadline) = self.run.deadline() else {
                continue;
            };
            if deadline <= now {
                self.run.tick(now);
                continue;
            }
            self.timer.set_at(self.begin + deadline.min(now + ASK));
            if Pin::new(&mut self.timer).poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Returns whether anything was done.
    fn write<S: AsyncWrite>(&mut self, cx: &mut Context<'_>, mut stream: Pin<&mut S>) -> bool {
        let Some(bytes) = self.run.output() else {
            if self.unflushed {
                self.unflushed = stream.as_mut().poll_flush(cx).is_pending();
            }
            if self.run.wire() == Wire::Shutdown && !self.shutdown {
                let done = stream.poll_close(cx).is_ready();
                self.shutdown = done;
                return done;
            }
            return false;
        };
        match stream.as_mut().poll_write(cx, bytes) {
            Poll::Ready(Ok(count)) if count > 0 => {
                // Under TLS each chunk becomes its own record.
                self.unflushed = stream.poll_flush(cx).is_pending();
                self.run.written(self.begin.elapsed(), count);
                true
            }
            Poll::Ready(_) => {
                self.run.cannot_write();
                true
            }
            Poll::Pending => false,
        }
    }

    fn read<S: AsyncRead>(&mut self, cx: &mut Context<'_>, stream: Pin<&mut S>) -> bool {
        if !self.run.wants_input() || self.ended {
            return false;
        }
        match stream.poll_read(cx, &mut self.room) {
            Poll::Ready(Ok(count)) if count > 0 => {
                let bytes = self.room.get(..count).unwrap_or_default();
                self.run.receive(self.begin.elapsed(), bytes);
                true
            }
            Poll::Ready(end) => {
                self.ended = true;
                let end = match end {
                    Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => End::Reset,
                    _ => End::Fin,
                };
                self.run.end_of_input(self.begin.elapsed(), end);
                true
            }
            Poll::Pending => false,
        }
    }
}
