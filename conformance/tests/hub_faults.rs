//! Groups as careless applications use them, on both runtimes: bursts, callbacks that fail, dropped futures, presence that changes.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

/// What a runtime is asked for.
mod tokio_runtime {
    pub fn block_on<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(work)
    }

    pub fn spawn(work: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(work);
    }
}

mod smol_runtime {
    pub use smol::block_on;

    pub fn spawn(work: impl Future<Output = ()> + Send + 'static) {
        smol::spawn(work).detach();
    }
}

mod on_tokio {
    use super::tokio_runtime as runtime;
    use sansws_tokio as ws;

    include!("scenarios/hub_faults_body.rs");
}

mod on_smol {
    use super::smol_runtime as runtime;
    use sansws_smol as ws;

    include!("scenarios/hub_faults_body.rs");
}
