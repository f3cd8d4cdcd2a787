//! The channel of a connection, as its engine holds it.
//! Knows no octet: frames go from the node's queue to the connection's.

use std::sync::Arc;
use std::task::Waker;

use crate::hub::HubRef;
use crate::hub::bell::WakeFlag;
use crate::hub::inner::Inner;
use crate::hub::node::Node;
use sansws_core::close::CloseCode;
use sansws_core::hub::{ChannelId, ChannelOptions, HubError, Taken};
use sansws_core::message::PreparedMessage;

/// What a connection has of a hub.
#[derive(Debug)]
pub(crate) struct HubAttachment {
    hub: HubRef,
    /// Its channel, once it has one.
    mailbox: Option<Mailbox>,
    /// The connection has ended: its channel has left these groups. What the peer sent before can still be published.
    left: Option<Vec<Arc<str>>>,
}

/// An open channel. Dropped, it leaves all groups.
#[derive(Debug)]
pub(crate) struct Mailbox {
    hub: Arc<Inner>,
    node: Arc<Node>,
    id: ChannelId,
    bell: Arc<WakeFlag>,
    /// Octets that the peer had sent when that was last told; where the channel does not expire, nobody is told.
    heard: Option<u64>,
}

/// What pulling came to.
#[derive(Debug, Default)]
pub(crate) struct Pulled {
    /// More waits, for which there was no room.
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

    /// Whether there is a channel.
    pub(super) const fn is_open(&self) -> bool {
        self.mailbox.is_some()
    }

    /// The channel, unless the connection has ended.
    pub(crate) fn mailbox(&mut self) -> Option<&mut Mailbox> {
        self.mailbox.as_mut().filter(|_| self.left.is_none())
    }

    /// The groups that it is in, or was in at its end.
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

    /// The channel; opened if it is not.
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
    fn open(hub: &Arc<Inner>, open: ChannelOptions) -> Result<Self, HubError> {
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

    pub(super) const fn hub(&self) -> &Arc<Inner> {
        &self.hub
    }

    pub(super) const fn node(&self) -> &Arc<Node> {
        &self.node
    }

    pub(super) const fn id(&self) -> ChannelId {
        self.id
    }

    /// The groups that it is in.
    fn groups(&self) -> Vec<Arc<str>> {
        self.node.state().hub.groups_of(self.id)
    }

    /// Nothing reaches the peer any more.
    fn retire(&self) {
        let id = self.id;
        self.hub
            .with(&self.node, |state, now| state.retire(now, id));
    }

    /// Whether something waits; if not, this waker is woken when it does.
    pub(crate) fn is_rung(&self, waker: &Waker) -> bool {
        self.bell.is_rung(waker)
    }

    /// Says that the peer is there, if it has sent something and that matters.
    pub(crate) fn hear(&mut self, octets: u64) {
        if let Some(heard) = &mut self.heard
            && std::mem::replace(heard, octets) != octets
        {
            let id = self.id;
            let _ = self
                .hub
                .with(&self.node, |state, now| state.hub.touch(now, id));
        }
    }

    /// Says that its reader had a turn, and that the peer takes no more for now.
    pub(crate) fn block(&self) {
        let id = self.id;
        self.hub
            .with(&self.node, |state, now| state.hub.blocked(now, id));
    }

    /// Takes what waits while `give` has room: it says so before each message, by `None`.
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
