//! A transport in memory, on virtual time: what the async shell runs over in tests.

use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::time::Duration;

use sansws_async::Transport;
use sansws_core::connection::SendProgress;
use sansws_core::time::Instant;

/// One end of a wire; the test holds a clone of it.
#[derive(Clone)]
pub struct Wire(Arc<Mutex<State>>);

#[derive(Default)]
pub struct State {
    /// The results of reads, one entry for one read.
    pub input: VecDeque<Vec<u8>>,
    /// The bytes of each further read, without an end.
    pub flood: Option<Vec<u8>>,
    /// No input will come.
    pub ended: bool,
    /// The error of reads and writes, once there is no input.
    pub fault: Option<io::ErrorKind>,
    /// The error of writes alone.
    pub write_fault: Option<io::ErrorKind>,
    /// The written bytes.
    pub output: Vec<u8>,
    /// How much more may be written before writes are pending.
    pub room: usize,
    /// Flushing and ending wait, as under TLS when the socket takes nothing.
    pub stuck: bool,
    /// Reads that brought octets.
    pub reads: usize,
    /// Number of reads into the memory of a message.
    pub appended: usize,
    /// Reads, of which some brought nothing.
    pub polled: usize,
    pub writes: usize,
    /// The writing side was ended.
    pub shut: bool,
    /// Dropping it would close it in order, as with a socket.
    pub closes_when_dropped: bool,
    /// The kernel's report of the peer.
    pub progress: Option<SendProgress>,
    pub now: Instant,
    alarm: Option<Instant>,
    reader: Option<Waker>,
    writer: Option<Waker>,
    sleeper: Option<Waker>,
    /// Where written octets go, instead of `output`.
    peer: Option<Wire>,
    /// For the next reads: whether each finds nothing and forgets who asked, as if its input came a moment too late.
    pub late: VecDeque<bool>,
    /// Seed of the moods: with one, reads and writes come in odd sizes, or not yet.
    moods: Option<u64>,
}

impl Default for Wire {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State {
            room: usize::MAX,
            now: Instant::from_micros(1_000_000),
            ..State::default()
        })))
    }
}

impl Wire {
    /// Two ends of one wire, on which octets move in odd sizes.
    pub fn pair(seed: u64) -> (Self, Self) {
        let (one, two) = (Self::default(), Self::default());
        one.state().peer = Some(two.clone());
        two.state().peer = Some(one.clone());
        one.state().moods = Some(seed);
        two.state().moods = Some(seed ^ 0x5555);
        (one, two)
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// The peer sends octets, which one read will bring.
    pub fn push(&self, bytes: impl Into<Vec<u8>>) {
        let mut state = self.state();
        state.input.push_back(bytes.into());
        let reader = state.reader.take();
        drop(state);
        reader.into_iter().for_each(Waker::wake);
    }

    /// The peer ends its writing side.
    pub fn end(&self) {
        let mut state = self.state();
        state.ended = true;
        let reader = state.reader.take();
        drop(state);
        reader.into_iter().for_each(Waker::wake);
    }

    /// The transport fails.
    pub fn fail(&self, fault: io::ErrorKind) {
        let mut state = self.state();
        state.fault = Some(fault);
        let reader = state.reader.take();
        drop(state);
        reader.into_iter().for_each(Waker::wake);
    }

    /// The peer reads again.
    pub fn drain(&self) {
        let mut state = self.state();
        state.room = usize::MAX;
        let writer = state.writer.take();
        drop(state);
        writer.into_iter().for_each(Waker::wake);
    }

    /// The peer takes so many bytes, and no more.
    pub fn allow(&self, bytes: usize) {
        let mut state = self.state();
        state.room = bytes;
        let writer = state.writer.take();
        drop(state);
        writer.into_iter().for_each(Waker::wake);
    }

    /// Takes what was written.
    pub fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.state().output)
    }

    /// Lets time pass; rings the alarm if it is due.
    pub fn pass(&self, time: Duration) {
        let mut state = self.state();
        state.now = state.now + time;
        let due = state.alarm.is_some_and(|at| at <= state.now);
        let sleeper = if due { state.sleeper.take() } else { None };
        drop(state);
        sleeper.into_iter().for_each(Waker::wake);
    }
}

