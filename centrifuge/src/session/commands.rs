//! Commands of a client, other than authentication and subscriptions.

use std::collections::BTreeSet;
use std::sync::Arc;

use sansws_core::hub::{History, HistoryQuery, Position, Presence, RecoveryFailure};

use super::values::{HubCall, Output, Question};
use super::{Busy, Session};
use crate::codes::{ClientError, Disconnect};
use crate::format;
use crate::options::{Access, Namespace};
use crate::protocol::{
    Codec, Command, HistoryRequest, HistoryResult, PresenceResult, PresenceStatsResult,
    PublishRequest,
};

impl Session {
    pub(super) fn command(&mut self, command: Command) {
        let id = command.id;
        if let Some(connect) = command.connect {
            if self.client.is_some() {
                return self.disconnect(Disconnect::bad_request());
            }
            let question = Question::Connect(connect.clone());
            return self.ask(Busy::Connect(id, connect), question);
        }
        if self.client.is_none() {
            return self.disconnect(Disconnect::bad_request());
        }
        if let Some(send) = command.send {
            return self.ask(Busy::Message, Question::Message(send.data));
        }
        if id == 0 {
            // The answer to a ping.
            self.timers.pong = None;
            return;
        }
        let of_channel = [
            command.subscribe.as_ref().map(|one| &one.channel),
            command.unsubscribe.as_ref().map(|one| &one.channel),
            command.publish.as_ref().map(|one| &one.channel),
            command.presence.as_ref().map(|one| &one.channel),
            command.presence_stats.as_ref().map(|one| &one.channel),
            command.history.as_ref().map(|one| &one.channel),
            command.sub_refresh.as_ref().map(|one| &one.channel),
        ];
        if of_channel.into_iter().flatten().any(String::is_empty) {
            return self.disconnect(Disconnect::bad_request());
        }
        if let Some(request) = command.subscribe {
            self.subscribe(id, request);
        } else if let Some(request) = command.unsubscribe {
            let channel: Arc<str> = request.channel.into();
            if self.subscriptions.remove(&channel).is_some() {
                self.outputs.push_back(Output::Leave(channel));
            }
            self.reply(id, |reply| reply.unsubscribe = Some(Default::default()));
        } else if let Some(request) = command.publish {
            self.publish(id, request);
        } else if let Some(request) = command.presence {
            self.ask_presence(&request.channel, Busy::Presence(id));
        } else if let Some(request) = command.presence_stats {
            self.ask_presence(&request.channel, Busy::PresenceStats(id));
        } else if let Some(request) = command.history {
            self.ask_history(id, &request);
        } else if command.ping.is_some() {
            self.reply(id, |reply| reply.ping = Some(Default::default()));
        } else if let Some(request) = command.rpc {
            self.ask(Busy::Rpc(id), Question::Rpc(request));
        } else if let Some(request) = command.refresh {
            self.ask(Busy::Refresh(id), Question::Refresh(request.token));
        } else if let Some(request) = command.sub_refresh {
            let Some((channel, known)) = self.subscriptions.get_key_value(&*request.channel) else {
                return self.error(id, ClientError::bad_request());
            };
            if known.by_server {
                return self.error(id, ClientError::bad_request());
            }
            let busy = Busy::SubRefresh(id, Arc::clone(channel));
            self.ask(busy, Question::SubRefresh(request));
        } else {
            self.error(id, ClientError::method_not_found());
        }
    }

    /// Returns whether the options of a channel grant an access, which they may give clients without a user, too.
    fn is_granted(&self, channel: &str, access: impl FnOnce(&Namespace) -> (Access, bool)) -> bool {
        if self.options.insecure {
            return true;
        }
        let Some((access, has_anonymous)) = self.options.of(channel).map(access) else {
            return false;
        };
        let is_included = match access {
            Access::Nobody => false,
            Access::Subscribers => self.subscriptions.contains_key(channel),
            Access::Clients => self.may_by_name(channel),
        };
        is_included && (has_anonymous || self.has_user())
    }

    fn publish(&mut self, id: u32, request: PublishRequest) {
        if self.options.of(&request.channel).is_none() {
            return self.error(id, ClientError::unknown_channel());
        }
        if request.data.is_empty() {
            return self.error(id, ClientError::bad_request());
        }
        let channel: Arc<str> = request.channel.as_str().into();
        if self.is_granted(&channel, |of| (of.publish, of.anonymous_publish)) {
            return self.publish_now(id, channel, request.data);
        }
        self.ask(Busy::MayPublish(id, channel), Question::Publish(request));
    }

