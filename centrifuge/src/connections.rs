//! The number of connections that each user has to this process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Counts connections by user.
#[derive(Clone, Debug, Default)]
pub(crate) struct UserConnections(Arc<Mutex<BTreeMap<String, usize>>>);

/// One connection of a user; dropped, it is no longer counted.
#[derive(Debug)]
pub(crate) struct UserPermit {
    all: UserConnections,
    user: String,
}

impl UserConnections {
    /// Counts one more connection of a user, if there are fewer than `most`.
    pub(crate) fn admit(&self, user: &str, most: usize) -> Option<UserPermit> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = all.get(user).copied().unwrap_or(0);
        if count >= most {
            return None;
        }
        all.insert(user.to_owned(), count + 1);
        Some(UserPermit {
            all: self.clone(),
            user: user.to_owned(),
        })
    }
}

impl Drop for UserPermit {
    fn drop(&mut self) {
        let mut all = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        match all.get_mut(&self.user) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(all.remove(&self.user)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_user_has_so_many_connections_and_leaves_nothing_behind() {
        let all = UserConnections::default();
        let one = all.admit("ada", 2).unwrap();
        let two = all.admit("ada", 2).unwrap();
        assert!(all.admit("ada", 2).is_none());
        assert!(all.admit("bob", 2).is_some());
        drop(one);
        let one = all.admit("ada", 2).unwrap();
        assert!(all.admit("ada", 2).is_none());
        drop((one, two));
        assert!(all.0.lock().unwrap().is_empty());
    }
}
