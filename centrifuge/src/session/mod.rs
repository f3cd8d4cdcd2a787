//! The session of a client, as a pure state machine.
//! Commands, answers of the application, results of the hub, signals and time in; replies, pushes, questions and calls out.
//! Knows no socket, no clock and no hub: it says what it wants done.
//!
//! Commands are handled one after the other: the next one waits while the application or the hub works on one. After each call of a
//! method, take all outputs with [`Session::poll`], and call [`Session::tick`] when [`Session::deadline`] has passed.

mod busy;
mod clock;
mod commands;
mod connect;
mod subscribe;
mod values;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use sansws_core::hub::{HubError, Signal};
use sansws_core::limits::Bucket;
use sansws_core::message::Message;
use sansws_core::time::Instant;

use crate::codes::{ClientError, Disconnect, Refusal, Unsubscribe};
use crate::options::Options;
use crate::protocol::{ClientInfo, Codec, Command, DataMessage, Push, Reply, SubRefreshResult};
use crate::ticket::TicketKey;

use busy::Busy;
use connect::is_permanent;
pub use values::{Answer, Connect, Control, HubCall, HubResult, Output, Question, Subscribe};
use values::{of_seconds, ttl};

/// The version that clients are told.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Maximum number of bytes of messages beside the transport whose commands wait.
const QUEUED: usize = 1 << 20;

/// The session of one client.
///
/// ```
/// use std::sync::Arc;
/// use sansws_centrifuge::protocol::Codec;
/// use sansws_centrifuge::session::{Answer, Connect, Output, Question, Session};
/// use sansws_centrifuge::Options;
/// use sansws_core::message::Message;
/// use sansws_core::time::Instant;
///
/// let now = Instant::ZERO;
/// let mut session = Session::new(Arc::new(Options::default()), Codec::Json, now);
/// session.receive(now, &Message::from(r#"{"id":1,"connect":{"name":"phone"}}"#));
/// while let Some(output) = session.poll() {
///     if let Output::Ask(Question::Connect(request)) = output {
///         assert_eq!(request.name, "phone");
///         session.answer(now, Answer::Connect(Connect::user("ada")));
///         break;
///     }
/// }
/// // Next, it has a channel of the hub opened for the user.
/// assert!(matches!(session.poll(), Some(Output::Call(_))));
/// ```
#[derive(Debug)]
pub struct Session {
    options: Arc<Options>,
    codec: Codec,
    now: Instant,
    /// How far the clock of the system is ahead of `now`, in microseconds.
    ahead: i128,
    /// The identity of the client; `None` until it is authenticated.
    client: Option<ClientInfo>,
    /// Commands that wait.
    /// Commands that wait; the first of a message has its length.
    queue: VecDeque<(Command, usize)>,
    /// Number of bytes of the messages whose commands wait.
    queued: usize,
    /// Controls that wait for the end of a command.
    controls: VecDeque<Control>,
    busy: Option<Busy>,
    subscriptions: BTreeMap<Arc<str>, Subscription>,
    outputs: VecDeque<Output>,
    timers: Timers,
    /// The rate of commands.
    rate: Bucket,
    /// The secret of commands that arrive as controls, if the transport only receives.
    secret: Option<(String, TicketKey)>,
    is_over: bool,
}

/// A subscription.
#[derive(Debug)]
struct Subscription {
    positioned: bool,
    /// By the server: the client did not ask for it.
    by_server: bool,
    expires: Option<Instant>,
}

#[derive(Debug, Default)]
struct Timers {
    /// When the client must have authenticated.
    connect: Option<Instant>,
    ping: Option<Instant>,
    /// When the answer to a ping must have arrived.
    pong: Option<Instant>,
    /// When the connection expires.
    expires: Option<Instant>,
}

