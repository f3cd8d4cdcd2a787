//! The names of keys and channels.
//! In a Redis Cluster, the part between the first `{` and the next `}` decides the slot, so that all keys of a group are on one shard.
//! Knows no connection.
//!
//! ```text
//! prefix:{group}:m         where it stands: a hash
//! prefix:{group}:s         its history: a stream
//! prefix:{group}:i:id      that a message with this id was published
//! prefix:{group}:u         users and on how many incarnations they are: a hash
//! prefix:{group}:p:incarnation    users on an incarnation: a set; once it was cleared away, an empty name
//! prefix:{group}           its channel
//! prefix:[node]            the channel of a node
//! prefix:[watch]           what is published to any group
//! prefix:[presence]        changes of presence in any group
//! prefix:[control]         what nodes tell all others
//! prefix:{registry}:...    incarnations, leases, and where each has a place
//! ```
//!
//! In the name of a group `%`, `{` and `}` are written as `%25`, `%7B` and `%7D`.

use sansws_core::hub::NodeId;

use crate::name::Name;
use crate::request::{Channel, Incarnation};

/// Makes names.
#[derive(Clone, Debug)]
pub struct Keys {
    prefix: String,
}

impl Keys {
    /// Creates names with this prefix, which contains neither `{` nor `}`.
    pub fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
        }
    }

    fn of_group(&self, group: &str) -> String {
        let mut key = String::with_capacity(self.prefix.len() + group.len() + 12);
        key.push_str(&self.prefix);
        key.push_str(":{");
        for part in group.split_inclusive(['%', '{', '}']) {
            let escaped = match part.as_bytes().last() {
                Some(b'%') => "%25",
                Some(b'{') => "%7B",
                Some(b'}') => "%7D",
                _ => {
                    key.push_str(part);
                    continue;
                }
            };
            key.push_str(part.get(..part.len() - 1).unwrap_or_default());
            key.push_str(escaped);
        }
        key.push('}');
        key
    }

    /// Returns the key of a group's position.
    pub fn meta(&self, group: &str) -> String {
        self.of_group(group) + ":m"
    }

    /// Returns the key of a group's history.
    pub fn stream(&self, group: &str) -> String {
        self.of_group(group) + ":s"
    }

    /// Returns the key that marks a publication with this id.
    pub fn id(&self, group: &str, id: &str) -> String {
        self.of_group(group) + ":i:" + id
    }

    /// Returns the key of a group's users.
    pub fn users(&self, group: &str) -> String {
        self.of_group(group) + ":u"
    }

    /// Returns the key of a group's users on an incarnation.
    pub fn present(&self, group: &str, incarnation: Incarnation) -> String {
        self.of_group(group) + ":p:" + &seat_name(incarnation)
    }

    /// Returns the name of a channel in Redis.
    pub fn channel(&self, channel: &Channel) -> String {
        match channel {
            Channel::Group(group) => self.of_group(group),
            Channel::Node(node) => format!("{}:[{node}]", self.prefix),
            Channel::Watch => format!("{}:[watch]", self.prefix),
            Channel::Control => format!("{}:[control]", self.prefix),
            Channel::Presence => format!("{}:[presence]", self.prefix),
        }
    }

    /// Returns the channel with this name, if it is one of ours.
    pub fn parse_channel(&self, name: &str) -> Option<Channel> {
        let rest = name.strip_prefix(self.prefix.as_str())?.strip_prefix(':')?;
        if let Some(group) = rest.strip_prefix('{') {
            let escaped = group.strip_suffix('}')?;
            if !escaped.contains('%') {
                return Some(Channel::Group(Name::from(escaped)));
            }
            let group = escaped
                .replace("%7D", "}")
                .replace("%7B", "{")
                .replace("%25", "%");
            return Some(Channel::Group(Name::from(group)));
        }
        match rest.strip_prefix('[')?.strip_suffix(']')? {
            "watch" => Some(Channel::Watch),
            "control" => Some(Channel::Control),
            "presence" => Some(Channel::Presence),
            node => {
                let node = u64::from_str_radix(node, 16).ok()?;
                Some(Channel::Node(NodeId(node)))
            }
        }
    }

    /// Returns the key of all incarnations, by the end of their lease.
    pub fn incarnations(&self) -> String {
        self.registry("seats")
    }

    /// Returns the key of incarnations whose lease has ended, by when another node may clear them.
    pub fn dead(&self) -> String {
        self.registry("dead")
    }

    /// Returns the key of incarnations that were cleared, by how long that is remembered.
    pub fn given_up(&self) -> String {
        self.registry("given_up")
    }

    /// Returns the key of incarnations that watch filters, by the end of their lease.
    pub fn watchers(&self) -> String {
        self.registry("watchers")
    }

    /// Returns the key of the groups in which an incarnation has a place.
    pub fn places(&self, incarnation: Incarnation) -> String {
        self.registry("places:") + &seat_name(incarnation)
    }

    /// Returns the key and channel by which a connection learns what it may do.
    pub fn rights(&self) -> String {
        self.registry("rights")
    }

    /// Returns the part that all keys and channels have in common.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    fn registry(&self, what: &str) -> String {
        format!("{}:{{registry}}:{what}", self.prefix)
    }
}

/// Returns the name of an incarnation in Redis.
pub fn seat_name(incarnation: Incarnation) -> String {
    format!("{}.{}", incarnation.node, incarnation.term)
}

/// Returns the incarnation with this name.
pub fn parse_seat(name: &str) -> Option<Incarnation> {
    let (node, term) = name.split_once('.')?;
    Some(Incarnation {
        node: NodeId(u64::from_str_radix(node, 16).ok()?),
        term: term.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_come_back_from_their_names() {
        let keys = Keys::new("app");
        for channel in [
            Channel::Group("lobby".into()),
            Channel::Group("a{b}c%7D%25".into()),
            Channel::Group("}".into()),
            Channel::Group("\u{1}ada".into()),
            Channel::Node(NodeId(7)),
            Channel::Watch,
            Channel::Control,
        ] {
            let name = keys.channel(&channel);
            assert_eq!(keys.parse_channel(&name), Some(channel), "{name}");
        }
        for foreign in ["app:lobby", "other:{lobby}", "app:{lobby", "app:[x]", "app"] {
            assert_eq!(keys.parse_channel(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn all_of_a_group_has_one_hash_tag() {
        let keys = Keys::new("app");
        assert_eq!(keys.meta("lobby"), "app:{lobby}:m");
        assert_eq!(keys.meta("}{"), "app:{%7D%7B}:m");
        let incarnation = Incarnation {
            node: NodeId(10),
            term: 3,
        };
        assert_eq!(
            keys.present("lobby", incarnation),
            "app:{lobby}:p:000000000000000a.3"
        );
        assert_eq!(parse_seat(&seat_name(incarnation)), Some(incarnation));
    }
}
