//! Commands of the nodes of this process, on their way to other processes.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};

use sansws_core::hub::{BackplaneCommand, NodeId};

use crate::hub::node::{Node, Wakes, lock};

/// Number of commands that wait for the link beyond which publishers have to wait.
const CROWDED: usize = 16_384;

/// Commands that wait to be carried.
pub(super) struct RemoteOutbox {
    down: AtomicBool,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    commands: VecDeque<(NodeId, BackplaneCommand)>,
    carrier: Option<Waker>,
    publishers: Vec<Waker>,
}

impl Default for RemoteOutbox {
    fn default() -> Self {
        Self {
            down: AtomicBool::new(true),
            waiting: Mutex::default(),
        }
    }
}

impl RemoteOutbox {
    pub(super) fn is_down(&self) -> bool {
        self.down.load(Ordering::Acquire)
    }

    /// Takes the commands of a node, in order.
    pub(super) fn take(&self, node: &Node, wakes: &mut Wakes) {
        let mut waiting = lock(&self.waiting);
        node.take_commands(|command| waiting.commands.push_back((node.id(), command)));
        wakes.wakers.extend(waiting.carrier.take());
    }

    /// Returns whether publishers have to wait; the waker is then woken when they no longer do.
    pub(super) fn is_crowded(&self, waker: Option<&Waker>) -> bool {
        let mut waiting = lock(&self.waiting);
        let is_crowded = waiting.commands.len() >= CROWDED;
        if is_crowded {
            waiting.publishers.extend(waker.cloned());
        }
        is_crowded
    }

    /// Takes at most `most` commands, in their order. When there is none, the waker is woken when there is one.
    pub(super) fn take_next(
        &self,
        cx: &Context<'_>,
        most: usize,
    ) -> Vec<(NodeId, BackplaneCommand)> {
        let mut waiting = lock(&self.waiting);
        let before = waiting.commands.len();
        let count = before.min(most);
        if count == 0 {
            waiting.carrier = Some(cx.waker().clone());
            return Vec::new();
        }
        let taken = waiting.commands.drain(..count).collect();
        let has_room = before > CROWDED / 2 && before - count <= CROWDED / 2;
        let publishers = if has_room {
            std::mem::take(&mut waiting.publishers)
        } else {
            Vec::new()
        };
        drop(waiting);
        publishers.into_iter().for_each(Waker::wake);
        taken
    }

    /// Notes that the link is down or up. Returns whether that is new, and publishers that need wait no longer.
    pub(super) fn turn(&self, down: bool) -> (bool, Vec<Waker>) {
        let changed = self.down.swap(down, Ordering::AcqRel) != down;
        let mut waiting = lock(&self.waiting);
        if down {
            waiting.commands.clear();
        }
        (changed, std::mem::take(&mut waiting.publishers))
    }
}