impl Session {
    /// Starts a session.
    pub fn new(options: Arc<Options>, codec: Codec, now: Instant) -> Self {
        Self {
            timers: Timers {
                connect: Some(now + options.connect_timeout),
                ..Timers::default()
            },
            options,
            codec,
            now,
            ahead: 0,
            client: None,
            queue: VecDeque::new(),
            queued: 0,
            controls: VecDeque::new(),
            busy: None,
            subscriptions: BTreeMap::new(),
            outputs: VecDeque::new(),
            rate: Bucket::new(),
            secret: None,
            is_over: false,
        }
    }

    /// Starts a session over a transport that only receives: commands come as [`Control::Commands`] with this secret. When the client
    /// has connected, it is told a ticket with the secret in it.
    #[must_use]
    pub fn with_secret(mut self, secret: String, key: TicketKey) -> Self {
        self.secret = Some((secret, key));
        self
    }

    /// Returns the next output.
    #[must_use]
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Returns whether it takes messages of the client: few commands wait.
    pub fn wants_input(&self) -> bool {
        !self.is_over && self.queue.len() < 16
    }

    /// Returns who the client is, once it is authenticated.
    pub const fn client(&self) -> Option<&ClientInfo> {
        self.client.as_ref()
    }

    /// Returns the channels to which the client is subscribed, in order.
    pub fn channels(&self) -> impl Iterator<Item = &str> {
        self.subscriptions.keys().map(|channel| &**channel)
    }

    /// Takes a message of the client.
    pub fn receive(&mut self, now: Instant, message: &Message) {
        self.now = now;
        if self.is_over {
            return;
        }
        let most = self.options.max_commands.saturating_sub(self.queue.len());
        match self.codec.decode(message, most) {
            Ok(commands) => {
                let mut bytes = message.len();
                for command in commands {
                    self.admit(command, std::mem::take(&mut bytes));
                }
            }
            Err(_) => return self.disconnect(Disconnect::bad_request()),
        }
        self.go_on();
    }

    /// Takes commands that arrived beside the transport, if their secret is right.
    fn emulated(&mut self, secret: &str, data: String) {
        let ours = self.secret.as_ref().map(|(ours, _)| ours.as_bytes());
        if !ours.is_some_and(|ours| is_equal(ours, secret.as_bytes())) {
            return;
        }
        // A WebSocket would not be read any more. Nothing can hold these back, so the client is told to come again.
        let is_full =
            self.queued + data.len() > QUEUED || self.queue.len() >= self.options.max_commands;
        if is_full && !self.is_over {
            return self.disconnect(Disconnect::too_many_requests());
        }
        let message = match self.codec {
            Codec::Json => Message::Text(data),
            Codec::Protobuf => Message::Binary(STANDARD.decode(data).unwrap_or_default()),
        };
        self.receive(self.now, &message);
    }

    /// Queues a command, unless the client exceeds its rate. Answers to pings do not count.
    fn admit(&mut self, command: Command, bytes: usize) {
        let is_pong = command.id == 0 && command.send.is_none();
        if let Some(rate) = self.options.commands.filter(|_| !is_pong)
            && self.rate.take(&rate, self.now, 1).is_err()
        {
            return match command.id {
                // Nothing precedes the reply to `connect`.
                id if id > 0 && self.client.is_some() => {
                    self.error(id, ClientError::too_many_requests())
                }
                _ => self.disconnect(Disconnect::too_many_requests()),
            };
        }
        self.queued += bytes;
        self.queue.push_back((command, bytes));
    }

