//! The channels of a node while the backplane is down.
//! RFC 6455 section 7.4.1 and the registry of close codes for 1012.
//! Knows no backplane.

use alloc::vec::Vec;

use super::{ChannelId, Hub, OutagePolicy};
use crate::close::CloseCode;
use crate::time::Instant;
use crate::time::spread;

impl Hub {
    /// Schedules the closing of channels if clients are to go elsewhere.
    pub(super) fn send_away(&mut self, now: Instant) {
        let ids: Vec<ChannelId> = self.channels.ids().collect();
        for id in ids {
            self.send_away_one(now, id);
        }
    }

    /// Closes one channel, so that its client goes elsewhere.
    pub(super) fn send_away_one(&mut self, now: Instant, id: ChannelId) {
        if let (true, OutagePolicy::Close { patience, window }) =
            (self.status.down, self.options.on_outage)
        {
            let at = now + patience + spread(u64::from(id.slot()) + 1, window);
            self.schedule.leaving.insert((at, id));
        }
    }

    /// Closes channels whose time has come.
    pub(super) fn close_leaving(&mut self, now: Instant) {
        while let Some((at, id)) = self.schedule.leaving.first().copied()
            && at <= now
        {
            self.schedule.leaving.pop_first();
            // It may have closed by itself.
            if self.channels.of(id).is_some() {
                self.close(now, id, CloseCode::RESTART, "the backplane is down");
            }
        }
    }
}
