//! Names of groups and users.

use std::sync::Arc;

/// The name of a group or a user.
pub type Name = Arc<str>;
