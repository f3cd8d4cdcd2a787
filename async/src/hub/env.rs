//! The time and the entropy of a hub on a runtime.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use sansws_core::random::Seed;
use sansws_core::time::Instant;

use crate::hub::HubEnv;
use crate::runtime::entropy::seed;
use crate::runtime::{Runtime, now};

/// Provides the time since the Unix epoch, and the system's entropy.
impl<R: Runtime> HubEnv for R {
    fn now() -> Instant {
        now::<R>() + since_1970::<R>()
    }

    fn seed() -> Seed {
        seed().unwrap_or_else(|_| {
            // Values drawn from it need not be secret, only different each time.
            let mut bytes = [0; 32];
            let now = <R as HubEnv>::now().as_micros().to_be_bytes();
            bytes.iter_mut().zip(now).for_each(|(to, from)| *to = from);
            Seed::new(bytes)
        })
    }
}

/// The start of this process's time. It never changes, because time must not go back.
#[expect(
    clippy::disallowed_methods,
    reason = "the clock of the system is read once"
)]
fn since_1970<R: Runtime>() -> Duration {
    static BEGAN: OnceLock<Duration> = OnceLock::new();
    *BEGAN.get_or_init(|| {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        wall.unwrap_or_default()
            .saturating_sub(now::<R>().since(Instant::ZERO))
    })
}
