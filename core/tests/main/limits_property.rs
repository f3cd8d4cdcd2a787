//! Properties of limits and of reconnecting: buckets are exact, tables bounded, waits within their bounds. RFC 6455 sections 7.2.3 and 10.4.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use proptest::collection::vec;
use proptest::prelude::*;
use sansws_core::dial::{Backoff, Ended, Next, Reconnect, ReconnectOptions};
use sansws_core::limits::{
    AddressLimits, Addresses, Bucket, LimitAction, Meter, Rate, TrafficLimits, Verdict,
};
use sansws_core::random::Seed;
use sansws_core::time::{Duration, Instant};

/// A bucket that is filled microsecond by microsecond, in parts of a token as small as they come.
struct Naive {
    level: i128,
    now: u64,
}

impl Naive {
    fn new(rate: &Rate) -> Self {
        Self {
            level: Self::room(rate),
            now: 0,
        }
    }

    fn weight(rate: &Rate) -> i128 {
        rate.per.as_micros().max(1) as i128
    }

    fn room(rate: &Rate) -> i128 {
        let burst = if rate.amount > 0 {
            rate.burst.max(1)
        } else {
            rate.burst
        };
        i128::from(burst) * Self::weight(rate)
    }

    fn fill(&mut self, rate: &Rate, now: u64) {
        for _ in self.now..now {
            self.level = (self.level + i128::from(rate.amount)).min(Self::room(rate));
        }
        self.now = now;
    }

    fn take(&mut self, rate: &Rate, cost: u64, force: bool) -> bool {
        let left = self.level - i128::from(cost) * Self::weight(rate);
        if left >= 0 || force {
            self.level = left;
        }
        left >= 0
    }

    /// The first microsecond from now on at which `cost` more is there.
    fn when(&self, rate: &Rate, cost: u64) -> Option<u64> {
        let later = |after: &u64| {
            let filled = self.level + i128::from(*after) * i128::from(rate.amount);
            filled.min(Self::room(rate)) >= i128::from(cost) * Self::weight(rate)
        };
        (0..100_000).find(later).map(|after| self.now + after)
    }
}

fn rate() -> impl Strategy<Value = Rate> {
    (0..20u64, 0..30u64, 0..25u64)
        .prop_map(|(amount, per, burst)| Rate::new(amount, Duration::from_micros(per)).burst(burst))
}

