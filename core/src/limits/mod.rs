//! How much peers may send, and how many may connect.
//! RFC 6455 section 10.4.
//! Knows no connection and no socket: the caller reports events and times, and gets decisions.
//!
//! | file | what it decides |
//! | --- | --- |
//! | `rate` | whether something may happen now, and if not, when |
//! | `limiter` | whether a connection may send another message |
//! | `address` | whether an address may open another connection |

use crate::close::CloseCode;

/// The close of a connection that sends more than its [`TrafficLimits`] allow, if [`LimitAction::Close`] says so (RFC 6455 section 7.4.1).
pub const TOO_MANY_MESSAGES: (CloseCode, &str) =
    (CloseCode::POLICY, "more messages or bytes than the limit");

/// The close of a connection whose lifetime is over (RFC 6455 section 7.4.1).
pub const LIFETIME_OVER: (CloseCode, &str) = (CloseCode::AWAY, "the connection has lived its time");

mod address;
mod limiter;
mod rate;

pub use address::{AddressLimits, Addresses, Refused};
pub use limiter::{LimitAction, Meter, TrafficLimits, Verdict};
pub use rate::{Bucket, Rate};
