//! Subscriptions: granted, joined, recovered.
//!
//! The reply is made inside the hub, in the step in which the client becomes a member: it has the publications that the client missed, and
//! all later ones follow it. If the history cannot give all of them, it has none, and `recovered` is false.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sansws_core::hub::{
    HistoryQuery, JoinDecision, JoinOptions, JoinReply, Joined, Position, Publication, Recovered,
};
use sansws_core::time::Instant;

use super::values::{HubCall, Question, Subscribe, ttl};
use super::{Busy, Session, Subscription};
use crate::codes::{ClientError, Disconnect};
use crate::format;
use crate::options::Namespace;
use crate::protocol::{Codec, Push, Reply, SubscribePush, SubscribeRequest, SubscribeResult};

/// The format of differences.
const FOSSIL: &str = "fossil";

/// The flag with which a client rejects a subscription that cannot be recovered.
const REJECT_UNRECOVERED: i64 = 2;

/// Carries a result out of the reply of a join.
pub(super) type Slot = Arc<Mutex<Option<SubscribeResult>>>;

/// Whether the hub has made the reply of a join.
pub(super) type Told = Arc<AtomicBool>;

/// Everything that the result of a subscription depends on.
#[derive(Clone)]
pub(super) struct Join {
    codec: Codec,
    /// The result so far.
    base: SubscribeResult,
    /// The offset that the client asks to recover from.
    offset: u64,
    /// The client names no epoch: that of the channel is meant.
    any_epoch: bool,
    rejects: bool,
    options: JoinOptions,
}

impl Join {
    pub(super) fn new(
        session: &Session,
        request: &SubscribeRequest,
        namespace: &Namespace,
        grant: Subscribe,
    ) -> Self {
        let (recoverable, positioned) = (namespace.recovery, namespace.is_positioned());
        let delta = namespace.deltas && request.delta == FOSSIL;
        let told = namespace.force_join_leave || (namespace.join_leave && request.join_leave);
        let recovers = recoverable && request.recover;
        // A foreign epoch means that the position is of no use, not that the request is wrong.
        let epoch = u64::from_str_radix(&request.epoch, 16).ok();
        let since = Position {
            epoch: epoch.unwrap_or_default(),
            offset: request.offset,
        };
        Self {
            codec: session.codec,
            base: SubscribeResult {
                expires: grant.expires.is_some(),
                ttl: grant.expires.map_or(0, |at| ttl(session.unix_now(), at)),
                recoverable,
                positioned,
                was_recovering: recovers,
                delta,
                data: session.codec.payload(&grant.data),
                ..SubscribeResult::default()
            },
            offset: request.offset,
            any_epoch: request.epoch.is_empty(),
            rejects: request.flag & REJECT_UNRECOVERED != 0,
            options: JoinOptions {
                since: Some(since).filter(|_| recovers && !request.epoch.is_empty()),
                metadata: Some(session.info(grant.info.as_deref()).into()),
                format: delta.then(|| session.codec.delta_format()),
                without_presence: !told,
                ..JoinOptions::default()
            },
        }
    }

    fn result(&self, joined: &Joined, missed: &[Arc<Publication>]) -> SubscribeResult {
        let mut result = self.base.clone();
        if let Some(position) = joined.position.filter(|_| result.positioned) {
            (result.epoch, result.offset) = (format::epoch(position), position.offset);
        }
        let is_there = self.any_epoch && result.offset == self.offset;
        if result.was_recovering && (is_there || matches!(joined.recovered, Recovered::Complete(_)))
        {
            (result.recovered, result.offset) = (true, self.offset);
            // In full also to those who take differences: they would be made for each of them, while the hub is locked.
            let encode = if result.delta {
                format::full
            } else {
                format::publication
            };
            let missed = missed.iter().map(|one| encode(self.codec, one, true));
            result.publications = missed.collect();
        }
        result
    }

    /// Replies to a command.
    fn into_reply(self, id: u32, told: &Told) -> JoinOptions {
        let (this, told) = (self.clone(), Arc::clone(told));
        let reply = JoinReply::new(move |joined, missed| {
            told.store(true, Ordering::Relaxed);
            let result = this.result(joined, missed);
            let mut reply = Reply {
                id,
                ..Reply::default()
            };
            if this.rejects && result.was_recovering && !result.recovered {
                reply.error = Some(ClientError::unrecoverable_position().into());
                return JoinDecision::Leave(Some(this.codec.encode(&reply)));
            }
            reply.subscribe = Some(result);
            JoinDecision::Stay(Some(this.codec.encode(&reply)))
        });
        JoinOptions {
            reply: Some(reply),
            ..self.options
        }
    }

    /// Tells the client that the server subscribed it.
    fn into_push(self, channel: String, told: &Told) -> JoinOptions {
        let (this, told) = (self.clone(), Arc::clone(told));
        let reply = JoinReply::new(move |joined, missed| {
            told.store(true, Ordering::Relaxed);
            let result = this.result(joined, missed);
            let push = Push {
                channel: channel.clone(),
                subscribe: Some(SubscribePush {
                    recoverable: result.recoverable,
                    epoch: result.epoch,
                    offset: result.offset,
                    positioned: result.positioned,
                    data: result.data,
                }),
                ..Push::default()
            };
            JoinDecision::Stay(Some(format::push(this.codec, push)))
        });
        JoinOptions {
            reply: Some(reply),
            ..self.options
        }
    }

