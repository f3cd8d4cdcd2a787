//! Names of nodes, channels and groups.
//! A stale id is harmless by construction: its generation is over.
//! Knows no connection.

use alloc::sync::Arc;
use core::fmt;
use core::str::FromStr;

use super::HubError;

/// One start of one hub. It must be fresh entropy each time: it distinguishes the state that a crashed node left behind from that of its
/// successor.
///
/// ```
/// use sansws_core::hub::{ChannelId, NodeId};
///
/// let id = ChannelId::from_parts(NodeId(0xa1), 11, 1);
/// assert_eq!(id.node, NodeId(0xa1));
/// assert_eq!(id.node.to_string(), "00000000000000a1");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u64);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The address of a connection, on any node. It is not secret, and never refers to another connection.
///
/// It is formatted as `node-slot-generation` in hexadecimal digits, and can be parsed back.
///
/// ```
/// use sansws_core::hub::ChannelId;
///
/// // It may be kept in a database, and sent back later.
/// let id: ChannelId = "00000000000000a1-0000000b-00000001".parse()?;
/// assert_eq!((id.node.0, id.slot(), id.generation()), (0xa1, 0xb, 1));
/// assert_eq!(id.to_string().parse(), Ok(id));
/// # Ok::<(), sansws_core::hub::HubError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId {
    /// Returns the node of its connection.
    pub node: NodeId,
    pub(super) slot: u32,
    pub(super) generation: u32,
}

impl ChannelId {
    /// Returns its slot among the channels of its node: small numbers, reused once a channel has closed.
    pub const fn slot(self) -> u32 {
        self.slot
    }

    /// Creates an id from its parts, as received over a wire.
    pub const fn from_parts(node: NodeId, slot: u32, generation: u32) -> Self {
        Self {
            node,
            slot,
            generation,
        }
    }

    /// Returns how often its slot was used before.
    pub const fn generation(self) -> u32 {
        self.generation
    }
}

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:x}-{:x}", self.node, self.slot, self.generation)
    }
}

impl FromStr for ChannelId {
    type Err = HubError;

    fn from_str(text: &str) -> Result<Self, HubError> {
        let mut parts = text.splitn(3, '-');
        let mut part = || parts.next().ok_or(HubError::BadId);
        let node = u64::from_str_radix(part()?, 16).map_err(|_| HubError::BadId)?;
        let slot = u32::from_str_radix(part()?, 16).map_err(|_| HubError::BadId)?;
        let generation = u32::from_str_radix(part()?, 16).map_err(|_| HubError::BadId)?;
        Ok(Self::from_parts(NodeId(node), slot, generation))
    }
}

/// Maximum length of the name of a group, a user or an idempotency key, in bytes.
pub const MAX_NAME: usize = 255;

/// The name of a group.
pub(super) type Name = Arc<str>;

/// The prefix of the group that contains all channels of a user. No name from a caller can start with it.
const USER: char = '\u{1}';

/// Checks a name from a caller: 1 to 255 bytes, without control characters.
pub(super) fn check_name(name: &str) -> Result<(), HubError> {
    if is_name(name) {
        Ok(())
    } else {
        Err(HubError::BadName)
    }
}

/// Returns whether a group, a user or a key may have this name.
pub fn is_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len()) && !name.chars().any(char::is_control)
}

/// Returns the group of all channels of a user.
pub(super) fn group_of_user(user: &str) -> Result<Name, HubError> {
    check_name(user)?;
    Ok(alloc::format!("{USER}{user}").into())
}

/// Returns the user whose channels are in a group, if it is such a group.
pub(super) fn user_of_group(name: &str) -> Option<Name> {
    name.strip_prefix(USER).map(Name::from)
}

/// Returns whether a caller can name this group.
pub(super) fn is_public(name: &str) -> bool {
    !name.starts_with(USER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn ids_come_back_from_text_and_nonsense_does_not() {
        let id = ChannelId::from_parts(NodeId(u64::MAX), 7, 0xabc);
        assert_eq!(id.to_string(), "ffffffffffffffff-7-abc");
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in [
            "",
            "1",
            "1-2",
            "1-2-x",
            "1-2-100000000",
            "-1-2-3",
            "1-2-3-4",
        ] {
            assert_eq!(text.parse::<ChannelId>(), Err(HubError::BadId), "{text}");
        }
    }

    #[test]
    fn names_are_bounded_and_no_caller_can_name_the_group_of_a_user() {
        assert!(check_name("sensors/1").is_ok());
        assert!(check_name(&"x".repeat(255)).is_ok());
        for bad in ["", "\u{1}ada", "a\nb", &"x".repeat(256)] {
            assert_eq!(check_name(bad), Err(HubError::BadName));
        }
        let group = group_of_user("ada").unwrap();
        assert!(!is_public(&group) && check_name(&group).is_err());
    }
}
