//! Applications: routers of handlers, layers before them, endpoints, pages.
//! RFC 6455 section 4.2.2 for decisions before the upgrade; RFC 9110 section 15 for the answers.
//! Knows no listener and no runtime: an adapter serves a [`Router`] like a single handler.
//!
//! ```
//! use sansws_async::app::{Layer, Route, Router};
//! use sansws_async::{Result, Scope, Transport, Upgrade};
//! use sansws_core::http::Response;
//!
//! async fn room<T: Transport>(upgrade: Upgrade<T>) -> Result {
//!     let room: String = upgrade.param("room")?;
//!     let mut socket = upgrade.accept().await?;
//!     while let Some(text) = socket.receive_text().await? {
//!         socket.send_text(format!("{room}: {text}")).await?;
//!     }
//!     Ok(())
//! }
//!
//! fn members(scope: &mut Scope) -> Result<(), Response> {
//!     match scope.cookie("session") {
//!         Some(_) => Ok(()),
//!         None => Err(Response::text(403, "members only\n")),
//!     }
//! }
//!
//! # fn check<T: Transport + Send + 'static>() -> Result<(), Box<dyn std::error::Error>> {
//! let chat = Router::<T>::with_prefix("/chat")
//!     .route("/{room}", room)
//!     .layer(members);
//! let app = Router::new()
//!     .merge(chat)
//!     .add(Route::new("/echo", room).named("echo"))
//!     .get("/health", async |_: Scope| "fine\n")
//!     .build()?;
//! assert_eq!(app.url_for("echo", &[])?, "/echo");
//! # Ok(())
//! # }
//! ```

mod auth;
mod endpoint;
#[cfg(feature = "json")]
mod events;
mod handler;
mod layer;
mod router;
mod service;
mod target;

pub use auth::Verifier;
pub use endpoint::Endpoint;
#[cfg(feature = "json")]
pub use events::EventSocket;
pub use handler::{Handler, IntoHandler, IntoPage, Page};
pub use layer::Layer;
pub use router::{Route, Router};
pub use sansws_common::app::{Auth, Credential, IntoResponse, PerAddress};
#[cfg(feature = "json")]
pub use sansws_common::app::{ReceivedEvent, RequestRefused};
pub use service::App;
