//! Notices: what members are told besides messages.
//! Plain values.

use alloc::sync::Arc;

/// A notification to a member of a group, other than a message.
///
/// For examples see [`Format`](super::Format) and [`GroupOptions::notices`](super::GroupOptions::notices).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// Messages were dropped for this member because it read too slowly.
    Skipped {
        /// The group.
        group: Arc<str>,
        /// The number of messages.
        count: u64,
    },
    /// Messages were lost on the way to this node, and cannot be recovered.
    Gap {
        /// The group.
        group: Arc<str>,
        /// The number of messages; `None` if unknown.
        count: Option<u64>,
    },
    /// Messages to all channels of the user were lost on the way to this node.
    UserGap {
        /// The user.
        user: Arc<str>,
        /// The number of messages; `None` if unknown.
        count: Option<u64>,
    },
    /// Users came, went, or changed.
    Presence(Arc<super::PresenceChange>),
}

impl Notice {
    /// Returns the group or the user that it is about.
    pub fn group(&self) -> &Arc<str> {
        match self {
            Self::Skipped { group, .. } | Self::Gap { group, .. } => group,
            Self::UserGap { user, .. } => user,
            Self::Presence(change) => &change.group,
        }
    }
}
