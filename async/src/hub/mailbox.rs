//! The channel of a connection, as held by its engine.
//! Knows no bytes: frames go from the node's queue to the connection's.

use std::sync::Arc;
use std::task::Waker;

use crate::hub::HubRef;
use crate::hub::channel::Channel;
use crate::hub::inner::Inner;
use crate::hub::node::Node;
use crate::hub::wake_flag::WakeFlag;
use sansws_core::close::CloseCode;
use sansws_core::hub::{ChannelId, ChannelOptions, HubError, Taken};
use sansws_core::message::PreparedMessage;

/// The hub of a connection, and its channel.
#[derive(Debug)]
pub(crate) struct HubAttachment {
    hub: HubRef,
    /// Its channel, once it has one.
    mailbox: Option<Mailbox>,
    /// The connection has ended: its channel has left these groups. The peer's earlier messages can still be published.
    left: Option<Vec<Arc<str>>>,
}

/// An open channel. Dropped, it leaves all groups.
#[derive(Debug)]
pub(crate) struct Mailbox {
    hub: Arc<Inner>,
    node: Arc<Node>,
    id: ChannelId,
    bell: Arc<WakeFlag>,
    /// Number of bytes that the peer had sent at the last report; without an expiry, nothing is reported.
    heard: Option<u64>,
}

/// The result of pulling.
#[derive(Debug, Default)]
pub(crate) struct Pulled {
    /// More is queued, for which there was no room.
    pub(crate) more: bool,
    /// The hub wants it closed.
    pub(crate) close: Option<(CloseCode, String)>,
}

impl HubAttachment {
    pub(crate) fn of(hub: &HubRef) -> Box<Self> {
        Box::new(Self {
            hub: hub.clone(),
            mailbox: None,
            left: None,
        })
    }

    /// The connection has ended.
    pub(crate) fn end(&mut self) {
        if self.left.is_none() {
            self.left = Some(self.groups());
            self.mailbox.iter().for_each(Mailbox::retire);
        }
    }

    /// Returns whether there is a channel.
    pub(super) const fn is_open(&self) -> bool {
        self.mailbox.is_some()
    }

    /// Returns the channel, unless the connection has ended.
    pub(crate) fn mailbox(&mut self) -> Option<&mut Mailbox> {
        self.mailbox.as_mut().filter(|_| self.left.is_none())
    }

    /// Returns its groups, or those at its end.
    pub(super) fn groups(&self) -> Vec<Arc<str>> {
        match &self.left {
            Some(left) => left.clone(),
            None => self
                .mailbox
                .as_ref()
                .map(Mailbox::groups)
                .unwrap_or_default(),
        }
    }

    /// Returns the channel, which is opened if necessary.
    pub(super) fn open(&mut self, open: ChannelOptions) -> Result<&Mailbox, HubError> {
        let mailbox = match self.mailbox.take() {
            Some(mailbox) => mailbox,
            None => {
                let mailbox = Mailbox::open(&self.hub.0, open)?;
                if self.left.is_some() {
                    mailbox.retire();
                }
                mailbox
            }
        };
        Ok(self.mailbox.insert(mailbox))
    }
}

impl Mailbox {
    pub(super) fn open(hub: &Arc<Inner>, open: ChannelOptions) -> Result<Self, HubError> {
        let node = hub.node_here();
        let heard = open.expiry.is_some().then_some(0);
        let (id, bell) = hub.open(&node, open)?;
        Ok(Self {
            hub: Arc::clone(hub),
            node,
            id,
            bell,
            heard,
        })
    }

    pub(super) fn channel(&self) -> Channel {
        Channel {
            hub: Arc::clone(&self.hub),
            node: Arc::clone(&self.node),
            id: self.id,
        }
    }

    pub(super) const fn id(&self) -> ChannelId {
        self.id
    }

    /// Returns its groups.
    fn groups(&self) -> Vec<Arc<str>> {
        self.node.state().hub.groups_of(self.id)
    }

    /// Nothing reaches the peer any more.
    fn retire(&self) {
        let id = self.id;
        self.hub
            .with(&self.node, |state, now| state.retire(now, id));
    }

    /// Returns whether something is queued; if not, this waker is woken when it is.
    pub(crate) fn is_rung(&self, waker: &Waker) -> bool {
        self.bell.is_rung(waker)
    }

    /// Reports a sign of life of the peer, if it has sent something and that matters.
    pub(crate) fn hear(&mut self, bytes: u64) {
        if let Some(heard) = &mut self.heard
            && std::mem::replace(heard, bytes) != bytes
        {
            let id = self.id;
            let _ = self
                .hub
                .with(&self.node, |state, now| state.hub.touch(now, id));
        }
    }

    /// Reports that its reader had a turn, and that the peer takes no more for now.
    pub(crate) fn block(&self) {
        let id = self.id;
        self.hub
            .with(&self.node, |state, now| state.hub.blocked(now, id));
    }

    /// Takes queued messages while `give` has room; `None` asks it before each message.
    pub(crate) fn pull(&self, mut give: impl FnMut(Option<&PreparedMessage>) -> bool) -> Pulled {
        let id = self.id;
        self.hub.with(&self.node, |state, now| {
            let mut pulled = Pulled::default();
            while give(None) {
                let taken = state.hub.take(now, id, |frame, _| give(Some(frame)));
                match taken {
                    Taken::Message(_) | Taken::Skipped { .. } => {}
                    Taken::Close(code, reason) => {
                        pulled.close = Some((code, reason));
                        return pulled;
                    }
                    Taken::Nothing => {
                        self.bell.silence();
                        return pulled;
                    }
                }
            }
            pulled.more = true;
            pulled
        })
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.hub.closed(&self.node, self.id);
    }
}
