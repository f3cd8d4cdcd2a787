//! The node of an event loop: the loop drives it in its turns, and takes what it has for connections.
//! Knows no loop: the caller has a waker for it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Waker};

use crate::hub::node::{Mail, Node};
use crate::hub::{HubRef, threads};
use sansws_core::hub::{ChannelId, Signal};
use sansws_core::time::Duration;

/// A node of a hub that an event loop drives. Its thread uses this node, as long as this lives.
#[derive(Debug)]
pub struct LoopNode {
    hub: HubRef,
    pub(super) node: Arc<Node>,
    mine: bool,
}

impl LoopNode {
    /// Gives the hub a node for a loop of this thread.
    pub fn new(hub: &HubRef) -> Self {
        let node = hub.0.node_for_a_thread();
        node.state().mail = Some(Mail::default());
        threads::enter(hub.0.address(), &node);
        Self {
            hub: hub.clone(),
            node,
            mine: false,
        }
    }

    /// Returns its hub.
    pub const fn hub(&self) -> &HubRef {
        &self.hub
    }

    /// Does what is due, and what other nodes sent; returns the time until something is due. The waker is woken when there is more to do, or
    /// mail to take.
    pub fn turn(&mut self, waker: &Waker) -> Option<Duration> {
        let driven = self
            .node
            .poll_drive(&Context::from_waker(waker), &mut self.mine);
        let due = self.hub.0.tick(&self.node);
        let due = due.filter(|_| driven.is_ready())?;
        Some(due.since(self.hub.0.now()))
    }

    /// Takes the mail; `mail` must be empty.
    pub fn take_mail(&self, mail: &mut Mail) {
        if let Some(waiting) = &mut self.node.state().mail {
            std::mem::swap(waiting, mail);
        }
    }

    /// Takes the signals to a channel, at most 256: of more, the oldest are lost, as [`Signal::Lost`] says.
    pub fn take_signals(&self, id: ChannelId) -> VecDeque<Signal> {
        self.node.state().signals.take(id)
    }
}

impl Drop for LoopNode {
    fn drop(&mut self) {
        self.node.state().mail = None;
        if self.mine {
            self.node.leave();
        }
        threads::leave(&self.node);
        self.hub.0.remove_node(&self.node);
    }
}
