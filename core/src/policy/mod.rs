//! Decisions about peers, as values: how much they may send, how many may connect, when to reconnect.
//! RFC 6455 sections 7.2.3 (reconnecting) and 10.4 (limits); RFC 9110 section 10.2.3 (Retry-After).
//! Knows no connection and no socket: the caller reports events and times, and gets decisions.
//!
//! | file | what it decides |
//! | --- | --- |
//! | `rate` | whether something may happen now, and if not, when |
//! | `limiter` | whether a connection may send another message |
//! | `address` | whether an address may open another connection |
//! | `attempts` | which address of a host to try next, and when |
//! | `backoff`, `reconnect` | whether a client reconnects, and when |
//! | `spread` | when each of many does what all have to do |

mod address;
mod attempts;
mod backoff;
mod limiter;
mod rate;
mod reconnect;
mod spread;

pub use address::{AddressLimits, Addresses, Refused};
pub use attempts::{ATTEMPT_DELAY, Attempt, Attempts};
pub use backoff::{Backoff, Retries};
pub use limiter::{LimitAction, Meter, TrafficLimits, Verdict};
pub use rate::{Bucket, Rate};
pub use reconnect::{Ended, Next, Reconnect, ReconnectOptions};
pub use spread::spread;
