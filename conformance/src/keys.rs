//! The masking keys of a client, and patterns that keys chosen at random do not show.
//! RFC 6455 sections 5.3 and 10.3.
//! Knows no frames. A client whose keys are random fails a check once in some million runs at most.

use std::collections::{BTreeMap, BTreeSet};

/// Maximum number of keys that are remembered.
const MOST: usize = 1000;

/// The masking keys of a connection, in order.
#[derive(Debug, Default)]
pub struct Keys(Vec<[u8; 4]>);

/// A pattern that masking keys must not show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// The key of a frame is that of the frame before it, or of several before.
    Repeats,
    /// Each key is the one before plus a constant.
    Counts,
    /// A key repeats one octet, or two.
    RepeatsOctets,
    /// Some octet of the keys hardly varies.
    Fixed,
}

impl Keys {
    /// Adds the key of a frame.
    pub fn add(&mut self, key: [u8; 4]) {
        if self.0.len() < MOST {
            self.0.push(key);
        }
    }

    /// Returns the first key.
    pub fn first(&self) -> Option<[u8; 4]> {
        self.0.first().copied()
    }

    /// Returns whether there was no key yet.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Checks for a pattern.
    ///
    /// # Errors
    /// A description of the pattern.
    pub fn check(&self, pattern: Pattern) -> Result<(), String> {
        let count = self.0.len();
        match pattern {
            Pattern::Repeats => {
                let distinct = self.0.iter().collect::<BTreeSet<_>>().len();
                // Two equal keys in 1000 are chance.
                fault(distinct + 1 < count, || {
                    format!("{count} frames had only {distinct} masking keys (5.3)")
                })
            }
            Pattern::Counts => {
                for (order, number) in [
                    ("big", u32::from_be_bytes as fn([u8; 4]) -> u32),
                    ("little", u32::from_le_bytes),
                ] {
                    let numbers: Vec<u32> = self.0.iter().map(|key| number(*key)).collect();
                    let mut steps = BTreeMap::<u32, usize>::new();
                    for (one, next) in numbers.iter().zip(numbers.iter().skip(1)) {
                        *steps.entry(next.wrapping_sub(*one)).or_default() += 1;
                    }
                    let most = steps.into_iter().max_by_key(|(_, times)| *times);
                    if let Some((step, times)) = most {
                        fault(times > 2 && times * 4 > count, || {
                            format!(
                                "{times} of {count} masking keys are the one before plus {step:#x}, as {order}-endian numbers (5.3)"
                            )
                        })?;
                    }
                }
                Ok(())
            }
            Pattern::RepeatsOctets => {
                let twice = |key: &&[u8; 4]| matches!(key, [a, b, c, d] if a == c && b == d || a == b && c == d);
                let times = self.0.iter().filter(twice).count();
                fault(times > 3, || {
                    format!("{times} of {count} masking keys repeat one octet or two (5.3)")
                })
            }
            Pattern::Fixed => {
                for place in 0..4 {
                    let octets = self.0.iter().filter_map(|key| key.get(place));
                    let distinct = octets.collect::<BTreeSet<_>>().len();
                    // Of 100 octets at random, 80 are distinct.
                    fault(count >= 100 && distinct < 40, || {
                        format!(
                            "octet {place} of {count} masking keys has only {distinct} values (5.3)"
                        )
                    })?;
                }
                Ok(())
            }
        }
    }
}

fn fault(found: bool, says: impl FnOnce() -> String) -> Result<(), String> {
    if found { Err(says()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setting::Random;

    const ALL: [Pattern; 4] = [
        Pattern::Repeats,
        Pattern::Counts,
        Pattern::RepeatsOctets,
        Pattern::Fixed,
    ];

    fn shown(make: impl FnMut(u32) -> [u8; 4]) -> Vec<Pattern> {
        let keys = Keys((0..101).map(make).collect());
        let shows = |pattern: &Pattern| keys.check(*pattern).is_err();
        ALL.into_iter().filter(shows).collect()
    }

    #[test]
    fn keys_at_random_show_no_pattern() {
        for seed in 0..1000 {
            let mut random = Random(seed);
            let mut key = || (random.next() as u32).to_be_bytes();
            assert_eq!(shown(|_| key()), [], "seed {seed}");
        }
    }

    #[test]
    fn patterns_are_seen() {
        use Pattern::{Counts, Fixed, Repeats, RepeatsOctets};
        let mut random = Random(7);
        let mut octet = || random.next() as u8;
        assert_eq!(
            shown(|_| [1, 2, 3, 4]),
            ALL[..2].iter().chain(&[Fixed]).copied().collect::<Vec<_>>()
        );
        assert_eq!(shown(|n| n.to_be_bytes()), [Counts, Fixed]);
        assert_eq!(shown(|n| (n * 77).to_le_bytes()), [Counts, Fixed]);
        assert_eq!(
            shown(|n| n.wrapping_mul(0x9e37_79b9).to_be_bytes()),
            [Counts]
        );
        assert_eq!(shown(|_| [octet(); 4]), [Repeats, RepeatsOctets]);
        assert_eq!(shown(|_| [octet(), octet(), 0, 9]), [Fixed]);
        let mut keys = (0..50)
            .map(|_| [octet(), octet(), octet(), octet()])
            .collect::<Vec<_>>();
        keys.extend(keys.clone());
        assert_eq!(
            Keys(keys).check(Repeats),
            Err("100 frames had only 50 masking keys (5.3)".into())
        );
    }
}
