//! Moments for many, so that not all do the same thing at once.
//! They are not random: any number of them is evenly spaced, and equal in each run.

use crate::time::Duration;

/// Returns the moment within a window for the one with this number: multiples of the golden ratio are evenly spaced in the unit interval,
/// whatever their number.
pub fn spread(number: u64, window: Duration) -> Duration {
    let place = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let micros = u64::try_from(window.as_micros()).unwrap_or(u64::MAX);
    let after = (u128::from(micros) * u128::from(place)) >> 64;
    Duration::from_micros(u64::try_from(after).unwrap_or(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_has_its_turn_in_each_tenth_of_the_window() {
        let window = Duration::from_secs(10);
        let mut tenths = [0; 10];
        for number in 0..1_000 {
            tenths[spread(number, window).as_secs() as usize] += 1;
        }
        assert!(
            tenths.iter().all(|count| (95..=105).contains(count)),
            "{tenths:?}"
        );
    }
}
