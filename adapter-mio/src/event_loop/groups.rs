//! The nodes that a loop has in hubs: each is driven in the loop's turns, and has mail for its connections.
//! Knows no byte.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};

use sansws_common::contain::contain;
use sansws_common::error::Error;
use sansws_common::hub::HubRef;
use sansws_common::hub::internal::{Channel, HubAttachment, LoopNode, Mail};
use sansws_core::hub::{
    ChannelId, ChannelOptions, HubError, JoinOptions, Joined, PublishOptions, PublishRequest,
    Signal,
};
use sansws_core::message::PreparedMessage;
use sansws_core::time::Instant;

use super::peer::{Flushed, Stage};
use super::{Key, Loop, Mailbox};

/// Maximum number of publications of one connection that wait for room.
const WAITING: u16 = 1_024;

/// The node of the loop in one hub.
pub(super) struct LoopHub {
    node: LoopNode,
    bell: Arc<Bell>,
    waker: Waker,
    /// The places of connections in the loop, by the slots of their channels.
    places: Vec<u32>,
    /// The deadline for which the timers are armed.
    armed: Instant,
    /// Mail that is not passed on yet.
    mail: Mail,
    /// Empty, with room.
    spare: Mail,
    /// Publications that wait for room, in order.
    waiting: VecDeque<Waiting>,
    /// Connections that have ended, by serial, whose publications still wait, and how many of these there are.
    ended: HashMap<u64, (Box<HubAttachment>, u16)>,
}

/// A publication that waits for room. Its connection receives nothing meanwhile.
struct Waiting {
    slot: usize,
    serial: u64,
    channel: Channel,
    request: PublishRequest,
}

/// Wakes the loop for a hub.
struct Bell {
    rung: AtomicBool,
    mailbox: Arc<Mailbox>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.rung.swap(true, Ordering::SeqCst) {
            self.mailbox.ring();
        }
    }
}

impl LoopHub {
    /// Takes the node's mail.
    fn collect(&mut self) {
        let mut fresh = std::mem::take(&mut self.spare);
        self.node.take_mail(&mut fresh);
        self.mail.woken.append(&mut fresh.woken);
        self.mail.joined.append(&mut fresh.joined);
        self.mail.signalled.append(&mut fresh.signalled);
        self.spare = fresh;
    }

    /// Returns the place of the connection of a channel.
    fn place(&self, slot: u32) -> Option<usize> {
        let place = *self.places.get(slot as usize)?;
        (place != u32::MAX).then_some(place as usize)
    }

    fn set_place(&mut self, id: ChannelId, place: u32) {
        let slot = id.slot() as usize;
        if self.places.len() <= slot {
            self.places.resize(slot + 1, u32::MAX);
        }
        if let Some(known) = self.places.get_mut(slot) {
            *known = place;
        }
    }
}

impl Loop {
    /// Returns the index of the loop's node in a hub, which it gets if necessary.
    pub(super) fn hub_index(&mut self, hub: &HubRef) -> usize {
        let known = self
            .hubs
            .iter()
            .position(|known| known.node.hub().is_same(hub));
        known.unwrap_or_else(|| {
            let bell = Arc::new(Bell {
                // Its first turn makes the loop its driver.
                rung: AtomicBool::new(true),
                mailbox: Arc::clone(&self.mailbox),
            });
            self.hubs.push(LoopHub {
                node: LoopNode::new(hub),
                waker: Waker::from(Arc::clone(&bell)),
                bell,
                places: Vec::new(),
                armed: Instant::from_micros(u64::MAX),
                mail: Mail::default(),
                spare: Mail::default(),
                waiting: VecDeque::new(),
                ended: HashMap::new(),
            });
            self.drive_hub(self.hubs.len() - 1);
            self.hubs.len() - 1
        })
    }

    /// Returns whether a hub has something for the loop.
    pub(super) fn has_mail(&self) -> bool {
        let rung = |hub: &LoopHub| hub.bell.rung.load(Ordering::SeqCst);
        self.hubs.iter().any(rung)
    }

