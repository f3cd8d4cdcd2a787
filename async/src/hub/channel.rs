//! An open channel of a node, and what its owner does with it.
//! Knows no connection.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use crate::error::Error;
use crate::hub::inner::Inner;
use crate::hub::node::Node;
use sansws_core::hub::{
    Callback, ChannelId, HubError, Instruction, JoinOptions, Joined, Left, Sent, Signal, Target,
};
use sansws_core::message::PreparedMessage;

/// A channel, with its hub and node.
pub(super) struct Channel {
    pub(super) hub: Arc<Inner>,
    pub(super) node: Arc<Node>,
    pub(super) id: ChannelId,
}

impl Channel {
    pub(super) async fn join(&self, group: &str, mut join: JoinOptions) -> Result<Joined, Error> {
        let (id, name): (_, Arc<str>) = (self.id, Arc::from(group));
        join.reply = join.reply.map(|reply| {
            let (callbacks, name) = (Arc::clone(&self.hub.callbacks), Arc::clone(&name));
            reply.guarded(move |call| callbacks.run(Callback::Reply, &name, call))
        });
        let joined = self.hub.with(&self.node, |state, now| {
            if let Some(joined) = state.take_joined(id, &name) {
                return Ok(Some(joined));
            }
            let joined = state.hub.join(now, id, group, join)?;
            if joined.is_none() {
                state.expect_join(id, &name);
            }
            Ok::<_, HubError>(joined)
        })?;
        if let Some(joined) = joined {
            return Ok(joined);
        }
        let mut asking = Asking {
            hub: &self.hub,
            node: &self.node,
            id,
            name: &name,
            taken: false,
        };
        let joined = poll_fn(|cx| asking.node.poll_joined(cx, id, &name)).await?;
        asking.taken = true;
        Ok(joined)
    }

    pub(super) fn leave(&self, group: &str) -> Result<Left, Error> {
        let id = self.id;
        Ok(self
            .hub
            .with(&self.node, |state, now| state.leave(now, id, group))?)
    }

    pub(super) fn instruct(&self, instruction: Instruction) -> Result<(), Error> {
        let target = Target::Channel(self.id);
        Ok(self.hub.with(&self.node, |state, now| {
            state.hub.instruct(now, target, instruction)
        })?)
    }

    pub(super) fn hold(&self, held: bool) -> Result<(), Error> {
        let id = self.id;
        Ok(self
            .hub
            .with(&self.node, |state, _| state.hub.hold(id, held))?)
    }

    pub(super) async fn signal(&self) -> Signal {
        poll_fn(|cx| self.node.state().signals.poll(self.id, cx)).await
    }

    pub(super) async fn send_in_order(&self, message: PreparedMessage) -> Result<(), Error> {
        let (hub, id) = (&self.hub, self.id);
        poll_fn(|cx| {
            if hub.is_crowded(Some(cx.waker())) {
                return Poll::Pending;
            }
            let sent = hub.with(&self.node, |state, now| {
                state.hub.send_to(now, id, message.clone())
            });
            Poll::Ready(match sent {
                Ok(Sent::Queued | Sent::Forwarded) => Ok(()),
                Ok(Sent::Overflowed | Sent::Gone) => Err(HubError::Gone.into()),
                Err(error) => Err(error.into()),
            })
        })
        .await
    }
}

/// A join in progress. If dropped before it is complete, it is cancelled.
struct Asking<'a> {
    hub: &'a Inner,
    node: &'a Node,
    id: ChannelId,
    name: &'a Arc<str>,
    taken: bool,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let (id, name, taken) = (self.id, self.name, self.taken);
        self.hub
            .with(self.node, |state, now| state.end_join(now, id, name, taken));
    }
}
