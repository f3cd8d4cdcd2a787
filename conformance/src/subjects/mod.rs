//! Endpoints that echo, in memory: what `wsconform self` runs.

mod core;
mod tungstenite;

pub use self::core::Core;
pub use self::tungstenite::Tungstenite;
