//! Who is present in one group, as it lies in Redis.
//! No RFC.
//! Knows no connection: what is to be told is handed out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sansws_core::hub::Present;
use sansws_redis::request::{Name, Reply, Seat};
use sansws_redis::wire;

#[derive(Clone, Debug, Default)]
pub struct Room {
    version: u64,
    /// By user, the seats it is on, and what was said of it last.
    users: BTreeMap<Name, (BTreeSet<Seat>, Option<Name>)>,
}

impl Room {
    pub fn presence(&self, members: bool) -> Reply {
        let member = |(user, (_, metadata)): (&Name, &(_, Option<Name>))| Present {
            user: Arc::clone(user),
            metadata: metadata.clone(),
        };
        let members = if members {
            self.users.iter().map(member).collect()
        } else {
            Vec::new()
        };
        Reply::Presence {
            version: self.version,
            count: self.users.len(),
            members,
        }
    }

    /// The seats on which somebody is.
    pub fn seats(&self) -> BTreeSet<Seat> {
        let seats = self.users.values().flat_map(|(seats, _)| seats);
        seats.copied().collect()
    }

    /// Users are there, on a seat; what is to be told.
    pub fn enter(&mut self, seat: Seat, users: Vec<Present>) -> Option<Vec<u8>> {
        let mut joined = Vec::new();
        for present in users {
            let user = Arc::clone(&present.user);
            let (seats, metadata) = self.users.entry(user).or_default();
            if seats.insert(seat) && seats.len() == 1 {
                joined.push(present.clone());
            }
            *metadata = present.metadata;
        }
        self.changed(&joined, &[])
    }

    /// Users, or all, are there no more on a seat; what is to be told.
    pub fn exit(&mut self, seat: Seat, users: Option<&[Name]>) -> Option<Vec<u8>> {
        let all: Vec<Name> = self.users.keys().cloned().collect();
        let mut left = Vec::new();
        for user in users.unwrap_or(&all) {
            if let Some((seats, _)) = self.users.get_mut(user)
                && seats.remove(&seat)
                && seats.is_empty()
            {
                self.users.remove(user);
                left.push(Arc::clone(user));
            }
        }
        self.changed(&[], &left)
    }

    fn changed(&mut self, joined: &[Present], left: &[Name]) -> Option<Vec<u8>> {
        if joined.is_empty() && left.is_empty() {
            return None;
        }
        self.version += 1;
        let payload = wire::presence(self.version, self.users.len(), joined, left);
        Some(payload)
    }
}
