//! What went over all connections together.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts messages and their octets, in either direction.
#[derive(Debug, Default)]
pub struct Meter {
    messages: AtomicU64,
    octets: AtomicU64,
}

impl Meter {
    /// Counts a message of so many octets.
    pub fn count(&self, octets: usize) {
        let octets = u64::try_from(octets).unwrap_or(u64::MAX);
        self.messages.fetch_add(1, Ordering::Relaxed);
        self.octets.fetch_add(octets, Ordering::Relaxed);
    }

    /// Messages and octets so far.
    pub fn totals(&self) -> (u64, u64) {
        let read = |total: &AtomicU64| total.load(Ordering::Relaxed);
        (read(&self.messages), read(&self.octets))
    }
}
