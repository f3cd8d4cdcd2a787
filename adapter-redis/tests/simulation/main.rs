//! The simulation of core, with processes that are linked through a Redis in memory: all that can go wrong there does too.
//! Clients, connections, hubs and invariants are those of core's simulation; in place of the broker, each process has a machine.
//! Faults planted into the machine, each of which these seeds must find: `planted.rs`.
//!
//! `SIMULATE_SEED=n` runs one seed, `SIMULATE_SEEDS=n` so many, `SIMULATE_FROM=n` begins there. `make simulate` runs many.

#[path = "../../../core/tests/simulation/check.rs"]
mod check;
#[path = "../../../core/tests/simulation/links.rs"]
mod links;
#[path = "../memory/mod.rs"]
mod memory;
#[path = "../../../core/tests/simulation/model.rs"]
mod model;
#[path = "../../../core/tests/simulation/ops.rs"]
mod ops;
#[path = "../../../core/tests/simulation/pipe.rs"]
mod pipe;
mod plane;
#[path = "../../../core/tests/simulation/play.rs"]
mod play;
#[path = "../../../core/tests/simulation/random.rs"]
mod random;
#[path = "../../../core/tests/simulation/runs.rs"]
mod runs;
#[path = "../../../core/tests/simulation/session.rs"]
mod session;
#[path = "../../../core/tests/simulation/setup.rs"]
mod setup;
#[path = "../../../core/tests/simulation/shrink.rs"]
mod shrink;
#[path = "../../../core/tests/simulation/traffic.rs"]
mod traffic;
mod trouble;
#[path = "../../../core/tests/simulation/view.rs"]
mod view;
mod wires;
#[path = "../../../core/tests/simulation/world.rs"]
mod world;

#[test]
fn all_seeds_keep_the_invariants() {
    runs::all_seeds();
}

#[test]
fn equal_seeds_give_equal_traces() {
    runs::same_seeds();
}
