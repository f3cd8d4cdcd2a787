//! Authentication, and the subscriptions that the server makes at once.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, PoisonError};

use sansws_core::hub::HubError;

use super::subscribe::{Join, Slot};
use super::values::{Connect, HubCall, HubResult, Output, ttl};
use super::{Busy, Session, Subscription, VERSION};
use crate::codes::Disconnect;
use crate::protocol::{ClientInfo, ConnectRequest, ConnectResult, SubscribeRequest};

/// Why a hub without our formats refuses all clients.
const UNPREPARED: &str = "create the hub with the options that `Options::configure` returns";

/// A client that is authenticated, while the hub opens its channel and joins its groups.
#[derive(Debug)]
pub(super) struct Connecting {
    pub(super) id: u32,
    grant: Connect,
    request: ConnectRequest,
    /// Channels to subscribe to.
    todo: VecDeque<String>,
    /// The channel that is being joined.
    joining: Option<Arc<str>>,
    result: ConnectResult,
    /// The result of the join, from inside the hub.
    joined: Slot,
}

#[cfg(feature = "mio")]
impl Connecting {
    pub(super) fn joins(&self, group: &str) -> bool {
        self.joining.as_deref() == Some(group)
    }
}

impl Session {
    pub(super) fn open(&mut self, id: u32, request: ConnectRequest, grant: Connect) {
        let mut todo: VecDeque<String> = grant.channels.iter().cloned().collect();
        if self.options.personal_channels && !grant.user.is_empty() {
            todo.push_back(format!("#{}", grant.user));
        }
        if todo.len() > self.options.max_channels {
            return self.disconnect(Disconnect::channel_limit());
        }
        let user = Some(grant.user.clone()).filter(|user| !user.is_empty());
        let connecting = Connecting {
            id,
            grant,
            request,
            todo,
            joining: None,
            result: ConnectResult::default(),
            joined: Slot::default(),
        };
        self.call(Busy::Connecting(connecting.into()), HubCall::Open { user });
    }

    pub(super) fn connecting(&mut self, mut connecting: Connecting, result: HubResult) {
        match result {
            HubResult::Opened(channel) => {
                self.client = Some(ClientInfo {
                    user: connecting.grant.user.clone(),
                    client: channel.to_string(),
                    conn_info: connecting
                        .grant
                        .info
                        .take()
                        .unwrap_or_default()
                        .into_bytes(),
                    chan_info: Vec::new(),
                });
                self.timers.connect = None;
            }
            HubResult::Joined(joined) => {
                let made = connecting
                    .joined
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .take();
                if let (Some(channel), Some(made)) = (connecting.joining.take(), made)
                    && !joined.refused
                {
                    let subscription = Subscription {
                        positioned: made.positioned,
                        by_server: true,
                        expires: None,
                    };
                    connecting.result.subs.insert(channel.to_string(), made);
                    self.subscriptions.insert(channel, subscription);
                }
            }
            HubResult::UserLimit => {
                return self.disconnect(Disconnect::connection_limit());
            }
            HubResult::Failed(HubError::NoFormat) => {
                return self.misconfigured(&connecting, &UNPREPARED);
            }
            HubResult::Failed(error) if is_permanent(error) => {
                return self.misconfigured(&connecting, &error);
            }
            // The client comes back.
            _ => return self.disconnect(Disconnect::server_error()),
        }
        let Some(channel) = connecting.todo.pop_front() else {
            return self.connected(connecting);
        };
        let known = connecting.request.subs.get(&channel).cloned();
        let request = SubscribeRequest {
            channel: channel.clone(),
            ..known.unwrap_or_default()
        };
        let Some(namespace) = self.options.of(&channel).cloned() else {
            let why = format!("the channel `{channel}` has no namespace");
            return self.misconfigured(&connecting, &why);
        };
        let channel: Arc<str> = channel.into();
        let join = Join::new(self, &request, &namespace, Default::default());
        let join = join.into_slot(&connecting.joined);
        connecting.joining = Some(Arc::clone(&channel));
        self.call(
            Busy::Connecting(connecting.into()),
            HubCall::Join(channel, join),
        );
    }

    /// Ends a connection that would fail again and again: the client does not come back, and the application learns why.
    fn misconfigured(&mut self, connecting: &Connecting, why: &dyn fmt::Display) {
        let (user, channel) = (&*connecting.grant.user, connecting.joining.as_deref());
        tracing::error!(user, channel, %why, "a client was granted what the hub refuses");
        self.disconnect(Disconnect::bad_request());
    }

    fn connected(&mut self, connecting: Connecting) {
        let Connecting { id, grant, .. } = connecting;
        self.timers.expires = grant.expires;
        // The first ping comes early, and not at the same time for all clients.
        let spread = self.now.as_micros() % 1_000_000;
        let share = u32::try_from(spread / 10_000).unwrap_or(0);
        let ping = self.options.ping();
        let first = ping.map(|ping| ping / 2 + ping / 200 * share);
        self.timers.ping = first.map(|first| self.now + first);
        let result = ConnectResult {
            client: self
                .client
                .as_ref()
                .map_or_else(String::new, |info| info.client.clone()),
            version: VERSION.into(),
            expires: grant.expires.is_some(),
            ttl: grant.expires.map_or(0, |at| ttl(self.unix_now(), at)),
            data: self.codec.payload(&grant.data),
            subs: connecting.result.subs,
            // In whole seconds; 0 means that none come.
            ping: ping.map_or(0, |ping| {
                u32::try_from(ping.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX)
            }),
            pong: ping.is_some(),
            session: self.session_id(),
        };
        self.reply(id, |reply| reply.connect = Some(result));
        self.outputs.push_back(Output::Release);
    }

    /// Returns what the client sends with its commands, if its transport only receives.
    fn session_id(&self) -> String {
        match (&self.secret, &self.client) {
            (Some((secret, key)), Some(client)) => key.issue(&client.client, secret),
            _ => String::new(),
        }
    }

    /// The client's information as the hub carries it.
    pub(super) fn info(&self, chan_info: Option<&str>) -> String {
        let mut info = self.client.clone().unwrap_or_default();
        info.chan_info = chan_info.unwrap_or_default().into();
        serde_json::to_string(&info).unwrap_or_default()
    }
}

/// Returns whether the hub will refuse this again, whenever the client comes back.
pub(super) const fn is_permanent(error: HubError) -> bool {
    matches!(
        error,
        HubError::BadName | HubError::TooLong | HubError::MetadataTooLong
    )
}