    /// Takes the answer of the application to a question.
    pub fn answer(&mut self, now: Instant, answer: Answer) {
        self.now = now;
        let Some(busy) = self.busy.take().filter(|_| !self.is_over) else {
            return;
        };
        match (busy, answer) {
            (Busy::Message, Answer::Refused(Refusal::Disconnect(reason))) => {
                self.disconnect(reason)
            }
            (Busy::Message, _) => {}
            (_, Answer::Refused(Refusal::Disconnect(reason))) => self.disconnect(reason),
            (busy, Answer::Refused(Refusal::Error(error))) => self.error(busy.id(), error),
            (Busy::Connect(id, request), Answer::Connect(connect)) => {
                self.open(id, request, connect);
            }
            (Busy::Subscribe(id, request), Answer::Subscribe(grant)) => {
                self.granted(id, request, grant);
            }
            (Busy::MayPublish(id, channel), Answer::Data(data)) => {
                self.publish_now(id, channel, data)
            }
            (Busy::Rpc(id), Answer::Data(data)) => {
                let rpc = crate::protocol::RpcResult {
                    data: self.codec.payload(&data),
                };
                self.reply(id, |reply| reply.rpc = Some(rpc));
            }
            (Busy::Refresh(id), Answer::Expires(expires)) => self.refreshed(id, expires),
            (Busy::SubRefresh(id, channel), Answer::Expires(expires)) => {
                self.sub_refreshed(id, &channel, expires);
            }
            (busy, _) => self.error(busy.id(), ClientError::internal()),
        }
        self.go_on();
    }

    /// Returns whether it waits for the result of joining this group. Others join it too: the application by `Hub::join`.
    #[cfg(feature = "mio")]
    pub(crate) fn awaits_join(&self, group: &str) -> bool {
        match &self.busy {
            Some(Busy::Join { channel, .. }) => **channel == *group,
            Some(Busy::Connecting(connecting)) => connecting.joins(group),
            _ => false,
        }
    }

    /// Takes the result of a call of the hub.
    pub fn hub_result(&mut self, now: Instant, result: HubResult) {
        self.now = now;
        let Some(busy) = self.busy.take().filter(|_| !self.is_over) else {
            return;
        };
        match (busy, result) {
            (Busy::Connecting(connecting), result) => self.connecting(*connecting, result),
            (
                Busy::Join {
                    id,
                    channel,
                    expires,
                    told,
                },
                HubResult::Joined(joined),
            ) => {
                self.joined(id, channel, expires, &told, &joined);
            }
            (Busy::Epoch(id, mut request, grant), HubResult::History(history)) => {
                request.epoch = history
                    .position
                    .map_or_else(String::new, crate::format::epoch);
                self.join(id, &request, grant);
            }
            (Busy::Publish(id), HubResult::Published) => {
                self.reply(id, |reply| reply.publish = Some(Default::default()));
            }
            (Busy::HistoryEpoch(id, request), HubResult::History(history)) => {
                self.history_since(id, request, history.position);
            }
            (Busy::Presence(id), HubResult::Presence(presence)) => self.presence(id, &presence),
            (Busy::PresenceStats(id), HubResult::Presence(presence)) => {
                self.presence_stats(id, &presence);
            }
            (Busy::History(id, channel), HubResult::History(history)) => {
                self.history(id, &channel, &history);
            }
            // The server's own subscription: the client did not ask for it, and to come back would not help it.
            (Busy::Join { id: 0, channel, .. }, HubResult::Failed(error))
                if is_permanent(error) =>
            {
                let user = self.client.as_ref().map(|client| &*client.user);
                let channel = &*channel;
                tracing::error!(user, channel, why = %error, "a client was to be subscribed to what the hub refuses");
            }
            (Busy::Join { id: 0, .. }, HubResult::Failed(error)) => self.disconnect(match error {
                HubError::TooManyGroups => Disconnect::channel_limit(),
                _ => Disconnect::insufficient_state(),
            }),
            (busy, HubResult::Failed(error)) => self.error(busy.id(), of_hub(error)),
            (busy, _) => self.error(busy.id(), ClientError::internal()),
        }
        self.go_on();
    }

