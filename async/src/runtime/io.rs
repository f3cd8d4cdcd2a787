//! A byte stream with the clock and a timer of its runtime: a transport.

use std::fmt::Debug;
use std::io::{IoSlice, Result};
use std::task::{Context, Poll};

use sansws_common::clock::{from_real, to_real};
use sansws_core::connection::SendProgress;
use sansws_core::time::Instant;

use super::{ByteStream, Runtime, Timer};
use crate::transport::Transport;

/// A byte stream for a connection, with the clock and a timer of the runtime.
#[derive(Debug)]
pub struct Io<R: Runtime, S> {
    stream: S,
    alarm: Alarm<R>,
}

#[derive(Debug)]
enum Alarm<R: Runtime> {
    None,
    Real(R::Timer),
    #[cfg(feature = "test-kit")]
    Virtual(Box<crate::test_kit::Alarm>),
}

impl<R: Runtime, S> Io<R, S> {
    /// Wraps a stream.
    pub const fn new(stream: S) -> Self {
        Self {
            stream,
            alarm: Alarm::None,
        }
    }

    /// Wraps a stream, in virtual time.
    #[cfg(feature = "test-kit")]
    pub fn in_time_of(clock: &crate::test_kit::Clock, stream: S) -> Self {
        Self {
            stream,
            alarm: Alarm::Virtual(Box::new(clock.alarm())),
        }
    }

    /// Returns the stream, without its timer.
    pub fn into_inner(self) -> S {
        self.stream
    }

    /// Returns the stream.
    pub const fn get_ref(&self) -> &S {
        &self.stream
    }
}

impl<R: Runtime, S: ByteStream> Transport for Io<R, S> {
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<Result<usize>> {
        self.stream.poll_read(cx, into)
    }

    fn poll_append(&mut self, cx: &mut Context<'_>, into: &mut Vec<u8>) -> Poll<Result<usize>> {
        self.stream.poll_append(cx, into)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, from: &[IoSlice<'_>]) -> Poll<Result<usize>> {
        self.stream.poll_write(cx, from)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.stream.poll_flush(cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.stream.poll_shutdown(cx)
    }

    fn closes_when_dropped(&self) -> bool {
        self.stream.closes_when_dropped()
    }

    fn send_progress(&self) -> Option<SendProgress> {
        self.stream.send_progress()
    }

    fn now(&self) -> Instant {
        match &self.alarm {
            #[cfg(feature = "test-kit")]
            Alarm::Virtual(alarm) => alarm.clock().now(),
            Alarm::None | Alarm::Real(_) => now::<R>(),
        }
    }

    fn set_alarm(&mut self, at: Instant) {
        match &mut self.alarm {
            Alarm::Real(timer) => timer.reset(real::<R>(at)),
            Alarm::None => self.alarm = Alarm::Real(R::Timer::new(real::<R>(at))),
            #[cfg(feature = "test-kit")]
            Alarm::Virtual(alarm) => alarm.set(at),
        }
    }

    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.alarm {
            Alarm::Real(timer) => timer.poll(cx),
            Alarm::None => Poll::Pending,
            #[cfg(feature = "test-kit")]
            Alarm::Virtual(alarm) => alarm.poll(cx),
        }
    }
}

/// Returns the current time, for all connections.
pub fn now<R: Runtime>() -> Instant {
    from_real(R::now())
}

/// Converts `at` to the runtime's clock.
pub(super) fn real<R: Runtime>(at: Instant) -> std::time::Instant {
    to_real(at, R::now)
}
