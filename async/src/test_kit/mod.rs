//! The test kit: a server in memory, clients with `expect_*` assertions, virtual time.
//! The whole of RFC 6455: everything except the sockets is real.
//! Knows no runtime and no port. An adapter provides `TestServer`s for its own handlers.
//!
//! ```
//! use std::time::Duration;
//! use sansws_async::app::Router;
//! use sansws_async::{Result, ServerOptions, Upgrade};
//! use sansws_async::test_kit::{MemoryTransport, TestServer};
//!
//! async fn echo(upgrade: Upgrade<MemoryTransport>) -> Result {
//!     let mut socket = upgrade.accept().await?;
//!     while let Some(message) = socket.receive().await? {
//!         socket.send(message).await?;
//!     }
//!     Ok(())
//! }
//!
//! # async fn test() -> Result {
//! let router = Router::new().route("/echo", echo);
//! let server = TestServer::over(router, ServerOptions::default(), MemoryTransport::new)?;
//! let mut socket = server.connect("/echo").await?;
//! socket.send_text("hello").await?;
//! socket.expect_text("hello").await;
//! socket.expect_nothing(Duration::from_secs(3600)).await; // at once
//! server.expect_reject("/elsewhere", 404).await;
//! server.handle().close();
//! socket.expect_close(1001).await;
//! # Ok(())
//! # }
//! # let mut test = Box::pin(test());
//! # let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
//! # for _ in 0..100_000 { if let std::task::Poll::Ready(done) = test.as_mut().poll(&mut cx) { return done.unwrap(); } }
//! # panic!("it does not end");
//! ```

mod clock;
mod hub;
mod pipe;
mod server;
mod socket;
mod world;

pub use clock::{Alarm, Clock};
pub use hub::{TestHub, Virtual};
pub use pipe::{MemoryStream, MemoryTransport};
pub use server::TestServer;
pub use socket::TestSocket;
