//! Carriers of the messages of a session: a WebSocket, or a streamed response with requests beside it.

use std::future::Future;

use sansws_async::{Error, ReadHalf, Result, Transport, WriteHalf};
use sansws_core::hub::{ChannelId, ChannelOptions, JoinOptions, Joined, Published, Signal};
use sansws_core::message::Message;

/// The way to a client, and its channel of the hub.
pub(crate) trait Carrier: Send + Sync {
    /// Sends a message directly.
    fn send(&mut self, message: Message) -> impl Future<Output = Result<(), Error>> + Send;

    /// Sends a message after all that is queued in the hub.
    fn send_in_order(&self, message: &Message) -> impl Future<Output = Result<(), Error>> + Send;

    fn open_channel(&self, options: ChannelOptions) -> Result<ChannelId, Error>;

    fn join(
        &self,
        group: &str,
        join: JoinOptions,
    ) -> impl Future<Output = Result<Joined, Error>> + Send;

    fn leave(&self, group: &str) -> Result<(), Error>;

    fn hold_queue(&self, held: bool) -> Result<(), Error>;

    fn publish(
        &self,
        group: &str,
        message: Message,
        info: &str,
    ) -> impl Future<Output = Result<Published, Error>> + Send;

    /// Waits for a signal, once the channel is open. Fails with [`HubError::Gone`](sansws_core::hub::HubError) once the connection has ended.
    fn signal(&self) -> impl Future<Output = Result<Signal, Error>> + Send;
}

/// The messages of a client.
pub(crate) trait Incoming: Send {
    /// Waits for the next message; `None`: the client is gone.
    fn receive(&mut self) -> impl Future<Output = Result<Option<Message>>> + Send;
}

impl<T: Transport + Send + 'static> Carrier for WriteHalf<T> {
    async fn send(&mut self, message: Message) -> Result<(), Error> {
        Self::send(self, message).await
    }

    async fn send_in_order(&self, message: &Message) -> Result<(), Error> {
        Self::send_in_order(self, message).await
    }

    fn open_channel(&self, options: ChannelOptions) -> Result<ChannelId, Error> {
        Self::open_channel(self, options)
    }

    async fn join(&self, group: &str, join: JoinOptions) -> Result<Joined, Error> {
        self.join_with(group, join).await
    }

    fn leave(&self, group: &str) -> Result<(), Error> {
        Self::leave(self, group).map(drop)
    }

    fn hold_queue(&self, held: bool) -> Result<(), Error> {
        Self::hold_queue(self, held)
    }

    async fn publish(&self, group: &str, message: Message, info: &str) -> Result<Published, Error> {
        Self::publish(self, group, message).info(info).await
    }

    async fn signal(&self) -> Result<Signal, Error> {
        Self::signal(self).await
    }
}

impl<T: Transport + Send + 'static> Incoming for ReadHalf<T> {
    async fn receive(&mut self) -> Result<Option<Message>> {
        Ok(Self::receive(self).await?)
    }
}
