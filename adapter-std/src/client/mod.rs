//! Connecting: over any stream, over TCP and TLS, through proxies, along redirects, and again when a connection ends.
//! RFC 6455 section 4.1; `sansws-core` decides.

mod connecting;
mod dial;
mod race;
mod reconnecting;

pub use connecting::{Connecting, connect_over};
pub use dial::connect;
pub use reconnecting::Client;
