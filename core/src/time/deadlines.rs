//! The deadlines of many machines, earliest first.
//! An event loop that drives many connections sleeps until the earliest of them.
//! Knows no clock and no machine, only keys and moments.

use alloc::collections::{BTreeMap, BTreeSet};

use super::Instant;

/// Deadlines by key, ordered by time.
///
/// A busy connection's deadline moves with every message, and nearly always to a later time. Such a move is only recorded, in O(log n) and
/// without moving anything; the key is moved to its new place when its former time comes, once, however often it has moved. All other
/// operations are O(log n) too.
///
/// ```
/// use sansws_core::time::{Deadlines, Duration, Instant};
///
/// let (mut deadlines, start) = (Deadlines::default(), Instant::ZERO);
/// deadlines.set("ada", Some(start + Duration::from_secs(30)));
/// deadlines.set("bob", Some(start + Duration::from_secs(40)));
/// // Something came of Ada.
/// deadlines.set("ada", Some(start + Duration::from_secs(50)));
///
/// // Sleep no longer than until the first moment at which one may be due, and look.
/// assert_eq!(deadlines.next(), Some(start + Duration::from_secs(30)));
/// assert_eq!(deadlines.pop(start + Duration::from_secs(30)), None);
/// assert_eq!(deadlines.next(), Some(start + Duration::from_secs(40)));
/// assert_eq!(deadlines.pop(start + Duration::from_secs(45)), Some("bob"));
/// assert_eq!(deadlines.next(), Some(start + Duration::from_secs(50)));
/// ```
#[derive(Clone, Debug)]
pub struct Deadlines<K> {
    entries: BTreeMap<K, Entry>,
    /// Each key once, at the time of its entry.
    queue: BTreeSet<(Instant, K)>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    due: Instant,
    /// Its time in the queue: never later than its deadline.
    queued: Instant,
}

impl<K> Default for Deadlines<K> {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            queue: BTreeSet::new(),
        }
    }
}

impl<K: Ord + Clone> Deadlines<K> {
    /// Sets the deadline of `key`, which replaces an earlier one; `None` removes it.
    pub fn set(&mut self, key: K, due: Option<Instant>) {
        let Some(due) = due else {
            self.remove(&key);
            return;
        };
        let queued = match self.entries.get_mut(&key) {
            Some(entry) if entry.queued <= due => {
                entry.due = due;
                return;
            }
            Some(entry) => {
                let before = core::mem::replace(&mut entry.queued, due);
                entry.due = due;
                Some(before)
            }
            None => {
                let entry = Entry { due, queued: due };
                self.entries.insert(key.clone(), entry);
                None
            }
        };
        let mut place = (due, key);
        if let Some(before) = queued {
            place.0 = before;
            self.queue.remove(&place);
            place.0 = due;
        }
        self.queue.insert(place);
    }

    /// Removes `key`, and returns its deadline.
    pub fn remove(&mut self, key: &K) -> Option<Instant> {
        let (key, entry) = self.entries.remove_entry(key)?;
        self.queue.remove(&(entry.queued, key));
        Some(entry.due)
    }

    /// Returns when to call [`pop`](Self::pop) next: at the earliest deadline or before it, if that was moved to a later time. `None`
    /// when there are no deadlines.
    pub fn next(&self) -> Option<Instant> {
        self.queue.first().map(|(at, _)| *at)
    }

    /// Removes and returns the key with the earliest deadline, if that has passed at `now`. Call it until it returns `None`.
    /// [Set](Self::set) a new deadline for a key that is to return.
    pub fn pop(&mut self, now: Instant) -> Option<K> {
        while self.next()? <= now {
            let (_, key) = self.queue.pop_first()?;
            let entry = self.entries.get_mut(&key)?;
            if entry.due <= now {
                self.entries.remove(&key);
                return Some(key);
            }
            entry.queued = entry.due;
            self.queue.insert((entry.due, key));
        }
        None
    }

    /// Returns the deadline of `key`.
    pub fn get(&self, key: &K) -> Option<Instant> {
        self.entries.get(key).map(|entry| entry.due)
    }

    /// Returns the number of keys with a deadline.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether no key has a deadline.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    const fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    /// Compares with a list of all, with times from a small range, so that many coincide.
    #[test]
    fn it_says_what_a_list_says() {
        let (mut deadlines, mut list) = (Deadlines::default(), BTreeMap::<u32, Instant>::new());
        let (mut random, mut now) = (7_u64, at(0));
        for _ in 0..50_000 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let (choice, key) = (random >> 60, (random >> 40) as u32 % 20);
            let due = now + core::time::Duration::from_secs((random >> 33) % 9);
            match choice {
                0..10 => {
                    deadlines.set(key, Some(due));
                    list.insert(key, due);
                }
                10 => {
                    deadlines.set(key, None);
                    list.remove(&key);
                }
                11 => assert_eq!(deadlines.remove(&key), list.remove(&key)),
                _ => now = now + core::time::Duration::from_secs(1),
            }
            let earliest = list.values().min();
            assert!(deadlines.next() <= earliest.copied() || earliest.is_none());
            assert_eq!(deadlines.get(&key), list.get(&key).copied());
            let mut popped: Vec<u32> = core::iter::from_fn(|| deadlines.pop(now)).collect();
            let mut want: Vec<u32> = list
                .iter()
                .filter(|(_, due)| **due <= now)
                .map(|(key, _)| *key)
                .collect();
            list.retain(|_, due| *due > now);
            popped.sort_unstable();
            want.sort_unstable();
            assert_eq!(popped, want);
            assert_eq!(
                (deadlines.len(), deadlines.is_empty()),
                (list.len(), list.is_empty())
            );
            assert_eq!(deadlines.queue.len(), list.len());
            // Nothing that was looked at wakes its loop for nothing again.
            assert!(deadlines.next().is_none_or(|next| next > now));
        }
    }

    #[test]
    fn a_deadline_that_moves_on_moves_nothing_until_its_former_time() {
        let mut deadlines = Deadlines::default();
        for key in 0..5_000_u32 {
            deadlines.set(key, Some(at(30)));
        }
        let before = deadlines.queue.clone();
        for round in 0..20 {
            for key in 0..5_000 {
                deadlines.set(key, Some(at(30 + round)));
            }
        }
        assert_eq!(deadlines.queue, before);
        assert_eq!(deadlines.pop(at(30)), None);
        assert_eq!(deadlines.next(), Some(at(49)));
    }
}
