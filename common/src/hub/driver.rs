//! Drives the timers of a hub, and delivers messages from other threads to a node.
//! Knows no runtime: the caller provides a timer.

use std::any::Any;
use std::future::{Future, pending, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use std::panic::catch_unwind;

use crate::hub::inner::Inner;
use crate::hub::node::Node;
use crate::hub::{HubRef, callback, threads};
use sansws_core::time::Duration;

/// Gives this thread its own node in each hub, for as long as the result lives: its connections then need no locks of other threads. The
/// thread has to run [`drive_hubs`].
#[must_use]
pub fn hubs_on_this_thread(hubs: &[HubRef]) -> OnThisThread {
    let nodes: Vec<(HubRef, Arc<Node>)> = hubs
        .iter()
        .map(|hub| (hub.clone(), hub.0.node_for_a_thread()))
        .collect();
    for (hub, node) in &nodes {
        threads::enter(hub.0.address(), node);
    }
    OnThisThread(nodes)
}

/// See [`hubs_on_this_thread`].
pub struct OnThisThread(Vec<(HubRef, Arc<Node>)>);

impl std::fmt::Debug for OnThisThread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OnThisThread").finish_non_exhaustive()
    }
}

impl Drop for OnThisThread {
    fn drop(&mut self) {
        for (hub, node) in &self.0 {
            threads::leave(node);
            hub.0.remove_node(node);
        }
    }
}

/// Drives the timers of hubs, for the thread that it runs on. It never completes.
///
/// A server does this for the hubs of its routes. If several tasks drive one node, one is active, and another takes over when that one is
/// dropped. A panic is logged, and the hub is driven again a second later.
pub async fn drive_hubs<S>(hubs: Vec<HubRef>, sleep: impl Fn(Duration) -> S)
where
    S: Future<Output = ()>,
{
    let mut all: Vec<Pin<Box<_>>> = hubs
        .iter()
        .map(|hub| Box::pin(drive_on(hub, &sleep)))
        .collect();
    if all.is_empty() {
        return pending().await;
    }
    poll_fn(|cx| {
        for one in &mut all {
            let _: Poll<()> = one.as_mut().poll(cx);
        }
        Poll::Pending
    })
    .await
}

/// Drives the timers of a hub from now on, unless an earlier call does: for connections that no server of ours accepts. It never completes;
/// once it is dropped, for example because a runtime ends, the next call takes over.
pub fn drive_hub_beside<S, F>(
    hub: &HubRef,
    sleep: F,
) -> Option<impl Future<Output = ()> + use<S, F>>
where
    F: Fn(Duration) -> S,
    S: Future<Output = ()>,
{
    let beside = Beside::of(hub)?;
    Some(async move { drive_hubs(vec![beside.0.clone()], sleep).await })
}

/// Marks that the timers of a hub are driven without a server.
struct Beside(HubRef);

impl Beside {
    fn of(hub: &HubRef) -> Option<Self> {
        let is_driven = hub.0.driven_beside.swap(true, Ordering::SeqCst);
        (!is_driven).then(|| Self(hub.clone()))
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.0.0.driven_beside.store(false, Ordering::SeqCst);
    }
}

async fn drive_on<S: Future<Output = ()>>(hub: &HubRef, sleep: &impl Fn(Duration) -> S) {
    loop {
        if let Err(panic) = caught(drive(hub, sleep)).await {
            let message = callback::message(&*panic);
            tracing::error!(error.message = message, "the timers of a hub panicked");
        }
        sleep(RESTART).await;
    }
}

/// The time after which a hub is driven again.
const RESTART: Duration = Duration::from_secs(1);

/// Polls to completion, or to a panic.
pub async fn caught<R>(work: impl Future<Output = R>) -> Result<R, Box<dyn Any + Send>> {
    let mut work = pin!(work);
    poll_fn(
        |cx| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
            Ok(polled) => polled.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        },
    )
    .await
}

async fn drive<S: Future<Output = ()>>(hub: &HubRef, sleep: &impl Fn(Duration) -> S) {
    let mut driving = Driving {
        node: hub.0.node_here(),
        mine: false,
    };
    loop {
        poll_fn(|cx| driving.node.poll_drive(cx, &mut driving.mine)).await;
        let wait = match hub.0.tick(&driving.node) {
            None => Duration::from_secs(3600),
            Some(at) => at.since(hub.0.now()),
        };
        let mut called = false;
        let mut sleep = pin!(sleep(wait));
        poll_fn(|cx| {
            if sleep.as_mut().poll(cx).is_ready() || std::mem::replace(&mut called, true) {
                return Poll::Ready(());
            }
            // The next wake-up is the end of the timer, or a call.
            let _ = driving.node.poll_drive(cx, &mut driving.mine);
            Poll::Pending
        })
        .await;
    }
}

struct Driving {
    node: Arc<Node>,
    mine: bool,
}

impl Drop for Driving {
    fn drop(&mut self) {
        if self.mine {
            self.node.leave();
        }
    }
}

/// Polls both; completes when the first does.
pub async fn both<R>(one: impl Future<Output = R>, other: impl Future<Output = ()>) -> R {
    let (mut one, mut other) = (pin!(one), pin!(other));
    poll_fn(|cx: &mut Context<'_>| {
        let _ = other.as_mut().poll(cx);
        one.as_mut().poll(cx)
    })
    .await
}

impl Inner {
    /// Returns a node for a thread: the first one, while no thread has it.
    pub(super) fn node_for_a_thread(&self) -> Arc<Node> {
        let first = self.first_node();
        if first.take() { first } else { self.add_node() }
    }

    /// A thread ends: its node is no longer driven.
    pub(super) fn remove_node(&self, node: &Arc<Node>) {
        if Arc::ptr_eq(node, &self.first_node()) {
            // It also serves threads without a node of their own.
            return node.release();
        }
        self.with(node, |state, _| state.hub.goodbye());
        let mut nodes = self
            .nodes
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        node.end_subscriptions();
        // Open channels still keep it alive; its messages go nowhere.
        nodes.retain(|known| !Arc::ptr_eq(known, node));
    }
}
