//! The options of a server whose connections can join groups.

use crate::hub::HubRef;

/// Options of a server.
pub type ServerOptions = sansws_common::ServerOptions<HubRef>;
