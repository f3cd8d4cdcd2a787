//! HTTP as far as the opening handshake needs it: heads, header fields, targets, statuses.
//! RFC 9110, RFC 9112; RFC 6455 section 4.
//! Knows nothing of WebSocket except its URL schemes.

pub(crate) mod body;
pub(crate) mod chunk;
mod credentials;
pub mod date;
pub(crate) mod exposition;
#[doc(hidden)]
pub mod field;
pub mod forwarded;
pub(crate) mod head;
mod join;
mod reading;
pub(crate) mod response;
mod status;
pub(crate) mod url;

pub use credentials::Credentials;
pub use head::{HeadError, Headers, RequestHead, parse_request};
pub(crate) use head::{ResponseHead, Scan, is_secret, parse_response, with_slots};
pub use response::Response;
pub use status::reason;
pub use url::Url;
