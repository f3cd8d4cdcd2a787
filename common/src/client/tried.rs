//! The addresses of a host that a client has tried in vain since its last connection.
//! Knows no socket: adapters report the address that accepted TCP, and whether a connection came of it.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sansws_core::dial::Attempts;

/// Addresses that accepted TCP in attempts that then failed, such as those of a server that hangs; the last one failed last.
///
/// An address that accepts nothing costs no attempt, because others are tried beside it. One that accepts TCP ends the race, so a
/// client would try it first each time.
#[derive(Debug, Default)]
pub struct TriedAddresses(Mutex<Vec<SocketAddr>>);

/// Maximum number of addresses that are remembered. Redirects lead to several hosts.
const REMEMBERED: usize = 64;

impl TriedAddresses {
    /// Returns the attempts at addresses of a lookup: those that were tried in vain are last, the last one at the end.
    pub fn attempts(&self, addresses: Vec<SocketAddr>) -> Attempts {
        let tried = self.lock();
        let place = |address: &SocketAddr| tried.iter().position(|other| other == address);
        let (mut later, first): (Vec<_>, Vec<_>) = addresses
            .into_iter()
            .partition(|address| place(address).is_some());
        later.sort_by_key(place);
        Attempts::new(first).then(later)
    }

    /// Records that an attempt goes on over a connection to this address.
    pub fn reached(&self, address: SocketAddr) {
        let mut tried = self.lock();
        tried.retain(|other| *other != address);
        if tried.len() >= REMEMBERED {
            tried.remove(0);
        }
        tried.push(address);
    }

    /// Forgets all addresses: a connection is open.
    pub fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<SocketAddr>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sansws_core::dial::Attempt;
    use sansws_core::time::Instant;

    /// The order of the attempts, if all fail.
    fn order(tried: &TriedAddresses, addresses: &[SocketAddr]) -> Vec<SocketAddr> {
        let mut attempts = tried.attempts(addresses.to_vec());
        let mut order = Vec::new();
        while let Attempt::Begin(address) = attempts.step(Instant::ZERO) {
            order.push(address);
            attempts.failed();
        }
        order
    }

    #[test]
    fn addresses_tried_in_vain_are_last_until_a_connection_is_open() {
        let all: Vec<SocketAddr> = (1..=4).map(|n| ([127, 0, 0, n], 80).into()).collect();
        let [a, b, c, d] = all[..] else { panic!() };
        let tried = TriedAddresses::default();
        assert_eq!(order(&tried, &all), [a, b, c, d]);
        tried.reached(a);
        assert_eq!(order(&tried, &all), [b, c, d, a]);
        tried.reached(b);
        tried.reached(c);
        assert_eq!(order(&tried, &all), [d, a, b, c]);
        tried.reached(a);
        // Lookups of other hosts, to which a redirect leads, change nothing.
        assert_eq!(order(&tried, &[a, d]), [d, a]);
        assert_eq!(order(&tried, &all), [d, b, c, a]);
        for port in 0..1_000 {
            tried.reached(([127, 0, 1, 0], port).into());
        }
        assert_eq!(tried.lock().len(), REMEMBERED);
        assert_eq!(order(&tried, &all), [a, b, c, d]);
        tried.reached(a);
        tried.clear();
        assert_eq!(order(&tried, &all), [a, b, c, d]);
        assert_eq!(order(&tried, &[]), []);
    }

    #[test]
    fn an_address_of_another_family_that_was_tried_in_vain_is_last_too() {
        let [hangs, dead, good] = ["[::1]:1", "127.0.0.1:2", "127.0.0.1:3"];
        let all = [hangs, dead, good].map(|address| address.parse().unwrap());
        let tried = TriedAddresses::default();
        assert_eq!(order(&tried, &all), all);
        tried.reached(all[0]);
        assert_eq!(order(&tried, &all), [all[1], all[2], all[0]]);
        // Among those tried in vain, the last one stays last.
        let [two, other] = [all[1], all[2]];
        let all = [two, other, all[0]];
        let tried = TriedAddresses::default();
        all.iter().for_each(|address| tried.reached(*address));
        assert_eq!(order(&tried, &all), all);
    }
}
