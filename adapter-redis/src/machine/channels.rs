//! Subscriptions: each is wanted or not, and requests make it so, one at a time.

use sansws_core::time::Instant;

use super::{AGAIN, Due, InFlight, Machine};
use crate::request::{Channel, Request};

/// A subscription to a channel of Redis.
#[derive(Debug, Default)]
pub(super) struct Subscription {
    wanted: bool,
    /// A request is in flight, or failed and waits to be retried.
    asked: bool,
    /// Redis has confirmed it: messages of the channel arrive.
    on: bool,
    /// It was confirmed by a push since it was asked for: whether it is on is told by pushes alone.
    is_told: bool,
}

impl Machine {
    /// Sets whether a channel is wanted.
    pub(super) fn want(&mut self, channel: &Channel, wanted: bool) {
        if wanted || self.channels.contains_key(channel) {
            self.channels.entry(channel.clone()).or_default().wanted = wanted;
            self.follow(channel);
        }
    }

    /// Requests the wanted state, if it differs.
    fn follow(&mut self, channel: &Channel) {
        let Some(subscription) = self.channels.get_mut(channel) else {
            return;
        };
        if subscription.asked {
            return;
        }
        if subscription.wanted == subscription.on {
            if !subscription.wanted {
                self.channels.remove(channel);
            } else if let Channel::Group(name) = channel {
                self.begins(name);
            }
            return;
        }
        (subscription.asked, subscription.is_told) = (true, false);
        let on = subscription.wanted;
        let request = if on {
            Request::Subscribe(channel.clone())
        } else {
            Request::Unsubscribe(channel.clone())
        };
        self.request(request, InFlight::Subscription(channel.clone(), on));
    }

    /// A push tells that it starts.
    pub(super) fn started(&mut self, channel: &Channel) {
        if let Some(subscription) = self.channels.get_mut(channel) {
            subscription.is_told = true;
        }
        self.begun(channel);
    }

    /// A push tells that it ends. Unless it was asked to, the slot of its channel has moved to another shard of the cluster, where it is
    /// subscribed to again. Messages with numbers that were missed meanwhile show by the number of the next one, or at the next check of the
    /// position, as any loss does: members get them by the repair, and watchers on a node that has members.
    pub(super) fn stopped(&mut self, now: Instant, channel: &Channel) {
        match self.channels.get_mut(channel) {
            Some(subscription) if subscription.wanted && !subscription.asked => {
                subscription.on = false;
                self.follow(channel);
            }
            _ => self.ended(now, channel),
        }
    }

    /// It starts: messages of the channel arrive from now on. This may be reported before the reply, and again by it.
    fn begun(&mut self, channel: &Channel) {
        let Some(subscription) = self.channels.get_mut(channel) else {
            return;
        };
        if !core::mem::replace(&mut subscription.on, true)
            && let Channel::Group(name) = channel
        {
            self.begins(name);
        }
    }

    /// Redis executed the request.
    pub(super) fn settled(&mut self, now: Instant, channel: &Channel, on: bool) {
        let is_told = self.channels.get(channel).is_some_and(|one| one.is_told);
        match on {
            true if is_told => {}
            true => self.begun(channel),
            false => self.ended(now, channel),
        }
        self.pump_channel(channel);
    }

    /// No more messages arrive by it.
    fn ended(&mut self, now: Instant, channel: &Channel) {
        if let Some(subscription) = self.channels.get_mut(channel) {
            subscription.on = false;
        }
        if let Channel::Group(name) = channel {
            self.cover_ends(now, name);
        }
    }

    /// Redis refused the request: it will be retried.
    pub(super) fn refused(&mut self, now: Instant, channel: &Channel) {
        if let Channel::Group(name) = channel {
            self.tell_unavailable(name, &[]);
        }
        self.due
            .insert((now + AGAIN, Due::Channel(channel.clone())));
    }

    /// Nothing is in flight: request the wanted state.
    pub(super) fn pump_channel(&mut self, channel: &Channel) {
        if let Some(subscription) = self.channels.get_mut(channel) {
            subscription.asked = false;
        }
        self.follow(channel);
    }
}
