//! A connection to Redis by the `redis` crate: commands are sent together, and pushed messages are gathered in order.
//! Knows no group.

use core::future::Future;
use core::pin::Pin;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ErrorKind, IntoConnectionInfo, Pipeline,
    ProtocolVersion, PushInfo, PushKind, RedisError, RedisResult, Value, cmd,
};

use crate::call::{Call, Expect, is_subscription};
use crate::keys::Keys;
use crate::options::{RedisOptions, Server, SetupError, Tls};
use crate::request::{Failure, Push, Reply, RequestId};
use crate::scripts::{self, Scripts};
use crate::shard::Shard;

/// Messages that Redis pushed, in order.
#[derive(Debug)]
pub(crate) struct Pushed {
    waiting: Mutex<Waiting>,
    keys: Keys,
    most: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    pushes: VecDeque<Push>,
    bytes: usize,
    /// Why nothing more will arrive.
    ended: Option<&'static str>,
    waker: Option<Waker>,
}

impl Pushed {
    fn new(keys: &Keys, most: usize) -> Arc<Self> {
        Arc::new(Self {
            waiting: Mutex::default(),
            keys: keys.clone(),
            most,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes data that the `redis` crate read. It must not wait.
    fn take_in(&self, info: PushInfo) {
        let mut data = info.data.into_iter();
        let mut next = || match data.next() {
            Some(Value::BulkString(bytes)) => Some(bytes),
            Some(Value::SimpleString(text)) => Some(text.into_bytes()),
            _ => None,
        };
        let mut waiting = self.lock();
        if waiting.ended.is_some() {
            return;
        }
        if info.kind == PushKind::Disconnection {
            waiting.ended = Some("the connection was closed");
        } else {
            let channel = next().and_then(|name| String::from_utf8(name).ok());
            let Some(channel) = channel.and_then(|name| self.keys.parse_channel(&name)) else {
                return;
            };
            let before = waiting.bytes;
            let push = match info.kind {
                PushKind::Message | PushKind::SMessage => {
                    let payload = next().unwrap_or_default();
                    waiting.bytes += payload.len();
                    Push::Message(channel, payload)
                }
                PushKind::Subscribe | PushKind::SSubscribe => Push::Subscribed(channel),
                PushKind::Unsubscribe | PushKind::SUnsubscribe => Push::Unsubscribed(channel),
                _ => return,
            };
            waiting.pushes.push_back(push);
            // A single longer message would be as long after a reconnection.
            if before > 0 && waiting.bytes > self.most {
                waiting.ended =
                    Some("more arrived than `RedisOptions::max_ahead` before it was processed");
            }
        }
        let waker = waiting.waker.take();
        drop(waiting);
        waker.into_iter().for_each(Waker::wake);
    }

    /// Forgets all pushes so far.
    fn forget(&self) {
        let mut waiting = self.lock();
        waiting.pushes.clear();
        waiting.bytes = 0;
    }

    /// Returns pushed messages; once the connection is gone, the reason.
    pub(crate) fn drain(&self, waker: &Waker, mut each: impl FnMut(Push)) -> Result<(), String> {
        let (pushes, ended) = {
            let mut waiting = self.lock();
            waiting.bytes = 0;
            waiting.waker = Some(waker.clone());
            (core::mem::take(&mut waiting.pushes), waiting.ended)
        };
        pushes.into_iter().for_each(&mut each);
        ended.map_or(Ok(()), |ended| Err(ended.to_owned()))
    }
}

/// Makes connections.
pub(crate) struct Connector {
    server: Target,
    options: RedisOptions,
}

enum Target {
    One(Box<Client>),
    Sentinel(Vec<redis::ConnectionInfo>),
    Cluster(Vec<redis::ConnectionInfo>),
}

#[derive(Clone)]
enum Connected {
    One(MultiplexedConnection),
    Cluster(ClusterConnection<Shard>),
}

/// A connection.
pub(crate) struct Connection {
    connected: Connected,
    pub(crate) pushed: Arc<Pushed>,
    /// The time of Redis when the connection was made, in microseconds.
    pub(crate) time: u64,
}

/// The results of requests.
pub(crate) type Answers = Result<Vec<(RequestId, Result<Reply, Failure>)>, String>;

pub(crate) type Asking = Pin<Box<dyn Future<Output = Answers> + Send>>;

fn with_resp3(url: &str) -> RedisResult<redis::ConnectionInfo> {
    let info = url.into_connection_info()?;
    let settings = info.redis_settings().clone();
    Ok(info.set_redis_settings(settings.set_protocol(ProtocolVersion::RESP3)))
}

impl Connector {
    pub(crate) fn new(options: RedisOptions) -> Result<Self, SetupError> {
        options.check()?;
        let bad = |error: RedisError| SetupError::BadUrl(Arc::new(error));
        let infos = options.server.urls().iter().map(|url| with_resp3(url));
        let infos: Vec<_> = infos.collect::<RedisResult<_>>().map_err(bad)?;
        let first = infos.first().ok_or(SetupError::NoUrl)?;
        if is_tls(first) {
            #[cfg(feature = "tls")]
            crate::tls::choose_provider();
        } else if !options.tls.is_default() {
            return Err(SetupError::NoTls);
        }
        // Find faults in the settings now, not when a connection is made.
        let client = client(first.clone(), &options.tls)?;
        let server = match &options.server {
            Server::One(_) => Target::One(Box::new(client)),
            Server::Sentinel { .. } => {
                drop(sentinel(&infos, &options).map_err(bad)?);
                Target::Sentinel(infos)
            }
            Server::Cluster(_) => {
                drop(cluster(&infos, &options).build().map_err(bad)?);
                Target::Cluster(infos)
            }
        };
        Ok(Self { server, options })
    }

    pub(crate) async fn connect(&self, scripts: &Scripts) -> Result<Connection, String> {
        let connection = self.connected(scripts).await;
        let (connection, forbidden) = connection.map_err(|error| self.reason(&error))?;
        let Forbidden { commands, channels } = forbidden;
        let prefix = scripts.keys().prefix();
        if !commands.is_empty() {
            let commands = commands.join(", ");
            return Err(format!(
                "Redis does not allow its user {commands} on keys and channels that begin with `{prefix}:`"
            ));
        }
        if !channels.is_empty() {
            let channels = channels.join("`, `");
            return Err(format!(
                "Redis does not allow its user the channels `{channels}`: it needs all that begin with `{prefix}:`"
            ));
        }
        Ok(connection)
    }

    /// Returns a connection, and the rights that it lacks.
    async fn connected(&self, scripts: &Scripts) -> RedisResult<(Connection, Forbidden)> {
        let pushed = Pushed::new(scripts.keys(), self.options.max_ahead);
        let sink = {
            let pushed = Arc::clone(&pushed);
            move |info: PushInfo| {
                pushed.take_in(info);
                Ok::<(), redis::aio::SendError>(())
            }
        };
        let timeout = self.options.timeout;
        let config = || {
            AsyncConnectionConfig::new()
                .set_connection_timeout(Some(timeout))
                .set_response_timeout(Some(timeout))
        };
        let mut connected = match &self.server {
            Target::One(client) => {
                let config = config().set_push_sender(sink);
                let connecting = client.get_multiplexed_async_connection_with_config(&config);
                Connected::One(connecting.await?)
            }
            Target::Sentinel(infos) => {
                let mut client = sentinel(infos, &self.options)?;
                let config = config().set_push_sender(sink);
                let connecting = client.get_async_connection_with_config(&config);
                Connected::One(connecting.await?)
            }
            Target::Cluster(infos) => {
                let client = cluster(infos, &self.options).push_sender(sink).build()?;
                Connected::Cluster(client.get_async_generic_connection().await?)
            }
        };
        let (time, forbidden) = match &mut connected {
            Connected::One(connection) => prepare(connection, scripts).await?,
            Connected::Cluster(connection) => prepare(connection, scripts).await?,
        };
        // The confirmations of what was tried concern nobody.
        pushed.forget();
        let connection = Connection {
            connected,
            pushed,
            time,
        };
        Ok((connection, forbidden))
    }

    /// Returns why there is no connection.
    fn reason(&self, error: &RedisError) -> String {
        // Another kind of server may answer several lines.
        let text = error.to_string();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        // An old server repeats the command that it does not know, with the password in it.
        let lower = text.to_ascii_lowercase();
        let is_unknown = lower.contains("unknown command") && lower.contains("hello");
        if is_unknown || text.contains("NOPROTO") || text.contains("RESP3NotSupported") {
            return "Redis does not speak RESP3: it must be 6.2 or later, and a proxy in front of it must know `HELLO 3`".into();
        }
        if text.contains("WRONGPASS") || error.kind() == ErrorKind::AuthenticationFailed {
            return format!("Redis does not accept the user and the password of its URL: {text}");
        }
        if text.contains("NOAUTH") {
            return format!("Redis requires a user and a password in its URL: {text}");
        }
        if error.is_timeout() {
            let timeout = self.options.timeout;
            return format!(
                "Redis did not answer within {timeout:?} (if it speaks TLS, its URL is `rediss://`, otherwise `redis://`): {text}"
            );
        }
        if error.kind() == ErrorKind::Parse {
            return format!("no Redis answers there: {text}");
        }
        text
    }
}

/// Returns a client of one server, with the configured certificates.
fn client(info: redis::ConnectionInfo, tls: &Tls) -> Result<Client, SetupError> {
    #[cfg(feature = "tls")]
    if is_tls(&info) {
        tls.check()?;
        return Client::build_with_tls(info, tls.certificates())
            .map_err(|error| SetupError::BadTls(Arc::new(error)));
    }
    let _ = tls;
    Client::open(info).map_err(|error| SetupError::BadUrl(Arc::new(error)))
}

/// Returns whether a connection is encrypted.
fn is_tls(info: &redis::ConnectionInfo) -> bool {
    matches!(info.addr(), ConnectionAddr::TcpTls { .. })
}

/// Asks the Sentinels for the master, again for each connection, because it may have changed.
fn sentinel(
    sentinels: &[redis::ConnectionInfo],
    options: &RedisOptions,
) -> RedisResult<SentinelClient> {
    let Server::Sentinel {
        master,
        credentials,
        ..
    } = &options.server
    else {
        return Err((ErrorKind::InvalidClientConfig, "no Sentinel").into());
    };
    let addresses = sentinels.iter().map(|info| info.addr().clone());
    let mut builder = SentinelClientBuilder::new(addresses, master, SentinelServerType::Master)?
        .set_client_to_redis_protocol(ProtocolVersion::RESP3);
    if let Some((user, password)) = credentials {
        builder = builder
            .set_client_to_redis_username(user)
            .set_client_to_redis_password(password);
    }
    let Some(first) = sentinels.first() else {
        return builder.build();
    };
    if let Some(user) = first.redis_settings().username() {
        builder = builder.set_client_to_sentinel_username(user);
    }
    if let Some(password) = first.redis_settings().password() {
        builder = builder.set_client_to_sentinel_password(password);
    }
    if is_tls(first) {
        builder = builder.set_client_to_redis_tls_mode(redis::TlsMode::Secure);
        #[cfg(feature = "tls")]
        {
            builder = builder
                .set_client_to_redis_certificates(options.tls.certificates())
                .set_client_to_sentinel_certificates(options.tls.certificates());
        }
    }
    builder.build()
}

/// Builds a client of a cluster.
fn cluster(nodes: &[redis::ConnectionInfo], options: &RedisOptions) -> ClusterClientBuilder {
    let timeout = options.timeout;
    let builder = ClusterClient::builder(nodes.to_vec())
        .use_protocol(ProtocolVersion::RESP3)
        .connection_timeout(timeout)
        .response_timeout(timeout)
        .overall_response_timeout(Some(timeout))
        .retries(3);
    #[cfg(feature = "tls")]
    if nodes.first().is_some_and(is_tls) {
        return builder.certs(options.tls.certificates());
    }
    builder
}

/// Rights that a user of Redis lacks.
#[derive(Debug, Default)]
struct Forbidden {
    commands: Vec<String>,
    channels: Vec<String>,
}

/// Loads the scripts; returns the time, and the rights that are missing.
async fn prepare(
    connection: &mut impl ConnectionLike,
    scripts: &Scripts,
) -> RedisResult<(u64, Forbidden)> {
    for code in scripts.codes() {
        let mut load = cmd("SCRIPT");
        load.arg("LOAD").arg(code);
        connection
            .req_packed_command(&load)
            .await?
            .extract_error()?;
    }
    let mut forbidden = Forbidden::default();
    let (subscribing, script) = scripts.rights();
    for (word, command) in subscribing {
        if !is_allowed(connection, &command).await? {
            forbidden.commands.push(word.to_owned());
        }
    }
    let of_scripts: Vec<String> = script.query_async(connection).await?;
    forbidden.commands.extend(of_scripts);
    if forbidden.commands.is_empty() {
        // Each kind of channel by itself. Who may subscribe to a channel may publish to it.
        for (channel, commands) in scripts.channels() {
            let mut allowed = true;
            for command in commands {
                allowed &= is_allowed(connection, &command).await?;
            }
            if !allowed {
                forbidden.channels.push(channel);
            }
        }
    }
    let (seconds, micros): (u64, u64) = cmd("TIME").query_async(connection).await?;
    Ok((seconds * 1_000_000 + micros, forbidden))
}

/// Returns whether the user has the right to a command.
async fn is_allowed(connection: &mut impl ConnectionLike, command: &Cmd) -> RedisResult<bool> {
    let answer = connection.req_packed_command(command).await;
    match answer.and_then(Value::extract_error) {
        Err(error) if error.code() == Some("NOPERM") => Ok(false),
        // Valkey says so of a subscription that was not allowed.
        Err(error) if error.code() == Some("NOSUB") => Ok(true),
        answer => answer.map(|_| true),
    }
}

impl Connection {
    /// Sends requests together; their answers arrive together.
    pub(crate) fn ask(&self, calls: Vec<(RequestId, Call)>) -> Vec<Asking> {
        match &self.connected {
            Connected::One(connection) => {
                vec![Box::pin(ask_one(connection.clone(), calls))]
            }
            Connected::Cluster(connection) => calls
                .into_iter()
                .map(|call| -> Asking { Box::pin(ask_cluster(connection.clone(), call)) })
                .collect(),
        }
    }
}

async fn ask_one(mut connection: MultiplexedConnection, calls: Vec<(RequestId, Call)>) -> Answers {
    let mut pipeline = Pipeline::with_capacity(calls.len());
    for (_, call) in &calls {
        pipeline.add_command(call.command.clone());
    }
    let asking = connection.req_packed_commands(&pipeline, 0, calls.len());
    let values = asking.await.map_err(|error| error.to_string())?;
    let mut answers = Vec::with_capacity(calls.len());
    for ((id, call), mut value) in calls.into_iter().zip(values) {
        if is_unknown_script(&value)
            && let Some(command) = call.with_code()
        {
            let asking = connection.req_packed_command(&command);
            value = asking.await.map_err(|error| error.to_string())?;
        }
        answers.push((id, judge(&call, value)?));
    }
    Ok(answers)
}

async fn ask_cluster(
    mut connection: ClusterConnection<Shard>,
    (id, call): (RequestId, Call),
) -> Answers {
    let mut value = value_of(connection.req_packed_command(&call.command).await)?;
    if is_unknown_script(&value)
        && let Some(command) = call.with_code()
    {
        value = value_of(connection.req_packed_command(&command).await)?;
    }
    Ok(vec![(id, judge(&call, value)?)])
}

/// Returns an error of the server as a value, as in a pipeline.
fn value_of(result: RedisResult<Value>) -> Result<Value, String> {
    result.or_else(|error| match redis::ServerError::try_from(error) {
        Ok(error) => Ok(Value::ServerError(error)),
        Err(error) => Err(error.to_string()),
    })
}

fn is_unknown_script(value: &Value) -> bool {
    matches!(value, Value::ServerError(error) if error.code() == "NOSCRIPT")
}

/// Errors of a server that cannot do anything.
const DOWN: [&str; 11] = [
    "READONLY",
    "LOADING",
    "MASTERDOWN",
    "CLUSTERDOWN",
    "TRYAGAIN",
    "MOVED",
    "ASK",
    "NOAUTH",
    "BUSY",
    "MISCONF",
    "NOREPLICAS",
];

/// Interprets an answer: a server that cannot do anything counts as down, and so does one that does not let the link beat any more: the next
/// connection learns which rights are missing. A connection whose answers are those of other requests is of no use: the `redis` crate takes
/// a confirmation that nobody asked for, such as that of a channel whose slot moves, as the answer to the oldest request.
fn judge(call: &Call, value: Value) -> Result<Result<Reply, Failure>, String> {
    if matches!(value, Value::Push { .. }) && !is_subscription(&call.command) {
        return Err("a confirmation came in place of an answer".to_owned());
    }
    if let Value::ServerError(error) = value {
        let text = error.to_string();
        // Redis 6.2 puts the error of a command into that of the script.
        let is_inner = |code: &str| {
            error.code() == "ERR" && text.contains("Error running script") && text.contains(code)
        };
        let has_code = |code: &&str| error.code() == *code || is_inner(code);
        let is_forbidden = || {
            let signs = [
                "NOPERM",
                "NoPerm",
                "The user executing the script",
                "ACL failure",
            ];
            signs.iter().any(|sign| text.contains(sign))
        };
        if DOWN.iter().any(has_code) || (call.expect == Expect::Beat && is_forbidden()) {
            return Err(text);
        }
        return Ok(Err(Failure(format!("{}: {text}", call.subject()))));
    }
    let reply = scripts::reply(call.expect, value);
    Ok(reply.map_err(|_| Failure("an answer that was not expected".to_owned())))
}

#[cfg(test)]
mod tests {
    use sansws_core::hub::NodeId;
    use sansws_core::time::Duration;

    use super::*;
    use crate::request::{Channel, Incarnation, Request};

    #[test]
    fn a_server_that_cannot_do_anything_is_down_and_what_it_refuses_is_named() {
        let keys = Keys::new("app");
        let send = || Scripts::new(keys.clone(), false).call(Request::RemoveHistory("a".into()));
        let beat = || {
            let incarnation = Incarnation {
                node: NodeId(1),
                term: 0,
            };
            Scripts::new(keys.clone(), false).call(Request::Beat {
                incarnation,
                watching: false,
                lease: Duration::from_secs(1),
            })
        };
        let of = |call: &Call, text: &str| {
            judge(
                call,
                redis::parse_redis_value(format!("-{text}\r\n").as_bytes()).unwrap(),
            )
        };
        let inner =
            "ERR Error running script (call to f_6b): @user_script:46: -READONLY You can't write";
        for text in [
            "READONLY no",
            "LOADING it",
            "NOREPLICAS few",
            "MISCONF disk",
            inner,
        ] {
            assert!(of(&send(), text).is_err(), "{text}");
        }
        for (text, told) in [
            ("OOM command not allowed", "app:{a}:m: "),
            ("WRONGTYPE Operation against", "app:{a}:m: "),
            ("NOPERM this user", "app:{a}:m: "),
            ("ERR something about BUSY bees", "app:{a}:m: "),
        ] {
            let Failure(failure) = of(&send(), text).unwrap().unwrap_err();
            assert!(failure.starts_with(told), "{failure}");
        }
        assert!(of(&beat(), "OOM command not allowed").unwrap().is_err());
        let confirmation = || Value::Push {
            kind: PushKind::SUnsubscribe,
            data: vec![Value::BulkString(b"app:{a}".to_vec()), Value::Int(0)],
        };
        for call in [send(), beat()] {
            let told = judge(&call, confirmation());
            assert!(told.is_err(), "{told:?}");
        }
        let subscribe = Request::Subscribe(Channel::Group("a".into()));
        let subscribe = Scripts::new(keys.clone(), true).call(subscribe);
        assert_eq!(judge(&subscribe, confirmation()), Ok(Ok(Reply::Done)));
        for text in ["NOPERM this user", "ERR ACL failure in script: User chat"] {
            assert!(of(&beat(), text).is_err(), "{text}");
        }
    }
}
