//! How a connection of a server ended.

use sansws_core::close::Closed;
use sansws_core::route::Pattern;

use crate::error::Result;
use crate::socket::counters::Counters;

/// How a connection of a server ended.
///
/// ```
/// use sansws_common::ConnectionOutcome;
///
/// let nothing = ConnectionOutcome::default(); // of a connection that ended before a request
/// assert!(nothing.result.is_ok() && nothing.closed.is_none() && nothing.route.is_none());
/// assert_eq!(nothing.counters.received, 0);
/// ```
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
