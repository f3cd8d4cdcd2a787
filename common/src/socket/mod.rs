//! Parts that connections share: messages as values, messages that were read ahead, counters.

pub mod answers;
pub mod counters;
pub mod ending;
pub mod from_message;
pub mod memory;
pub mod outbox;
pub mod read_ahead;
pub mod taking;
pub mod traffic;
