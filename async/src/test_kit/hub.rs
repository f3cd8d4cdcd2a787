//! A hub in virtual time.

use crate::hub::{Hub, HubEnv};
use sansws_core::random::Seed;
use sansws_core::time::Instant;

/// A hub whose time is that of the [`TestServer`](super::TestServer) it is given to, and whose ids are the same each time. An
/// adapter's own hub is in virtual time too, with ids that differ.
pub type TestHub = Hub<Virtual>;

/// Neither time nor entropy.
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
