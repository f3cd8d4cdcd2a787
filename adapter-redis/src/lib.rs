//! Links the hubs of several servers through Redis or Valkey.
//! No RFC.

pub mod machine;
pub mod request;
pub mod wire;