    /// Takes a signal of the hub.
    pub fn signal(&mut self, now: Instant, signal: &Signal) {
        self.now = now;
        match signal {
            Signal::Gap { group, .. } => {
                let known = self.subscriptions.get(group);
                match known.filter(|known| known.positioned) {
                    // Libraries do not subscribe to it again: they connect again, and recover.
                    Some(known) if known.by_server => {
                        self.disconnect(Disconnect::insufficient_state());
                    }
                    Some(_) => {
                        self.end_subscription(
                            &Arc::clone(group),
                            Unsubscribe::insufficient_state(),
                        );
                    }
                    None => {}
                }
            }
            Signal::Text(text) => match serde_json::from_str(text) {
                Ok(Control::Commands { secret, data }) => return self.emulated(&secret, data),
                Ok(control) => self.controls.push_back(control),
                Err(_) => {}
            },
            _ => self.disconnect(Disconnect::insufficient_state()),
        }
        self.go_on();
    }

    /// Returns when to call [`tick`](Self::tick).
    pub fn deadline(&self) -> Option<Instant> {
        let Timers {
            connect,
            ping,
            pong,
            expires,
        } = self.timers;
        let grace = self.options.grace;
        let late = |at: Option<Instant>| at.map(|at| self.expiry(at) + grace);
        let subscriptions = self.subscriptions.values();
        let subscriptions = subscriptions.filter_map(|one| late(one.expires)).min();
        // While a command is worked on, nothing is read: an answer may be there.
        let pong = pong.filter(|_| self.busy.is_none());
        [connect, ping, pong, late(expires), subscriptions]
            .into_iter()
            .flatten()
            .min()
            .filter(|_| !self.is_over)
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Instant) {
        self.now = now;
        let grace = self.options.grace;
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let late = self.unix_now();
        let is_late = |at: Option<Instant>| at.is_some_and(|at| at + grace <= late);
        if is_due(self.timers.connect) {
            return self.disconnect(Disconnect::stale());
        }
        if is_due(self.timers.pong) && self.busy.is_none() {
            return self.disconnect(Disconnect::no_pong());
        }
        if is_late(self.timers.expires) {
            return self.disconnect(Disconnect::expired());
        }
        if is_due(self.timers.ping) {
            self.timers.ping = self.options.ping().map(|ping| now + ping);
            self.timers.pong.get_or_insert(now + self.options.pong);
            self.outputs
                .push_back(Output::Send(self.codec.encode(&Reply::default())));
        }
        let expired = self
            .subscriptions
            .iter()
            .filter(|(_, one)| is_late(one.expires));
        let expired: Vec<Arc<str>> = expired.map(|(channel, _)| Arc::clone(channel)).collect();
        for channel in expired {
            self.end_subscription(&channel, Unsubscribe::expired());
        }
    }

    fn go_on(&mut self) {
        while self.busy.is_none() && !self.is_over {
            if self.client.is_some()
                && let Some(control) = self.controls.pop_front()
            {
                self.control(control);
            } else if let Some((command, bytes)) = self.queue.pop_front() {
                self.queued -= bytes;
                self.command(command);
            } else {
                return;
            }
        }
    }

    fn control(&mut self, control: Control) {
        match control {
            Control::Disconnect {
                code,
                reason,
                except,
            } => {
                let client = self.client.as_ref();
                if client.is_none_or(|client| !except.contains(&client.client)) {
                    self.disconnect(Disconnect { code, reason });
                }
            }
            Control::Refresh { expire_at } => self.refresh_by_server(expire_at.map(of_seconds)),
            Control::Unsubscribe {
                channel,
                code,
                reason,
            } => self.end_subscription(&channel.into(), Unsubscribe { code, reason }),
            Control::Subscribe {
                channel,
                info,
                data,
                expire_at,
            } => {
                let grant = Subscribe {
                    info,
                    data: data.unwrap_or_default().into_bytes(),
                    expires: expire_at.map(of_seconds),
                };
                self.subscribe_by_server(&channel, grant);
            }
            // They are taken at once.
            Control::Commands { .. } => {}
            Control::Message { data } => {
                let data = self.codec.payload(data.as_bytes());
                self.push(Push {
                    message: Some(DataMessage { data }),
                    ..Push::default()
                });
            }
        }
    }

