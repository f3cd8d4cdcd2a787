//! A hub in virtual time.

use crate::hub::{Hub, HubEnv};
use sansws_core::random::Seed;
use sansws_core::time::Instant;

/// A hub that uses the time of the [`TestServer`](super::TestServer) to which it is attached, and generates the same ids in each run. An
/// adapter's own hub has virtual time too, but ids that differ.
pub type TestHub = Hub<Virtual>;

/// An environment without time and entropy.
#[derive(Clone, Copy, Debug)]
pub struct Virtual;

impl HubEnv for Virtual {
    fn now() -> Instant {
        Instant::ZERO
    }

    fn seed() -> Seed {
        Seed::new([7; 32])
    }
}
