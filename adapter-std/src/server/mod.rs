//! Accepting connections, answering requests, and running handlers until they end.
//! RFC 6455 section 4.2; `sansws-core`'s `handshake` interprets heads.

mod accepting;
mod builder;
mod connection;
mod listener;
mod request_loop;
mod streaming;
mod upgrade;

pub use accepting::{Accepting, accept};
pub use builder::Server;
pub use listener::Listener;
pub(crate) use streaming::StreamedPage;
pub use streaming::StreamedResponse;
pub use upgrade::Upgrade;
