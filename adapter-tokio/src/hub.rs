//! The hub, with this crate's time and entropy.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use sansws_core::drive::HubEnv;
use sansws_core::random::Seed;
use sansws_core::time::Instant;

use crate::io::now;

/// Channels, groups, history and presence; see [`sansws_core::drive::Hub`] for its verbs, and [`sansws_core::hub`] for what they
/// mean.
///
/// ```no_run
/// use sansws_tokio::{Hub, Result, Router, Server, Upgrade};
///
/// async fn room(upgrade: Upgrade) -> Result {
///     let room: String = upgrade.param("room")?;
///     let mut socket = upgrade.accept().await?;
///     socket.join(&room).await?;
///     while let Some(text) = socket.receive_text().await? {
///         socket.publish(&room, text).await?;
///     }
///     Ok(())
/// }
///
/// # async fn run() -> Result {
/// let hub = Hub::new();
/// let router = Router::new().route("/rooms/{room}", room).hub(&hub);
/// Server::bind("127.0.0.1:8080").await?.serve(router).await?;
/// # Ok(())
/// # }
/// ```
pub type Hub = sansws_core::drive::Hub<SystemEnv>;

/// The time since the Unix epoch, and entropy of the system.
#[derive(Clone, Copy, Debug)]
pub struct SystemEnv;

impl HubEnv for SystemEnv {
    fn now() -> Instant {
        now() + since_1970()
    }

    fn seed() -> Seed {
        let mut octets = [0; 32];
        if getrandom::fill(&mut octets).is_err() {
            // What is drawn from it need not be secret, only another each time.
            let now = Self::now().as_micros().to_be_bytes();
            octets.iter_mut().zip(now).for_each(|(to, from)| *to = from);
        }
        Seed::new(octets)
    }
}

/// When the time of this process began. It is not set anew: time must not go back.
#[expect(clippy::disallowed_methods, reason = "this is the adapter's clock")]
fn since_1970() -> Duration {
    static BEGAN: OnceLock<Duration> = OnceLock::new();
    *BEGAN.get_or_init(|| {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        wall.unwrap_or_default()
            .saturating_sub(now().since(Instant::ZERO))
    })
}
