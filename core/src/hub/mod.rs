//! Who is told what: topics and their filters.
//! No RFC: the filters are those of MQTT 5.0 section 4.7.
//! Knows no connection and no socket.

mod filter;

pub use filter::{Filter, FilterError, Filters};
