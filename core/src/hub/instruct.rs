//! Instructions from a server to connections, from outside their handlers: by id or by user, on any node.
//! RFC 6455 section 7.4.1 for the close code of a session that has ended.
//! Knows no message.

use alloc::vec::Vec;

use super::backplane::{BackplaneCommand, Instruction, Target};
use super::id::{Name, check_name, group_of_user, is_public};
use super::{ChannelId, Hub, HubError, JoinOptions, Output, PresenceMode, Signal};
use crate::close::CloseCode;
use crate::time::Instant;

impl Hub {
    /// Sends an instruction to channels, on any node. Channels of other nodes count their failures.
    ///
    /// # Errors
    /// [`HubError::BadName`], [`HubError::MetadataTooLong`], [`HubError::Down`] for channels elsewhere; for a channel of this node also
    /// [`HubError::Gone`], [`HubError::TooManyGroups`], [`HubError::TooManyGroupsInHub`], [`HubError::Draining`].
    pub fn instruct(
        &mut self,
        now: Instant,
        target: Target,
        instruction: Instruction,
    ) -> Result<(), HubError> {
        match &instruction {
            Instruction::Join(name) | Instruction::Leave(name) => check_name(name)?,
            Instruction::SetUser(user) => {
                user.as_deref().map(group_of_user).transpose()?;
            }
            Instruction::SetMetadata(text) if text.len() > self.options.max_metadata => {
                return Err(HubError::MetadataTooLong);
            }
            Instruction::Signal(text) if text.len() > self.options.max_message => {
                return Err(HubError::TooLong);
            }
            Instruction::SetMetadata(_) | Instruction::SetExpiry(_) | Instruction::Signal(_) => {}
        }
        let target = match target {
            Target::Channel(id) if id.node == self.node => {
                return self.follow(now, id, instruction);
            }
            Target::Channel(id) => Target::Channel(id),
            // The group of the user's channels.
            Target::User(user) => Target::User(group_of_user(&user)?),
        };
        if self.status.down {
            return Err(HubError::Down);
        }
        self.command(BackplaneCommand::Instruct {
            target,
            instruction,
        });
        Ok(())
    }

    /// Executes an instruction from the backplane. One for a user's channels names their group.
    pub(super) fn instructed(&mut self, now: Instant, target: &Target, instruction: &Instruction) {
        let ids = match target {
            Target::Channel(id) => alloc::vec![*id],
            Target::User(group) => self.members(group),
        };
        for id in ids {
            if self.follow(now, id, instruction.clone()).is_err() {
                self.counters.stale += 1;
            }
        }
    }

    fn follow(
        &mut self,
        now: Instant,
        id: ChannelId,
        instruction: Instruction,
    ) -> Result<(), HubError> {
        match instruction {
            Instruction::Join(group) if self.status.draining => {
                drop(group);
                Err(HubError::Draining)
            }
            Instruction::Join(group) => {
                let join = JoinOptions::default();
                self.add(now, id, &group, join).map(drop)
            }
            Instruction::Leave(group) => self.leave(now, id, &group).map(drop),
            Instruction::SetUser(user) => self.set_user(now, id, user),
            Instruction::SetMetadata(text) => self.set_metadata(now, id, text),
            Instruction::SetExpiry(at) => self.set_expiry(id, at),
            Instruction::Signal(text) => {
                self.channels.of(id).ok_or(HubError::Gone)?;
                self.outputs
                    .push_back(Output::Signal(id, Signal::Text(text)));
                Ok(())
            }
        }
    }

    /// Returns the groups of a channel that a caller can name.
    fn named_groups(&mut self, id: ChannelId) -> Result<Vec<Name>, HubError> {
        self.channels.of(id).ok_or(HubError::Gone)?;
        Ok(self.groups_of(id))
    }

    fn set_user(
        &mut self,
        now: Instant,
        id: ChannelId,
        user: Option<Name>,
    ) -> Result<(), HubError> {
        let groups = self.named_groups(id)?;
        let of_user = user.as_deref().map(group_of_user).transpose()?;
        let more = self.channels.of(id).and_then(|channel| channel.renewable());
        let before = more.ok_or(HubError::Gone)?.user.clone();
        if before == user {
            return Ok(());
        }
        let of_before = before.as_deref().map(group_of_user).transpose()?;
        if let Some(of_user) = &of_user
            && self.groups.find(of_user).is_none()
            && self.groups.count() >= self.options.max_groups
            && of_before.as_ref().is_none_or(|name| self.count(name) != 1)
        {
            return Err(HubError::TooManyGroupsInHub);
        }
        // In its groups the old user leaves, and the new one joins.
        let by_user = |group: &&Name| self.options.of(group).presence != PresenceMode::Connections;
        let groups: Vec<Name> = groups.iter().filter(by_user).cloned().collect();
        for group in &groups {
            self.exit(now, id, group, true);
        }
        if let Some(of_before) = of_before {
            self.leave_group(now, id, &of_before);
        }
        if let Some(more) = self.channels.of(id).and_then(|channel| channel.more_mut()) {
            more.user = user;
        }
        let added = of_user.map(|group| self.add(now, id, &group, JoinOptions::default()));
        for group in &groups {
            self.enter(now, id, group);
        }
        added.transpose().map(drop)
    }

    fn set_metadata(&mut self, now: Instant, id: ChannelId, text: Name) -> Result<(), HubError> {
        let groups = self.named_groups(id)?;
        let more = self.channels.of(id).and_then(|channel| channel.renewable());
        more.ok_or(HubError::Gone)?.make_extras().metadata = Some(text);
        for group in groups.iter().filter(|group| is_public(group)) {
            self.update(now, id, group);
        }
        Ok(())
    }

    fn set_expiry(&mut self, id: ChannelId, at: Option<Instant>) -> Result<(), HubError> {
        let more = self.channels.of(id).and_then(|channel| channel.renewable());
        let ends = &mut more.ok_or(HubError::Gone)?.make_extras().ends;
        if let Some(before) = core::mem::replace(ends, at) {
            self.schedule.ending.remove(&(before, id.slot()));
        }
        self.schedule.ending.extend(at.map(|at| (at, id.slot())));
        Ok(())
    }

    /// Closes channels whose session has ended.
    pub(super) fn end_sessions(&mut self, now: Instant) {
        while let Some((at, slot)) = self.schedule.ending.first().copied()
            && at <= now
        {
            self.schedule.ending.remove(&(at, slot));
            if let Some(id) = self.channels.id(slot) {
                self.counters.expired_channels += 1;
                self.close(now, id, CloseCode::POLICY, "the session has ended");
            }
        }
    }
}
