//! A publication in the making.

use std::fmt;
use std::future::{Future, IntoFuture, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, Waker};

use crate::error::{Error, Result};
use crate::hub::inner::Inner;
use crate::hub::node::Node;
use sansws_core::hub;
use sansws_core::hub::{ChannelId, HubError, PublishRequest, Published, Token};
use sansws_core::message::PreparedMessage;
use sansws_core::time::Duration;

/// A message on its way to a group: awaited it is published, and says where it stands.
///
/// ```ignore
/// let published = hub.publish("lobby", "hello").exclude(socket.id()?).await?;
/// hub.publish("lobby", "from a callback").now()?;
/// ```
#[must_use = "nothing is published before it is awaited, or `now` is called"]
pub struct Publish {
    /// Where, or why not at all.
    by: Result<By, Error>,
    draft: PublishRequest,
}

/// Who publishes.
pub(super) struct By {
    pub(super) hub: Arc<Inner>,
    pub(super) node: Arc<Node>,
    pub(super) sender: Option<ChannelId>,
}

impl By {
    /// Nobody in particular.
    pub(super) fn nobody(hub: &Arc<Inner>) -> Self {
        Self {
            node: hub.node_here(),
            hub: Arc::clone(hub),
            sender: None,
        }
    }
}

impl Publish {
    pub(super) fn new(by: Result<By, Error>, group: String, message: PreparedMessage) -> Self {
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
    pub(super) fn json<V: serde::Serialize + ?Sized>(
        by: Result<By, Error>,
        group: String,
        value: &V,
    ) -> Self {
        match serde_json::to_string(value) {
            Ok(text) => Self::new(by, group, text.into()),
            Err(error) => Self::new(Err(error.into()), group, "".into()),
        }
    }

    /// A channel that does not receive it. It may be called more than once. Where the channel belongs to a user, a connection of
    /// that user that comes back in its place does not get it by recovery either.
    pub fn exclude(mut self, id: ChannelId) -> Self {
        self.draft.options.exclude.push(id);
        self
    }

    /// A user none of whose channels receive it. It may be called more than once.
    pub fn exclude_user(mut self, user: &str) -> Self {
        self.draft.options.exclude_users.push(user.into());
        self
    }

    /// It is not kept in the history; see [`unsaved`](hub::PublishOptions::unsaved).
    pub const fn unsaved(mut self) -> Self {
        self.draft.options.unsaved = true;
        self
    }

    /// Sets its key, for groups that keep the latest message of each key.
    pub fn key(mut self, key: &str) -> Self {
        self.draft.options.key = Some(key.into());
        self
    }

    /// An id of yours: a second publication with it to the group, within 5 minutes, is not published again. At most
    /// [`max_ids`](sansws_core::hub::HubOptions::max_ids) are remembered; one more fails with [`HubError::TooManyIds`].
    pub fn id(mut self, id: &str) -> Self {
        self.draft.options.id = Some(id.into());
        self
    }

    /// After which time it is of no use: it is not delivered and not replayed any more.
    pub const fn expires(mut self, after: Duration) -> Self {
        self.draft.options.expires = Some(after);
        self
    }

    /// Publishes without waiting.
    ///
    /// # Errors
    /// As [`publish`](hub::Hub::publish); [`HubError::Backpressure`] where awaiting it would wait.
    pub fn now(self) -> Result<Published, Error> {
        let by = self.by?;
        let token = by.begin(&self.draft, None)?;
        let unknown = Published::default();
        Ok(by.node.end_publication(token).unwrap_or(Ok(unknown))?)
    }
}

impl By {
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

    /// Publishes. It waits for a turn of readers whose queues are full, for members that are behind where the group makes publishers
    /// wait, and for the backplane's answer. Of many publications in a row one now and then lets others run.
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
                // There may be room since.
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

/// Nobody asks any more once it is dropped.
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
