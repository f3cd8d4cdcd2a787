//! The kept publications of a group, and recovery from them.
//! Only the oldest are ever dropped.
//! Knows no channel.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::options::HistoryOptions;
use super::{HistorySlice, Position, Publication, RecoveryFailure};
use crate::time::Instant;

/// The newest publications of a group.
#[derive(Debug, Default)]
pub(super) struct History {
    /// Many groups keep none.
    kept: Option<Box<Kept>>,
    /// The number of the last message that is no longer kept.
    floor: u64,
}

#[derive(Debug, Default)]
struct Kept {
    ring: VecDeque<Arc<Publication>>,
    bytes: usize,
}

impl History {
    /// The number of kept payload bytes.
    pub(super) fn bytes(&self) -> usize {
        self.kept.as_ref().map_or(0, |kept| kept.bytes)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.kept.as_ref().map_or(0, |kept| kept.ring.len())
    }

    /// Keeps a publication, and drops the oldest ones beyond the limits.
    pub(super) fn push(&mut self, options: &HistoryOptions, publication: Arc<Publication>) {
        let kept = self.kept.get_or_insert_default();
        kept.bytes += publication.as_bytes().len();
        kept.ring.push_back(publication);
        while self.exceeds(options) {
            self.pop();
        }
    }

    fn exceeds(&self, options: &HistoryOptions) -> bool {
        self.kept.as_ref().is_some_and(|kept| {
            kept.ring.len() > options.messages.max(1)
                || (kept.bytes > options.bytes && kept.ring.len() > 1)
        })
    }

    fn pop(&mut self) -> Option<Arc<Publication>> {
        let kept = self.kept.as_mut()?;
        let oldest = kept.ring.pop_front()?;
        kept.bytes -= oldest.as_bytes().len();
        self.floor = oldest.offset();
        if kept.ring.is_empty() {
            self.kept = None;
        }
        Some(oldest)
    }

    /// Records that a publication was not kept: earlier ones are useless without it.
    pub(super) fn miss(&mut self, offset: u64) {
        while self.pop().is_some() {}
        self.floor = offset;
    }

    /// Drops publications that are too old.
    pub(super) fn age(&mut self, options: &HistoryOptions, now: Instant) {
        while let Some(oldest) = self.oldest()
            && oldest.time + options.age <= now
        {
            self.pop();
        }
    }

    /// Returns when the next one is too old.
    pub(super) fn deadline(&self, options: &HistoryOptions) -> Option<Instant> {
        self.oldest().map(|oldest| oldest.time + options.age)
    }

    fn oldest(&self) -> Option<&Arc<Publication>> {
        self.kept.as_ref()?.ring.front()
    }

    /// Iterates over the kept publications that have not expired, oldest first.
    pub(super) fn iter(&self, now: Instant) -> impl DoubleEndedIterator<Item = &Arc<Publication>> {
        let kept = self.kept.iter();
        kept.flat_map(|kept| &kept.ring)
            .filter(move |publication| !publication.is_expired(now))
    }

    /// Returns the messages since a position, where `top` is the group's.
    pub(super) fn since(
        &self,
        options: &HistoryOptions,
        now: Instant,
        since: Position,
        top: Position,
    ) -> HistorySlice {
        let nothing = |missed| HistorySlice {
            publications: Vec::new(),
            position: top,
            missed,
        };
        let missed = RecoveryFailure::between(Some(options), since, top, self.floor);
        if since == top || !missed.is_none_or(RecoveryFailure::replays) {
            return nothing(missed);
        }
        let Some(kept) = &self.kept else {
            return nothing(missed);
        };
        let first = kept
            .ring
            .partition_point(|kept| kept.offset() <= since.offset);
        let skipped = (kept.ring.len() - first).saturating_sub(options.recovery);
        let publications = kept
            .ring
            .range(first + skipped..)
            .filter(|publication| !publication.is_expired(now))
            .cloned()
            .collect();
        HistorySlice {
            publications,
            position: top,
            missed,
        }
    }
}

