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

use crate::{Error, IntoService, Result, ServerOptions, Tokio, Wire};

/// Serves in memory and in virtual time, with default options.
///
/// # Errors
/// When routes conflict.
pub fn server<S>(service: S) -> Result<TestServer, Error>
where
    S: IntoService<Wire>,
    S::Service: 'static,
{
    server_with(service, ServerOptions::default())
}

/// Serves in memory and in virtual time.
///
/// # Errors
/// When routes conflict.
pub fn server_with<S>(service: S, options: ServerOptions) -> Result<TestServer, Error>
where
    S: IntoService<Wire>,
    S::Service: 'static,
{
    TestServer::on::<Tokio, S>(service, options)
}

/// Serves in memory and in real time, for handlers that wait for threads, timers or sockets of the runtime, such as a database.
///
/// # Errors
/// When routes conflict.
pub fn server_in_real_time<S>(service: S) -> Result<TestServer, Error>
where
    S: IntoService<Wire>,
    S::Service: 'static,
{
    server_in_real_time_with(service, ServerOptions::default())
}

/// Serves in memory and in real time, with options.
///
/// # Errors
/// When routes conflict.
pub fn server_in_real_time_with<S>(service: S, options: ServerOptions) -> Result<TestServer, Error>
where
    S: IntoService<Wire>,
    S::Service: 'static,
{
    Ok(server_with(service, options)?.in_real_time_on::<Tokio>())
}