    pub(super) fn publish_now(&mut self, id: u32, channel: Arc<str>, data: Vec<u8>) {
        let call = HubCall::Publish {
            channel,
            message: Codec::to_message(data),
            info: self.info(None),
        };
        self.call(Busy::Publish(id), call);
    }

    fn ask_presence(&mut self, channel: &str, busy: Busy) {
        let Some(namespace) = self.options.of(channel) else {
            return self.error(busy.id(), ClientError::unknown_channel());
        };
        if !namespace.keeps_presence() {
            return self.error(busy.id(), ClientError::not_available());
        }
        if !self.is_granted(channel, |of| (of.read_presence, of.anonymous_read)) {
            return self.error(busy.id(), ClientError::permission_denied());
        }
        self.call(busy, HubCall::Presence(channel.into()));
    }

    pub(super) fn presence(&mut self, id: u32, presence: &Presence) {
        let clients = presence.members.iter().filter_map(|present| {
            let info = format::client_info(present.metadata.as_deref()?)?;
            Some((info.client.clone(), info))
        });
        let result = PresenceResult {
            presence: clients.collect(),
        };
        self.reply(id, |reply| reply.presence = Some(result));
    }

    pub(super) fn presence_stats(&mut self, id: u32, presence: &Presence) {
        let infos = presence
            .members
            .iter()
            .filter_map(|present| format::client_info(present.metadata.as_deref()?));
        let users: BTreeSet<String> = infos.map(|info| info.user).collect();
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let result = PresenceStatsResult {
            num_clients: number(presence.count),
            num_users: number(users.len()),
        };
        self.reply(id, |reply| reply.presence_stats = Some(result));
    }

    fn ask_history(&mut self, id: u32, request: &HistoryRequest) {
        let channel = &request.channel;
        let Some(namespace) = self.options.of(channel) else {
            return self.error(id, ClientError::unknown_channel());
        };
        if namespace.history.is_none() {
            return self.error(id, ClientError::not_available());
        }
        if !self.is_granted(channel, |of| (of.read_history, of.anonymous_read)) {
            return self.error(id, ClientError::permission_denied());
        }
        if request
            .since
            .as_ref()
            .is_some_and(|since| since.epoch.is_empty())
        {
            // That of the channel is meant.
            let query = HistoryQuery::new(channel.as_str(), 0);
            let busy = Busy::HistoryEpoch(id, request.clone());
            return self.call(busy, HubCall::History(query));
        }
        let most = self.options.max_history;
        // Negative: all.
        let limit = usize::try_from(request.limit).map_or(most, |limit| limit.min(most));
        let mut query = HistoryQuery::new(channel.as_str(), limit);
        if let Some(since) = &request.since {
            let Ok(epoch) = u64::from_str_radix(&since.epoch, 16) else {
                return self.error(id, ClientError::unrecoverable_position());
            };
            query = query.since(Position {
                epoch,
                offset: since.offset,
            });
        }
        query.reverse = request.reverse;
        let busy = Busy::History(id, channel.as_str().into());
        self.call(busy, HubCall::History(query));
    }

    /// Reads a history since an offset in the epoch that the channel has. Without a position, all of it is new.
    pub(super) fn history_since(
        &mut self,
        id: u32,
        mut request: HistoryRequest,
        position: Option<Position>,
    ) {
        request.since = request.since.zip(position).map(|(mut since, position)| {
            since.epoch = format::epoch(position);
            since
        });
        self.ask_history(id, &request);
    }

    pub(super) fn history(&mut self, id: u32, channel: &str, history: &History) {
        if matches!(
            history.missed,
            Some(RecoveryFailure::Epoch | RecoveryFailure::Ahead)
        ) {
            return self.error(id, ClientError::unrecoverable_position());
        }
        let positioned = self.options.of(channel).is_some();
        let publications = history.publications.iter();
        let publications = publications.map(|one| format::publication(self.codec, one, positioned));
        let result = HistoryResult {
            publications: publications.collect(),
            epoch: history.position.map_or_else(String::new, format::epoch),
            offset: history.position.map_or(0, |position| position.offset),
        };
        self.reply(id, |reply| reply.history = Some(result));
    }
}
