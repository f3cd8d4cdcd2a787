//! A channel, with its hub and node: what a connection does with groups.
//! Knows no connection.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};

use crate::hub::inner::Shared;
use crate::hub::node::Node;
use crate::hub::publish::By;
use sansws_core::hub::{
    Callback, ChannelId, Filter, HubError, Instruction, JoinOptions, Joined, Left, PublishRequest,
    Published, Sent, Signal, Target,
};
use sansws_core::message::PreparedMessage;

/// A channel, with its hub and node.
#[derive(Clone, Debug)]
pub struct Channel {
    pub(super) hub: Arc<Shared>,
    pub(super) node: Arc<Node>,
    pub(super) id: ChannelId,
}

impl Channel {
    /// Returns its address.
    pub const fn id(&self) -> ChannelId {
        self.id
    }

    /// Starts to join a group. Without a result, the node reports one later.
    ///
    /// # Errors
    /// Those of [`join`](sansws_core::hub::Hub::join).
    pub fn start_join(
        &self,
        group: &str,
        options: JoinOptions,
    ) -> Result<Option<Joined>, HubError> {
        let (id, options) = (self.id, self.guarded(group, options));
        self.hub.with(&self.node, |state, now| {
            state.hub.join(now, id, group, options)
        })
    }

    /// Joins a group.
    ///
    /// # Errors
    /// As for [`start_join`](Self::start_join).
    pub async fn join(&self, group: &str, options: JoinOptions) -> Result<Joined, HubError> {
        let options = self.guarded(group, options);
        let (id, name): (_, Arc<str>) = (self.id, Arc::from(group));
        let joined = self.hub.with(&self.node, |state, now| {
            if let Some(joined) = state.take_joined(id, &name) {
                return Ok(Some(joined));
            }
            let joined = state.hub.join(now, id, group, options)?;
            if joined.is_none() {
                state.expect_join(id, &name);
            }
            Ok::<_, HubError>(joined)
        })?;
        if let Some(joined) = joined {
            return Ok(joined);
        }
        let mut asking = Asking {
            channel: self,
            name: &name,
            taken: false,
        };
        let joined = poll_fn(|cx| self.node.poll_joined(cx, id, &name)).await?;
        asking.taken = true;
        Ok(joined)
    }

    /// Returns options whose reply is guarded like other callbacks.
    fn guarded(&self, group: &str, mut options: JoinOptions) -> JoinOptions {
        options.reply = options.reply.map(|reply| {
            let (callbacks, name) = (Arc::clone(&self.hub.callbacks), Arc::<str>::from(group));
            reply.guarded(move |call| callbacks.run(Callback::Reply, &name, call))
        });
        options
    }

    /// # Errors
    /// Those of [`leave`](sansws_core::hub::Hub::leave).
    pub fn leave(&self, group: &str) -> Result<Left, HubError> {
        let id = self.id;
        self.hub
            .with(&self.node, |state, now| state.leave(now, id, group))
    }

    /// # Errors
    /// Those of [`subscribe`](sansws_core::hub::Hub::subscribe).
    pub fn subscribe(&self, filter: Filter) -> Result<bool, HubError> {
        let id = self.id;
        self.hub.with(&self.node, |state, now| {
            state.hub.subscribe(now, id, filter)
        })
    }

    /// # Errors
    /// Those of [`unsubscribe`](sansws_core::hub::Hub::unsubscribe).
    pub fn unsubscribe(&self, filter: &Filter) -> Result<bool, HubError> {
        let id = self.id;
        self.hub
            .with(&self.node, |state, _| state.hub.unsubscribe(id, filter))
    }

    /// # Errors
    /// Those of [`instruct`](sansws_core::hub::Hub::instruct).
    pub fn instruct(&self, instruction: Instruction) -> Result<(), HubError> {
        let target = Target::Channel(self.id);
        let instruction = self.hub.in_own_time(instruction);
        self.hub.with(&self.node, |state, now| {
            state.hub.instruct(now, target, instruction)
        })
    }

    /// # Errors
    /// Those of [`hold`](sansws_core::hub::Hub::hold).
    pub fn hold_queue(&self, held: bool) -> Result<(), HubError> {
        let id = self.id;
        self.hub
            .with(&self.node, |state, _| state.hub.hold(id, held))
    }

    /// Queues a message behind all earlier publications.
    ///
    /// # Errors
    /// [`HubError::Gone`] once the connection has ended, or is being closed as too slow; [`HubError::TooLong`].
    pub fn send(&self, message: PreparedMessage) -> Result<(), HubError> {
        let id = self.id;
        let sent = self
            .hub
            .with(&self.node, |state, now| state.hub.send_to(now, id, message));
        match sent? {
            Sent::Queued | Sent::Forwarded => Ok(()),
            Sent::Overflowed | Sent::Gone => Err(HubError::Gone),
        }
    }

    /// Queues a message once readers need no turn.
    ///
    /// # Errors
    /// As for [`send`](Self::send).
    pub async fn send_in_order(&self, message: PreparedMessage) -> Result<(), HubError> {
        poll_fn(|cx| {
            if self.hub.is_crowded(Some(cx.waker())) {
                return Poll::Pending;
            }
            Poll::Ready(self.send(message.clone()))
        })
        .await
    }

    /// Waits for a signal.
    ///
    /// # Errors
    /// [`HubError::Gone`] once the connection has ended.
    pub async fn signal(&self) -> Result<Signal, HubError> {
        let signal = poll_fn(|cx| self.node.state().signals.poll(self.id, cx)).await;
        signal.ok_or(HubError::Gone)
    }

    /// Publishes, and waits for no result. Without room, the waker is woken when there is some.
    ///
    /// # Errors
    /// Those of [`publish`](sansws_core::hub::Hub::publish); [`HubError::Backpressure`] without room.
    pub fn publish_now(
        &self,
        request: &PublishRequest,
        waker: Option<&Waker>,
    ) -> Result<(), HubError> {
        let attempt = || {
            self.hub.callbacks.check()?;
            if self.hub.is_crowded(waker) {
                return Err(HubError::Backpressure);
            }
            self.hub.with(&self.node, |state, now| {
                state.hub.publish_draft(now, request.clone(), None)
            })
        };
        match (attempt(), waker) {
            (Err(HubError::Backpressure), Some(waker)) => {
                self.node.state().wait_for_room(waker);
                // There may be room by now.
                attempt()
            }
            (published, _) => published,
        }
    }

    /// Publishes without waiting.
    ///
    /// # Errors
    /// As for [`publish_now`](Self::publish_now).
    pub fn try_publish(&self, request: &PublishRequest) -> Result<Published, HubError> {
        self.publisher().try_publish(request)
    }

    /// Returns what publishes as this channel.
    pub fn publisher(&self) -> By {
        By {
            hub: Arc::clone(&self.hub),
            node: Arc::clone(&self.node),
            sender: Some(self.id),
        }
    }
}

/// A join in progress. If dropped before it is complete, it is cancelled.
struct Asking<'a> {
    channel: &'a Channel,
    name: &'a Arc<str>,
    taken: bool,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let Channel { hub, node, id } = self.channel;
        let (name, taken) = (self.name, self.taken);
        hub.with(node, |state, now| state.end_join(now, *id, name, taken));
    }
}
