//! Moves queued messages from the hub into the output of a connection.
//! RFC 6455 section 5.5.3: a message waits, a pong does not.
//! Knows no group.

use sansws_common::hub::internal::{HubAttachment, Pulled};
use sansws_core::connection::Connection;

use super::Loop;
use super::peer::{Flushed, Peer, Stage};
use super::streamed::Streamed;

/// Number of bytes to pull in one turn, after which other connections have theirs.
const PULLED: usize = 1 << 20;

/// Number of unsent bytes beyond which messages stay in the hub.
const GATHERED: usize = 64 << 10;

impl Peer {
    /// Returns whether nothing can be sent any more.
    pub(super) fn is_over(&self) -> bool {
        self.is_ending() || !self.is_open()
    }

    /// Returns the base-2 logarithm of the window of its compressed output.
    pub(super) fn own_window_bits(&self) -> Option<u8> {
        let agreed = self.connection()?.deflate()?;
        (agreed.own_window_bits >= 9).then_some(agreed.own_window_bits)
    }

    /// Leaves all groups once nothing can be sent any more.
    pub(super) fn leave_hub_if_over(&mut self) {
        if self.post.is_some()
            && self.is_over()
            && let Some(post) = &mut self.post
        {
            post.end();
        }
    }

    /// Reports what the peer has sent, if that matters.
    pub(super) fn hear(&mut self) {
        let received = self.counts.bytes_received;
        if let Some(mailbox) = self.post.as_deref_mut().and_then(HubAttachment::mailbox) {
            mailbox.hear(received);
        }
    }

    /// Returns whether a message can be put into the output now. One that is sent in chunks is not interrupted.
    fn has_room_for_mail(&self) -> bool {
        match &self.stage {
            Stage::Open(connection) => has_room(connection),
            Stage::Streaming(streamed) => has_room_in_stream(streamed),
            Stage::Opening(_) | Stage::Connecting(_) | Stage::Over => false,
        }
    }

    /// Moves queued messages into the output; returns how many bytes they are, including headers.
    fn pull_some(&mut self) -> (usize, Pulled) {
        let Self {
            post,
            stage,
            counts,
            mailed,
            ..
        } = self;
        let Some(mailbox) = post.as_deref_mut().and_then(HubAttachment::mailbox) else {
            return (0, Pulled::default());
        };
        let mut bytes = 0;
        let pulled = mailbox.pull(|frame| match frame {
            None => {
                bytes < PULLED
                    && match stage {
                        Stage::Open(connection) => has_room(connection),
                        Stage::Streaming(streamed) => has_room_in_stream(streamed),
                        Stage::Opening(_) | Stage::Connecting(_) | Stage::Over => false,
                    }
            }
            Some(frame) => {
                bytes += frame.len() + 2;
                counts.sent += 1;
                *mailed += 1;
                let sent = match stage {
                    Stage::Open(connection) => connection.send_prepared(frame),
                    Stage::Streaming(streamed) => streamed.put(frame.kind(), frame.payload()),
                    Stage::Opening(_) | Stage::Connecting(_) | Stage::Over => return false,
                };
                debug_assert!(sent.is_ok(), "there was room");
                sent.is_ok()
            }
        });
        (bytes, pulled)
    }

    /// Pulls queued messages once more before the connection closes: earlier publications still reach the peer, as far as there is room.
    pub(super) fn pull_last(&mut self) {
        if self.post.is_some() && !self.is_over() {
            self.pull_some();
        }
    }
}

fn has_room(connection: &Connection) -> bool {
    connection.is_open()
        && !connection.is_sending()
        && connection.queued() < GATHERED
        && connection.has_room()
}

fn has_room_in_stream(streamed: &Streamed) -> bool {
    streamed.is_open() && streamed.queued() < GATHERED && streamed.has_room()
}

impl Loop {
    /// Takes and writes queued messages, until there are none, the peer takes no more, or this turn is over.
    pub(super) fn flush_mail(&mut self, slot: usize) -> Flushed {
        let mut bytes = 0;
        loop {
            self.lend(slot);
            let Some(peer) = self.peers.get_mut(slot) else {
                return Flushed::Done;
            };
            let (count, pulled) = peer.pull_some();
            bytes += count;
            if let Some((code, reason)) = pulled.close {
                peer.start_close(self.now, Some(code), &reason);
            }
            peer.flags.rung = pulled.more;
            let flushed = self.write(slot);
            if !pulled.more {
                return flushed;
            }
            if bytes >= PULLED {
                self.come_again(slot);
                return flushed;
            }
            let Some(peer) = self.peers.get_mut(slot) else {
                return flushed;
            };
            if flushed == Flushed::Blocked || !peer.has_room_for_mail() {
                if let Some(mailbox) = peer.post.as_deref_mut().and_then(HubAttachment::mailbox) {
                    mailbox.block();
                }
                return flushed;
            }
        }
    }
}
