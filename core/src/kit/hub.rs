//! A hub in virtual time.

use crate::drive::{Hub, HubEnv};
use crate::random::Seed;
use crate::time::Instant;

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
