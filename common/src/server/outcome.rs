//! How a connection of a server ended.

use sansws_core::close::Closed;
use sansws_core::route::Pattern;

use crate::error::Result;
use crate::socket::counters::Counters;

/// How a connection of a server ended.
#[derive(Debug)]
pub struct ConnectionOutcome {
    /// The handler's result, or why it was never called.
    pub result: Result,
    /// How the WebSocket connection ended, if there was one.
    pub closed: Option<Closed>,
    /// The pattern of the matched route.
    pub route: Option<Pattern>,
    /// The counters of the WebSocket connection.
    pub counters: Counters,
}

impl Default for ConnectionOutcome {
    fn default() -> Self {
        Self {
            result: Ok(()),
            closed: None,
            route: None,
            counters: Counters::default(),
        }
    }
}
