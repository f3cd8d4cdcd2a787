//! Limits on connections and handshakes per address.
//! RFC 6455 section 10.4 and section 7.2.3; RFC 4291 section 2.5.1 for the addresses of one IPv6 host.
//! Knows no socket: the caller reports connections that start and end.

use alloc::collections::{BTreeMap, BTreeSet};
use core::net::IpAddr;

use thiserror::Error;

use super::rate::{Bucket, Rate};
use crate::time::{Duration, Instant};

/// Limits of one address. An IPv6 address stands for its /64, an IPv4-mapped one for its IPv4 address.
///
/// ```
/// use sansws_core::limits::{AddressLimits, Addresses, Rate, Refused};
/// use sansws_core::time::{Duration, Instant};
///
/// let limits = AddressLimits {
///     connections: Some(100),
///     handshakes: Some(Rate::per_second(1)),
///     ..AddressLimits::default()
/// };
/// let (mut addresses, now) = (Addresses::new(limits), Instant::ZERO);
/// assert_eq!(addresses.enter(now, "2001:db8::1".parse()?), Ok(()));
/// // Of the same /64:
/// let retry_after = Duration::from_secs(1);
/// let refused = addresses.enter(now, "2001:db8::2".parse()?);
/// assert_eq!(refused, Err(Refused::TooFast { retry_after }));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressLimits {
    /// Maximum number of connections at once; default unlimited.
    pub connections: Option<u32>,
    /// Opening handshakes per time; default unlimited.
    pub handshakes: Option<Rate>,
    /// Maximum number of addresses remembered; default 65 536, of a few hundred bytes each.
    ///
    /// When all are in use, unknown addresses share the limits of one.
    pub table: usize,
}

impl Default for AddressLimits {
    fn default() -> Self {
        Self {
            connections: None,
            handshakes: None,
            table: 65_536,
        }
    }
}

/// Why an address is refused.
///
/// For an example see [`Addresses`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum Refused {
    /// It has as many connections as allowed.
    #[error("the address has too many connections")]
    TooMany,
    /// It connects too often.
    #[error("the address connects too often")]
    TooFast {
        /// How long it should wait.
        retry_after: Duration,
    },
}

/// All addresses that hold connections or connected recently.
///
/// ```
/// use sansws_core::limits::{AddressLimits, Addresses, Refused};
/// use sansws_core::time::Instant;
///
/// let mut addresses = Addresses::new(AddressLimits { connections: Some(1), ..AddressLimits::default() });
/// let (now, someone) = (Instant::ZERO, "192.0.2.1".parse().unwrap());
/// assert_eq!(addresses.enter(now, someone), Ok(()));
/// assert_eq!(addresses.enter(now, someone), Err(Refused::TooMany));
/// addresses.leave(now, someone);
/// assert_eq!(addresses.enter(now, someone), Ok(()));
/// ```
#[derive(Clone, Debug)]
pub struct Addresses {
    limits: AddressLimits,
    known: BTreeMap<Key, Entry>,
    /// Addresses in `known` without a connection, by the time at which they may be forgotten.
    idle: BTreeSet<(Instant, Key)>,
    /// The state shared by addresses that found no room.
    others: Entry,
    /// The number of connections of each of them.
    crowd: BTreeMap<Key, u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    V4(u32),
    /// The upper half.
    V6(u64),
}

impl From<IpAddr> for Key {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.to_bits()),
            // RFC 4291 2.5.1: "Interface IDs are required to be 64 bits long": one host may use any of them.
            IpAddr::V6(address) => Self::V6((address.to_bits() >> 64) as u64),
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    handshakes: Bucket,
    connections: u32,
}

impl Entry {
    fn enter(&mut self, limits: &AddressLimits, now: Instant) -> Result<(), Refused> {
        if limits
            .connections
            .is_some_and(|most| self.connections >= most)
        {
            return Err(Refused::TooMany);
        }
        if let Some(rate) = &limits.handshakes {
            let taken = self.handshakes.take(rate, now, 1);
            taken.map_err(|moment| Refused::TooFast {
                retry_after: moment.since(now),
            })?;
        }
        // Without a limit they are not counted.
        self.connections += u32::from(limits.connections.is_some());
        Ok(())
    }

    /// Returns when nothing about it is worth remembering, if it does not change.
    fn idle(&self, limits: &AddressLimits) -> Option<Instant> {
        let full = |rate| self.handshakes.full(rate);
        (self.connections == 0).then(|| limits.handshakes.as_ref().map_or(Instant::ZERO, full))
    }
}

impl Addresses {
    /// Creates an empty table.
    pub const fn new(limits: AddressLimits) -> Self {
        Self {
            limits,
            known: BTreeMap::new(),
            idle: BTreeSet::new(),
            others: Entry {
                handshakes: Bucket::new(),
                connections: 0,
            },
            crowd: BTreeMap::new(),
        }
    }

    /// Reports a connection from `address`. If it is admitted, [`Addresses::leave`] must be called once it has ended.
    pub fn enter(&mut self, now: Instant, address: IpAddr) -> Result<(), Refused> {
        if self.limits.connections.is_none() && self.limits.handshakes.is_none() {
            return Ok(());
        }
        let key = Key::from(address);
        // Forget two for each new one: the table shrinks as fast as it grows.
        self.forget(now);
        self.forget(now);
        if let Some(entry) = self.known.get_mut(&key) {
            let before = entry.idle(&self.limits);
            entry.enter(&self.limits, now)?;
            let after = entry.idle(&self.limits);
            self.note(key, before, after);
            return Ok(());
        }
        if self.known.len() < self.limits.table {
            // It takes its share of the common state along.
            let connections = self.crowd.get(&key).copied().unwrap_or_default();
            let mut entry = Entry {
                connections,
                ..Entry::default()
            };
            entry.enter(&self.limits, now)?;
            self.crowd.remove(&key);
            self.others.connections = self.others.connections.saturating_sub(connections);
            self.known.insert(key, entry);
            self.note(key, None, entry.idle(&self.limits));
            return Ok(());
        }
        self.others.enter(&self.limits, now)?;
        if self.limits.connections.is_some() {
            *self.crowd.entry(key).or_default() += 1;
        }
        Ok(())
    }

