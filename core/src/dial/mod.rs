//! Dialing: the order and times at which to try the addresses of a server, and whether to dial again after a connection ended.
//! RFC 6455 section 7.2.3 (reconnecting), RFC 8305 section 5 (several addresses), RFC 9110 section 10.2.3 (Retry-After).
//! Knows no socket: the caller reports events and times, and gets decisions.
//!
//! | file | what it decides |
//! | --- | --- |
//! | `attempts` | which address of a host to try next, and when |
//! | `backoff` | how long to wait before the next attempt |
//! | `reconnect` | whether a client reconnects, and when |

mod attempts;
pub(crate) mod backoff;
mod reconnect;

pub use attempts::{ATTEMPT_DELAY, Attempt, Attempts};
pub use backoff::Backoff;
pub use reconnect::{Ended, Next, Reconnect, ReconnectOptions};
