//! Moves queued messages from the hub into the connection's output.
//! RFC 6455 section 5.5.3: a message waits, a pong does not.
//! Knows no group.

use std::task::Context;

use crate::hub::HubRef;
use crate::hub::{HubAttachment, Pulled};
use crate::socket::engine::{Engine, GATHERED};
use crate::socket::wakers::WakerRole;
use crate::transport::Transport;

/// Number of bytes to pull in one turn, after which other connections have theirs.
const PULLED: usize = 1 << 20;

impl<T: Transport> Engine<T> {
    /// Attaches a hub, unless there is one.
    pub(crate) fn set_hub(&mut self, hub: &HubRef) {
        if self.post.is_none() {
            self.post = Some(HubAttachment::of(hub));
        }
    }

    pub(crate) fn post(&mut self) -> Option<&mut HubAttachment> {
        let is_over = self.is_ended() || !self.connection.is_open();
        if let Some(post) = &mut self.post
            && is_over
        {
            post.end();
        }
        self.post.as_deref_mut()
    }

    /// Returns the base-2 logarithm of the window of its compressed output.
    pub(crate) fn own_window_bits(&self) -> Option<u8> {
        let agreed = self.connection.deflate()?;
        (agreed.own_window_bits >= 9).then_some(agreed.own_window_bits)
    }

    /// The channel leaves all groups.
    pub(super) fn leave_hub(&mut self) {
        if let Some(post) = &mut self.post {
            post.end();
        }
    }

    /// Takes and writes queued messages, until there are none, the peer takes no more, or this turn is over; returns whether there were
    /// any.
    pub(super) fn pull(&mut self, cx: &Context<'_>, role: WakerRole) -> bool {
        let Some(mailbox) = self.post.as_deref_mut().and_then(HubAttachment::mailbox) else {
            return false;
        };
        mailbox.hear(self.counts.bytes_received);
        if !mailbox.is_rung(cx.waker()) {
            return false;
        }
        let mut bytes = 0;
        loop {
            let (more, pulled) = self.pull_some();
            bytes += more;
            if let Some((code, reason)) = pulled.close {
                self.start_close(Some(code), &reason);
            }
            if !pulled.more {
                break;
            }
            if bytes >= PULLED {
                cx.waker().wake_by_ref();
                break;
            }
            if self.poll_flush(cx, role).is_pending() || !self.has_room_for_mail() {
                self.block_mail();
                break;
            }
        }
        bytes > 0
    }

    /// Reports that there was a turn in which queued messages could not be taken.
    fn block_mail(&mut self) {
        if let Some(mailbox) = self.post.as_deref_mut().and_then(HubAttachment::mailbox) {
            mailbox.block();
        }
    }

    /// Pulls queued messages once more before the connection closes.
    pub(super) fn pull_last(&mut self) {
        if self.connection.is_open() {
            self.pull_some();
        }
    }

    /// Reports how many bytes it took, including headers.
    fn pull_some(&mut self) -> (usize, Pulled) {
        let Some(mut post) = self.post.take() else {
            return (0, Pulled::default());
        };
        let mut bytes = 0;
        let pulled = match post.mailbox() {
            Some(mailbox) => mailbox.pull(|frame| match frame {
                None => self.has_room_for_mail() && bytes < PULLED,
                Some(frame) => {
                    bytes += frame.len() + 2;
                    let send = self.send_message(|connection| connection.send_prepared(frame));
                    debug_assert!(send.is_ok(), "there was room");
                    send.is_ok()
                }
            }),
            None => Pulled::default(),
        };
        self.post = Some(post);
        (bytes, pulled)
    }

    /// Returns whether a message can be put into the output now. One that is sent in chunks is not interrupted.
    fn has_room_for_mail(&self) -> bool {
        self.connection.is_open()
            && !self.connection.is_sending()
            && self.connection.queued() < GATHERED
            && self.connection.has_room()
    }
}