    /// Reports that a connection from `address` has ended. Has no effect for an address without connections.
    pub fn leave(&mut self, now: Instant, address: IpAddr) {
        let key = Key::from(address);
        if let Some(entry) = self.known.get_mut(&key) {
            let before = entry.idle(&self.limits);
            entry.connections = entry.connections.saturating_sub(1);
            let after = entry.idle(&self.limits);
            self.note(key, before, after);
            self.forget(now);
        } else if let Some(held) = self.crowd.get_mut(&key) {
            *held = held.saturating_sub(1);
            if *held == 0 {
                self.crowd.remove(&key);
            }
            self.others.connections = self.others.connections.saturating_sub(1);
        }
    }

    /// Returns how many connections `address` holds, as far as they are counted: always 0 without a limit on them.
    pub fn connections(&self, address: IpAddr) -> u32 {
        let key = Key::from(address);
        let known = self.known.get(&key).map(|entry| entry.connections);
        known
            .or_else(|| self.crowd.get(&key).copied())
            .unwrap_or_default()
    }

    /// Returns how many addresses are remembered: at most [`AddressLimits::table`], and those in the shared state.
    pub fn remembered(&self) -> usize {
        self.known.len() + self.crowd.len()
    }

    /// Forgets the address that has been done for the longest time, if there is one.
    fn forget(&mut self, now: Instant) {
        if let Some((moment, key)) = self.idle.first().copied()
            && moment <= now
        {
            self.idle.remove(&(moment, key));
            self.known.remove(&key);
        }
    }

    fn note(&mut self, key: Key, before: Option<Instant>, after: Option<Instant>) {
        if let Some(moment) = before {
            self.idle.remove(&(moment, key));
        }
        if let Some(moment) = after {
            self.idle.insert((moment, key));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(address: &str) -> IpAddr {
        address.parse().unwrap()
    }

    #[test]
    fn which_addresses_are_one() {
        let cases = [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
            ("0.0.0.0", "::", false),
        ];
        for (one, two, same) in cases {
            assert_eq!(
                Key::from(ip(one)) == Key::from(ip(two)),
                same,
                "{one} {two}"
            );
        }
    }

    #[test]
    fn too_fast_says_for_how_long() {
        let mut addresses = Addresses::new(AddressLimits {
            handshakes: Some(Rate::per_second(2).burst(1)),
            ..AddressLimits::default()
        });
        let retry_after = Duration::from_millis(500);
        assert_eq!(addresses.enter(Instant::ZERO, ip("::1")), Ok(()));
        assert_eq!(
            addresses.enter(Instant::ZERO, ip("::1")),
            Err(Refused::TooFast { retry_after })
        );
        assert_eq!(addresses.enter(Instant::ZERO, ip("::1:0:0:0:1")), Ok(()));
        assert_eq!(
            addresses.enter(Instant::ZERO + retry_after, ip("::1")),
            Ok(())
        );
    }

    #[test]
    fn strangers_share_the_last_place_until_there_is_room() {
        let mut addresses = Addresses::new(AddressLimits {
            connections: Some(2),
            handshakes: None,
            table: 1,
        });
        let (a, b, c) = (ip("192.0.2.1"), ip("192.0.2.2"), ip("192.0.2.3"));
        let mut enter = |address| addresses.enter(Instant::ZERO, address);
        assert_eq!([a, b, c].map(&mut enter), [Ok(()); 3]);
        assert_eq!(enter(b), Err(Refused::TooMany));
        assert_eq!(enter(a), Ok(()));
        for _ in 0..5 {
            addresses.leave(Instant::ZERO, a);
        }
        // There is room: b gets its own entry, and takes its connection along.
        assert_eq!(addresses.enter(Instant::ZERO, b), Ok(()));
        assert_eq!(addresses.enter(Instant::ZERO, b), Err(Refused::TooMany));
        assert_eq!(addresses.connections(b), 2);
        assert_eq!(addresses.enter(Instant::ZERO, c), Ok(()));
        assert_eq!(addresses.enter(Instant::ZERO, a), Err(Refused::TooMany));
    }

    #[test]
    fn only_those_that_are_full_again_are_forgotten() {
        let mut addresses = Addresses::new(AddressLimits {
            connections: Some(9),
            handshakes: Some(Rate::per_second(1)),
            table: 2,
        });
        let at = |seconds| Instant::ZERO + Duration::from_secs(seconds);
        let (a, b, c) = (ip("192.0.2.1"), ip("192.0.2.2"), ip("192.0.2.3"));
        assert_eq!(addresses.enter(at(1), a), Ok(()));
        assert_eq!(addresses.enter(at(1), b), Ok(()));
        addresses.leave(at(1), a);
        assert_eq!(addresses.enter(at(1), c), Ok(()));
        assert_eq!((addresses.known.len(), addresses.crowd.len()), (2, 1));
        assert!(addresses.enter(at(1), a).is_err());
        assert_eq!(addresses.enter(at(2), c), Ok(()));
        assert_eq!((addresses.known.len(), addresses.crowd.len()), (2, 0));
        assert_eq!((addresses.connections(a), addresses.connections(c)), (0, 2));
    }
}
