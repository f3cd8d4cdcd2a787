//! The hub methods of a connection.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::hub::{HubRef, Publish};
use crate::socket::shared::Shared;
use crate::socket::websocket::{WebSocket, WriteHalf};
use crate::transport::Transport;
use sansws_common::hub::internal::{By, Channel};
use sansws_core::hub::{
    ChannelId, ChannelOptions, Filter, HubError, Instruction, JoinOptions, Joined, Left, Position,
    Signal,
};
use sansws_core::message::PreparedMessage;
use sansws_core::time::Instant;

impl<T: Transport> Shared<T> {
    fn channel(&self, open: ChannelOptions) -> Result<Channel, HubError> {
        let mut engine = self.engine();
        let window_bits = engine.own_window_bits();
        let post = engine.post().ok_or(HubError::NoHub)?;
        let channel = post.open(ChannelOptions {
            window_bits,
            ..open
        })?;
        Ok(channel.clone())
    }

    fn publisher(&self) -> Result<By, Error> {
        Ok(self.channel(ChannelOptions::default())?.publisher())
    }

    fn open_channel(&self, open: ChannelOptions) -> Result<ChannelId, HubError> {
        if self.engine().post().is_some_and(|post| post.is_open()) {
            return Err(HubError::IsOpen);
        }
        Ok(self.channel(open)?.id())
    }

    async fn join(&self, group: &str, join: JoinOptions) -> Result<Joined, Error> {
        let channel = self.channel(ChannelOptions::default())?;
        Ok(channel.join(group, join).await?)
    }

    fn instruct(&self, instruction: Instruction) -> Result<(), Error> {
        let channel = self.channel(ChannelOptions::default())?;
        Ok(channel.instruct(instruction)?)
    }
}

