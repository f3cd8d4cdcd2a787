//! Serves the connection of a handler that waits for something else, on a server's task.
//! RFC 6455 section 5.5: control frames are answered whatever a handler does.
//! Knows no messages: they are read ahead and kept unchanged.

use std::task::Context;

use crate::socket::engine::Engine;
use crate::socket::engine::decode::Got;
use crate::socket::read_ahead::Item;
use crate::socket::wakers::WakerRole;
use crate::transport::Transport;
use sansws_common::socket::taking::Taking;
use sansws_core::message::Assembly;

impl<T: Transport> Engine<T> {
    /// The handler was polled and waits: writes its output and, unless it waits for input itself, reads ahead, so that pings are
    /// answered and a Close is seen.
    pub(crate) fn pump(&mut self, cx: &Context<'_>) {
        let _ = self.wakers.enter(WakerRole::Driver, cx);
        self.new_turn();
        let waits = std::mem::take(&mut self.flags.waits);
        self.pull(cx, WakerRole::Driver);
        if waits && !self.connection.has_output() && self.connection.is_open() {
            return;
        }
        let blocked = !self.wants_input();
        let ended = self.is_ended();
        let mut moved = false;
        loop {
            moved |= !waits && self.read_ahead();
            if self.poll_flush(cx, WakerRole::Driver).is_ready() && self.pull(cx, WakerRole::Driver)
            {
                let _ = self.poll_flush(cx, WakerRole::Driver);
            }
            let can_read =
                !waits && !self.is_ended() && self.wants_input() && self.may_read_ahead();
            if can_read && self.poll_read(cx, WakerRole::Driver, false).is_ready() {
                continue;
            }
            if !waits && self.wants_input() && !self.may_read_ahead() {
                self.connection.pause();
            }
            self.park();
            if self.poll_alarm(cx, WakerRole::Driver).is_pending() {
                break;
            }
        }
        // Waiting tasks, including the handler, registered before this happened: their own wake-up may have been consumed here.
        if moved || ended != self.is_ended() || (blocked && self.wants_input()) {
            self.wakers.wake_all();
        }
    }

    /// Decodes input, as far as it may be kept; returns whether there was any.
    pub(super) fn read_ahead(&mut self) -> bool {
        let mut moved = false;
        while !self.is_ended()
            && self.wants_input()
            && !self.unread.is_empty()
            && self.may_read_ahead()
        {
            match self.decode(false, &mut Taking::Owned) {
                Got::Message(message) => self.ahead.push(Item {
                    message,
                    piece: None,
                }),
                Got::Piece(message, first, last) => self.ahead.push(Item {
                    message,
                    piece: Some((first, last)),
                }),
                Got::Control(control) => self.ahead.push_control(control),
                Got::Lent | Got::Other => {}
                Got::Nothing => break,
            }
            moved = true;
        }
        moved
    }

    /// Returns whether the next input is a control frame, or a message that fits the read-ahead limit.
    pub(super) fn may_read_ahead(&self) -> bool {
        let unfinished = self.unread.assembly().map_or(0, Assembly::pending_bytes);
        self.ahead
            .may_keep(&self.connection, self.unread.bytes(), unfinished)
    }
}
