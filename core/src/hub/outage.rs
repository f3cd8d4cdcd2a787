//! What becomes of channels while the backplane is down.
//! RFC 6455 section 7.4.1 and the registry of close codes for 1012.
//! Knows no backplane.

use alloc::collections::BTreeSet;

use super::{ChannelId, Hub, OutagePolicy};
use crate::close::CloseCode;
use crate::policy::spread;
use crate::time::Instant;

impl Hub {
    /// The backplane is down: where clients are to go elsewhere, each has its moment.
    pub(super) fn send_away(&mut self, now: Instant) {
        let ids: BTreeSet<ChannelId> = self.seats.ids().collect();
        for id in ids {
            self.send_away_one(now, id);
        }
    }

    /// Sends one channel away.
    pub(super) fn send_away_one(&mut self, now: Instant, id: ChannelId) {
        if let (true, OutagePolicy::Close { patience, window }) =
            (self.down, self.options.when_down)
        {
            let at = now + patience + spread(u64::from(id.slot()) + 1, window);
            self.leaving.insert((at, id));
        }
    }

    /// Closes those whose moment has come.
    pub(super) fn close_leaving(&mut self, now: Instant) {
        while let Some((at, id)) = self.leaving.first().copied()
            && at <= now
        {
            self.leaving.pop_first();
            // It may have closed by itself.
            if self.seats.of(id).is_some() {
                self.close(now, id, CloseCode::RESTART, "the backplane is down");
            }
        }
    }
}
