//! Routers of handlers and pages.
//!
//! ```
//! use sansws_std::{Router, Scope, Upgrade};
//!
//! fn room(upgrade: Upgrade) -> sansws_std::Result {
//!     let room: String = upgrade.param("room")?;
//!     let mut socket = upgrade.accept()?;
//!     socket.send_text(format!("welcome to {room}"))?;
//!     Ok(())
//! }
//!
//! let router = Router::new()
//!     .route("/rooms/{room}", room)
//!     .get("/health", |_: Scope| Ok(sansws_std::Response::text(200, "fine\n")));
//! # drop(router);
//! ```

mod router;
mod service;

pub use router::{Route, Router};
pub use service::{App, IntoService};
pub(crate) use service::{Decision, Handler};
