//! The Rust of `docs/from-nexios.md` runs on tokio; `from_nexios_smol.rs` is its twin.

mod guide;

use sansws_tokio as sansws;

/// Runs a test to its end.
fn block_on<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(test)
}

/// Runs a task beside the test.
fn spawn(task: impl Future<Output: Send> + Send + 'static) {
    tokio::spawn(task);
}