    /// Ends a subscription, and tells the client after the publications that are queued for it.
    fn end_subscription(&mut self, channel: &Arc<str>, reason: Unsubscribe) {
        if self.subscriptions.remove(channel).is_none() {
            return;
        }
        self.outputs.push_back(Output::Leave(Arc::clone(channel)));
        self.push(Push {
            channel: channel.to_string(),
            unsubscribe: Some(reason.into()),
            ..Push::default()
        });
    }

    fn push(&mut self, push: Push) {
        let message = crate::format::push(self.codec, push);
        self.outputs.push_back(Output::SendInOrder(message));
    }

    fn reply(&mut self, id: u32, fill: impl FnOnce(&mut Reply)) {
        let mut reply = Reply {
            id,
            ..Reply::default()
        };
        fill(&mut reply);
        self.outputs
            .push_back(Output::Send(self.codec.encode(&reply)));
    }

    fn error(&mut self, id: u32, error: ClientError) {
        self.reply(id, |reply| reply.error = Some(error.into()));
    }

    fn disconnect(&mut self, reason: Disconnect) {
        if !self.is_over {
            self.is_over = true;
            self.outputs.push_back(Output::Close(reason));
        }
    }

    fn ask(&mut self, busy: Busy, question: Question) {
        self.busy = Some(busy);
        self.outputs.push_back(Output::Ask(question));
    }

    fn call(&mut self, busy: Busy, call: HubCall) {
        self.busy = Some(busy);
        self.outputs.push_back(Output::Call(call));
    }

    fn refreshed(&mut self, id: u32, expires: Option<Instant>) {
        self.timers.expires = expires;
        let result = crate::protocol::RefreshResult {
            client: self
                .client
                .as_ref()
                .map_or_else(String::new, |info| info.client.clone()),
            version: VERSION.into(),
            expires: expires.is_some(),
            ttl: expires.map_or(0, |at| ttl(self.unix_now(), at)),
        };
        self.reply(id, |reply| reply.refresh = Some(result));
    }

    /// Changes when the connection expires, and tells the client.
    fn refresh_by_server(&mut self, expires: Option<Instant>) {
        if expires.is_some_and(|at| at <= self.unix_now()) {
            return self.disconnect(Disconnect::expired());
        }
        self.timers.expires = expires;
        self.push(Push {
            refresh: Some(SubRefreshResult {
                expires: expires.is_some(),
                ttl: expires.map_or(0, |at| ttl(self.unix_now(), at)),
            }),
            ..Push::default()
        });
    }

    fn sub_refreshed(&mut self, id: u32, channel: &Arc<str>, expires: Option<Instant>) {
        let Some(known) = self.subscriptions.get_mut(channel) else {
            return self.error(id, ClientError::bad_request());
        };
        known.expires = expires;
        let result = SubRefreshResult {
            expires: expires.is_some(),
            ttl: expires.map_or(0, |at| ttl(self.unix_now(), at)),
        };
        self.reply(id, |reply| reply.sub_refresh = Some(result));
    }
}

/// Compares in a time that does not depend on where they differ.
pub(crate) fn is_equal(a: &[u8], b: &[u8]) -> bool {
    let differ = a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b));
    a.len() == b.len() && differ == 0
}

/// Returns what a client is told of an error of the hub.
fn of_hub(error: HubError) -> ClientError {
    match error {
        HubError::BadName | HubError::TooLong | HubError::MetadataTooLong => {
            ClientError::bad_request()
        }
        HubError::TooManyGroups => ClientError::limit_exceeded(),
        HubError::RateLimited(_) => ClientError::too_many_requests(),
        _ => ClientError::internal(),
    }
}
