//! Receives publications in code without a connection.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use thiserror::Error;

use crate::hub::inner::{Inner, Shared};
use crate::hub::node::Node;
use crate::hub::wake_flag::WakeFlag;
use sansws_core::close::CloseCode;
use sansws_core::hub::{ChannelId, Filter, HubError, Publication, Taken};

/// A [`Subscription`] was too slow, and publications of a group were skipped.
///
/// For an example see [`Subscription`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{count} publications of {group} were skipped: the subscription is too slow")]
pub struct Lagged {
    /// The group.
    pub group: Arc<str>,
    /// The number of publications.
    pub count: u64,
}

/// The publications of all groups that match a filter. Its queue is bounded by the [`QueueLimits`](sansws_core::hub::QueueLimits), as for
/// connections. When it is full, publishers in this process wait for one turn; messages that still find no room are skipped, and reported.
///
/// ```
/// # use sansws_common::hub::HubEnv;
/// # struct Env;
/// # impl HubEnv for Env {
/// #     fn now() -> sansws_core::time::Instant { sansws_core::time::Instant::ZERO }
/// # }
/// # type Hub = sansws_common::hub::Hub<Env>;
/// use sansws_common::hub::Lagged;
///
/// # async fn run() -> sansws_common::Result {
/// let hub = Hub::new();
/// let mut scores = hub.subscribe("sport/+/score".parse()?)?;
/// hub.publish("sport/tennis/score", "6-4").await?;
/// hub.publish("sport/tennis/players", "Ada, Bob").await?;
/// hub.publish("sport/chess/score", "1-0").await?;
/// for score in ["6-4", "1-0"] {
///     match scores.receive().await {
///         Some(Ok(publication)) => assert_eq!(publication.as_text(), Some(score)),
///         Some(Err(Lagged { group, count })) => panic!("{count} messages of {group} were skipped"),
///         None => panic!("the hub closed it: {:?}", scores.closed()),
///     }
/// }
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
pub struct Subscription {
    hub: Arc<Inner>,
    node: Arc<Node>,
    id: ChannelId,
    bell: Arc<WakeFlag>,
    closed: Option<(CloseCode, String)>,
}

impl Subscription {
    pub(super) fn new(hub: &Arc<Shared>, filter: Filter) -> Result<Self, HubError> {
        let node = hub.node_here();
        let (id, bell) = hub.open_listener(&node)?;
        let this = Self {
            hub: hub.inner(),
            node,
            id,
            bell,
            closed: None,
        };
        this.add(filter)?;
        Ok(this)
    }

    /// Adds a filter; returns whether it is new. A message that matches several filters is received once.
    ///
    /// # Errors
    /// [`HubError::TooManyGroups`], [`HubError::Draining`].
    pub fn add(&self, filter: Filter) -> Result<bool, HubError> {
        let id = self.id;
        self.hub.with(&self.node, |state, now| {
            state.hub.subscribe(now, id, filter)
        })
    }

    /// Removes a filter; returns whether it was there.
    ///
    /// # Errors
    /// [`HubError::Gone`] when it is closed.
    pub fn remove(&self, filter: &Filter) -> Result<bool, HubError> {
        let id = self.id;
        self.hub
            .with(&self.node, |state, _| state.hub.unsubscribe(id, filter))
    }

    /// Returns its address: to exclude it, or to send to it.
    pub const fn id(&self) -> ChannelId {
        self.id
    }

    /// Returns the next publication; `None` once the hub has closed it, or is gone: all its handles and connections, and its link. If
    /// publications were skipped because it was too slow, [`Lagged`] takes their place, and later ones follow.
    pub async fn receive(&mut self) -> Option<Result<Arc<Publication>, Lagged>> {
        poll_fn(|cx| self.poll_publication(cx)).await
    }

    /// Returns how it was closed, if it was.
    pub fn closed(&self) -> Option<(CloseCode, &str)> {
        let (code, reason) = self.closed.as_ref()?;
        Some((*code, reason))
    }

    /// As [`receive`](Self::receive), or wakes the waker when there is something.
    pub fn poll_publication(
        &mut self,
        cx: &Context<'_>,
    ) -> Poll<Option<Result<Arc<Publication>, Lagged>>> {
        if self.closed.is_some() {
            return Poll::Ready(None);
        }
        if !self.bell.is_rung(cx.waker()) {
            return Poll::Pending;
        }
        let (id, bell, node) = (self.id, &self.bell, &self.node);
        let taken = self.hub.with(&self.node, |state, now| {
            loop {
                let taken = state
                    .hub
                    .take(now, id, |_, publication| publication.cloned());
                match taken {
                    // A notice, or a message sent only to it.
                    Taken::Message(None) => {}
                    Taken::Message(Some(publication)) => return Ok(Some(Ok(publication))),
                    Taken::Skipped { group, count } => {
                        return Ok(Some(Err(Lagged { group, count })));
                    }
                    Taken::Close(code, reason) => return Err((code, reason)),
                    Taken::Nothing => {
                        bell.silence();
                        if node.is_over() {
                            return Err((
                                CloseCode::AWAY,
                                "the hub, or its node, is gone".to_owned(),
                            ));
                        }
                        return Ok(None);
                    }
                }
            }
        });
        match taken {
            Ok(Some(item)) => Poll::Ready(Some(item)),
            Ok(None) => Poll::Pending,
            Err(closed) => {
                self.closed = Some(closed);
                Poll::Ready(None)
            }
        }
    }
}

impl Stream for Subscription {
    type Item = Result<Arc<Publication>, Lagged>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_publication(cx)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.hub.closed(&self.node, self.id);
    }
}
