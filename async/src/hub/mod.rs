//! The hub's handle, which `sansws-common` has, and the methods of a connection in it.

mod env;
mod socket;

pub use env::{now as hub_now, unix_time};
pub(crate) use sansws_common::hub::internal::{HubAttachment, Pulled};
pub use sansws_common::hub::internal::{
    OnThisThread, both, caught, drive_hub_beside, drive_hubs, hubs_on_this_thread, panic_message,
};
pub use sansws_common::hub::*;
