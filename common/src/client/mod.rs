//! Parts that clients share: options, states, the queue of one that reconnects.

pub mod options;
pub mod proxies;
pub mod queue;
pub mod request;
pub mod state;
pub mod trace;
pub mod tried;
