//! The Centrifuge client protocol, version 2, over the hub of sansws.
mod api;
mod application;
mod codes;
mod endpoint;
mod format;
mod options;
pub mod protocol;
pub mod session;
mod token;

pub use codes::{ClientError, Disconnect, Refusal, Unsubscribe};
pub use endpoint::{Centrifuge, Protocol};
pub use options::{Access, Namespace, Options};
pub use session::{Connect, Subscribe};
pub use token::{KeyError, TokenError, TokenKeys};
