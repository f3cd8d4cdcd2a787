//! The time of a hub on a runtime.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use sansws_core::time::Instant;

use crate::runtime::{self, Runtime};

/// Returns the time since the Unix epoch, by the clock of the runtime.
pub fn now<R: Runtime>() -> Instant {
    runtime::now::<R>() + since_1970::<R>()
}

/// Returns the time since the Unix epoch by the clock of the system, which may be set.
#[expect(
    clippy::disallowed_methods,
    reason = "what others signed expires by the clock of the system"
)]
pub fn unix_time() -> Instant {
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Instant::ZERO + wall.unwrap_or_default()
}

/// The start of this process's time. It never changes, because time must not go back.
fn since_1970<R: Runtime>() -> Duration {
    static BEGAN: OnceLock<Duration> = OnceLock::new();
    *BEGAN.get_or_init(|| unix_time().since(runtime::now::<R>()))
}
