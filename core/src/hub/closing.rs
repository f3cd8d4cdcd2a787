//! Closes channels: one, those of a group or those of a user, on any node.
//! RFC 6455 section 7.4.1.
//! Knows no socket: queued messages are taken first, then the end.

use alloc::string::String;

use super::backplane::BackplaneCommand;
use super::id::{Name, check_name, group_of_user};
use super::slow_consumer::wake;
use super::{ChannelId, Hub, HubError};
use crate::close::{CloseCode, cut_reason};
use crate::time::Instant;

impl Hub {
    /// Closes all channels of a group, on all nodes; queued messages are delivered first.
    ///
    /// # Errors
    /// [`HubError::BadName`].
    pub fn close_all(
        &mut self,
        group: &str,
        code: CloseCode,
        reason: &str,
    ) -> Result<(), HubError> {
        check_name(group)?;
        self.close_group_everywhere(group.into(), code, reason)
    }

    /// Closes all channels of a user, on all nodes.
    ///
    /// # Errors
    /// [`HubError::BadName`].
    pub fn close_user(
        &mut self,
        user: &str,
        code: CloseCode,
        reason: &str,
    ) -> Result<(), HubError> {
        self.close_group_everywhere(group_of_user(user)?, code, reason)
    }

    fn close_group_everywhere(
        &mut self,
        group: Name,
        code: CloseCode,
        reason: &str,
    ) -> Result<(), HubError> {
        let reason = String::from(cut_reason(reason));
        if self.status.down {
            return Err(HubError::Down);
        }
        self.command(BackplaneCommand::Close {
            group,
            code,
            reason,
        });
        Ok(())
    }

    pub(super) fn close_group(
        &mut self,
        now: Instant,
        group: &Name,
        code: CloseCode,
        reason: &str,
    ) {
        for id in self.members(group) {
            self.close(now, id, code, reason);
        }
    }

    /// Closes a channel, on any node: queued messages are delivered first, and it leaves all groups. Returns whether this node knows
    /// that it is gone already.
    pub fn close(&mut self, now: Instant, id: ChannelId, code: CloseCode, reason: &str) -> bool {
        if id.node != self.node {
            self.command(BackplaneCommand::CloseChannel {
                channel: id,
                code,
                reason: cut_reason(reason).into(),
            });
            return true;
        }
        let Some(channel) = self.channels.of(id) else {
            self.counters.stale += 1;
            return false;
        };
        if !channel.closing {
            channel.closing = true;
            if let Some(more) = channel.more_mut() {
                more.make_extras().farewell = Some((code, cut_reason(reason).into()));
            }
            wake(&mut self.outputs, id.slot(), channel);
            self.had_turn(now, id.slot());
            self.leave_all(now, id);
        }
        true
    }
}
