//! The listeners for events of the nodes.

use crate::hub::crowding::Crowding;
use crate::hub::events::Listeners;

/// The listeners for events of the nodes.
#[derive(Debug, Default)]
pub(super) struct Outlets {
    pub(super) listeners: Listeners,
    pub(super) crowding: Crowding,
}
