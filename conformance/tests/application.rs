//! Applications that fail, over real sockets and on both runtimes: whose fault it is, what the peer is told, what is counted.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

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
    mod errors {
        use super::super::tokio_runtime as runtime;
        use sansws_tokio as ws;

        include!("scenarios/errors_body.rs");
    }

    mod panics {
        use super::super::tokio_runtime as runtime;
        use sansws_tokio as ws;

        include!("scenarios/panics_body.rs");
    }

    mod texts {
        use super::super::tokio_runtime as runtime;
        use sansws_tokio as ws;

        include!("scenarios/texts_body.rs");
    }
}

mod on_smol {
    mod errors {
        use super::super::smol_runtime as runtime;
        use sansws_smol as ws;

        include!("scenarios/errors_body.rs");
    }

    mod panics {
        use super::super::smol_runtime as runtime;
        use sansws_smol as ws;

        include!("scenarios/panics_body.rs");
    }

    mod texts {
        use super::super::smol_runtime as runtime;
        use sansws_smol as ws;

        include!("scenarios/texts_body.rs");
    }
}
