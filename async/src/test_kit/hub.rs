//! A hub in virtual time.

use crate::hub::{Hub, HubEnv};
use sansws_core::random::Seed;
use sansws_core::time::Instant;

/// A hub that uses the time of the [`TestServer`](super::TestServer) to which it is attached, and generates the same ids in each run. An
/// adapter's own hub has virtual time too, but ids that differ.
///
/// ```
/// use sansws_async::app::Router;
/// use sansws_async::test_kit::{MemoryTransport, TestHub, TestServer};
/// use sansws_async::{Result, ServerOptions, Upgrade};
///
/// async fn lobby(upgrade: Upgrade<MemoryTransport>) -> Result {
///     let mut socket = upgrade.accept().await?;
///     socket.join("lobby").await?;
///     while let Some(text) = socket.receive_text().await? {
///         socket.publish("lobby", text).await?;
///     }
///     Ok(())
/// }
///
/// # async fn run() -> Result {
/// let hub = TestHub::new();
/// let router = Router::new().route("/", lobby).hub(&hub);
/// let server = TestServer::over(router, ServerOptions::default(), MemoryTransport::new)?;
/// let (mut ada, mut bob) = (server.connect("/").await?, server.connect("/").await?);
/// ada.send_text("hello").await?;
/// bob.expect_text("hello").await;
/// assert_eq!(hub.count("lobby"), 2);
/// # Ok(())
/// # }
/// # let mut run = std::pin::pin!(run());
/// # let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
/// # for _ in 0..100_000 {
/// #     if let std::task::Poll::Ready(done) = run.as_mut().poll(&mut cx) { return done.unwrap(); }
/// # }
/// # panic!("it does not end");
/// ```
pub type TestHub = Hub<Virtual>;

/// An environment without time and entropy.
///
/// For an example see [`TestHub`].
#[derive(Clone, Copy, Debug)]
pub struct Virtual;

impl HubEnv for Virtual {
    fn now() -> Instant {
        Instant::ZERO
    }

    fn seed() -> Seed {
        Seed::new([7; 32])
    }
}
