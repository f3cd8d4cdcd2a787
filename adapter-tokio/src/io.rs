//! A stream of tokio's as a transport.
//! Knows octets and time, nothing of what they mean.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::OnceLock;
use std::task::{Context, Poll, ready};

use sansws_core::connection::SendProgress;
use sansws_core::drive::Transport;
use sansws_core::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::unconstrained;
use tokio::time::{Instant as Clock, Sleep, sleep_until};

/// Any `AsyncRead + AsyncWrite`, with tokio's clock and timer.
#[derive(Debug)]
pub struct Io<S> {
    stream: S,
    alarm: Alarm,
    progress: fn(&S) -> Option<SendProgress>,
}

#[derive(Debug)]
enum Alarm {
    None,
    Real(Pin<Box<Sleep>>),
    #[cfg(feature = "test-kit")]
    Virtual(Box<sansws_core::kit::Alarm>),
}

impl<S> Io<S> {
    /// Wraps a stream.
    pub const fn new(stream: S) -> Self {
        Self {
            stream,
            alarm: Alarm::None,
            progress: unknown,
        }
    }

    /// Wraps a stream, in virtual time.
    #[cfg(feature = "test-kit")]
    pub fn in_time_of(clock: &sansws_core::kit::Clock, stream: S) -> Self {
        Self {
            stream,
            alarm: Alarm::Virtual(Box::new(clock.alarm())),
            progress: unknown,
        }
    }

    /// Asks `progress` how far the peer has taken what was written.
    pub(crate) fn watched(self, progress: fn(&S) -> Option<SendProgress>) -> Self {
        Self { progress, ..self }
    }

    /// The stream, without its timer.
    pub fn into_inner(self) -> S {
        self.stream
    }

    /// The stream.
    pub const fn get_ref(&self) -> &S {
        &self.stream
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Transport for Io<S> {
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut into = ReadBuf::new(into);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut into))?;
        Poll::Ready(Ok(into.filled().len()))
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // A budget of tokio's that is spent would leave lying what nobody but the sender writes; the engine has its own.
        let write = poll_fn(|cx| match from {
            [one] => Pin::new(&mut self.stream).poll_write(cx, one),
            many => Pin::new(&mut self.stream).poll_write_vectored(cx, many),
        });
        pin!(unconstrained(write)).poll(cx)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn send_progress(&self) -> Option<SendProgress> {
        (self.progress)(&self.stream)
    }

    fn now(&self) -> Instant {
        match &self.alarm {
            #[cfg(feature = "test-kit")]
            Alarm::Virtual(alarm) => alarm.clock().now(),
            Alarm::None | Alarm::Real(_) => now(),
        }
    }

    fn set_alarm(&mut self, at: Instant) {
        let real = || epoch() + Duration::from_micros(at.as_micros().min(FAR));
        match &mut self.alarm {
            Alarm::Real(alarm) => alarm.as_mut().reset(real()),
            Alarm::None => self.alarm = Alarm::Real(Box::pin(sleep_until(real()))),
            #[cfg(feature = "test-kit")]
            Alarm::Virtual(alarm) => alarm.set(at),
        }
    }

    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.alarm {
            Alarm::Real(alarm) => alarm.as_mut().poll(cx),
            Alarm::None => Poll::Pending,
            #[cfg(feature = "test-kit")]
            Alarm::Virtual(alarm) => alarm.poll(cx),
        }
    }
}

/// What is known of the peer of any stream.
const fn unknown<S>(_: &S) -> Option<SendProgress> {
    None
}

/// What time it is, for all connections.
pub(crate) fn now() -> Instant {
    Instant::ZERO + Clock::now().saturating_duration_since(epoch())
}

/// A hundred years in microseconds: later alarms need not ring.
const FAR: u64 = 100 * 365 * 86_400 * 1_000_000;

/// All connections of a process count time from here.
fn epoch() -> Clock {
    static EPOCH: OnceLock<Clock> = OnceLock::new();
    *EPOCH.get_or_init(Clock::now)
}
