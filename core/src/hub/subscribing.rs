//! Subscriptions by filter: which channels receive the messages of all groups that match.
//! Knows no group's members.

use super::backplane::BackplaneCommand;
use super::{ChannelId, Filter, Hub, HubError};
use crate::time::Instant;

impl Hub {
    /// Subscribes a channel to all groups that match a filter. It receives each message once, even if several subscriptions match.
    /// Filters have no recovery and no presence. Returns whether the subscription is new.
    ///
    /// # Errors
    /// As for [`join`](Self::join).
    pub fn subscribe(
        &mut self,
        now: Instant,
        id: ChannelId,
        filter: Filter,
    ) -> Result<bool, HubError> {
        if self.status.draining {
            return Err(HubError::Draining);
        }
        self.may(now, id, |options| options.joins, |extras| &mut extras.joins)?;
        let more = self.channels.of(id).and_then(|channel| channel.more());
        if more.is_some_and(|more| more.filters().contains(&filter)) {
            return Ok(false);
        }
        self.room_for_one_more(id)?;
        self.watchers.filters.insert(&filter, id.slot());
        let watching = self.watchers.watched.entry(filter.clone()).or_default();
        *watching += 1;
        if *watching == 1 {
            self.command(BackplaneCommand::Watch(filter.clone()));
        }
        if let Some(more) = self.channels.of(id).and_then(|channel| channel.more_mut()) {
            more.make_extras().filters.push(filter);
        }
        Ok(true)
    }

    /// Removes a subscription; returns whether there was one.
    ///
    /// # Errors
    /// [`HubError::Gone`].
    pub fn unsubscribe(&mut self, id: ChannelId, filter: &Filter) -> Result<bool, HubError> {
        let more = self.channels.of(id).and_then(|channel| channel.more_mut());
        let more = more.ok_or(HubError::Gone)?;
        let Some(at) = more.filters().iter().position(|known| known == filter) else {
            return Ok(false);
        };
        more.make_extras().filters.remove(at);
        self.unwatch(id.slot(), filter);
        Ok(true)
    }

    pub(super) fn unwatch(&mut self, slot: u32, filter: &Filter) {
        self.watchers.filters.remove(filter, &slot);
        let Some(watching) = self.watchers.watched.get_mut(filter) else {
            return;
        };
        *watching -= 1;
        if *watching == 0 {
            self.watchers.watched.remove(filter);
            self.command(BackplaneCommand::Unwatch(filter.clone()));
        }
    }
}