    /// Something of a hub may be due.
    pub(super) fn expire_hub(&mut self, index: usize, at: Instant) {
        if let Some(hub) = self.hubs.get_mut(index)
            && hub.armed == at
        {
            hub.armed = Instant::from_micros(u64::MAX);
            hub.bell.rung.store(true, Ordering::SeqCst);
        }
    }

    /// Returns whether a hub's timer is armed for this time.
    pub(super) fn holds_hub(hubs: &[LoopHub], index: usize, at: Instant) -> bool {
        hubs.get(index).is_some_and(|hub| hub.armed == at)
    }

    /// Drives the nodes that have something to do, and passes their mail on.
    pub(super) fn drive_hubs(&mut self) {
        for index in 0..self.hubs.len() {
            if self
                .hubs
                .get(index)
                .is_some_and(|hub| hub.bell.rung.swap(false, Ordering::SeqCst))
            {
                self.drive_hub(index);
                self.pass_mail(index);
                self.publish_waiting(index);
            }
        }
    }

    fn drive_hub(&mut self, index: usize) {
        let Some(hub) = self.hubs.get_mut(index) else {
            return;
        };
        let due = hub.node.turn(&hub.waker).map(|time| self.now + time);
        if let Some(at) = due
            && at < hub.armed
        {
            hub.armed = at;
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            self.timers.arm(at, Key::Hub { index });
        }
    }

    /// Tells connections what has happened in their groups, and has them take their messages.
    fn pass_mail(&mut self, index: usize) {
        let Some(hub) = self.hubs.get_mut(index) else {
            return;
        };
        hub.collect();
        let mut mail = std::mem::replace(&mut hub.mail, std::mem::take(&mut hub.spare));
        for (id, group, joined) in mail.joined.drain(..) {
            self.tell_joined(index, id, &group, joined);
        }
        for id in mail.signalled.drain(..) {
            let hub = self.hubs.get(index);
            let signals = hub.map(|hub| hub.node.take_signals(id));
            for signal in signals.unwrap_or_default() {
                self.tell_signal(index, id, signal);
            }
        }
        for channel in mail.woken.drain(..) {
            if let Some(slot) = self.hubs.get(index).and_then(|hub| hub.place(channel))
                && let Some(peer) = self.peers.get_mut(slot)
            {
                peer.flags.rung = true;
                self.touch(slot);
            }
        }
        if let Some(hub) = self.hubs.get_mut(index) {
            hub.spare = mail;
        }
    }

    /// Returns the connection that has this channel, and whose end was not reported. Another one may have the place of a channel that is gone.
    fn owner(&self, index: usize, id: ChannelId) -> Option<usize> {
        let slot = self.hubs.get(index)?.place(id.slot())?;
        let peer = self.peers.get(slot)?;
        let post = peer.post.as_ref()?;
        (post.id() == Some(id) && !peer.flags.end_reported).then_some(slot)
    }

    fn tell_joined(
        &mut self,
        index: usize,
        id: ChannelId,
        group: &str,
        joined: Result<Joined, HubError>,
    ) {
        let Some(slot) = self.owner(index, id) else {
            return;
        };
        let called = self.call(slot, |host, at, within| {
            host.joined(at, within, group, joined)
        });
        if let Err(error) = called.and_then(|done| done.unwrap_or(Ok(()))) {
            self.fail(slot, error);
        }
    }

    fn tell_signal(&mut self, index: usize, id: ChannelId, signal: Signal) {
        let Some(slot) = self.owner(index, id) else {
            return;
        };
        let called = self.call(slot, |host, at, within| host.signal(at, within, signal));
        if let Err(error) = called.and_then(|done| done.unwrap_or(Ok(()))) {
            self.fail(slot, error);
        }
    }

