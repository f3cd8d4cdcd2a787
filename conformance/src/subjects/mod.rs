//! Echo endpoints in memory, for `wsconform self`.

mod adapters;
mod core;
mod tungstenite;

pub use self::adapters::{on_event_loop, on_smol, on_threads, on_tokio};
pub use self::core::{Core, config};
pub use self::tungstenite::Tungstenite;
