//! Counters and gauges of a hub.
//! The text is that of Prometheus (exposition format 0.0.4).
//! Plain values.

use alloc::string::String;

use super::Hub;
use super::histogram::Histogram;
use crate::http::exposition::{Exposition, Kind};

macro_rules! numbers {
    ($(#[$about:meta])* $name:ident { $($(#[doc = $help:literal])* $field:ident : $type:ty = $how:ident,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct $name {
            $($(#[doc = $help])* pub $field: $type,)*
        }

        impl $name {
            /// Adds the values of another node.
            pub fn add(&mut self, other: &Self) {
                $($how(&mut self.$field, other.$field);)*
            }

            /// Writes them as text for Prometheus.
            fn write(&self, part: &str, kind: Kind, out: &mut Exposition) {
                $(
                    let name = alloc::format!("{part}_{}", stringify!($field));
                    // A maximum is a gauge: its rate means nothing.
                    let is_most = stringify!($how) == "most";
                    let of = if is_most { Kind::Gauge } else { kind };
                    out.one(of, &name, concat!($($help),*), self.$field);
                )*
            }
        }
    };
}

fn sum<N: core::ops::AddAssign>(own: &mut N, other: N) {
    *own += other;
}

fn most<N: Ord + Copy>(own: &mut N, other: N) {
    *own = other.max(*own);
}

numbers! {
    /// Counters, since the hub started. At every moment, `delivered`, all that start with `dropped`, `expired`, `discarded` and
    /// [`HubGauges::waiting`] add up to `fan_out`. For an example see [`HubGauges`].
    HubCounters {
        /// Channels opened.
        opened: u64 = sum,
        /// Channels closed.
        closed: u64 = sum,
        /// Channels closed because they read too slowly.
        closed_slow: u64 = sum,
        /// Channels closed because they expired.
        expired_channels: u64 = sum,
        /// Joins.
        joins: u64 = sum,
        /// Leaves, including those at the end of a connection.
        leaves: u64 = sum,
        /// Operations refused because a channel exceeded its rate limit.
        limited: u64 = sum,
        /// Operations on ids that are no longer open.
        stale: u64 = sum,
        /// Messages published from this node.
        published: u64 = sum,
        /// Messages published only to this node because the backplane was down.
        published_alone: u64 = sum,
        /// Messages framed on this node.
        encodes: u64 = sum,
        /// Messages compressed on this node.
        deflates: u64 = sum,
        /// Publications queued for members.
        received: u64 = sum,
        /// Messages sent to one channel.
        direct: u64 = sum,
        /// Notices sent to members.
        notices: u64 = sum,
        /// Messages queued for channels: one for each receiving channel.
        fan_out: u64 = sum,
        /// Maximum number of channels that one publication was queued for.
        largest_fan_out: u64 = most,
        /// Messages handed to connections.
        delivered: u64 = sum,
        /// Messages dropped on arrival because there was no room.
        dropped_newest: u64 = sum,
        /// Messages dropped to make room for newer ones.
        dropped_oldest: u64 = sum,
        /// Messages dropped because a newer one had their key.
        dropped_conflated: u64 = sum,
        /// Messages dropped because they had waited too long.
        dropped_aged: u64 = sum,
        /// Messages dropped because they cannot be converted to the kind that the channel takes.
        dropped_unfit: u64 = sum,
        /// Messages not delivered because they had expired.
        expired: u64 = sum,
        /// Messages still queued when their channel was closed.
        discarded: u64 = sum,
        /// Missed messages replayed to members.
        replayed: u64 = sum,
        /// Recoveries.
        recoveries: u64 = sum,
        /// Recoveries that could not replay everything.
        incomplete: u64 = sum,
        /// Gaps in messages from the backplane that were requested again.
        repairs: u64 = sum,
        /// Messages received by a repair.
        repaired: u64 = sum,
        /// Gaps that could not be repaired.
        gaps: u64 = sum,
        /// Lost messages, as far as known.
        lost: u64 = sum,
        /// Messages that arrived twice and were not delivered again.
        doubles: u64 = sum,
        /// Messages for groups without members.
        stray: u64 = sum,
        /// Messages that no member on this node received because the envelope of their group failed.
        unwrapped: u64 = sum,
        /// Times that the backplane went down.
        downs: u64 = sum,
    }
}

numbers! {
    /// The current state.
    ///
    /// ```
    /// use sansws_core::hub::{ChannelOptions, HubOptions, JoinOptions, LocalHub, PublishOptions};
    /// use sansws_core::random::Seed;
    /// use sansws_core::time::Instant;
    ///
    /// let now = Instant::ZERO;
    /// let mut hub = LocalHub::new(Seed::new([7; 32]), HubOptions::default().into());
    /// let ada = hub.open(now, ChannelOptions::default())?;
    /// hub.join(now, ada, "room", JoinOptions::default())?;
    /// hub.publish(now, None, "room", "hi".into(), PublishOptions::default(), None)?;
    /// while hub.poll_output(now).is_some() {}
    /// let snapshot = hub.snapshot();
    /// assert_eq!((snapshot.gauges.groups, snapshot.gauges.waiting), (1, 1)); // Ada has not read it
    /// assert_eq!(snapshot.counters.fan_out, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    HubGauges {
        /// Channels.
        channels: usize = sum,
        /// Groups with members.
        groups: usize = sum,
        /// Queued messages, each counted once per channel.
        waiting: usize = sum,
        /// Queued bytes, each message counted once per channel.
        waiting_bytes: usize = sum,
        /// Bytes held in queues, each message counted once.
        held_bytes: usize = sum,
    }
}

numbers! {
    /// Counters of a broker. For an example see [`Broker`](super::Broker).
    BrokerCounters {
        /// Messages published.
        published: u64 = sum,
        /// Messages not published again because one with their id was.
        again: u64 = sum,
        /// Messages framed: one per publication, however many channels receive it.
        encodes: u64 = sum,
        /// Messages compressed: at most one per publication and negotiated window size.
        deflates: u64 = sum,
        /// Messages refused because the envelope of their group failed.
        unwrapped: u64 = sum,
        /// Messages not kept because all histories together had no room.
        unkept: u64 = sum,
        /// Groups forgotten early because too many were empty.
        forgotten: u64 = sum,
        /// Messages for channels of nodes that are gone.
        undeliverable: u64 = sum,
    }
}

/// Counters and gauges of a node, or of all nodes of a process together.
///
/// ```
/// use sansws_core::hub::{ChannelOptions, HubOptions, LocalHub};
/// use sansws_core::random::Seed;
/// use sansws_core::time::Instant;
///
/// let mut hub = LocalHub::new(Seed::new([7; 32]), HubOptions::default().into());
/// hub.open(Instant::ZERO, ChannelOptions::default())?;
/// let text = hub.snapshot().to_prometheus();
/// assert!(text.contains("\nsansws_hub_channels 1\n"));
/// # Ok::<(), sansws_core::hub::HubError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The counters.
    pub counters: HubCounters,
    /// The gauges.
    pub gauges: HubGauges,
    /// The number of channels that publications were queued for.
    pub fan_outs: Histogram,
}

