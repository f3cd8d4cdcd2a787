//! The link of a hub with others: it takes the commands of the nodes, and delivers events to them.
//! Knows no wire: its user carries commands over one, and makes events of the answers.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::hub::inner::{Backplane, Shared};
use crate::hub::node::Wakes;
use crate::hub::remote_outbox::RemoteOutbox;
use sansws_core::hub::{BackplaneCommand, BackplaneEvent, HubOptions, NodeId};
use sansws_core::random::Seed;
use sansws_core::time::Instant;

/// The link of a hub with others.
///
/// Take its commands, each with the node that issued it, carry them in order, and deliver events, with the answers for a node in the order
/// of its queries: see [`BackplaneCommand`] and [`BackplaneEvent`]. If the link is dropped, it is down for good.
///
/// ```
/// # use sansws_common::hub::HubEnv;
/// # struct Env;
/// # impl HubEnv for Env {
/// #     fn now() -> sansws_core::time::Instant { sansws_core::time::Instant::ZERO }
/// # }
/// # type Hub = sansws_common::hub::Hub<Env>;
/// use std::task::{Context, Waker};
/// use sansws_core::hub::{BackplaneCommand, ChannelOptions, HubOptions, JoinOptions};
///
/// let (hub, mut link) = Hub::linked(HubOptions::default());
/// link.up(); // once it has a connection to the other servers
/// let _publishing = hub.publish("lobby", "hello").try_publish();
/// let cx = Context::from_waker(Waker::noop());
/// let mut published = 0;
/// while let std::task::Poll::Ready((_node, command)) = link.poll_next(&cx) {
///     published += u32::from(matches!(command, BackplaneCommand::Publish { .. }));
/// }
/// assert_eq!(published, 1); // send it to the backplane
/// ```
pub struct Link {
    hub: Arc<Shared>,
}

impl Link {
    pub(super) fn new(hub: &Arc<Shared>) -> Self {
        Self {
            hub: Arc::clone(hub),
        }
    }

    fn far(&self) -> Option<&RemoteOutbox> {
        match &self.hub.backplane {
            Backplane::Far(far) => Some(far),
            Backplane::Here(_) => None,
        }
    }

    /// Returns the next command.
    pub async fn next(&mut self) -> (NodeId, BackplaneCommand) {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Returns the next command, or wakes the waker when there is one.
    pub fn poll_next(&mut self, cx: &Context<'_>) -> Poll<(NodeId, BackplaneCommand)> {
        let mut next = None;
        self.take(cx, 1, |node, command| next = Some((node, command)));
        next.map_or(Poll::Pending, Poll::Ready)
    }

    /// Takes at most so many commands, in order; returns their number. If there are none, the waker is woken when there is one.
    pub fn take(
        &mut self,
        cx: &Context<'_>,
        most: usize,
        mut each: impl FnMut(NodeId, BackplaneCommand),
    ) -> usize {
        let Some(far) = self.far() else { return 0 };
        let taken = far.take_next(cx, most);
        let count = taken.len();
        for (node, command) in taken {
            each(node, command);
        }
        count
    }

    /// Delivers an event to a node. An event for a node that is gone is dropped.
    pub fn deliver(&self, to: NodeId, event: BackplaneEvent) {
        self.deliver_all(to, [event]);
    }

    /// Delivers events to a node, which processes them together.
    pub fn deliver_all(&self, to: NodeId, events: impl IntoIterator<Item = BackplaneEvent>) {
        if let Some(node) = self.hub.find_node(to) {
            let mut wakes = Wakes::default();
            node.put_all(events);
            self.hub.alert(self.hub.now(), &node, &mut wakes);
            wakes.wake();
        }
    }

    /// Returns whether events should wait until readers have taken earlier messages; the waker is then woken when they no longer
    /// should.
    pub fn is_crowded(&self, cx: &Context<'_>) -> bool {
        self.hub.needs_turn(Some(cx.waker()))
    }

    /// Reports that the link is up: all nodes repeat their subscriptions and users.
    pub fn up(&self) {
        self.turn(false);
    }

    /// Reports that the link is down. Commands that were not taken are dropped: everything that matters is repeated when it is up.
    pub fn down(&self) {
        self.turn(true);
    }

    fn turn(&self, down: bool) {
        let Some(far) = self.far() else { return };
        let (changed, publishers) = far.turn(down);
        if changed {
            tracing::warn!(
                websocket.backplane_down = down,
                "the backplane went down or up"
            );
        }
        for node in self.nodes() {
            self.deliver(
                node,
                if down {
                    BackplaneEvent::Down
                } else {
                    BackplaneEvent::Up
                },
            );
        }
        publishers.into_iter().for_each(Waker::wake);
    }

    /// Returns the nodes of the hub.
    pub fn nodes(&self) -> Vec<NodeId> {
        let nodes = self.hub.all_nodes();
        nodes.iter().map(|node| node.id()).collect()
    }

    /// Returns the options of the hub.
    pub fn options(&self) -> &Arc<HubOptions> {
        &self.hub.options
    }

    /// Returns fresh entropy from the hub's own source.
    pub fn seed(&self) -> Seed {
        (self.hub.seed)()
    }

    /// Returns the hub's current time.
    pub fn now(&self) -> Instant {
        self.hub.now()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.down();
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}
