//! The time of a hub on a runtime.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use sansws_core::time::Instant;

use crate::runtime::{self, Runtime};

/// Returns the time since the Unix epoch, by the clock of the runtime.
pub fn now<R: Runtime>() -> Instant {
    runtime::now::<R>() + since_1970::<R>()
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
            .saturating_sub(runtime::now::<R>().since(Instant::ZERO))
    })
}
