//! Routers of handlers and pages, for adapters whose layers and pages do not wait.
//! Knows no connection, and not what a handler is: `H` is the adapter's.

mod address;
mod always;
mod auth;
#[cfg(feature = "json")]
mod event_message;
#[cfg(feature = "json")]
mod events;
mod layer;
mod page;
mod router;
mod service;
mod table;

pub use address::PerAddress;
#[doc(hidden)]
pub use always::answer_of;
#[doc(hidden)]
pub use auth::Claim;
pub use auth::{Auth, Credential, Verifier};
#[cfg(feature = "json")]
#[doc(hidden)]
pub use event_message::EventMessage;
#[cfg(feature = "json")]
pub use event_message::{ReceivedEvent, RequestRefused};
#[cfg(feature = "json")]
#[doc(hidden)]
pub use events::EventProtocol;
pub use layer::Layer;
#[doc(hidden)]
pub use page::Page;
pub use page::{IntoPage, IntoResponse};
pub use router::{Route, Router};
pub use service::App;
#[doc(hidden)]
pub use service::Decision;
#[doc(hidden)]
pub use table::{Found, RouteTable, Target};

/// Stands where a policy names a hub: these adapters join groups in another way, or not at all.
pub type NoHub = std::convert::Infallible;
