//! Options of the protocol, and of its namespaces.
//! Nothing is allowed by default: each right is an option.

use std::collections::BTreeMap;
use std::time::Duration;

use sansws_core::hub::{GroupOptions, HistoryOptions, PresenceMode};
use sansws_core::limits::Rate;

/// The clients that may do something in the channels of a namespace without a handler's grant. Those without a user are not among them, unless
/// the namespace [says so](Namespace::anonymous_read).
///
/// For an example see [`Namespace`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// No client.
    #[default]
    Nobody,
    /// Clients that are subscribed to the channel.
    Subscribers,
    /// All connected clients, whether they are subscribed or not.
    Clients,
}

/// Options of the channels whose names begin with the name of the namespace and a colon.
///
/// ```
/// use sansws_centrifuge::{Access, Namespace, Options};
/// use sansws_core::hub::{HistoryOptions, HubOptions};
///
/// // Chats keep what phones miss in tunnels; prices are only read.
/// let chat = Namespace::default()
///     .recovery(HistoryOptions { messages: 50, ..HistoryOptions::default() })
///     .join_leave()
///     .subscribe()
///     .publish(Access::Subscribers)
///     .read(Access::Subscribers);
/// let prices = Namespace::default().subscribe().deltas();
/// let options = Options::default().namespace("chat", chat).namespace("prices", prices);
/// let hub = options.configure(HubOptions::default());
/// assert_eq!(hub.of("chat:lobby").history.map(|history| history.messages), Some(50));
/// assert!(hub.of("prices:oslo").history.is_none());
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Namespace {
    /// The history that is kept; default none.
    pub history: Option<HistoryOptions>,
    /// Whether clients that were away get what they missed; needs a history.
    pub recovery: bool,
    /// Whether publications have positions, so that a loss is noticed; recovery includes it.
    pub positions: bool,
    /// Whether the clients in a channel are known.
    pub presence: bool,
    /// Whether clients that ask for it are told who joins and leaves; it includes presence.
    pub join_leave: bool,
    /// Whether all clients are told who joins and leaves, even if they do not ask for it; it includes presence.
    pub force_join_leave: bool,
    /// Whether clients that ask for it receive differences from the previous publication.
    pub deltas: bool,
    /// Whether all connected clients with a user may subscribe. Otherwise they need a token, or a handler's grant.
    pub subscribe: bool,
    /// The clients that may publish.
    pub publish: Access,
    /// The clients that may read the history.
    pub read_history: Access,
    /// The clients that may ask for presence.
    pub read_presence: Access,
    /// Whether `subscribe` includes clients without a user.
    pub anonymous_subscribe: bool,
    /// Whether `publish` includes clients without a user.
    pub anonymous_publish: bool,
    /// Whether `read_history` and `read_presence` include clients without a user.
    pub anonymous_read: bool,
}

impl Namespace {
    /// Keeps a history.
    pub const fn history(mut self, history: HistoryOptions) -> Self {
        self.history = Some(history);
        self
    }

    /// Keeps a history from which clients recover.
    pub const fn recovery(mut self, history: HistoryOptions) -> Self {
        self.recovery = true;
        self.history(history)
    }

    /// Gives publications positions.
    pub const fn positions(mut self) -> Self {
        self.positions = true;
        self
    }

    /// Keeps presence.
    pub const fn presence(mut self) -> Self {
        self.presence = true;
        self
    }

    /// Keeps presence, and tells clients that ask for it who joins and leaves.
    pub const fn join_leave(mut self) -> Self {
        self.join_leave = true;
        self
    }

    /// Keeps presence, and tells all clients who joins and leaves.
    pub const fn force_join_leave(mut self) -> Self {
        self.force_join_leave = true;
        self.join_leave()
    }

    /// Sends clients that ask for it the difference from the previous publication, where that is shorter.
    pub const fn deltas(mut self) -> Self {
        self.deltas = true;
        self
    }

    /// Lets all connected clients with a user subscribe.
    pub const fn subscribe(mut self) -> Self {
        self.subscribe = true;
        self
    }

    /// Sets who may publish.
    pub const fn publish(mut self, access: Access) -> Self {
        self.publish = access;
        self
    }

    /// Sets who may read history and presence.
    pub const fn read(mut self, access: Access) -> Self {
        self.read_history = access;
        self.read_presence = access;
        self
    }

    /// Gives clients without a user the right to subscribe that others have.
    pub const fn anonymous_subscribe(mut self) -> Self {
        self.anonymous_subscribe = true;
        self
    }

    /// Gives clients without a user the right to publish that others have.
    pub const fn anonymous_publish(mut self) -> Self {
        self.anonymous_publish = true;
        self
    }

    /// Gives clients without a user the rights to read history and presence that others have.
    pub const fn anonymous_read(mut self) -> Self {
        self.anonymous_read = true;
        self
    }