    /// Gives members their turn at once, because a publisher waits for it. No callback is called.
    fn relieve(&mut self, index: usize) {
        let Some(hub) = self.hubs.get_mut(index) else {
            return;
        };
        hub.collect();
        hub.bell.rung.store(true, Ordering::SeqCst);
        for channel in std::mem::take(&mut hub.mail.woken) {
            if let Some(slot) = self.hubs.get(index).and_then(|hub| hub.place(channel))
                && let Some(peer) = self.peers.get_mut(slot)
            {
                peer.flags.rung = true;
                let flushed = self.flush(slot);
                if self.current != Some(slot) && flushed == Flushed::Done {
                    self.reclaim(slot);
                }
                self.touch(slot);
            }
        }
    }

    /// Sets the hub of a connection.
    pub(crate) fn use_hub_at(&mut self, slot: usize, hub: &HubRef) {
        let index = self.hub_index(hub);
        // A channel stays in the hub that it was opened in.
        if let Some(peer) = self.peers.get_mut(slot)
            && peer.post.is_none()
        {
            peer.hub = u16::try_from(index + 1).unwrap_or(0);
        }
    }

    /// Returns the index of a connection's hub.
    fn hub_at(&self, slot: usize) -> Result<usize, HubError> {
        let peer = self.peers.get(slot).ok_or(HubError::Gone)?;
        usize::from(peer.hub).checked_sub(1).ok_or(HubError::NoHub)
    }

    /// Returns whether a connection has a channel.
    pub(crate) fn has_channel_at(&self, slot: usize) -> bool {
        let post = self.peers.get(slot).and_then(|peer| peer.post.as_ref());
        post.is_some_and(|post| post.is_open())
    }

    /// Returns the channel of a connection, which is opened if necessary.
    pub(crate) fn channel_at(
        &mut self,
        slot: usize,
        options: ChannelOptions,
    ) -> Result<Channel, HubError> {
        let index = self.hub_at(slot)?;
        let (Some(hub), Some(peer)) = (self.hubs.get_mut(index), self.peers.get_mut(slot)) else {
            return Err(HubError::NoHub);
        };
        // A connection that is not open has no window yet, and nothing can be sent to it.
        if matches!(peer.stage, Stage::Connecting(_) | Stage::Opening(_)) {
            return Err(HubError::Gone);
        }
        let is_over = peer.is_over();
        let window_bits = peer.own_window_bits();
        let post = peer
            .post
            .get_or_insert_with(|| HubAttachment::of(hub.node.hub()));
        if is_over {
            post.end();
        }
        let is_new = !post.is_open();
        let options = ChannelOptions {
            window_bits,
            ..options
        };
        let channel = post.open_on(&hub.node, options)?.clone();
        if is_new {
            hub.set_place(channel.id(), u32::try_from(slot).unwrap_or(u32::MAX));
        }
        Ok(channel)
    }

    /// Joins a group; the endpoint is told the result.
    pub(crate) fn join_at(
        &mut self,
        slot: usize,
        group: &str,
        options: JoinOptions,
    ) -> Result<(), HubError> {
        let channel = self.channel_at(slot, ChannelOptions::default())?;
        let joined = channel.start_join(group, options)?;
        let index = self.hub_at(slot)?;
        if let Some(joined) = joined
            && let Some(hub) = self.hubs.get_mut(index)
        {
            let joined = (channel.id(), group.into(), Ok(joined));
            hub.mail.joined.push(joined);
            hub.bell.rung.store(true, Ordering::SeqCst);
        }
        Ok(())
    }

    /// Returns the groups of a connection.
    pub(crate) fn groups_at(&self, slot: usize) -> Vec<Arc<str>> {
        let post = self.peers.get(slot).and_then(|peer| peer.post.as_ref());
        post.map(|post| post.groups()).unwrap_or_default()
    }

    /// Closes the channel of a connection that is removed.
    pub(super) fn close_channel(&mut self, slot: usize) {
        let Ok(index) = self.hub_at(slot) else {
            return;
        };
        let (Some(hub), Some(peer)) = (self.hubs.get_mut(index), self.peers.get_mut(slot)) else {
            return;
        };
        if let Some(mut post) = peer.post.take()
            && let Some(id) = post.id()
        {
            hub.set_place(id, u32::MAX);
            post.end();
            if peer.publishing > 0 {
                hub.ended.insert(peer.serial, (post, peer.publishing));
            }
        }
    }

