//! The test kit for handlers of this crate: see [`sansws_core::kit`].
//!
//! ```
//! use std::time::Duration;
//! use sansws_smol::test::server;
//! use sansws_smol::{Result, Router, Upgrade, sleep};
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
//! # smol::block_on(test()).unwrap();
//! ```

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};
use sansws_core::drive::{Error, IntoService, Result, ServerOptions};
use sansws_core::kit::{Clock, MemoryStream};
pub use sansws_core::kit::{TestServer, TestSocket};

use crate::{Io, Stream, Wire};

/// A server in memory, with default options.
///
/// # Errors
/// When routes are in each other's way.
pub fn server<S>(service: S) -> Result<TestServer, Error>
where
    S: IntoService<Wire>,
    S::Service: 'static,
{
    server_with(service, ServerOptions::default())
}

/// A server in memory.
///
/// # Errors
/// When routes are in each other's way.
pub fn server_with<S>(service: S, options: ServerOptions) -> Result<TestServer, Error>
where
    S: IntoService<Wire>,
    S::Service: 'static,
{
    let transport =
        |stream: MemoryStream, clock: &Clock| Io::in_time_of(clock, Stream::Memory(Memory(stream)));
    TestServer::over(service, options, transport)
}

/// A server in memory, and in real time: for handlers that wait for threads, timers or sockets of the runtime, such as a database.
///
/// # Errors
/// When routes are in each other's way.
pub fn server_in_real_time<S>(service: S) -> Result<TestServer, Error>
where
    S: IntoService<Wire>,
    S::Service: 'static,
{
    server_in_real_time_with(service, ServerOptions::default())
}

/// Serves a router with options.
///
/// # Errors
/// When routes are in each other's way.
pub fn server_in_real_time_with<S>(service: S, options: ServerOptions) -> Result<TestServer, Error>
where
    S: IntoService<Wire>,
    S::Service: 'static,
{
    let server = server_with(service, options)?;
    let sleep = async |time| {
        async_io::Timer::after(time).await;
    };
    Ok(server.in_real_time(crate::io::now, sleep))
}

/// An end of a connection in memory, as a stream of smol's.
#[derive(Debug)]
pub struct Memory(MemoryStream);

impl AsyncRead for Memory {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_read(cx, into)
    }
}

impl AsyncWrite for Memory {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, &[IoSlice::new(from)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, from)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.end_writing();
        Poll::Ready(Ok(()))
    }
}