impl RecoveryFailure {
    /// Returns what is missing between two positions, when `floor` is the number of the last message that is no longer kept.
    pub fn between(
        keep: Option<&HistoryOptions>,
        since: Position,
        top: Position,
        floor: u64,
    ) -> Option<Self> {
        if since == top {
            return None;
        }
        if since.epoch != top.epoch {
            return Some(Self::Epoch);
        }
        let Some(count) = top.offset.checked_sub(since.offset) else {
            return Some(Self::Ahead);
        };
        match keep {
            None => Some(Self::NoHistory),
            Some(_) if since.offset < floor => Some(Self::Evicted),
            Some(keep) => (count > keep.recovery as u64).then_some(Self::Limit),
        }
    }

    /// Returns whether the kept messages are replayed nevertheless.
    pub const fn replays(self) -> bool {
        matches!(self, Self::Evicted | Self::Limit)
    }
}

#[cfg(test)]
mod tests {
    use super::super::PublishOptions;
    use super::super::options::HubOptions;
    use super::super::publication::PublishRequest;
    use super::*;
    use crate::message::PreparedMessage;
    use crate::time::Duration;

    fn publication(offset: u64, length: usize) -> Arc<Publication> {
        let draft = PublishRequest {
            group: "room".into(),
            message: PreparedMessage::new("x".repeat(length).as_str()),
            sender: None,
            options: PublishOptions::default(),
        };
        let position = Position { epoch: 1, offset };
        let time = Instant::from_micros(offset);
        let options = HubOptions::default();
        Arc::new(Publication::new(&options, &draft, Some(position), time, 0))
    }

    fn at(offset: u64) -> Position {
        Position { epoch: 1, offset }
    }

    fn offsets(past: &HistorySlice) -> Vec<u64> {
        past.publications
            .iter()
            .map(|publication| publication.offset())
            .collect()
    }

    const OPTIONS: HistoryOptions = HistoryOptions {
        messages: 3,
        bytes: 100,
        age: Duration::from_micros(10),
        recovery: 2,
    };

    #[test]
    fn the_oldest_goes_when_there_are_too_many_and_never_all() {
        let mut history = History::default();
        for offset in 1..=5 {
            history.push(&OPTIONS, publication(offset, 10));
        }
        let kept: Vec<u64> = history
            .iter(Instant::ZERO)
            .map(|kept| kept.offset())
            .collect();
        assert_eq!((kept, history.bytes()), (alloc::vec![3, 4, 5], 30));
    }

    #[test]
    fn bytes_are_those_of_the_payload_and_one_long_message_is_kept_alone() {
        let mut history = History::default();
        history.push(&OPTIONS, publication(1, 60));
        history.push(&OPTIONS, publication(2, 41));
        assert_eq!((history.len(), history.bytes()), (1, 41));
        history.push(&OPTIONS, publication(3, 500));
        assert_eq!((history.len(), history.bytes()), (1, 500));
        history.push(&OPTIONS, publication(4, 1));
        assert_eq!((history.len(), history.bytes()), (1, 1));
    }

    #[test]
    fn publications_expire_at_their_moment() {
        let mut history = History::default();
        history.push(&OPTIONS, publication(1, 1));
        history.push(&OPTIONS, publication(5, 1));
        let first = Instant::from_micros(11);
        assert_eq!(history.deadline(&OPTIONS), Some(first));
        history.age(&OPTIONS, Instant::from_micros(10));
        assert_eq!(history.len(), 2);
        history.age(&OPTIONS, first);
        assert_eq!(history.deadline(&OPTIONS), Some(Instant::from_micros(15)));
    }

    #[test]
    fn recovery_says_what_it_could_not_replay() {
        let mut history = History::default();
        for offset in 1..=5 {
            history.push(&OPTIONS, publication(offset, 1));
        }
        let since = |position| history.since(&OPTIONS, Instant::ZERO, position, at(5));
        for (position, want, missed) in [
            (at(5), alloc::vec![], None),
            (at(4), alloc::vec![5], None),
            (at(3), alloc::vec![4, 5], None),
            (at(2), alloc::vec![4, 5], Some(RecoveryFailure::Limit)),
            (at(1), alloc::vec![4, 5], Some(RecoveryFailure::Evicted)),
            (at(6), alloc::vec![], Some(RecoveryFailure::Ahead)),
            (
                Position {
                    epoch: 2,
                    offset: 5,
                },
                alloc::vec![],
                Some(RecoveryFailure::Epoch),
            ),
        ] {
            let past = since(position);
            assert_eq!((offsets(&past), past.missed), (want, missed), "{position}");
            assert_eq!(past.position, at(5));
        }
    }
}