    /// Returns the options of the namespace's groups in the hub.
    pub(crate) fn group(&self) -> GroupOptions {
        let mut options = GroupOptions {
            history: self.history,
            ..GroupOptions::default()
        };
        if self.keeps_presence() {
            options.presence = PresenceMode::Connections;
        }
        options
    }

    /// Returns whether any client is told who joins and leaves.
    pub(crate) const fn tells_presence(&self) -> bool {
        self.join_leave || self.force_join_leave
    }

    pub(crate) const fn keeps_presence(&self) -> bool {
        self.presence || self.tells_presence()
    }

    pub(crate) const fn is_positioned(&self) -> bool {
        self.positions || self.recovery
    }
}

/// Minimum time between pings. Without it, a session would do nothing else.
const LEAST: Duration = Duration::from_millis(1);

/// Options of the protocol.
///
/// ```
/// use sansws_centrifuge::{Namespace, Options};
/// use sansws_core::limits::Rate;
///
/// let options = Options {
///     personal_channels: true,
///     user_connections: Some(5),
///     commands: Some(Rate::per_second(10).burst(50)),
///     ..Options::default()
/// };
/// let options = options.namespace("chat", Namespace::default().subscribe());
/// assert!(options.namespaces["chat"].subscribe && !options.anonymous);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Options {
    /// Options of channels without a namespace.
    pub default: Namespace,
    /// Options of the others, by namespace; a channel of an unknown namespace is refused with error 102.
    pub namespaces: BTreeMap<String, Namespace>,
    /// Everybody may connect without credentials, subscribe and publish; for tests.
    pub insecure: bool,
    /// Clients without a token or a handler may connect, without a user. What they may do there, namespaces say by options of their own.
    pub anonymous: bool,
    /// Each user is subscribed to the channel `#` followed by its name.
    pub personal_channels: bool,
    /// Maximum number of subscriptions of a client; default 128.
    pub max_channels: usize,
    /// Maximum number of commands that wait; a client that sends more is disconnected; default 1024.
    pub max_commands: usize,
    /// Maximum rate of commands of a client; default unlimited. A command beyond it fails with error 111, after which client libraries try
    /// again; a message without a reply beyond it ends the connection with 3013.
    pub commands: Option<Rate>,
    /// Maximum number of connections of a user to this process; default unlimited. One more is closed with 3504.
    pub user_connections: Option<usize>,
    /// The secret of the tickets with which commands are posted beside HTTP streams and server-sent events. `None`, the default, or an
    /// empty one: a random one, so that these requests must reach the process of the stream. With the same secret on all servers, any of them takes them.
    pub fallback_secret: Option<String>,
    /// Maximum number of publications in a reply with history; default 1000.
    pub max_history: usize,
    /// How long a client may take to authenticate; default 15 s.
    pub connect_timeout: Duration,
    /// The time between pings; default 25 s. Zero: none are sent. Less than a millisecond counts as one.
    pub ping: Duration,
    /// How long a client may take to answer a ping; default 10 s.
    pub pong: Duration,
    /// How long an expired connection or subscription is kept, for a new token to arrive; default 25 s.
    pub grace: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            default: Namespace::default(),
            namespaces: BTreeMap::new(),
            insecure: false,
            anonymous: false,
            personal_channels: false,
            max_channels: 128,
            max_commands: 1024,
            commands: None,
            user_connections: None,
            fallback_secret: None,
            max_history: 1000,
            connect_timeout: Duration::from_secs(15),
            ping: Duration::from_secs(25),
            pong: Duration::from_secs(10),
            grace: Duration::from_secs(25),
        }
    }
}

impl Options {
    /// Sets the options of channels without a namespace.
    pub fn default_namespace(mut self, namespace: Namespace) -> Self {
        self.default = namespace;
        self
    }

    /// Adds a namespace.
    pub fn namespace(mut self, name: &str, namespace: Namespace) -> Self {
        self.namespaces.insert(name.into(), namespace);
        self
    }

    /// Lets everybody connect, subscribe and publish; for tests.
    pub const fn insecure(mut self) -> Self {
        self.insecure = true;
        self
    }

    /// Returns the time between pings; `None`: none are sent.
    pub(crate) fn ping(&self) -> Option<Duration> {
        (!self.ping.is_zero()).then(|| self.ping.max(LEAST))
    }

    /// Returns the options of a channel; `None`: its namespace is unknown.
    pub(crate) fn of(&self, channel: &str) -> Option<&Namespace> {
        match channel.split_once(':') {
            // That of a user whose id has a colon.
            _ if channel.starts_with('#') => Some(&self.default),
            Some((name, _)) => self.namespaces.get(name),
            None => Some(&self.default),
        }
    }
}
