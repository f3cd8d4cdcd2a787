//! Parts that clients share: options, states, the queue of one that reconnects.

pub mod options;
pub mod queue;
pub mod request;
pub mod state;
