//! A channel without a connection: its owner takes what is queued for it.

use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::task::Poll;

use crate::hub::channel::Channel;
use crate::hub::inner::Shared;
use crate::hub::mailbox::Mailbox;
use crate::hub::publish::Publish;
use sansws_core::close::CloseCode;
use sansws_core::hub::{ChannelId, ChannelOptions, HubError, JoinOptions, Joined, Left, Signal};
use sansws_core::message::PreparedMessage;

/// A channel of a hub that no connection owns. It is a slow consumer like any other if its messages are not taken; dropped, it leaves all
/// groups.
///
/// ```
/// # use sansws_common::hub::HubEnv;
/// # struct Env;
/// # impl HubEnv for Env {
/// #     fn now() -> sansws_core::time::Instant { sansws_core::time::Instant::ZERO }
/// # }
/// # type Hub = sansws_common::hub::Hub<Env>;
/// use sansws_core::hub::{ChannelOptions, JoinOptions};
///
/// # async fn run() -> sansws_common::Result {
/// let hub = Hub::new();
/// // A member that uses another transport, such as server-sent events.
/// let channel = hub.open_channel(ChannelOptions::default())?;
/// channel.join_with("news", JoinOptions::default()).await?;
/// hub.publish("news", "rain tomorrow").await?;
/// let taken = channel.take(1).await;
/// assert_eq!(taken.messages[0].payload(), b"rain tomorrow");
/// assert_eq!(taken.close, None);
/// # Ok(())
/// # }
/// # let mut run = std::pin::pin!(run());
/// # let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
/// # for _ in 0..100_000 {
/// #     if let std::task::Poll::Ready(done) = run.as_mut().poll(&mut cx) { return done.unwrap(); }
/// # }
/// # panic!("it does not end");
/// ```
#[derive(Debug)]
pub struct HubChannel(Mailbox);

/// Messages that were taken from a channel.
///
/// For an example see [`HubChannel`].
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct TakenMessages {
    /// The messages, in order.
    pub messages: Vec<PreparedMessage>,
    /// The code and reason with which the hub closes the channel, if it does: no more messages follow.
    pub close: Option<(CloseCode, String)>,
}

impl HubChannel {
    pub(super) fn open(hub: &Arc<Shared>, open: ChannelOptions) -> Result<Self, HubError> {
        Mailbox::open(hub, open).map(Self)
    }

    const fn channel(&self) -> &Channel {
        self.0.channel()
    }

    /// Returns its address.
    pub const fn id(&self) -> ChannelId {
        self.0.channel().id()
    }

    /// Waits until something is queued, and takes it: messages of at least `bytes` payload bytes together, if that
    /// much is queued, and always at least one message.
    pub async fn take(&self, bytes: usize) -> TakenMessages {
        poll_fn(|cx| {
            if !self.0.is_rung(cx.waker()) {
                return Poll::Pending;
            }
            let (mut messages, mut length) = (Vec::new(), 0);
            let pulled = self.0.pull(|frame| {
                if let Some(frame) = frame {
                    length += frame.payload().len();
                    messages.push(frame.clone());
                }
                // One at least: it would wait for ever.
                length < bytes.max(1)
            });
            let close = pulled.close;
            if messages.is_empty() && close.is_none() {
                // Queued messages have expired, or are held back.
                return Poll::Pending;
            }
            Poll::Ready(TakenMessages { messages, close })
        })
        .await
    }

    /// Joins a group; see `WebSocket::join_with`.
    ///
    /// # Errors
    /// Those of [`join`](sansws_core::hub::Hub::join).
    pub async fn join_with(&self, group: &str, join: JoinOptions) -> Result<Joined, HubError> {
        self.channel().join(group, join).await
    }

    /// Leaves a group. Earlier publications can still be taken.
    ///
    /// # Errors
    /// [`HubError::Gone`] once it is closed.
    pub fn leave(&self, group: &str) -> Result<Left, HubError> {
        self.channel().leave(group)
    }

    /// Publishes a message as this channel; see `WebSocket::publish`.
    pub fn publish(
        &self,
        group: impl Into<String>,
        message: impl Into<PreparedMessage>,
    ) -> Publish {
        Publish::new(Ok(self.channel().publisher()), group.into(), message.into())
    }

    /// Queues a message for this channel, after all earlier publications.
    ///
    /// # Errors
    /// As for `WebSocket::send_in_order`.
    pub async fn send_in_order(&self, message: impl Into<PreparedMessage>) -> Result<(), HubError> {
        self.channel().send_in_order(message.into()).await
    }

    /// Holds back the messages that are queued, or releases them.
    ///
    /// # Errors
    /// [`HubError::Gone`] once it is closed.
    pub fn hold_queue(&self, held: bool) -> Result<(), HubError> {
        self.channel().hold_queue(held)
    }

    /// Waits for a signal; see `WebSocket::signal`.
    pub async fn signal(&self) -> Signal {
        match self.channel().signal().await {
            Ok(signal) => signal,
            // It ends only when it is dropped.
            Err(_) => pending().await,
        }
    }
}
