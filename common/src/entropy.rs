//! Entropy from the operating system.

use sansws_core::random::Seed;

/// Returns fresh entropy.
///
/// # Errors
/// When the operating system has none.
pub fn seed() -> Result<Seed, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(Seed::new(bytes))
}
