//! The clock of all connections of the process.

use std::sync::OnceLock;
use std::time::Instant as Real;

use sansws_core::time::Instant;

/// Returns the current time, from an epoch within the process.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the clock that the others are given"
)]
pub(crate) fn now() -> Instant {
    static EPOCH: OnceLock<Real> = OnceLock::new();
    let epoch = *EPOCH.get_or_init(Real::now);
    Instant::ZERO + Real::now().saturating_duration_since(epoch)
}
