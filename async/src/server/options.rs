//! The options of a server whose connections can join groups.

use crate::hub::HubRef;

/// Options of a server.
///
/// For an example see [`sansws_common::ServerOptions`].
pub type ServerOptions = sansws_common::ServerOptions<HubRef>;
