//! Accepting connections, answering requests, and running handlers until they end.
//! RFC 6455 section 4.2; `sansws-core`'s `handshake` interprets heads.

pub(crate) mod accept;
pub(crate) mod builder;
pub(crate) mod connection_task;
pub(crate) mod listener;
pub(crate) mod open_connection;
pub(crate) mod options;
pub(crate) mod proxy_header;
pub(crate) mod request_loop;
pub(crate) mod service;
pub(crate) mod streaming;
pub(crate) mod upgrade;
pub(crate) mod verdict;

pub(crate) use sansws_common::server::{connect_info, handle, outcome, scope};

pub use accept::{Listen, accept, obey_signals, until_told};
pub use builder::{LocalTask, Server, Wire};
pub use connect_info::ConnectInfo;
pub use connection_task::serve;
pub use handle::{Admission, ConnectionPermit, RefusalPermit, ServerHandle};
pub use listener::{Accepted, Listener};
pub use options::ServerOptions;
pub use outcome::ConnectionOutcome;
pub use proxy_header::receive_proxy_header;
pub use request_loop::{receive_request, refuse};
pub use scope::Scope;
pub use service::{Answer, Answering, Decision, IntoService, Service, Single};
pub use streaming::{PageReply, StreamedResponse};
pub use upgrade::Upgrade;