/// The methods of both the handle and the half that writes.
macro_rules! member {
    ($name:ident) => {
        impl<T: Transport> $name<T> {
            /// Attaches a hub, for connections that no server of ours drives. A route gets its hub from its router.
            pub fn use_hub(&self, hub: impl Into<HubRef>) {
                self.cell().engine().set_hub(&hub.into());
            }

            /// Opens its channel, with options. Otherwise the first use opens one with default options.
            ///
            /// # Errors
            /// [`HubError::IsOpen`] when it already has one, [`HubError::NoHub`], and those of
            /// [`open`](sansws_core::hub::Hub::open).
            pub fn open_channel(&self, open: ChannelOptions) -> Result<ChannelId, Error> {
                Ok(self.cell().open_channel(open)?)
            }

            /// Returns its address, to which anyone who knows it can send, from anywhere.
            ///
            /// # Errors
            /// [`HubError::NoHub`], [`HubError::TooManyChannels`].
            pub fn id(&self) -> Result<ChannelId, Error> {
                Ok(self.cell().channel(ChannelOptions::default())?.id())
            }

            /// Joins a group: later publications are sent to the peer, until it leaves or the connection ends.
            ///
            /// # Errors
            /// Those of [`join`](sansws_core::hub::Hub::join), [`HubError::NoHub`].
            pub async fn join(&self, group: &str) -> Result<Joined, Error> {
                self.cell().join(group, JoinOptions::default()).await
            }

            /// Joins a group, and sends the peer the kept publications since a position; without one it is equivalent to
            /// [`join`](Self::join).
            ///
            /// # Errors
            /// As for [`join`](Self::join). Missing messages are not an error: see [`Joined::recovered`].
            pub async fn join_since(
                &self,
                group: &str,
                since: Option<Position>,
            ) -> Result<Joined, Error> {
                let join = JoinOptions {
                    since,
                    ..JoinOptions::default()
                };
                self.cell().join(group, join).await
            }

            /// Joins a group with options: the position to recover from, the metadata of this membership, and the reply to the peer,
            /// which precedes all messages of the group.
            ///
            /// # Errors
            /// As for [`join`](Self::join).
            pub async fn join_with(&self, group: &str, join: JoinOptions) -> Result<Joined, Error> {
                self.cell().join(group, join).await
            }

            /// Waits for a signal to this handler: [`Hub::signal`](crate::hub::Hub::signal) sends one, and channels with a format also
            /// learn of lost messages. At most 256 wait.
            ///
            /// # Errors
            /// [`HubError::NoHub`], [`HubError::TooManyChannels`]; [`HubError::Gone`] once the connection has ended.
            pub async fn signal(&self) -> Result<Signal, Error> {
                let channel = self.cell().channel(ChannelOptions::default())?;
                Ok(channel.signal().await?)
            }

            /// Holds back the messages that are queued in the hub, or releases them: what is sent meanwhile precedes them.
            ///
            /// # Errors
            /// [`HubError::NoHub`], [`HubError::Gone`].
            pub fn hold_queue(&self, held: bool) -> Result<(), Error> {
                let channel = self.cell().channel(ChannelOptions::default())?;
                Ok(channel.hold_queue(held)?)
            }

            /// Leaves a group. Earlier publications still reach the peer.
            ///
            /// # Errors
            /// [`HubError::NoHub`].
            pub fn leave(&self, group: &str) -> Result<Left, Error> {
                let channel = self.cell().channel(ChannelOptions::default())?;
                Ok(channel.leave(group)?)
            }

            /// Sends the peer the publications of all groups that match a filter, each message once. Returns whether the
            /// subscription is new.
            ///
            /// # Errors
            /// Those of [`subscribe`](sansws_core::hub::Hub::subscribe).
            pub fn subscribe(&self, filter: Filter) -> Result<bool, Error> {
                let channel = self.cell().channel(ChannelOptions::default())?;
                Ok(channel.subscribe(filter)?)
            }

            /// Removes a subscription; returns whether there was one.
            ///
            /// # Errors
            /// [`HubError::NoHub`].
            pub fn unsubscribe(&self, filter: &Filter) -> Result<bool, Error> {
                let channel = self.cell().channel(ChannelOptions::default())?;
                Ok(channel.unsubscribe(filter)?)
            }

            /// Publishes a message to a group as this connection, subject to its rate limit. Nothing happens until it is
            /// awaited, or [`try_publish`](Publish::try_publish) is called. It still publishes after the connection has ended, so that the
            /// peer's earlier messages are not lost.
            pub fn publish(
                &self,
                group: impl Into<String>,
                message: impl Into<PreparedMessage>,
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

            /// Returns its groups; after its end, those it was in then.
            pub fn groups(&self) -> Vec<Arc<str>> {
                let mut engine = self.cell().engine();
                engine.post().map(|post| post.groups()).unwrap_or_default()
            }

            /// Sends the peer a message after all earlier publications: [`send`](Self::send) goes directly to the connection,
            /// and overtakes messages that are queued in the hub. It counts against the queue limits of the channel.
            ///
            /// # Errors
            /// [`HubError::NoHub`], [`HubError::TooLong`]; [`HubError::Gone`] once the connection has ended, or is being closed
            /// as too slow.
            pub async fn send_in_order(
                &self,
                message: impl Into<PreparedMessage>,
            ) -> Result<(), Error> {
                let channel = self.cell().channel(ChannelOptions::default())?;
                Ok(channel.send_in_order(message.into()).await?)
            }

            /// Changes the user of the connection, or removes it: in all its groups the old user leaves, and the new one joins.
            ///
            /// # Errors
            /// [`HubError::BadName`], [`HubError::NoHub`], [`HubError::Gone`] once it has ended.
            pub fn set_user(&self, user: Option<&str>) -> Result<(), Error> {
                self.cell()
                    .instruct(Instruction::SetUser(user.map(Into::into)))
            }

            /// Changes the metadata that others see in presence, and notifies them.
            ///
            /// # Errors
            /// [`HubError::MetadataTooLong`], [`HubError::NoHub`], [`HubError::Gone`] once it has ended.
            pub fn set_metadata(&self, metadata: &str) -> Result<(), Error> {
                self.cell()
                    .instruct(Instruction::SetMetadata(metadata.into()))
            }

            /// Closes it with 1008 at this time, for example when its token expires; `None`: never. The time is since the Unix
            /// epoch. Another call, with a new token, changes it.
            ///
            /// # Errors
            /// [`HubError::NoHub`], [`HubError::Gone`] once it has ended.
            pub fn set_expiry(&self, at: Option<Instant>) -> Result<(), Error> {
                self.cell().instruct(Instruction::SetExpiry(at))
            }
        }
    };
}

member!(WebSocket);
member!(WriteHalf);
