//! Subscriptions: each is wanted or not, and follows that one request after the other.

use sansws_core::time::Instant;

use super::{AGAIN, Due, Flight, Machine};
use crate::request::{Channel, Request};

/// A subscription to a channel of Redis.
#[derive(Debug, Default)]
pub(super) struct Subscription {
    wanted: bool,
    /// A request is on its way, or failed and waits to be tried again.
    asked: bool,
    /// Redis has confirmed it: what is sent to the channel arrives.
    on: bool,
}

impl Machine {
    /// Says whether a channel is wanted.
    pub(super) fn want(&mut self, channel: &Channel, wanted: bool) {
        if wanted || self.channels.contains_key(channel) {
            self.channels.entry(channel.clone()).or_default().wanted = wanted;
            self.follow(channel);
        }
    }

    /// Asks Redis for what is wanted, if it is otherwise.
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
        self.request(request, Flight::Subscription(channel.clone(), on));
    }

    /// It begins: what is sent to the channel arrives from now on. This may be told before the reply, and again by it.
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

    /// Redis did what was asked for.
    pub(super) fn settled(&mut self, now: Instant, channel: &Channel, on: bool) {
        if on {
            self.begun(channel);
        } else {
            self.ended(now, channel);
        }
        self.pump_channel(channel);
    }

    /// Nothing arrives by it any more.
    pub(super) fn ended(&mut self, now: Instant, channel: &Channel) {
        if let Some(subscription) = self.channels.get_mut(channel) {
            subscription.on = false;
        }
        if let Channel::Group(name) = channel {
            self.cover_ends(now, name);
        }
    }

    /// Redis refused it: it is tried again.
    pub(super) fn refused(&mut self, now: Instant, channel: &Channel) {
        self.due
            .insert((now + AGAIN, Due::Channel(channel.clone())));
    }

    /// Nothing is on its way: what is wanted now is asked for.
    pub(super) fn pump_channel(&mut self, channel: &Channel) {
        if let Some(subscription) = self.channels.get_mut(channel) {
            subscription.asked = false;
        }
        self.follow(channel);
    }
}
