//! Writes queued output to the transport.
//! RFC 6455 section 7.1.1: when the writing side is shut down.
//! Knows no frame.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, Waker, ready};

use crate::socket::buffer;
use crate::socket::engine::Engine;
use crate::socket::wakers::WakerRole;
use crate::transport::Transport;
use sansws_core::connection::TransportAction;

/// Number of slices in a vectored write.
const SLICES: usize = 16;

impl<T: Transport> Engine<T> {
    /// Writes all queued output. An error ends writing: input is still received, and the error reported with the end.
    #[inline]
    pub(crate) fn poll_flush(&mut self, cx: &Context<'_>, role: WakerRole) -> Poll<()> {
        let is_done =
            self.connection.is_open() && !self.connection.has_output() && !self.flags.dirty;
        if is_done {
            return Poll::Ready(());
        }
        self.poll_flush_all(cx, role)
    }

    fn poll_flush_all(&mut self, cx: &Context<'_>, role: WakerRole) -> Poll<()> {
        let joint = self.wakers.enter(role, cx);
        let cx = &mut Context::from_waker(joint.as_ref().unwrap_or_else(|| cx.waker()));
        let wrote = ready!(self.poll_written(cx, role));
        if joint.is_some() && (wrote || self.leaves_end(role)) {
            self.wakers.wake_others(role);
        }
        Poll::Ready(())
    }

    /// Writes as much of the queued output as the transport takes at once, and wakes all tasks that wait: they write the rest.
    pub(super) fn flush_at_once(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        let _ = self.poll_written(&mut cx, WakerRole::Writer);
        // The transport may have forgotten whom to wake.
        self.wakers.wake_all();
    }

    /// Writes all queued output; returns whether there was any.
    fn poll_written(&mut self, cx: &mut Context<'_>, role: WakerRole) -> Poll<bool> {
        let wrote = match ready!(self.poll_write_all(cx, role)) {
            Ok(wrote) => wrote,
            Err(error) => {
                self.connection.end_of_output(self.transport.now());
                self.rare_mut().ending.note_write_error(error);
                self.flags.dirty = false;
                // The waiting task now has another deadline.
                self.wakers.wake_all();
                true
            }
        };
        if let Some(buffer) = self.connection.reclaim() {
            buffer::give_writer(buffer);
        }
        Poll::Ready(wrote)
    }

    fn poll_write_all(&mut self, cx: &mut Context<'_>, role: WakerRole) -> Poll<io::Result<bool>> {
        let mut wrote = false;
        while self.connection.has_output() {
            let written = if self.connection.is_output_contiguous() {
                self.poll_write_once::<1>(cx)
            } else {
                self.poll_write_once::<SLICES>(cx)
            };
            match ready!(written) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(count) => {
                    self.counts.bytes_sent += count as u64;
                    let more = u32::try_from(count).unwrap_or(u32::MAX);
                    self.sent.bytes = self.sent.bytes.saturating_add(more);
                    self.connection.transmitted(count);
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
            wrote = true;
            self.flags.dirty = true;
        }
        if self.flags.dirty {
            let flushed = self.transport.poll_flush(cx);
            // Do not wait for output that a peer did not take in time: nothing would end the wait.
            if !self.is_over() {
                ready!(flushed)?;
            }
            self.flags.dirty = false;
        }
        if self.shuts_down(role) {
            // The peer may be gone already; nothing is lost by that.
            let _ = ready!(self.transport.poll_shutdown(cx));
            self.rare_mut().shut = true;
        }
        Poll::Ready(Ok(wrote))
    }

    /// Returns whether to shut down the writing side now.
    fn shuts_down(&self, role: WakerRole) -> bool {
        let is_due = match self.connection.transport_action() {
            TransportAction::Keep | TransportAction::Drop => false,
            TransportAction::Shutdown => true,
            TransportAction::Close => !self.leaves_end(role) && !self.closes_when_dropped(),
        };
        is_due && !self.is_shut()
    }

    /// Returns whether the end of the transport, after the closing handshake, is left to the driver, which may rather drop it: the driver
    /// learns in its turn whether the handler returns.
    fn leaves_end(&self, role: WakerRole) -> bool {
        self.flags.driven
            && role != WakerRole::Driver
            && self.connection.transport_action() == TransportAction::Close
            && !self.is_shut()
    }

    /// Returns whether the transport is about to be dropped, once all input is read, and needs no end of its own.
    fn closes_when_dropped(&self) -> bool {
        let is_last = self.rare.as_ref().is_some_and(|rare| rare.last);
        is_last && self.unread.is_empty() && self.transport.closes_when_dropped()
    }

    /// Writes at most `N` slices of the output.
    fn poll_write_once<const N: usize>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut slices: [&[u8]; N] = [&[]; N];
        let filled = self.connection.transmit(&mut slices);
        let slices = slices.map(IoSlice::new);
        let slices = slices.get(..filled).unwrap_or_default();
        self.transport.poll_write(cx, slices)
    }

    /// Returns whether nothing is left to do but to drop the transport.
    pub(super) fn is_over(&self) -> bool {
        self.connection.transport_action() == TransportAction::Drop
    }

    /// Returns whether it is to be dropped after the closing handshake, if all input was read.
    pub(super) fn is_dropped_at_once(&self) -> bool {
        self.connection.transport_action() == TransportAction::Close
            && !self.flags.dirty
            && self.closes_when_dropped()
    }
}
