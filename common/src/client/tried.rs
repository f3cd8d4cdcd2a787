//! The addresses of a host that a client has tried in vain since its last connection.
//! Knows no socket: adapters report the address that accepted TCP, and whether a connection came of it.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Addresses that accepted TCP in attempts that then failed, such as those of a server that hangs; the last one failed last.
///
/// An address that accepts nothing costs no attempt, because others are tried beside it. One that accepts TCP ends the race, so a
/// client would try it first each time.
#[derive(Debug, Default)]
pub struct TriedAddresses(Mutex<Vec<SocketAddr>>);

/// Maximum number of addresses that are remembered. Redirects lead to several hosts.
const REMEMBERED: usize = 64;

impl TriedAddresses {
    /// Sorts addresses of a lookup: those that were tried in vain are last.
    pub fn sort(&self, addresses: &mut [SocketAddr]) {
        let tried = self.lock();
        // Sorting is stable: the resolver's order holds among the rest.
        addresses.sort_by_key(|address| tried.iter().position(|other| other == address));
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

    #[test]
    fn addresses_tried_in_vain_are_last_until_a_connection_is_open() {
        let all: Vec<SocketAddr> = (1..=4).map(|n| ([127, 0, 0, n], 80).into()).collect();
        let [a, b, c, d] = all[..] else { panic!() };
        let tried = TriedAddresses::default();
        let sorted = |addresses: &[SocketAddr]| {
            let mut addresses = addresses.to_vec();
            tried.sort(&mut addresses);
            addresses
        };
        assert_eq!(sorted(&all), [a, b, c, d]);
        tried.reached(a);
        assert_eq!(sorted(&all), [b, c, d, a]);
        tried.reached(b);
        tried.reached(c);
        assert_eq!(sorted(&all), [d, a, b, c]);
        tried.reached(a);
        // Lookups of other hosts, to which a redirect leads, change nothing.
        assert_eq!(sorted(&[a, d]), [d, a]);
        assert_eq!(sorted(&all), [d, b, c, a]);
        for port in 0..1_000 {
            tried.reached(([127, 0, 1, 0], port).into());
        }
        assert_eq!(tried.lock().len(), REMEMBERED);
        assert_eq!(sorted(&all), [a, b, c, d]);
        tried.reached(a);
        tried.clear();
        assert_eq!(sorted(&all), [a, b, c, d]);
        assert_eq!(sorted(&[]), []);
    }
}
