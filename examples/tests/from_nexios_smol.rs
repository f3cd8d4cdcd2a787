//! The Rust of `docs/from-nexios.md` runs on smol; `from_nexios_tokio.rs` is its twin.

mod guide;

use sansws_smol as sansws;

/// Runs a test to its end.
fn block_on<F: Future>(test: F) -> F::Output {
    smol::block_on(test)
}

/// Runs a task beside the test.
fn spawn(task: impl Future<Output: Send> + Send + 'static) {
    smol::spawn(task).detach();
}
