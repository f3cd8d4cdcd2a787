//! Names: of nodes, of channels, of groups.
//! A stale id is harmless by construction: its generation is over.
//! Knows no connection.

use alloc::sync::Arc;
use core::fmt;
use core::str::FromStr;

use super::HubError;

/// One start of one hub. It must be fresh entropy each time: what a node left behind when it crashed is told by it from what
/// the node does after it was started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u64);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The address of one connection, on any node. It is no secret, and never means another connection.
///
/// It is written as `node-slot-generation` in hexadecimal digits, and parsed back from that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId {
    /// The node that its connection is on.
    pub node: NodeId,
    pub(super) slot: u32,
    pub(super) generation: u32,
}

impl ChannelId {
    /// Its place among the channels of its node: small numbers, used again once a channel has closed.
    pub const fn slot(self) -> u32 {
        self.slot
    }

    /// An id in parts, as it crossed a wire.
    pub const fn from_parts(node: NodeId, slot: u32, generation: u32) -> Self {
        Self {
            node,
            slot,
            generation,
        }
    }

    /// How often its place was used before.
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

/// Octets that the name of a group, a user or an idempotency key may have.
pub const MAX_NAME: usize = 255;

/// The name of a group.
pub(super) type Name = Arc<str>;

/// What begins the name of the group that all channels of a user are in. No name that a caller gives can begin so.
const USER: char = '\u{1}';

/// Checks a name that a caller gave: 1 to 255 octets, without control characters.
pub(super) fn check_name(name: &str) -> Result<(), HubError> {
    if name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
        return Err(HubError::BadName);
    }
    Ok(())
}

/// The group of all channels of a user.
pub(super) fn group_of_user(user: &str) -> Result<Name, HubError> {
    check_name(user)?;
    Ok(alloc::format!("{USER}{user}").into())
}

/// The user all of whose channels are in a group, if it is such a group.
pub(super) fn user_of_group(name: &str) -> Option<Name> {
    name.strip_prefix(USER).map(Name::from)
}

/// Whether it is a group that a caller can name.
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
