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
        subscription.asked = true;
        let on = subscription.wanted;
        let request = if on {
            Request::Subscribe(channel.clone())
        } else {
            Request::Unsubscribe(channel.clone())
        };
        self.request(request, InFlight::Subscription(channel.clone(), on));
    }

    /// It starts: messages of the channel arrive from now on. This may be reported before the reply, and again by it.
    pub(super) fn begun(&mut self, channel: &Channel) {
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
        if on {
            self.begun(channel);
        } else {
            self.ended(now, channel);
        }
        self.pump_channel(channel);
    }

    /// No more messages arrive by it.
    pub(super) fn ended(&mut self, now: Instant, channel: &Channel) {
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
