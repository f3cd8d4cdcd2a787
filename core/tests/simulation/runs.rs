//! Runs of many worlds, and what must be seen in them.
//! Knows no invariant.

use sansws_core::hub::HubCounters;

use crate::ops::{self, Op};
use crate::shrink::{report, run};

/// Seeds that each run of the tests goes through.
const SEEDS: u64 = 300;

/// Operations of a world.
const OPS: usize = 150;

pub fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs seeds; says how many steps they took, and what happened in them.
fn seeds(range: core::ops::Range<u64>) -> (u64, HubCounters) {
    let (mut steps, mut counters) = (0, HubCounters::default());
    for seed in range {
        let ops = ops::draw(seed, OPS);
        let run = run(seed, &ops);
        steps += run.steps;
        counters.add(&run.counters);
        assert!(run.failed.is_none(), "{}", report(seed, &ops));
    }
    (steps, counters)
}

/// Replays operations that once broke something.
#[expect(dead_code, reason = "what a failing seed prints calls it")]
pub fn check(seed: u64, ops: &[Op]) {
    let run = run(seed, ops);
    assert!(run.failed.is_none(), "{}", report(seed, ops));
}

pub fn all_seeds() {
    if let Some(seed) = number("SIMULATE_SEED") {
        seeds(seed..seed + 1);
        return;
    }
    let first = number("SIMULATE_FROM").unwrap_or(0);
    let count = number("SIMULATE_SEEDS").unwrap_or(SEEDS);
    #[expect(clippy::disallowed_methods, reason = "only to say how fast it was")]
    let begun = std::time::Instant::now();
    let (steps, counters) = seeds(first..first + count);
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{count} seeds, {steps} steps in {seconds:.1} s: {:.0} steps a second",
        steps as f64 / seconds
    );
    if count >= SEEDS {
        check_rich(&counters);
    }
}

/// Events that never happen prove nothing.
fn check_rich(counters: &HubCounters) {
    let c = counters;
    let all = [
        ("closed_slow", c.closed_slow),
        ("expired_channels", c.expired_channels),
        ("limited", c.limited),
        ("stale", c.stale),
        ("published_alone", c.published_alone),
        ("direct", c.direct),
        ("notices", c.notices),
        ("dropped_newest", c.dropped_newest),
        ("dropped_oldest", c.dropped_oldest),
        ("dropped_conflated", c.dropped_conflated),
        ("dropped_aged", c.dropped_aged),
        ("expired", c.expired),
        ("discarded", c.discarded),
        ("replayed", c.replayed),
        ("recoveries", c.recoveries),
        ("incomplete", c.incomplete),
        ("repairs", c.repairs),
        ("repaired", c.repaired),
        ("gaps", c.gaps),
        ("lost", c.lost),
        ("stray", c.stray),
        ("downs", c.downs),
    ];
    println!("{all:?}");
    for (name, count) in all {
        assert!(count > 0, "in no world there is any {name}");
    }
}

pub fn same_seeds() {
    for seed in [1, 7, 23, 104] {
        let ops = ops::draw(seed, OPS);
        let (one, two) = (run(seed, &ops), run(seed, &ops));
        assert_eq!(one.trace, two.trace, "seed {seed}");
        assert_eq!(one.steps, two.steps, "seed {seed}");
    }
}