impl Snapshot {
    /// Adds the values of another node.
    pub fn add(&mut self, other: &Self) {
        self.counters.add(&other.counters);
        self.gauges.add(&other.gauges);
        self.fan_outs.add(&other.fan_outs);
    }

    /// Returns the number of messages dropped, by any policy.
    pub const fn dropped(&self) -> u64 {
        let c = &self.counters;
        c.dropped_newest + c.dropped_oldest + c.dropped_conflated + c.dropped_aged + c.dropped_unfit
    }

    /// Returns whether each message that was queued for a channel is accounted for.
    pub const fn adds_up(&self) -> bool {
        let c = &self.counters;
        let accounted = c.delivered + self.dropped() + c.expired + c.discarded;
        accounted + self.gauges.waiting as u64 == c.fan_out
    }

    /// Returns the metrics as text for Prometheus.
    pub fn to_prometheus(&self) -> String {
        let mut out = Exposition::default();
        self.counters.write("hub", Kind::Counter, &mut out);
        self.gauges.write("hub", Kind::Gauge, &mut out);
        let help = "Channels that one publication was queued for.";
        self.fan_outs.write("hub_fan_out_channels", help, &mut out);
        out.into_text()
    }
}

impl BrokerCounters {
    /// Returns the metrics as text for Prometheus.
    pub fn to_prometheus(&self) -> String {
        let mut out = Exposition::default();
        self.write("broker", Kind::Counter, &mut out);
        out.into_text()
    }
}

impl Hub {
    /// Returns counters and gauges.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            counters: self.counters,
            gauges: HubGauges {
                channels: self.channels.count(),
                groups: self.groups().count(),
                waiting: self.store.waiting(),
                waiting_bytes: self.store.queued(),
                held_bytes: self.store.held(),
            },
            fan_outs: self.fan_outs,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_has_a_type_and_a_value_for_each_number() {
        let mut snapshot = Snapshot::default();
        snapshot.counters.joins = 3;
        snapshot.gauges.groups = 2;
        snapshot.counters.largest_fan_out = 4;
        snapshot.fan_outs.note(3);
        let text = snapshot.to_prometheus();
        assert!(text.contains("# TYPE sansws_hub_joins_total counter\nsansws_hub_joins_total 3\n"));
        assert!(text.contains("# TYPE sansws_hub_groups gauge\nsansws_hub_groups 2\n"));
        assert!(text.contains("# HELP sansws_hub_groups Groups with members.\n"));
        let most = "# TYPE sansws_hub_largest_fan_out gauge\nsansws_hub_largest_fan_out 4\n";
        assert!(text.contains(most));
        assert!(text.contains("sansws_hub_fan_out_channels_bucket{le=\"4\"} 1\n"));
    }
}
