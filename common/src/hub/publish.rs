//! The builder of a publication.

use std::fmt;
use std::future::{Future, IntoFuture, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, Waker};

use crate::error::{Error, Result};
use crate::hub::inner::Shared;
use crate::hub::node::Node;
use sansws_core::hub;
use sansws_core::hub::{ChannelId, HubError, PublishRequest, Published, Token};
use sansws_core::message::PreparedMessage;
use sansws_core::time::Duration;

/// A message to be published to a group: awaiting it publishes, and returns its position.
///
/// ```
/// # use sansws_common::hub::HubEnv;
/// # struct Env;
/// # impl HubEnv for Env {
/// #     fn now() -> sansws_core::time::Instant { sansws_core::time::Instant::ZERO }
/// # }
/// # type Hub = sansws_common::hub::Hub<Env>;
/// use std::time::Duration;
///
/// # async fn run() -> sansws_common::Result {
/// let hub = Hub::new();
/// // An id makes a repetition harmless.
/// let order = || hub.publish("orders", "two teas").id("order-17").expires(Duration::from_secs(60));
/// assert!(!order().await?.again);
/// assert!(order().await?.again);
/// // From a callback or another place that cannot wait:
/// hub.publish("lobby", "closing time").try_publish()?;
/// # Ok(())
/// # }
/// # let mut run = std::pin::pin!(run());
/// # let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
/// # for _ in 0..100_000 {
/// #     if let std::task::Poll::Ready(done) = run.as_mut().poll(&mut cx) { return done.unwrap(); }
/// # }
/// # panic!("it does not end");
/// ```
#[must_use = "nothing is published before it is awaited, or `try_publish` is called"]
pub struct Publish {
    /// The group, or why it cannot be published.
    by: Result<By, Error>,
    draft: PublishRequest,
}

/// The publisher.
#[derive(Debug)]
pub struct By {
    pub(super) hub: Arc<Shared>,
    pub(super) node: Arc<Node>,
    pub(super) sender: Option<ChannelId>,
}

impl By {
    /// The server.
    pub(super) fn nobody(hub: &Arc<Shared>) -> Self {
        Self {
            node: hub.node_here(),
            hub: Arc::clone(hub),
            sender: None,
        }
    }
}

impl Publish {
    #[doc(hidden)]
    pub fn new(by: Result<By, Error>, group: String, message: PreparedMessage) -> Self {
        let sender = by.as_ref().ok().and_then(|by| by.sender);
        Self {
            by,
            draft: PublishRequest {
                group: group.into(),
                message,
                sender,
                options: hub::PublishOptions::default(),
            },
        }
    }

    #[cfg(feature = "json")]
    #[doc(hidden)]
    pub fn json<V: serde::Serialize + ?Sized>(
        by: Result<By, Error>,
        group: String,
        value: &V,
    ) -> Self {
        match serde_json::to_string(value) {
            Ok(text) => Self::new(by, group, text.into()),
            Err(error) => Self::new(Err(error.into()), group, "".into()),
        }
    }

    /// Excludes a channel. May be called more than once. If the channel belongs to a user, that user's next connection does not get the
    /// message by recovery either.
    pub fn exclude(mut self, id: ChannelId) -> Self {
        self.draft.options.exclude.push(id);
        self
    }

    /// Excludes all channels of a user. May be called more than once.
    pub fn exclude_user(mut self, user: &str) -> Self {
        self.draft.options.exclude_users.push(user.into());
        self
    }

    /// Does not keep it in the history; see [`PublishOptions::without_history`](hub::PublishOptions::without_history).
    pub const fn without_history(mut self) -> Self {
        self.draft.options.without_history = true;
        self
    }

    /// Sets its key, for groups that keep the latest message of each key.
    pub fn key(mut self, key: &str) -> Self {
        self.draft.options.key = Some(key.into());
        self
    }

    /// Sets what the publisher says about itself, such as JSON.
    pub fn info(mut self, info: &str) -> Self {
        self.draft.options.info = Some(info.into());
        self
    }

    /// Sets tags: names and values.
    pub fn tags<'t>(mut self, tags: impl IntoIterator<Item = (&'t str, &'t str)>) -> Self {
        let tags = tags
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()));
        self.draft.options.tags = Some(tags.collect()).filter(|tags: &Arc<[_]>| !tags.is_empty());
        self
    }

    /// Sets your own id: a second publication with it to the group, within 5 minutes, is not published again. At most
    /// [`max_ids`](sansws_core::hub::HubOptions::max_ids) are remembered; one more fails with [`HubError::TooManyIds`].
    pub fn id(mut self, id: &str) -> Self {
        self.draft.options.id = Some(id.into());
        self
    }

    /// Sets the time after which it expires: it is then neither delivered nor replayed.
    pub const fn expires(mut self, after: Duration) -> Self {
        self.draft.options.expires = Some(after);
        self
    }

    /// Publishes without waiting.
    ///
    /// # Errors
    /// As [`publish`](hub::Hub::publish); [`HubError::Backpressure`] if awaiting it would wait.
    pub fn try_publish(self) -> Result<Published, Error> {
        Ok(self.by?.try_publish(&self.draft)?)
    }
}

impl By {
    pub(super) fn try_publish(&self, draft: &PublishRequest) -> Result<Published, HubError> {
        let token = self.begin(draft, None)?;
        let unknown = Published::default();
        self.node.end_publication(token).unwrap_or(Ok(unknown))
    }

    fn begin(&self, draft: &PublishRequest, waker: Option<&Waker>) -> Result<Token, HubError> {
        self.hub.callbacks.check()?;
        if self.hub.is_crowded(waker) {
            return Err(HubError::Backpressure);
        }
        self.hub.with(&self.node, |state, now| {
            let token = state.hub.next_token();
            state.hub.publish_draft(now, draft.clone(), Some(token))?;
            state.expect_publication(token);
            Ok(token)
        })
    }
}

impl IntoFuture for Publish {
    type Output = Result<Published, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    /// Publishes. It waits for readers with full queues to have a turn, for slow members if the group makes publishers wait, and for
    /// the backplane's answer. In a series of publications, it occasionally yields to other tasks.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let (by, draft) = (self.by?, self.draft);
            if by.node.ends_turn() || by.hub.gives_way() {
                let mut has_waited = false;
                poll_fn(|cx| {
                    if std::mem::replace(&mut has_waited, true) {
                        return Poll::Ready(());
                    }
                    cx.waker().wake_by_ref();
                    Poll::Pending
                })
                .await;
            }
            let begun = poll_fn(|cx| {
                let begun = by.begin(&draft, Some(cx.waker()));
                if begun != Err(HubError::Backpressure) {
                    return Poll::Ready(begun);
                }
                by.node.state().wait_for_room(cx.waker());
                // There may be room by now.
                match by.begin(&draft, Some(cx.waker())) {
                    Err(HubError::Backpressure) => Poll::Pending,
                    begun => Poll::Ready(begun),
                }
            });
            let token = begun.await?;
            let asking = Asking {
                node: &by.node,
                token,
            };
            Ok(poll_fn(|cx| asking.node.poll_published(cx, asking.token)).await?)
        })
    }
}

/// The wait ends when this is dropped.
struct Asking<'a> {
    node: &'a Node,
    token: Token,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.node.end_publication(self.token);
    }
}

impl fmt::Debug for Publish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publish")
            .field("draft", &self.draft)
            .finish_non_exhaustive()
    }
}
