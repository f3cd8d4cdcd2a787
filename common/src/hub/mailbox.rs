//! The channel of a connection, as held by what drives the connection.
//! Knows no bytes: frames go from the node's queue to the connection's.

use std::sync::Arc;
use std::task::Waker;

use crate::hub::HubRef;
use crate::hub::channel::Channel;
use crate::hub::inner::Shared;
use crate::hub::node::{Node, State};
use crate::hub::on_loop::LoopNode;
use crate::hub::wake_flag::WakeFlag;
use sansws_core::close::CloseCode;
use sansws_core::hub::{ChannelId, ChannelOptions, HubError, Taken};
use sansws_core::message::PreparedMessage;
use sansws_core::time::Instant;

/// The hub of a connection, and its channel.
#[derive(Debug)]
pub struct HubAttachment {
    hub: HubRef,
    /// Its channel, once it has one.
    mailbox: Option<Mailbox>,
    /// The connection has ended: its channel has left these groups. The peer's earlier messages can still be published.
    left: Option<Vec<Arc<str>>>,
}

/// An open channel. Dropped, it leaves all groups.
#[derive(Debug)]
pub struct Mailbox {
    channel: Channel,
    /// An event loop is told of messages by its node instead.
    bell: Option<Arc<WakeFlag>>,
    /// Number of bytes that the peer had sent at the last report; without an expiry, nothing is reported.
    heard: Option<u64>,
}

/// The result of pulling.
#[derive(Debug, Default)]
pub struct Pulled {
    /// More is queued, for which there was no room.
    pub more: bool,
    /// The hub wants it closed.
    pub close: Option<(CloseCode, String)>,
}

impl HubAttachment {
    /// Attaches a hub, without a channel yet.
    pub fn of(hub: &HubRef) -> Box<Self> {
        Box::new(Self {
            hub: hub.clone(),
            mailbox: None,
            left: None,
        })
    }

    /// The connection has ended.
    pub fn end(&mut self) {
        if self.left.is_none() {
            self.left = Some(self.groups());
            self.mailbox.iter().for_each(Mailbox::retire);
        }
    }

    /// Returns whether there is a channel.
    pub const fn is_open(&self) -> bool {
        self.mailbox.is_some()
    }

    /// Returns the channel, unless the connection has ended.
    pub fn mailbox(&mut self) -> Option<&mut Mailbox> {
        self.mailbox.as_mut().filter(|_| self.left.is_none())
    }

    /// Returns its groups, or those at its end.
    pub fn groups(&self) -> Vec<Arc<str>> {
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
    ///
    /// # Errors
    /// Those of [`open`](sansws_core::hub::Hub::open).
    pub fn open(&mut self, options: ChannelOptions) -> Result<&Channel, HubError> {
        self.open_by(|hub| Mailbox::open(hub, options))
    }

    /// Returns the channel of a connection of an event loop, which is opened if necessary.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn open_on(
        &mut self,
        node: &LoopNode,
        options: ChannelOptions,
    ) -> Result<&Channel, HubError> {
        self.open_by(|hub| Mailbox::open_on(hub, &node.node, options))
    }

    /// Returns the address of the channel, if there is one.
    pub fn id(&self) -> Option<ChannelId> {
        self.mailbox.as_ref().map(|mailbox| mailbox.channel.id)
    }

    fn open_by(
        &mut self,
        open: impl FnOnce(&Arc<Shared>) -> Result<Mailbox, HubError>,
    ) -> Result<&Channel, HubError> {
        let mailbox = match self.mailbox.take() {
            Some(mailbox) => mailbox,
            None => {
                let mailbox = open(&self.hub.0)?;
                if self.left.is_some() {
                    mailbox.retire();
                }
                mailbox
            }
        };
        Ok(&self.mailbox.insert(mailbox).channel)
    }
}

impl Mailbox {
    pub(super) fn open(hub: &Arc<Shared>, options: ChannelOptions) -> Result<Self, HubError> {
        let node = hub.node_here();
        let heard = options.expiry.is_some().then_some(0);
        let (id, bell) = hub.open(&node, options)?;
        Ok(Self {
            channel: Channel {
                hub: Arc::clone(hub),
                node,
                id,
            },
            bell: Some(bell),
            heard,
        })
    }

    fn open_on(
        hub: &Arc<Shared>,
        node: &Arc<Node>,
        options: ChannelOptions,
    ) -> Result<Self, HubError> {
        hub.callbacks.check()?;
        let heard = options.expiry.is_some().then_some(0);
        let id = hub.with(node, |state, now| state.hub.open(now, options))?;
        Ok(Self {
            channel: Channel {
                hub: Arc::clone(hub),
                node: Arc::clone(node),
                id,
            },
            bell: None,
            heard,
        })
    }

    pub(super) const fn channel(&self) -> &Channel {
        &self.channel
    }

    /// Runs an operation on its node.
    fn with<R>(&self, work: impl FnOnce(&mut State, Instant, ChannelId) -> R) -> R {
        let Channel { hub, node, id } = &self.channel;
        hub.with(node, |state, now| work(state, now, *id))
    }

    /// Returns its groups.
    fn groups(&self) -> Vec<Arc<str>> {
        let Channel { node, id, .. } = &self.channel;
        node.state().hub.groups_of(*id)
    }

    /// Nothing reaches the peer any more.
    fn retire(&self) {
        self.with(|state, now, id| state.retire(now, id));
    }

    /// Returns whether something is queued; if not, this waker is woken when it is.
    pub fn is_rung(&self, waker: &Waker) -> bool {
        let bell = self.bell.as_ref();
        bell.is_some_and(|bell| bell.is_rung(waker))
    }

    /// Reports a sign of life of the peer, if it has sent something and that matters.
    pub fn hear(&mut self, bytes: u64) {
        if let Some(heard) = &mut self.heard
            && std::mem::replace(heard, bytes) != bytes
        {
            let _ = self.with(|state, now, id| state.hub.touch(now, id));
        }
    }

    /// Reports that its reader had a turn, and that the peer takes no more for now.
    pub fn block(&self) {
        self.with(|state, now, id| state.hub.blocked(now, id));
    }

    /// Takes queued messages while `give` has room; `None` asks it before each message.
    pub fn pull(&self, mut give: impl FnMut(Option<&PreparedMessage>) -> bool) -> Pulled {
        self.with(|state, now, id| {
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
                        self.bell.iter().for_each(|bell| bell.silence());
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
        self.channel.hub.closed(&self.channel.node, self.channel.id);
    }
}
