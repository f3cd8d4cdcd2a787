//! Runs of worlds, and the shortest list of operations that still fails.
//! Knows no invariant: a run fails with a reason.

use std::panic::{AssertUnwindSafe, catch_unwind};

use sansws_core::hub::HubCounters;

use crate::ops::Op;
use crate::random::Trace;
use crate::world::World;

/// The result of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    pub trace: Trace,
    pub steps: u64,
    /// The counters of the nodes that were there at the end.
    pub counters: HubCounters,
    /// Why it failed, and after how many operations.
    pub failed: Option<(String, usize)>,
}

/// Most runs that shrinking takes, unless `SIMULATE_TRIES` says otherwise.
const TRIES: u64 = 400;

/// Does the operations in the world of a seed, and lets it come to rest.
pub fn run(seed: u64, ops: &[Op]) -> Run {
    let mut world = World::new(seed);
    let mut done = 0;
    let result = catch_unwind(AssertUnwindSafe(|| {
        for op in ops {
            done += 1;
            world.step(*op)?;
        }
        world.rest()
    }));
    let why = match result {
        Ok(Ok(())) => None,
        Ok(Err(why)) => Some(why),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
            Some(format!("panic: {}", text.unwrap_or_default()))
        }
    };
    Run {
        trace: world.trace,
        steps: world.steps,
        counters: world.counters(),
        failed: why.map(|why| (why, done)),
    }
}

/// The invariant that a reason names.
fn kind(why: &str) -> &str {
    why.split(':').next().unwrap_or_default()
}

/// Leaves out what is not needed to break the same invariant.
pub fn shrink(seed: u64, ops: &[Op]) -> (Vec<Op>, String) {
    let first = run(seed, ops);
    let Some((mut why, done)) = first.failed else {
        return (ops.to_vec(), String::new());
    };
    let most = crate::runs::number("SIMULATE_TRIES").unwrap_or(TRIES);
    let (mut least, mut tries) = (ops[..done].to_vec(), 0);
    let mut size = least.len().div_ceil(2);
    while size > 0 && tries < most {
        let (mut at, mut shorter) = (0, false);
        while at < least.len() && tries < most {
            let mut fewer = least.clone();
            fewer.drain(at..(at + size).min(least.len()));
            tries += 1;
            match run(seed, &fewer).failed {
                Some((other, done)) if kind(&other) == kind(&why) => {
                    fewer.truncate(done);
                    (least, why, shorter) = (fewer, other, true);
                }
                _ => at += size,
            }
        }
        if !shorter || size > 1 {
            size /= 2;
        }
    }
    (least, why)
}

/// Formats a failure: enough to paste it into a test.
pub fn report(seed: u64, ops: &[Op]) -> String {
    let (least, why) = shrink(seed, ops);
    let mut text = format!("\nSIMULATE_SEED={seed} breaks an invariant: {why}\n\n");
    text += &format!("    check({seed}, &[\n");
    for op in &least {
        text += &format!("        Op::{op:?},\n");
    }
    text += "    ]);\n";
    text
}
