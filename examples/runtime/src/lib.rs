//! A third runtime, in one file.
//!
//! `adapter.rs` is small and complete rather than fast: the server, client and hub scenarios of sansws' own adapters run on it as they
//! do on tokio and smol. Copy it to bring sansws to a runtime of your own. It is for Unix.

mod adapter;
#[cfg(feature = "test-kit")]
pub mod test_kit {
    //! The test kit on this runtime.
    use crate::Mio;

    pub use sansws_async::test_kit::*;

    sansws_async::adapter_test_kit!(Mio);
}

pub use sansws_async::runtime::FuturesIo as Compat;
#[doc(inline)]
pub use sansws_async::*;

pub use adapter::{Mio, Socket};

sansws_async::adapter!(Mio, Compat);
