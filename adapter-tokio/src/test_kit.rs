//! The test kit for handlers of this crate: see [`sansws_async::test_kit`].
//!
//! ```
//! use std::time::Duration;
//! use sansws_tokio::test_kit::server;
//! use sansws_tokio::{Result, Router, Upgrade, sleep};
//!
//! async fn late(upgrade: Upgrade) -> Result {
//!     let mut socket = upgrade.accept().await?;
//!     sleep(Duration::from_secs(10)).await;
//!     socket.send_text("at last").await?;
//!     Ok(())
//! }
//!
//! # async fn test() -> Result {
//! let server = server(Router::new().route("/late", late))?;
//! let mut socket = server.connect("/late").await?;
//! socket.expect_nothing(Duration::from_secs(9)).await;
//! socket.expect_text("at last").await;
//! socket.expect_close(1000).await;
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(test()).unwrap();
//! ```

pub use sansws_async::test_kit::*;

use crate::Tokio;

sansws_async::adapter_test_kit!(Tokio);
