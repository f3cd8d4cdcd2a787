//! The policy of connections that can join groups.

use crate::hub::HubRef;

/// The policy of the connections of a server, a router or a route. A field that is `None` is inherited: a route's policy overrides its
/// router's, which overrides that of the enclosing router, which overrides the server's.
///
/// For an example see [`sansws_common::ConnectionPolicy`].
pub type ConnectionPolicy = sansws_common::ConnectionPolicy<HubRef>;
