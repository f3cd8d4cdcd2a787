//! The simulation: worlds drawn from seeds, in virtual time, in which all that can go wrong does.
//! HUB.md's invariants are checked after every step and at rest; a failing seed prints itself and a short list of operations.
//! The real handshake, codec, deflate, router, hub and broker; no socket and no clock.
//!
//! `SIMULATE_SEED=n` runs one seed, `SIMULATE_SEEDS=n` so many, `SIMULATE_FROM=n` begins there. `make simulate` runs many.

mod check;
mod links;
mod model;
mod ops;
mod pipe;
mod play;
mod random;
mod session;
mod setup;
mod shrink;
mod traffic;
mod view;
mod world;

use ops::Op;
use shrink::{report, run};

/// Seeds that each run of the tests goes through.
const SEEDS: u64 = 300;

/// Operations of a world.
const OPS: usize = 150;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs seeds; says how many steps they took.
fn seeds(range: core::ops::Range<u64>) -> u64 {
    let mut steps = 0;
    for seed in range {
        let ops = ops::draw(seed, OPS);
        let run = run(seed, &ops);
        steps += run.steps;
        assert!(run.failed.is_none(), "{}", report(seed, &ops));
    }
    steps
}

/// Replays operations that once broke something.
#[expect(dead_code, reason = "what a failing seed prints calls it")]
fn check(seed: u64, ops: &[Op]) {
    let run = run(seed, ops);
    assert!(run.failed.is_none(), "{}", report(seed, ops));
}

#[test]
fn all_seeds_keep_the_invariants() {
    if let Some(seed) = number("SIMULATE_SEED") {
        seeds(seed..seed + 1);
        return;
    }
    let first = number("SIMULATE_FROM").unwrap_or(0);
    let count = number("SIMULATE_SEEDS").unwrap_or(SEEDS);
    #[expect(clippy::disallowed_methods, reason = "only to say how fast it was")]
    let begun = std::time::Instant::now();
    let steps = seeds(first..first + count);
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{count} seeds, {steps} steps in {seconds:.1} s: {:.0} steps a second",
        steps as f64 / seconds
    );
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in [1, 7, 23, 104] {
        let ops = ops::draw(seed, OPS);
        let (one, two) = (run(seed, &ops), run(seed, &ops));
        assert_eq!(one.trace, two.trace, "seed {seed}");
        assert_eq!(one.steps, two.steps, "seed {seed}");
    }
}
