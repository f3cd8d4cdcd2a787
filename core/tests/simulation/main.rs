//! The simulation: worlds drawn from seeds, in virtual time, in which all that can go wrong does.
//! The invariants of the hub are checked after every step and at rest; a failing seed prints itself and a short list of operations.
//! Faults planted into the hub, each of which these seeds must find: `planted.rs`.
//! The real handshake, codec, deflate, router, hub and broker; no socket and no clock.
//!
//! `SIMULATE_SEED=n` runs one seed, `SIMULATE_SEEDS=n` so many, `SIMULATE_FROM=n` begins there. `make simulate` runs many.

mod check;
mod links;
mod model;
mod ops;
mod pipe;
mod plane;
mod play;
mod random;
mod runs;
mod session;
mod setup;
mod shrink;
mod traffic;
mod view;
mod world;

#[test]
fn all_seeds_keep_the_invariants() {
    runs::all_seeds();
}

#[test]
fn equal_seeds_give_equal_traces() {
    runs::same_seeds();
}
