//! Counts of what a hub has done, and of what is there.
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
            /// Adds those of another node.
            pub fn add(&mut self, other: &Self) {
                $($how(&mut self.$field, other.$field);)*
            }

            /// Writes them as Prometheus text.
            fn write(&self, part: &str, kind: Kind, out: &mut Exposition) {
                $(
                    let name = alloc::format!("{part}_{}", stringify!($field));
                    // What is the most so far is a gauge: rates of it mean nothing.
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
    /// What was done, since the hub began. At every moment `delivered`, all that begin with `dropped`, `expired`, `discarded` and
    /// [`Gauges::waiting`] add up to `fan_out`.
    Counters {
        /// Channels opened.
        opened: u64 = sum,
        /// Channels closed.
        closed: u64 = sum,
        /// Channels closed since they read too slowly.
        closed_slow: u64 = sum,
        /// Channels closed since they expired.
        expired_channels: u64 = sum,
        /// Joins.
        joins: u64 = sum,
        /// Leaves, those at the end of a connection too.
        leaves: u64 = sum,
        /// Operations refused since a channel did them too often.
        limited: u64 = sum,
        /// Operations on ids that are not open any more.
        stale: u64 = sum,
        /// Messages published from this node.
        published: u64 = sum,
        /// Messages published to this node alone, since the backplane was down.
        published_alone: u64 = sum,
        /// Messages framed on this node.
        encodes: u64 = sum,
        /// Messages compressed on this node.
        deflates: u64 = sum,
        /// Publications put to members.
        received: u64 = sum,
        /// Messages sent to one channel.
        direct: u64 = sum,
        /// Notices told to members.
        notices: u64 = sum,
        /// Messages put to channels: one for each channel that is to receive one.
        fan_out: u64 = sum,
        /// Maximum number of channels that one publication was put to.
        largest_fan_out: u64 = most,
        /// Messages handed to connections.
        delivered: u64 = sum,
        /// Messages dropped as they came, since there was no room.
        dropped_newest: u64 = sum,
        /// Messages dropped to make room for newer ones.
        dropped_oldest: u64 = sum,
        /// Messages dropped since a newer one had their key.
        dropped_conflated: u64 = sum,
        /// Messages dropped since they had waited too long.
        dropped_aged: u64 = sum,
        /// Messages dropped since they can't be had in the kind that the channel takes.
        dropped_unfit: u64 = sum,
        /// Messages not delivered since they were of no use any more.
        expired: u64 = sum,
        /// Messages that still waited when their channel was closed.
        discarded: u64 = sum,
        /// Messages replayed to members that asked for what they missed.
        replayed: u64 = sum,
        /// Recoveries.
        recoveries: u64 = sum,
        /// Recoveries that could not replay all.
        incomplete: u64 = sum,
        /// Times that something was missing in what came from the backplane and could be asked for.
        repairs: u64 = sum,
        /// Messages that came by a repair.
        repaired: u64 = sum,
        /// Times that something was missing and could not be had.
        gaps: u64 = sum,
        /// Messages that are missing, as far as known.
        lost: u64 = sum,
        /// Messages that came twice, and were put to nobody again.
        doubles: u64 = sum,
        /// Messages for groups without members.
        stray: u64 = sum,
        /// Messages that reached nobody on this node, since the envelope of their group failed.
        unwrapped: u64 = sum,
        /// Times that the backplane went down.
        downs: u64 = sum,
    }
}

numbers! {
    /// What is there now.
    Gauges {
        /// Channels.
        channels: usize = sum,
        /// Groups with members.
        groups: usize = sum,
        /// Messages that wait, each counted once for each channel.
        waiting: usize = sum,
        /// Octets that wait, each counted once for each channel.
        waiting_octets: usize = sum,
        /// Octets that are held for those who wait, each counted once.
        held_octets: usize = sum,
    }
}

numbers! {
    /// What a broker has done.
    BrokerCounters {
        /// Messages published.
        published: u64 = sum,
        /// Messages that were not published again, since one with their id was.
        again: u64 = sum,
        /// Messages framed: one for each that was published, however many receive it.
        encodes: u64 = sum,
        /// Messages compressed: at most one for each window that was agreed on, and each that was published.
        deflates: u64 = sum,
        /// Messages that were refused, since the envelope of their group failed.
        unwrapped: u64 = sum,
        /// Messages that were not kept, since all histories together had no room.
        unkept: u64 = sum,
        /// Groups forgotten before their time, since too many had nobody in them.
        forgotten: u64 = sum,
        /// Messages for channels of nodes that are no more.
        undeliverable: u64 = sum,
    }
}

/// Counters and gauges of a node, or of all nodes of a process together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// What was done.
    pub counters: Counters,
    /// What is there.
    pub gauges: Gauges,
    /// To how many channels publications were put.
    pub fan_outs: Histogram,
}

impl Snapshot {
    /// Adds what another node has.
    pub fn add(&mut self, other: &Self) {
        self.counters.add(&other.counters);
        self.gauges.add(&other.gauges);
        self.fan_outs.add(&other.fan_outs);
    }

    /// What was dropped by some policy.
    pub const fn dropped(&self) -> u64 {
        let c = &self.counters;
        c.dropped_newest + c.dropped_oldest + c.dropped_conflated + c.dropped_aged + c.dropped_unfit
    }

    /// Whether each message that was put to a channel is accounted for.
    pub const fn adds_up(&self) -> bool {
        let c = &self.counters;
        let accounted = c.delivered + self.dropped() + c.expired + c.discarded;
        accounted + self.gauges.waiting as u64 == c.fan_out
    }

    /// As text for Prometheus.
    pub fn to_prometheus(&self) -> String {
        let mut out = Exposition::default();
        self.counters.write("hub", Kind::Counter, &mut out);
        self.gauges.write("hub", Kind::Gauge, &mut out);
        let help = "Channels that one publication was put to.";
        self.fan_outs.write("hub_fan_out_channels", help, &mut out);
        out.into_text()
    }
}

impl BrokerCounters {
    /// As text for Prometheus.
    pub fn to_prometheus(&self) -> String {
        let mut out = Exposition::default();
        self.write("broker", Kind::Counter, &mut out);
        out.into_text()
    }
}

impl Hub {
    /// What was done and what is there.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            counters: self.counters,
            gauges: Gauges {
                channels: self.seats.count(),
                groups: self.groups().count(),
                waiting: self.store.waiting(),
                waiting_octets: self.store.queued(),
                held_octets: self.store.held(),
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
