//! What a connection does with its hub.
//! No RFC.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::poll_fn;

use super::node::Node;
use super::publish::By;
use super::{HubRef, Inner, Post, Publish};
use crate::drive::websocket::{Shared, WebSocket, WriteHalf};
use crate::drive::{Error, Result, Transport};
use crate::hub::{ChannelId, Filter, HubError, Join, Joined, Left, Open, Position};
use crate::message::Prepared;

/// A channel, with what is needed to use it.
struct Channel {
    hub: Arc<Inner>,
    node: Arc<Node>,
    id: ChannelId,
}

impl<T: Transport> Shared<T> {
    fn channel(&self, open: Open) -> Result<Channel, HubError> {
        let mut engine = self.engine();
        let window_bits = engine.own_window_bits();
        let post = engine.post().ok_or(HubError::NoHub)?;
        let mailbox = post.open(Open {
            window_bits,
            ..open
        })?;
        Ok(Channel {
            hub: Arc::clone(mailbox.hub()),
            node: Arc::clone(mailbox.node()),
            id: mailbox.id(),
        })
    }

    fn publisher(&self) -> Result<By> {
        let channel = self.channel(Open::default())?;
        Ok(By {
            hub: channel.hub,
            node: channel.node,
            sender: Some(channel.id),
        })
    }

    fn open_channel(&self, open: Open) -> Result<ChannelId, HubError> {
        if matches!(self.engine().post(), Some(Post::Open(_))) {
            return Err(HubError::IsOpen);
        }
        Ok(self.channel(open)?.id)
    }

    async fn join(&self, group: &str, since: Option<Position>) -> Result<Joined> {
        let channel = self.channel(Open::default())?;
        let (id, name) = (channel.id, Arc::from(group));
        let joined = channel.hub.with(&channel.node, |state, now| {
            let joined = state.hub.join(now, id, group, Join { since })?;
            if joined.is_none() {
                state.expect_join(id, &name);
            }
            Ok::<_, HubError>(joined)
        })?;
        if let Some(joined) = joined {
            return Ok(joined);
        }
        let asking = Asking {
            node: &channel.node,
            id,
            name: &name,
        };
        Ok(poll_fn(|cx| asking.node.poll_joined(cx, id, &name)).await?)
    }
}

/// Nobody asks any more once it is dropped.
struct Asking<'a> {
    node: &'a Node,
    id: ChannelId,
    name: &'a Arc<str>,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.node.forget_join(self.id, self.name);
    }
}

/// The verbs of both the handle and the half that writes.
macro_rules! member {
    ($name:ident) => {
        impl<T: Transport> $name<T> {
            /// Gives it a hub: for connections that no server of ours drives. A route has its hub from its router.
            pub fn use_hub(&self, hub: impl Into<HubRef>) {
                self.cell().engine().set_hub(&hub.into());
            }

            /// Opens its channel, saying who it is. Without it, the first use opens one that says nothing.
            ///
            /// # Errors
            /// [`HubError::IsOpen`] when it has one, [`HubError::NoHub`], and those of [`open`](crate::hub::Hub::open).
            pub fn open_channel(&self, open: Open) -> Result<ChannelId> {
                Ok(self.cell().open_channel(open)?)
            }

            /// Its address: whoever knows it can send to it, from anywhere.
            ///
            /// # Errors
            /// [`HubError::NoHub`], [`HubError::Full`], [`HubError::Gone`] once it has ended.
            pub fn id(&self) -> Result<ChannelId> {
                Ok(self.cell().channel(Open::default())?.id)
            }

            /// Joins a group: what is published to it from now on is sent to the peer, until it leaves or the connection ends.
            ///
            /// # Errors
            /// Those of [`join`](crate::hub::Hub::join), [`HubError::NoHub`].
            pub async fn join(&self, group: &str) -> Result<Joined> {
                self.cell().join(group, None).await
            }

            /// Joins a group, and sends the peer what was published since a position, as far as that is kept; without one it is
            /// the same as [`join`](Self::join).
            ///
            /// # Errors
            /// As for [`join`](Self::join). That messages are missing is no error: [`Joined::recovered`] says so.
            pub async fn join_since(&self, group: &str, since: Option<Position>) -> Result<Joined> {
                self.cell().join(group, since).await
            }

            /// Leaves a group. What was published before still reaches the peer.
            ///
            /// # Errors
            /// [`HubError::Gone`] once the connection has ended.
            pub fn leave(&self, group: &str) -> Result<Left> {
                let channel = self.cell().channel(Open::default())?;
                let id = channel.id;
                Ok(channel
                    .hub
                    .with(&channel.node, |state, now| state.hub.leave(now, id, group))?)
            }

            /// Sends the peer what is published to all groups that a filter matches, each message once. Says whether it is new.
            ///
            /// # Errors
            /// Those of [`subscribe`](crate::hub::Hub::subscribe).
            pub fn subscribe(&self, filter: Filter) -> Result<bool> {
                let channel = self.cell().channel(Open::default())?;
                let id = channel.id;
                Ok(channel.hub.with(&channel.node, |state, now| {
                    state.hub.subscribe(now, id, filter)
                })?)
            }

            /// Takes a subscription back; says whether there was one.
            ///
            /// # Errors
            /// [`HubError::Gone`] once the connection has ended.
            pub fn unsubscribe(&self, filter: &Filter) -> Result<bool> {
                let channel = self.cell().channel(Open::default())?;
                let id = channel.id;
                Ok(channel
                    .hub
                    .with(&channel.node, |state, _| state.hub.unsubscribe(id, filter))?)
            }

            /// Publishes a message to a group as this connection, whose rate counts. Nothing happens before it is awaited, or
            /// [`now`](Publish::now) is called.
            pub fn publish(
                &self,
                group: impl Into<String>,
                message: impl Into<Prepared>,
            ) -> Publish {
                Publish::new(self.cell().publisher(), group.into(), message.into())
            }

            /// Publishes a value as JSON, in a text message.
            #[cfg(feature = "json")]
            pub fn publish_json<V: serde::Serialize + ?Sized>(
                &self,
                group: impl Into<String>,
                value: &V,
            ) -> Publish {
                Publish::json(self.cell().publisher(), group.into(), value)
            }

            /// The groups it is in.
            pub fn groups(&self) -> Vec<Arc<str>> {
                match self.cell().channel(Open::default()) {
                    Ok(channel) => channel.node.state().hub.groups_of(channel.id),
                    Err(_) => Vec::new(),
                }
            }
        }
    };
}

member!(WebSocket);
member!(WriteHalf);

impl From<HubError> for Error {
    fn from(error: HubError) -> Self {
        Self::Hub(error)
    }
}