impl State {
    /// A number below `most`, and above zero; or none, for "not yet".
    fn mood(&mut self, most: usize, cx: &Context<'_>) -> Option<usize> {
        let Some(seed) = &mut self.moods else {
            return Some(most);
        };
        *seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let dice = *seed >> 33;
        if dice % 5 == 0 {
            cx.waker().wake_by_ref();
            return None;
        }
        let sizes = [1, 2, 7, 60, 1_000, usize::MAX];
        Some(sizes[(dice >> 4) as usize % 6].min(most))
    }
}

impl Transport for Wire {
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut state = self.state();
        state.polled += 1;
        if state.late.pop_front() == Some(true) {
            return Poll::Pending;
        }
        let Some(most) = state.mood(into.len(), cx) else {
            return Poll::Pending;
        };
        let next = state.input.pop_front().or_else(|| state.flood.clone());
        let Some(mut next) = next else {
            if let Some(fault) = state.fault {
                return Poll::Ready(Err(fault.into()));
            }
            if state.ended {
                return Poll::Ready(Ok(0));
            }
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        };
        let count = most.min(next.len());
        into[..count].copy_from_slice(&next[..count]);
        let rest = next.split_off(count);
        if !rest.is_empty() && state.flood.is_none() {
            state.input.push_front(rest);
        }
        state.reads += 1;
        Poll::Ready(Ok(count))
    }

    fn poll_append(&mut self, cx: &mut Context<'_>, into: &mut Vec<u8>) -> Poll<io::Result<usize>> {
        let mut room = vec![0; into.capacity() - into.len()];
        assert!(!room.is_empty(), "a read without room looks like the end");
        let count = ready!(self.poll_read(cx, &mut room))?;
        into.extend_from_slice(&room[..count]);
        self.state().appended += 1;
        Poll::Ready(Ok(count))
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.state();
        let total: usize = from.iter().map(|slice| slice.len()).sum();
        assert!(total > 0, "an empty write");
        let fault = state.fault.filter(|_| state.input.is_empty());
        if let Some(fault) = state.write_fault.or(fault) {
            return Poll::Ready(Err(fault.into()));
        }
        let Some(most) = state.mood(total, cx) else {
            return Poll::Pending;
        };
        let count = most.min(state.room);
        if count == 0 {
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        assert!(!state.shut, "a write after the end");
        state.room -= if state.room == usize::MAX { 0 } else { count };
        state.writes += 1;
        let bytes: Vec<u8> = from
            .iter()
            .flat_map(|slice| slice.iter().copied())
            .take(count)
            .collect();
        match state.peer.clone() {
            Some(peer) => {
                drop(state);
                peer.push(bytes);
            }
            None => state.output.extend(bytes),
        }
        Poll::Ready(Ok(count))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state();
        if state.stuck {
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_flush(cx))?;
        let mut state = self.state();
        state.shut = true;
        let peer = state.peer.clone();
        drop(state);
        peer.into_iter().for_each(|peer| peer.end());
        Poll::Ready(Ok(()))
    }

    fn closes_when_dropped(&self) -> bool {
        self.state().closes_when_dropped
    }

    fn send_progress(&self) -> Option<SendProgress> {
        self.state().progress
    }

    fn now(&self) -> Instant {
        self.state().now
    }

    fn set_alarm(&mut self, at: Instant) {
        self.state().alarm = Some(at);
    }

    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.alarm.expect("an alarm was set") <= state.now {
            return Poll::Ready(());
        }
        state.sleeper = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// A future with a waker of its own.
pub struct Task<F: Future> {
    future: Pin<Box<F>>,
    woken: Arc<Woken>,
    pub done: Option<F::Output>,
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl<F: Future> Task<F> {
    pub fn new(future: F) -> Self {
        Self {
            future: Box::pin(future),
            woken: Arc::new(Woken(AtomicBool::new(true))),
            done: None,
        }
    }

    /// Wakes it, as somebody might of whom the wire knows nothing.
    pub fn wake(&self) {
        self.woken.0.store(true, Ordering::SeqCst);
    }

    /// Polls as long as it was woken; says whether it was polled at all.
    pub fn run(&mut self) -> bool {
        let mut polled = false;
        while self.turn() {
            polled = true;
        }
        polled
    }

    /// Polls once, if it was woken; says whether it was.
    pub fn turn(&mut self) -> bool {
        if self.done.is_some() || !self.woken.0.swap(false, Ordering::SeqCst) {
            return false;
        }
        let waker = Waker::from(Arc::clone(&self.woken));
        if let Poll::Ready(done) = self.future.as_mut().poll(&mut Context::from_waker(&waker)) {
            self.done = Some(done);
        }
        true
    }
}