    /// Hands the result out.
    pub(super) fn into_slot(self, slot: &Slot) -> JoinOptions {
        let (this, slot) = (self.clone(), Arc::clone(slot));
        let reply = JoinReply::new(move |joined, missed| {
            let result = this.result(joined, missed);
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
            JoinDecision::Stay(None)
        });
        JoinOptions {
            reply: Some(reply),
            ..self.options
        }
    }
}

impl Session {
    pub(super) fn subscribe(&mut self, id: u32, request: SubscribeRequest) {
        let Some(namespace) = self.options.of(&request.channel) else {
            return self.error(id, ClientError::unknown_channel());
        };
        if self.subscriptions.contains_key(&*request.channel) {
            return self.error(id, ClientError::already_subscribed());
        }
        if self.subscriptions.len() >= self.options.max_channels {
            return self.error(id, ClientError::limit_exceeded());
        }
        let granted = self.options.insecure
            || (namespace.subscribe
                && (namespace.anonymous_subscribe || self.has_user())
                && self.may_by_name(&request.channel))
            || self.is_named(&request.channel);
        let question = Question::Subscribe(request.clone(), granted);
        self.ask(Busy::Subscribe(id, request), question);
    }

    /// Returns whether it is known who the client is.
    pub(super) fn has_user(&self) -> bool {
        let client = self.client.as_ref();
        client.is_some_and(|info| !info.user.is_empty())
    }

    /// Returns whether the name of a channel limits it to some users, and names this one: `dialog#ada,bob`.
    fn is_named(&self, channel: &str) -> bool {
        let user = self.client.as_ref().map_or("", |info| info.user.as_str());
        let users = channel.split_once('#').map(|(_, users)| users);
        !user.is_empty() && users.is_some_and(|users| users.split(',').any(|one| one == user))
    }

    /// Returns whether the name of a channel does not keep this user out.
    pub(super) fn may_by_name(&self, channel: &str) -> bool {
        !channel.contains('#') || self.is_named(channel)
    }

    /// Joins the channel. If the client asks to recover without an epoch, that of the channel is requested first.
    pub(super) fn granted(&mut self, id: u32, request: SubscribeRequest, grant: Subscribe) {
        let recovers = |namespace: &Namespace| namespace.recovery;
        if request.recover
            && request.epoch.is_empty()
            && self.options.of(&request.channel).is_some_and(recovers)
        {
            let query = HistoryQuery::new(request.channel.as_str(), 0);
            return self.call(Busy::Epoch(id, request, grant), HubCall::History(query));
        }
        self.join(id, &request, grant);
    }

    pub(super) fn join(&mut self, id: u32, request: &SubscribeRequest, grant: Subscribe) {
        let Some(namespace) = self.options.of(&request.channel).cloned() else {
            return self.error(id, ClientError::unknown_channel());
        };
        let (channel, expires): (Arc<str>, _) = (request.channel.as_str().into(), grant.expires);
        let told = Told::default();
        let join = Join::new(self, request, &namespace, grant).into_reply(id, &told);
        let busy = Busy::Join {
            id,
            channel: Arc::clone(&channel),
            expires,
            told,
        };
        self.call(busy, HubCall::Join(channel, join));
    }

    pub(super) fn subscribe_by_server(&mut self, channel: &str, grant: Subscribe) {
        let Some(namespace) = self.options.of(channel).cloned() else {
            return;
        };
        if self.subscriptions.contains_key(channel) {
            return;
        }
        if self.subscriptions.len() >= self.options.max_channels {
            return self.disconnect(Disconnect::channel_limit());
        }
        let (request, expires) = (SubscribeRequest::default(), grant.expires);
        let join = Join::new(self, &request, &namespace, grant);
        let told = Told::default();
        let join = join.into_push(channel.into(), &told);
        let channel: Arc<str> = channel.into();
        let busy = Busy::Join {
            id: 0,
            channel: Arc::clone(&channel),
            expires,
            told,
        };
        self.call(busy, HubCall::Join(channel, join));
    }

    /// The hub has replied to the client.
    pub(super) fn joined(
        &mut self,
        id: u32,
        channel: Arc<str>,
        expires: Option<Instant>,
        told: &Told,
        joined: &Joined,
    ) {
        if !told.load(Ordering::Relaxed) {
            // Another part of the application let it join, before or at the same time: nothing was replied.
            return self.disconnect(Disconnect::insufficient_state());
        }
        if joined.refused {
            return;
        }
        let namespace = self.options.of(&channel);
        let subscription = Subscription {
            positioned: namespace.is_some_and(Namespace::is_positioned),
            by_server: id == 0,
            expires,
        };
        self.subscriptions.insert(channel, subscription);
    }
}
