//! The hub: channels, groups, history and presence. Any thread may use its handle; each loop of a server has a node of it.
//!
//! A connection joins by [`Socket::join`](crate::Socket::join); [`Hub::publish`] publishes from timers, closures and other threads:
//!
//! ```
//! use sansws_mio::{Endpoint, Hub, Incoming, Result, Router, Scope, Socket};
//! use sansws_mio::AcceptOptions;
//!
//! struct Room;
//!
//! impl Endpoint for Room {
//!     type Data = ();
//!
//!     fn upgrade(&mut self, _: &mut Scope, _: &mut AcceptOptions) -> Result {
//!         Ok(())
//!     }
//!
//!     fn open(&mut self, socket: &mut Socket<'_, ()>) -> Result {
//!         Ok(socket.join("lobby")?)
//!     }
//!
//!     fn message(&mut self, socket: &mut Socket<'_, ()>, message: Incoming<'_>) -> Result {
//!         Ok(socket.publish("lobby", message.into_message())?)
//!     }
//! }
//!
//! let hub = Hub::new();
//! let router = Router::new().route("/", Room).hub(&hub);
//! hub.publish("lobby", "from anywhere").try_publish()?;
//! # drop(router);
//! # Ok::<(), sansws_mio::Error>(())
//! ```

use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

pub use sansws_common::hub::Link;
use sansws_common::hub::{self, HubEnv};
use sansws_core::time::Instant;

use crate::clock::now;

/// Channels, groups, history and presence; see [`sansws_common::hub::Hub`] for its methods, and [`sansws_core::hub`] for what they mean.
///
/// ```
/// use sansws_mio::{GroupOptions, HistoryOptions, Hub, HubOptions};
///
/// let options = GroupOptions::default().history(HistoryOptions::default());
/// let hub = Hub::with_options(HubOptions::default().namespace("chat", options));
/// let published = hub.publish("chat:lobby", "from any thread").try_publish()?;
/// assert_eq!(published.position.map(|position| position.offset), Some(1));
/// # Ok::<(), sansws_mio::Error>(())
/// ```
pub type Hub = hub::Hub<Clock>;

/// The clock of the process, as the time since the Unix epoch.
#[derive(Clone, Copy, Debug)]
pub struct Clock;

impl HubEnv for Clock {
    fn now() -> Instant {
        now() + since_1970()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "what others signed expires by the clock of the system"
    )]
    fn unix_time() -> Instant {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Instant::ZERO + wall.unwrap_or_default()
    }
}

/// The start of this process's time. It never changes, because time must not go back.
fn since_1970() -> Duration {
    static BEGAN: OnceLock<Duration> = OnceLock::new();
    *BEGAN.get_or_init(|| Clock::unix_time().since(now()))
}
