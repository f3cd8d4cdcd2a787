//! The clock of all connections of the process.

use sansws_common::clock::from_real;
use sansws_core::time::Instant;

/// Returns the current time.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the clock that the others are given"
)]
pub(crate) fn now() -> Instant {
    from_real(std::time::Instant::now())
}
