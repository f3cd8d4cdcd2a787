//! The methods of a connection in groups.
//! Knows no loop but by its connections.

use std::sync::Arc;

use sansws_common::error::Error;
use sansws_common::hub::{HubRef, Publish};
use sansws_core::hub::{
    ChannelId, ChannelOptions, Filter, HubError, Instruction, JoinOptions, Left, Position,
    PublishOptions, PublishRequest, Published,
};
use sansws_core::message::PreparedMessage;
use sansws_core::time::Instant;

use crate::socket::Socket;

impl<D> Socket<'_, D> {
    /// Attaches a hub. A server's connections have that of their router. Nothing happens once the connection has a channel.
    pub fn use_hub(&mut self, hub: impl Into<HubRef>) {
        let slot = self.slot();
        self.context().use_hub_at(slot, &hub.into());
    }

    /// Opens its channel, with options. Otherwise the first use opens one with default options.
    ///
    /// # Errors
    /// [`HubError::IsOpen`] when it already has one, [`HubError::NoHub`], and those of [`open`](sansws_core::hub::Hub::open).
    pub fn open_channel(&mut self, options: ChannelOptions) -> Result<ChannelId, Error> {
        let slot = self.slot();
        if self.context().has_channel_at(slot) {
            return Err(HubError::IsOpen.into());
        }
        Ok(self.context().channel_at(slot, options)?.id())
    }

    /// Returns its address in the hub, to which anyone who knows it can send, from anywhere.
    ///
    /// # Errors
    /// [`HubError::NoHub`], [`HubError::TooManyChannels`].
    pub fn channel(&mut self) -> Result<ChannelId, Error> {
        let slot = self.slot();
        let channel = self.context().channel_at(slot, ChannelOptions::default())?;
        Ok(channel.id())
    }

    /// Joins a group: later publications are sent to the peer, until it leaves or the connection ends.
    /// [`Endpoint::joined`](crate::Endpoint::joined) tells the result.
    ///
    /// # Errors
    /// Those of [`join`](sansws_core::hub::Hub::join), [`HubError::NoHub`].
    pub fn join(&mut self, group: &str) -> Result<(), Error> {
        self.join_with(group, JoinOptions::default())
    }

    /// Joins a group, and sends the peer the kept publications since a position; without one it is equivalent to [`join`](Self::join).
    ///
    /// # Errors
    /// As for [`join`](Self::join). Missing messages are not an error: see [`Joined::recovered`](crate::Joined::recovered).
    pub fn join_since(&mut self, group: &str, since: Option<Position>) -> Result<(), Error> {
        self.join_with(group, JoinOptions::recover(since))
    }

    /// Joins a group with options: the position to recover from, the metadata of this membership, and the reply to the peer, which precedes
    /// all messages of the group.
    ///
    /// # Errors
    /// As for [`join`](Self::join).
    pub fn join_with(&mut self, group: &str, options: JoinOptions) -> Result<(), Error> {
        let slot = self.slot();
        Ok(self.context().join_at(slot, group, options)?)
    }

    /// Leaves a group. Earlier publications still reach the peer.
    ///
    /// # Errors
    /// [`HubError::NoHub`].
    pub fn leave(&mut self, group: &str) -> Result<Left, Error> {
        let slot = self.slot();
        let channel = self.context().channel_at(slot, ChannelOptions::default())?;
        Ok(channel.leave(group)?)
    }

    /// Sends the peer the publications of all groups that match a filter, each message once. Returns whether the subscription is new.
    ///
    /// # Errors
    /// Those of [`subscribe`](sansws_core::hub::Hub::subscribe).
    pub fn subscribe(&mut self, filter: Filter) -> Result<bool, Error> {
        let slot = self.slot();
        let channel = self.context().channel_at(slot, ChannelOptions::default())?;
        Ok(channel.subscribe(filter)?)
    }

    /// Removes a subscription; returns whether there was one.
    ///
    /// # Errors
    /// [`HubError::NoHub`].
    pub fn unsubscribe(&mut self, filter: &Filter) -> Result<bool, Error> {
        let slot = self.slot();
        let channel = self.context().channel_at(slot, ChannelOptions::default())?;
        Ok(channel.unsubscribe(filter)?)
    }

    /// Publishes a message to a group as this connection, subject to its rate limit. If members need a turn, or the group makes publishers
    /// wait, the message waits in the loop, in order, and the connection receives nothing meanwhile. It still publishes after the connection
    /// has ended, so that the peer's earlier messages are not lost.
    ///
    /// # Errors
    /// Those of [`publish`](sansws_core::hub::Hub::publish), [`HubError::NoHub`]; [`HubError::Backpressure`] when 1 024 messages wait. If
    /// a message that waited cannot be published, the connection is closed as by an error of a callback.
    pub fn publish(
        &mut self,
        group: &str,
        message: impl Into<PreparedMessage>,
    ) -> Result<(), Error> {
        self.publish_with(group, message, PublishOptions::default())
    }

    /// Publishes a message with options: whom it is not for, its key, its id.
    ///
    /// # Errors
    /// As for [`publish`](Self::publish).
    pub fn publish_with(
        &mut self,
        group: &str,
        message: impl Into<PreparedMessage>,
        options: PublishOptions,
    ) -> Result<(), Error> {
        let (slot, message) = (self.slot(), message.into());
        Ok(self.context().publish_at(slot, group, message, options)?)
    }

    /// Returns a publication of this connection whose result matters: await it in [`spawn`](Self::spawn). Nothing is published before.
    ///
    /// ```
    /// # use sansws_mio::{Result, Socket};
    /// # fn message(socket: &mut Socket<'_, ()>) -> Result {
    /// let publication = socket.publication("lobby", "hello").id("once");
    /// socket.spawn(publication, |socket, published| {
    ///     let _ = socket.send(if published?.again { "known" } else { "published" });
    ///     Ok(())
    /// });
    /// # Ok(())
    /// # }
    /// ```
    pub fn publication(
        &mut self,
        group: impl Into<String>,
        message: impl Into<PreparedMessage>,
    ) -> Publish {
        let slot = self.slot();
        let channel = self.context().channel_at(slot, ChannelOptions::default());
        let by = channel.map(|channel| channel.publisher());
        Publish::new(by.map_err(Error::from), group.into(), message.into())
    }

    /// Publishes without waiting, and returns the position, if it is known at once.
    ///
    /// # Errors
    /// As for [`publish`](Self::publish); [`HubError::Backpressure`] when that would wait.
    pub fn try_publish(
        &mut self,
        group: &str,
        message: impl Into<PreparedMessage>,
        options: PublishOptions,
    ) -> Result<Published, Error> {
        let slot = self.slot();
        let channel = self.context().channel_at(slot, ChannelOptions::default())?;
        let request = PublishRequest {
            group: group.into(),
            message: message.into(),
            sender: Some(channel.id()),
            options,
        };
        Ok(channel.try_publish(&request)?)
    }

    /// Publishes a value as JSON, in a text message.
    ///
    /// # Errors
    /// As for [`publish`](Self::publish), and [`Error::Json`] when it cannot be serialized.
    #[cfg(feature = "json")]
    pub fn publish_json(
        &mut self,
        group: &str,
        value: &(impl serde::Serialize + ?Sized),
    ) -> Result<(), Error> {
        self.publish(group, serde_json::to_string(value)?)
    }

    /// Returns its groups; after its end, those it was in then.
    pub fn groups(&self) -> Vec<Arc<str>> {
        self.loop_ref().groups_at(self.slot())
    }

    /// Holds back the messages that are queued in the hub, or releases them: what is sent meanwhile precedes them.
    ///
    /// # Errors
    /// [`HubError::NoHub`], [`HubError::Gone`].
    pub fn hold_queue(&mut self, held: bool) -> Result<(), Error> {
        let slot = self.slot();
        let channel = self.context().channel_at(slot, ChannelOptions::default())?;
        Ok(channel.hold_queue(held)?)
    }

    /// Sends the peer a message after all earlier publications: [`send`](Self::send) goes directly to the connection, and overtakes
    /// messages that are queued in the hub. It counts against the queue limits of the channel.
    ///
    /// # Errors
    /// [`HubError::NoHub`], [`HubError::TooLong`]; [`HubError::Gone`] once the connection has ended, or is being closed as too slow.
    pub fn send_in_order(&mut self, message: impl Into<PreparedMessage>) -> Result<(), Error> {
        let slot = self.slot();
        let channel = self.context().channel_at(slot, ChannelOptions::default())?;
        Ok(channel.send(message.into())?)
    }

    /// Changes the user of the connection, or removes it: in all its groups the old user leaves, and the new one joins.
    ///
    /// # Errors
    /// [`HubError::BadName`], [`HubError::NoHub`], [`HubError::Gone`] once it has ended.
    pub fn set_user(&mut self, user: Option<&str>) -> Result<(), Error> {
        self.instruct(Instruction::SetUser(user.map(Into::into)))
    }

    /// Changes the metadata that others see in presence, and notifies them.
    ///
    /// # Errors
    /// [`HubError::MetadataTooLong`], [`HubError::NoHub`], [`HubError::Gone`] once it has ended.
    pub fn set_metadata(&mut self, metadata: &str) -> Result<(), Error> {
        self.instruct(Instruction::SetMetadata(metadata.into()))
    }

    /// Closes it with 1008 at this time, for example when its token expires; `None`: never. The time is since the Unix epoch. Another
    /// call, with a new token, changes it.
    ///
    /// # Errors
    /// [`HubError::NoHub`], [`HubError::Gone`] once it has ended.
    pub fn set_expiry(&mut self, at: Option<Instant>) -> Result<(), Error> {
        self.instruct(Instruction::SetExpiry(at))
    }

    fn instruct(&mut self, instruction: Instruction) -> Result<(), Error> {
        let slot = self.slot();
        let channel = self.context().channel_at(slot, ChannelOptions::default())?;
        Ok(channel.instruct(instruction)?)
    }
}