proptest! {
    #[test]
    fn a_bucket_is_as_exact_as_counting(
        rate in rate(),
        calls in vec((0..40u64, 0..30u64, any::<bool>()), 1..40),
    ) {
        let (mut bucket, mut naive, mut now) = (Bucket::new(), Naive::new(&rate), 0);
        for (after, cost, force) in calls {
            now += after;
            naive.fill(&rate, now);
            let moment = Instant::from_micros(now);
            if force {
                let fine = naive.take(&rate, cost, true);
                let got = bucket.spend(&rate, moment, cost);
                prop_assert_eq!(got.is_none(), fine);
                if let Some(until) = got {
                    let when = naive.when(&rate, 0).map_or(Bucket::NEVER, Instant::from_micros);
                    prop_assert_eq!(until, when);
                }
            } else {
                let want = match naive.take(&rate, cost, false) {
                    true => Ok(()),
                    false => Err(naive.when(&rate, cost).map_or(Bucket::NEVER, Instant::from_micros)),
                };
                prop_assert_eq!(bucket.take(&rate, moment, cost), want);
            }
        }
    }

    #[test]
    fn nothing_overflows(
        amount in any::<u64>(), burst in any::<u64>(), per in any::<u64>(),
        calls in vec((any::<u64>(), any::<u64>()), 1..20),
    ) {
        let rate = Rate::new(amount, Duration::from_secs(per)).burst(burst);
        let (mut one, mut two) = (Bucket::new(), Bucket::new());
        for (now, cost) in calls {
            let now = Instant::from_micros(now);
            if let Err(moment) = one.take(&rate, now, cost) {
                prop_assert!(moment > now || moment == Bucket::NEVER);
            }
            if let Some(moment) = two.spend(&rate, now, cost) {
                prop_assert!(moment > now || moment == Bucket::NEVER);
            }
        }
    }

    #[test]
    fn passed_messages_keep_to_the_rate(
        amount in 1..50u64, burst in 1..50u64,
        messages in vec((0..100_000u64, 0..60u64), 1..200),
    ) {
        let limits = TrafficLimits {
            bytes: Some(Rate::per_second(amount).burst(burst)),
            outcome: LimitAction::Drop,
            ..TrafficLimits::default()
        };
        let (mut meter, mut now, mut passed) = (Meter::new(), 0, 0);
        for (after, bytes) in messages {
            now += after;
            match meter.admit(&limits, Instant::from_micros(now), bytes) {
                Verdict::Pass => passed += bytes,
                verdict => prop_assert_eq!(verdict, Verdict::Drop),
            }
            prop_assert!(passed <= burst + now * amount / 1_000_000);
        }
    }

    #[test]
    fn a_table_is_bounded_and_no_address_has_more_than_it_may(
        most in prop::option::of(0..4u32),
        rate in prop::option::of(rate()),
        table in 0..6usize,
        steps in vec((0..20u64, 0..12u32, prop::bool::weighted(0.6)), 1..300),
    ) {
        let mut addresses = Addresses::new(AddressLimits { connections: most, handshakes: rate, table });
        let (mut now, mut held) = (0, BTreeMap::<u32, u32>::new());
        for (after, host, enters) in steps {
            now += after;
            let (moment, address) = (Instant::from_micros(now), IpAddr::V4(Ipv4Addr::from_bits(host)));
            let count = held.entry(host).or_default();
            if enters {
                *count += u32::from(addresses.enter(moment, address).is_ok());
            } else {
                // Also when none is held: that must change nothing.
                addresses.leave(moment, address);
                *count = count.saturating_sub(1);
            }
            if let Some(most) = most {
                prop_assert!(*count <= most);
                prop_assert_eq!(addresses.connections(address), *count);
            }
            let places = table + most.unwrap_or(0) as usize;
            prop_assert!(addresses.remembered() <= places, "{} of {places}", addresses.remembered());
        }
        // When all have gone and time has passed, nothing is held, and each may come again.
        let later = Instant::from_micros(now + 10_000_000);
        for (host, count) in &held {
            for _ in 0..*count {
                addresses.leave(later, IpAddr::V4(Ipv4Addr::from_bits(*host)));
            }
        }
        if rate.is_none() && most != Some(0) && table > 0 {
            for host in 0..12 {
                let address = IpAddr::V4(Ipv4Addr::from_bits(host));
                prop_assert_eq!(addresses.enter(later, address), Ok(()));
                addresses.leave(later, address);
            }
            prop_assert!(addresses.remembered() <= 1);
        }
    }

    #[test]
    fn waits_keep_to_their_bounds_and_to_their_seed(
        base in 0..5_000_000u64, most in 0..60_000_000u64, seed in any::<[u8; 32]>(),
        ends in vec((0..4u8, 0..600u64), 1..60),
    ) {
        let backoff = Backoff { base: Duration::from_micros(base), max: Duration::from_micros(most) };
        let options = ReconnectOptions { backoff, ..ReconnectOptions::default() };
        let seed = Seed::new(seed);
        let mut one = Reconnect::new(options.clone(), &seed);
        let mut two = Reconnect::new(options.clone(), &seed);
        for (n, (end, seconds)) in ends.into_iter().enumerate() {
            let n = n as u32;
            let retry_after = Duration::from_secs(seconds);
            let ended = match end {
                0 => Ended::Closed(1006),
                1 => Ended::Closed(1013),
                2 => Ended::Unreachable,
                _ => Ended::Refused { status: 503, retry_after: Some(retry_after) },
            };
            let next = one.ended(Instant::ZERO, ended);
            prop_assert_eq!(next, two.ended(Instant::ZERO, ended));
            let Next::Wait(wait) = next else { panic!("stopped") };
            // No wait is none.
            let bound = |n: u32| {
                let most = backoff.base.saturating_mul(2u32.saturating_pow(n)).min(backoff.max);
                most.max(Duration::from_millis(1))
            };
            let (low, high) = match end {
                1 => (bound(0), bound(n + 1)),
                3 => {
                    let least = retry_after.min(options.most_retry_after);
                    (least, least + bound(n))
                }
                _ => (Duration::ZERO, bound(n)),
            };
            prop_assert!((low..=high).contains(&wait), "{wait:?} of {low:?}..{high:?}");
        }
    }
}
