//! Links the hubs of several servers through Redis or Valkey.
//! No RFC.

pub mod request;
pub mod wire;
