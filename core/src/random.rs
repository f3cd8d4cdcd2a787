//! Masking keys, handshake nonces and waits, drawn from a seed.
//! RFC 6455 sections 4.1 (nonce), 5.3 and 10.3 (masking keys), 7.2.3 (waits).
//! Knows no source of entropy: the seed is an input, and equal seeds give equal bytes.

use core::fmt;

use chacha20::ChaCha12Rng;
use chacha20::rand_core::{Rng, SeedableRng};

use crate::time::Duration;

/// 32 bytes of entropy from which a client draws its nonce and its masking keys.
///
/// Take them from the operating system, fresh for each connection: a key that a peer can predict
/// defeats masking (RFC 6455 section 10.3).
///
/// ```
/// use sansws_core::random::Seed;
///
/// let seed = Seed::new([7; 32]); // in an application: 32 bytes of the system's entropy
/// assert_ne!(seed.nonce(), Seed::new([8; 32]).nonce());
/// assert_eq!(format!("{seed:?}"), "Seed(..)"); // no log shows it
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Seed([u8; 32]);

impl Seed {
    /// Wraps 32 bytes of entropy.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the nonce of the opening handshake for this seed, which is encoded in `Sec-WebSocket-Key` (RFC 6455 section 4.1).
    pub fn nonce(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        self.stream(0).fill_bytes(&mut bytes);
        bytes
    }

    /// Returns the masking keys for this seed; they are independent of the nonce.
    pub(crate) fn mask_keys(&self) -> MaskKeys {
        MaskKeys(self.stream(1))
    }

    /// Returns the waits for this seed; they reveal nothing about the nonce and the masking keys.
    pub fn jitter(&self) -> Jitter {
        Jitter(self.stream(2))
    }

    fn stream(&self, stream: u64) -> ChaCha12Rng {
        let mut rng = ChaCha12Rng::from_seed(self.0);
        rng.set_stream(stream);
        rng
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(..)")
    }
}

/// An endless sequence of masking keys (RFC 6455 section 5.3), by ChaCha12.
pub(crate) struct MaskKeys(ChaCha12Rng);

impl MaskKeys {
    /// Returns the next key; each frame takes a fresh one.
    pub(crate) fn next_key(&mut self) -> [u8; 4] {
        self.0.next_u32().to_ne_bytes()
    }
}

impl fmt::Debug for MaskKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MaskKeys(..)")
    }
}

/// An endless sequence of random waits (RFC 6455 section 7.2.3), by ChaCha12.
///
/// ```
/// use sansws_core::random::Seed;
/// use sansws_core::time::Duration;
///
/// let mut jitter = Seed::new([7; 32]).jitter();
/// let (low, high) = (Duration::from_millis(500), Duration::from_secs(1));
/// assert!((low..=high).contains(&jitter.between(low, high)));
/// ```
pub struct Jitter(ChaCha12Rng);

impl Jitter {
    /// Returns the next wait: a number of microseconds from `low` to `high`, both included; `low` if `high` is not above it.
    pub fn between(&mut self, low: Duration, high: Duration) -> Duration {
        let span = high
            .saturating_sub(low)
            .as_micros()
            .min(u128::from(u64::MAX));
        // The upper half of the product is uniform enough: the error is below one in 2^64 for each microsecond of the span.
        let part = (u128::from(self.0.next_u64()) * (span + 1)) >> 64;
        low.saturating_add(Duration::from_micros(part as u64))
    }
}

impl fmt::Debug for Jitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Jitter(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    #[test]
    fn same_seed_same_keys_and_no_key_repeats_over_ten_thousand() {
        let seed = Seed::new([7; 32]);
        let (mut one, mut two) = (seed.mask_keys(), seed.mask_keys());
        let keys: BTreeSet<[u8; 4]> = (0..10_000).map(|_| one.next_key()).collect();
        // With 2^32 keys, 10 000 draws collide about 0.01 times.
        assert!(keys.len() >= 9_998);
        assert!((0..10_000).all(|_| keys.contains(&two.next_key())));
    }

    #[test]
    fn other_seeds_give_other_keys_and_nonces() {
        let (one, two) = (Seed::new([1; 32]), Seed::new([2; 32]));
        assert_ne!(one.nonce(), two.nonce());
        assert_ne!(one.mask_keys().next_key(), two.mask_keys().next_key());
        assert_ne!(one.nonce()[..4], one.mask_keys().next_key());
    }
}