    /// Leaves all hubs; publications for which there still is no room are lost.
    pub(super) fn leave_hubs(&mut self) {
        for index in 0..self.hubs.len() {
            self.publish_waiting(index);
        }
        let lost: usize = self.hubs.iter().map(|hub| hub.waiting.len()).sum();
        if lost > 0 {
            let log = || tracing::warn!(lost, "publications found no room before their loop ended");
            let _ = contain(log);
        }
        self.hubs.clear();
    }

    /// Publishes as a connection. Without room it waits, and the connection receives nothing meanwhile.
    pub(crate) fn publish_at(
        &mut self,
        slot: usize,
        group: &str,
        message: PreparedMessage,
        options: PublishOptions,
    ) -> Result<(), HubError> {
        let channel = self.channel_at(slot, ChannelOptions::default())?;
        let request = PublishRequest {
            group: group.into(),
            message,
            sender: Some(channel.id()),
            options,
        };
        let Some(peer) = self.peers.get(slot) else {
            return Err(HubError::Gone);
        };
        if peer.publishing == 0 {
            match channel.publish_now(&request, None) {
                Err(HubError::Backpressure) => {}
                published => return published,
            }
            self.relieve(self.hub_at(slot)?);
        }
        self.wait_to_publish(slot, channel, request)
    }

    /// Publishes, or puts it among those that wait.
    fn wait_to_publish(
        &mut self,
        slot: usize,
        channel: Channel,
        request: PublishRequest,
    ) -> Result<(), HubError> {
        let index = self.hub_at(slot)?;
        let (Some(hub), Some(peer)) = (self.hubs.get_mut(index), self.peers.get_mut(slot)) else {
            return Err(HubError::Gone);
        };
        if peer.publishing == 0 {
            match channel.publish_now(&request, Some(&hub.waker)) {
                Err(HubError::Backpressure) => {}
                published => return published,
            }
        }
        if peer.publishing >= WAITING {
            return Err(HubError::Backpressure);
        }
        peer.publishing += 1;
        hub.waiting.push_back(Waiting {
            slot,
            serial: peer.serial,
            channel,
            request,
        });
        self.hold_input(slot);
        Ok(())
    }

    /// Publishes what waited, as far as there is room.
    fn publish_waiting(&mut self, index: usize) {
        let Some(hub) = self.hubs.get_mut(index) else {
            return;
        };
        let waker = hub.waker.clone();
        // Publications of one connection stay in order; those of others need not wait for them.
        let mut without_room = HashSet::new();
        for waiting in std::mem::take(&mut hub.waiting) {
            let Waiting {
                slot,
                serial,
                ref channel,
                ref request,
            } = waiting;
            let published = if without_room.contains(&serial) {
                Err(HubError::Backpressure)
            } else {
                channel.publish_now(request, Some(&waker))
            };
            if published == Err(HubError::Backpressure) {
                without_room.insert(serial);
                if let Some(hub) = self.hubs.get_mut(index) {
                    hub.waiting.push_back(waiting);
                }
                continue;
            }
            let known = self.peers.get_mut(slot);
            let Some(peer) = known.filter(|peer| peer.serial == serial) else {
                self.published_of_ended(index, serial);
                continue;
            };
            peer.publishing -= 1;
            if peer.publishing == 0 {
                self.hold_input(slot);
            }
            if let Err(error) = published {
                self.fail(slot, Error::from(error).into());
            }
        }
    }

    /// A publication of a connection that has ended waits no more.
    fn published_of_ended(&mut self, index: usize, serial: u64) {
        if let Some(hub) = self.hubs.get_mut(index)
            && let Some((_, waiting)) = hub.ended.get_mut(&serial)
        {
            *waiting -= 1;
            if *waiting == 0 {
                hub.ended.remove(&serial);
            }
        }
    }
}
