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
    place: Place,
    /// The connection has ended: its channel has left these groups. The peer's earlier messages can still be published.
    #[expect(
        clippy::box_collection,
        reason = "a pointer takes a third of the room of a vector, which no open connection has"
    )]
    left: Option<Box<Vec<Arc<str>>>>,
}

#[derive(Debug)]
enum Place {
    /// No channel yet.
    Outside(HubRef),
    In(Mailbox),
}

/// An open channel. Dropped, it leaves all groups.
#[derive(Debug)]
pub struct Mailbox {
    channel: Channel,
    /// An event loop is told of messages by its node instead.
    bell: Option<Arc<WakeFlag>>,
    /// Number of bytes that the peer had sent at the last report, or [`UNREPORTED`].
    heard: u64,
}

/// Without an expiry, nothing is reported.
const UNREPORTED: u64 = u64::MAX;

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
            place: Place::Outside(hub.clone()),
            left: None,
        })
    }

    /// The connection has ended.
    pub fn end(&mut self) {
        if self.left.is_none() {
            self.left = Some(Box::new(self.groups()));
            self.inside().into_iter().for_each(Mailbox::retire);
        }
    }

    const fn inside(&self) -> Option<&Mailbox> {
        match &self.place {
            Place::In(mailbox) => Some(mailbox),
            Place::Outside(_) => None,
        }
    }

    /// Returns whether there is a channel.
    pub const fn is_open(&self) -> bool {
        self.inside().is_some()
    }

    /// Returns the channel, unless the connection has ended.
    pub fn mailbox(&mut self) -> Option<&mut Mailbox> {
        match &mut self.place {
            Place::In(mailbox) if self.left.is_none() => Some(mailbox),
            _ => None,
        }
    }

    /// Returns its groups, or those at its end.
    pub fn groups(&self) -> Vec<Arc<str>> {
        match &self.left {
            Some(left) => left.to_vec(),
            None => self.inside().map(Mailbox::groups).unwrap_or_default(),
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
        self.inside().map(|mailbox| mailbox.channel.id)
    }

    fn open_by(
        &mut self,
        open: impl FnOnce(&Arc<Shared>) -> Result<Mailbox, HubError>,
    ) -> Result<&Channel, HubError> {
        if let Place::Outside(hub) = &self.place {
            let mailbox = open(&hub.0)?;
            if self.left.is_some() {
                mailbox.retire();
            }
            self.place = Place::In(mailbox);
        }
        let mailbox = self.inside().ok_or(HubError::Gone)?;
        Ok(&mailbox.channel)
    }
}

impl Mailbox {
    pub(super) fn open(hub: &Arc<Shared>, options: ChannelOptions) -> Result<Self, HubError> {
        let node = hub.node_here();
        let heard = first_report(&options);
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
        let heard = first_report(&options);
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
        if self.heard != UNREPORTED && std::mem::replace(&mut self.heard, bytes) != bytes {
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

const fn first_report(options: &ChannelOptions) -> u64 {
    if options.expiry.is_some() {
        0
    } else {
        UNREPORTED
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.channel.hub.closed(&self.channel.node, self.channel.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_in_groups_is_small() {
        assert!(size_of::<HubAttachment>() <= 56);
    }
}
