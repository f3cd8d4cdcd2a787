//! The order in which the addresses of a host are tried, and when: Happy Eyeballs.
//! RFC 8305 sections 4 (interleaved families) and 5 (250 ms between attempts).
//! Knows no socket and no resolver: addresses and time go in, actions come out.

use alloc::collections::VecDeque;
use core::net::SocketAddr;

use crate::time::{Duration, Instant};

/// The time after which the next address is tried, in parallel with those that have not answered (RFC 8305 section 5: "250 milliseconds").
pub const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// The attempts to connect to one host.
///
/// ```
/// use sansws_core::dial::{ATTEMPT_DELAY, Attempt, Attempts};
/// use sansws_core::time::Instant;
///
/// let addresses = ["[2001:db8::1]:443", "[2001:db8::2]:443", "192.0.2.1:443"];
/// let [first, second, other] = addresses.map(|address| address.parse().unwrap());
/// let (mut attempts, now) = (Attempts::new([first, second, other]), Instant::ZERO);
/// assert_eq!(attempts.step(now), Attempt::Begin(first));
/// assert_eq!(attempts.step(now), Attempt::Until(now + ATTEMPT_DELAY));
/// // The other family gets its turn if the first address does not answer soon, or fails.
/// attempts.failed();
/// assert_eq!(attempts.step(now), Attempt::Begin(other));
/// ```
#[derive(Clone, Debug)]
pub struct Attempts {
    left: VecDeque<SocketAddr>,
    running: usize,
    next: Option<Instant>,
}

/// The next action; see [`Attempts::step`].
///
/// For an example see [`Attempts`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// Start connecting to this address, and call again.
    Begin(SocketAddr),
    /// Wait for the running attempts, at most until this moment; then call again.
    Until(Instant),
    /// Wait for the running attempts: there is no other address.
    Wait,
    /// All addresses have failed, or there was none.
    Failed,
}

impl Attempts {
    /// Takes the addresses in the resolver's order, and alternates between families, starting with that of the first address.
    pub fn new(addresses: impl IntoIterator<Item = SocketAddr>) -> Self {
        let mut all = addresses.into_iter().peekable();
        let first_is_v6 = all.peek().is_some_and(SocketAddr::is_ipv6);
        let (mut same, mut other) = (VecDeque::new(), VecDeque::new());
        for address in all {
            if address.is_ipv6() == first_is_v6 {
                same.push_back(address);
            } else {
                other.push_back(address);
            }
        }
        let mut left = VecDeque::with_capacity(same.len() + other.len());
        while !same.is_empty() || !other.is_empty() {
            left.extend(same.pop_front());
            left.extend(other.pop_front());
        }
        Self {
            left,
            running: 0,
            next: None,
        }
    }

    /// Adds addresses to be tried after all these, in this order.
    #[must_use]
    pub fn then(mut self, addresses: impl IntoIterator<Item = SocketAddr>) -> Self {
        self.left.extend(addresses);
        self
    }

    /// Returns the next action. Call it until it says to wait, and again whenever an attempt has failed or the time has come.
    pub fn step(&mut self, now: Instant) -> Attempt {
        if let Some(at) = self.next.filter(|at| *at > now && self.running > 0) {
            return if self.left.is_empty() {
                Attempt::Wait
            } else {
                Attempt::Until(at)
            };
        }
        match self.left.pop_front() {
            Some(address) => {
                self.running += 1;
                self.next = Some(now + ATTEMPT_DELAY);
                Attempt::Begin(address)
            }
            None if self.running > 0 => Attempt::Wait,
            None => Attempt::Failed,
        }
    }

    /// Reports that an attempt has failed: the next address is tried at once.
    pub const fn failed(&mut self) {
        self.running = self.running.saturating_sub(1);
        self.next = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn addresses(all: &[&str]) -> Vec<SocketAddr> {
        all.iter().map(|address| address.parse().unwrap()).collect()
    }

    #[test]
    fn families_take_turns_and_the_resolvers_first_is_first() {
        let all = addresses(&["[::1]:1", "[::2]:1", "[::3]:1", "1.0.0.1:1", "1.0.0.2:1"]);
        let order = |all: Vec<SocketAddr>| Attempts::new(all).left.into_iter().collect::<Vec<_>>();
        let want = addresses(&["[::1]:1", "1.0.0.1:1", "[::2]:1", "1.0.0.2:1", "[::3]:1"]);
        assert_eq!(order(all.clone()), want);
        let reversed: Vec<_> = all.into_iter().rev().collect();
        let want = addresses(&["1.0.0.2:1", "[::3]:1", "1.0.0.1:1", "[::2]:1", "[::1]:1"]);
        assert_eq!(order(reversed), want);
    }

    #[test]
    fn later_addresses_follow_in_their_order() {
        let first = addresses(&["1.0.0.1:1", "1.0.0.2:1"]);
        let later = addresses(&["[::1]:1", "[::2]:1", "1.0.0.3:1"]);
        let attempts = Attempts::new(first).then(later);
        let order: Vec<_> = attempts.left.into_iter().collect();
        let want = ["1.0.0.1:1", "1.0.0.2:1", "[::1]:1", "[::2]:1", "1.0.0.3:1"];
        assert_eq!(order, addresses(&want));
    }

    #[test]
    fn the_next_is_tried_after_250_ms_or_at_a_failure() {
        let all = addresses(&["1.0.0.1:1", "1.0.0.2:1", "1.0.0.3:1"]);
        let (mut attempts, begun) = (Attempts::new(all.clone()), Instant::from_micros(7));
        assert_eq!(attempts.step(begun), Attempt::Begin(all[0]));
        let next = begun + ATTEMPT_DELAY;
        assert_eq!(attempts.step(begun), Attempt::Until(next));
        assert_eq!(attempts.step(next), Attempt::Begin(all[1]));
        assert_eq!(attempts.step(next), Attempt::Until(next + ATTEMPT_DELAY));
        attempts.failed();
        assert_eq!(attempts.step(next), Attempt::Begin(all[2]));
        assert_eq!(attempts.step(next), Attempt::Wait);
        attempts.failed();
        assert_eq!(attempts.step(next), Attempt::Wait);
        attempts.failed();
        assert_eq!(attempts.step(next), Attempt::Failed);
        assert_eq!(Attempts::new([]).step(begun), Attempt::Failed);
    }
}
