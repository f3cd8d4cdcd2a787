//! Redis as its operators treat it: two servers, one on tokio and one on event loops, and members who check each number while
//! publications are in flight by the thousand.

#![cfg(all(feature = "tokio", feature = "thread"))]

mod server;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sansws_core::hub::{
    ChannelOptions, GroupOptions, HistoryOptions, HubError, HubEvent, HubOptions, JoinOptions,
    Joined, Notice, OutagePolicy, Position, PresenceMode, QueueLimits,
};
use sansws_mio::{AcceptOptions, Endpoint, Listener, Scope, ServerHandle, Socket};
use sansws_redis::{Redis, RedisOptions, Runtime, State, Status, hub_options};
use sansws_std::ConnectOptions;
use sansws_tokio::Error;
use server::{Server, until};

const GROUPS: usize = 8;

/// The number of publications in flight.
const AT_ONCE: usize = 2_000;

/// The messages that a member of all groups has received.
#[derive(Default)]
struct Seen {
    groups: BTreeMap<String, Group>,
    joined: usize,
    faults: Vec<String>,
}

#[derive(Default)]
struct Group {
    at: Option<Position>,
    /// A loss was reported, and no message has come since.
    is_told: bool,
    gaps: u64,
    /// By text, how often it came.
    texts: BTreeMap<String, u64>,
}

impl Seen {
    /// Takes a message: its group, then `gap`, or its position and text.
    fn take(&mut self, message: &str) {
        if message == "joined" {
            self.joined += 1;
            return;
        }
        let mut words = message.splitn(3, ' ');
        let name = words.next().unwrap();
        let group = self.groups.entry(name.to_owned()).or_default();
        let Ok(position) = words.next().unwrap().parse::<Position>() else {
            group.is_told = true;
            group.gaps += 1;
            return;
        };
        if let Some(before) = group.at {
            let follows = position.epoch == before.epoch && position.offset == before.offset + 1;
            let goes_on = position.epoch != before.epoch || position.offset > before.offset;
            if !(follows || goes_on && group.is_told) {
                self.faults
                    .push(format!("{name}: {position} after {before}"));
            }
        }
        (group.at, group.is_told) = (Some(position), false);
        let text = words.next().unwrap().to_owned();
        *group.texts.entry(text).or_default() += 1;
    }
}

fn options() -> HubOptions {
    let history = HistoryOptions {
        messages: 1_000_000,
        bytes: 256 << 20,
        age: Duration::from_secs(600),
        recovery: 1_000_000,
    };
    let groups = GroupOptions::default()
        .history(history)
        .envelope(|publication| {
            let text = publication.as_text().unwrap_or_default();
            match publication.position {
                Some(position) => format!("{} {position} {text}", publication.group).into(),
                None => format!("{} nowhere {text}", publication.group).into(),
            }
        })
        .notices(|notice| match notice {
            Notice::Gap { group, .. } => Some(format!("{group} gap").into()),
            _ => None,
        });
    let limits = QueueLimits {
        bytes: 1 << 30,
        messages: 10_000_000,
        ..QueueLimits::default()
    };
    let mut options = HubOptions::default().groups(groups).queue_limits(limits);
    options.on_outage = OutagePolicy::Refuse;
    options.lease = Some(Duration::from_secs(3));
    options.check = Some(Duration::from_secs(1));
    hub_options(options)
}

fn settings(url: &str) -> RedisOptions {
    let mut settings = RedisOptions::one(url, "test");
    settings.timeout = Duration::from_secs(2);
    settings.backoff.max = Duration::from_millis(500);
    settings
}

/// Joins all groups.
struct Room;

impl Endpoint for Room {
    type Data = ();

    fn upgrade(&mut self, _: &mut Scope, _: &mut AcceptOptions) -> sansws_mio::Result {
        Ok(())
    }

    fn open(&mut self, socket: &mut Socket<'_, ()>) -> sansws_mio::Result {
        for group in 0..GROUPS {
            socket.join(&format!("g{group}"))?;
        }
        Ok(())
    }

    fn joined(&mut self, socket: &mut Socket<'_, ()>, _: &str, _: Joined) -> sansws_mio::Result {
        let _ = socket.send("joined");
        Ok(())
    }
}

/// Two servers behind one Redis, with a member on each.
struct Pair {
    near: sansws_tokio::Hub,
    far: sansws_mio::Hub,
    statuses: [Status; 2],
    seen: [Arc<Mutex<Seen>>; 2],
    handle: ServerHandle,
    serving: Option<JoinHandle<()>>,
    links: Vec<JoinHandle<()>>,
}

impl Pair {
    async fn start(url: &str) -> Self {
        let (near, link) = sansws_tokio::Hub::linked(options());
        let redis = Redis::new(link, Runtime::Tokio, settings(url)).unwrap();
        let near_status = redis.status();
        tokio::spawn(redis.run());
        let (far, link) = sansws_mio::Hub::linked(options());
        let redis = Redis::new(link, Runtime::Tokio, settings(url)).unwrap();
        let far_status = redis.status();
        let links = vec![redis.run_on_thread().unwrap()];
        let listener = Listener::bind_shared("127.0.0.1:0").unwrap();
        let mut server = sansws_mio::Server::new(listener);
        let (address, handle) = (server.local_addr().unwrap(), server.handle());
        let hub = far.clone();
        let serving = thread::spawn(move || {
            let router = |_| sansws_mio::Router::new().route("/", Room).hub(&hub);
            server.serve_on_threads(2, router).unwrap();
        });
        let this = Self {
            near: near.clone(),
            far,
            statuses: [near_status, far_status],
            seen: [Arc::default(), Arc::default()],
            handle,
            serving: Some(serving),
            links,
        };
        this.up();
        let channel = near.open_channel(ChannelOptions::default()).unwrap();
        for group in 0..GROUPS {
            let group = format!("g{group}");
            let joining = channel.join_with(&group, JoinOptions::default());
            joining.await.unwrap();
        }
        let seen = Arc::clone(&this.seen[0]);
        tokio::spawn(async move {
            loop {
                let taken = channel.take(1).await;
                let mut seen = seen.lock().unwrap();
                for message in &taken.messages {
                    seen.take(core::str::from_utf8(message.payload()).unwrap());
                }
                if let Some((code, reason)) = taken.close {
                    seen.faults.push(format!("near: closed {code:?} {reason}"));
                    return;
                }
            }
        });
        let mut socket =
            sansws_std::connect(format!("ws://{address}/"), ConnectOptions::default()).unwrap();
        let seen = Arc::clone(&this.seen[1]);
        thread::spawn(move || {
            loop {
                match socket.receive() {
                    Ok(Some(message)) => seen.lock().unwrap().take(message.as_text().unwrap()),
                    end => {
                        let fault = format!("far: {end:?} {:?}", socket.closed());
                        return seen.lock().unwrap().faults.push(fault);
                    }
                }
            }
        });
        until("all have joined", || {
            this.seen[1].lock().unwrap().joined == GROUPS
        });
        this
    }

    fn is_up(&self) -> bool {
        let is_up = |status: &Status| matches!(status.state(), State::Up { .. });
        self.statuses.iter().all(is_up)
    }

    fn up(&self) {
        until("both are linked", || self.is_up());
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.handle.drop_all();
        for status in &self.statuses {
            status.close();
        }
        if let (false, Some(serving)) = (thread::panicking(), self.serving.take()) {
            serving.join().unwrap();
            self.links.drain(..).for_each(|link| link.join().unwrap());
        }
    }
}

/// Publishes until it is told to end, each text with an id, and again until it was published.
struct Publisher {
    stops: Arc<AtomicBool>,
    /// The publications, by text.
    done: Arc<Mutex<BTreeMap<String, Position>>>,
    refused: Arc<AtomicU64>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Publisher {
    fn start(pair: &Pair) -> Self {
        let mut this = Self {
            stops: Arc::default(),
            done: Arc::default(),
            refused: Arc::default(),
            tasks: Vec::new(),
        };
        for task in 0..AT_ONCE {
            let (stops, done) = (Arc::clone(&this.stops), Arc::clone(&this.done));
            let refused = Arc::clone(&this.refused);
            let (near, far) = (pair.near.clone(), pair.far.clone());
            this.tasks.push(tokio::spawn(async move {
                let group = format!("g{}", task % GROUPS);
                let mut numbers = (task..).step_by(AT_ONCE);
                while !stops.load(Ordering::Relaxed)
                    && let Some(number) = numbers.next()
                {
                    let text = number.to_string();
                    let position = loop {
                        let published = if (number / AT_ONCE).is_multiple_of(2) {
                            near.publish(&group, text.as_str()).id(&text).await
                        } else {
                            far.publish(&group, text.as_str()).id(&text).await
                        };
                        match published {
                            Ok(published) => break published.position.unwrap(),
                            Err(Error::Hub(HubError::Down)) => {}
                            Err(Error::Hub(HubError::Refused)) => {
                                refused.fetch_add(1, Ordering::Relaxed);
                            }
                            Err(error) => panic!("{error}"),
                        }
                        pass(50).await;
                    };
                    done.lock().unwrap().insert(text, position);
                }
            }));
        }
        this
    }

    fn count(&self) -> usize {
        self.done.lock().unwrap().len()
    }

    fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Waits until as many more are published.
    async fn more(&self, by: usize) {
        let until = self.count() + by;
        for _ in 0..6_000 {
            if self.count() >= until {
                return;
            }
            pass(10).await;
        }
        panic!("{} of {until} are published after 60 s", self.count());
    }

    /// Returns what was published, by text.
    async fn end(self) -> BTreeMap<String, Position> {
        self.stops.store(true, Ordering::Relaxed);
        for task in self.tasks {
            let ended = tokio::time::timeout(Duration::from_secs(60), task).await;
            ended.expect("no publication waits for ever").unwrap();
        }
        self.done.lock().unwrap().clone()
    }
}

async fn pass(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

/// Returns what has not come to a member, though it was published to it and no loss was reported in its group.
fn missing(seen: &Seen, done: &BTreeMap<String, Position>) -> Vec<String> {
    let came = |text: &str| {
        let group = format!("g{}", text.parse::<usize>().unwrap() % GROUPS);
        let group = seen.groups.get(&group);
        group.is_some_and(|group| group.gaps > 0 || group.texts.contains_key(text))
    };
    let missing = done.iter().filter(|(text, _)| !came(text));
    missing
        .map(|(text, position)| format!("{text} at {position}"))
        .collect()
}

/// Publishes while something is done to Redis. What was published must have come to both members, once and in order. If Redis loses its data,
/// losses may be reported, and publications be made again: with its data it loses their ids.
async fn under_fire(
    server: &mut Server,
    loses_data: bool,
    what: impl AsyncFnOnce(&mut Server, &Publisher),
) {
    let pair = Pair::start(&server.url()).await;
    let publisher = Publisher::start(&pair);
    publisher.more(2 * AT_ONCE).await;
    what(server, &publisher).await;
    pair.up();
    publisher.more(2 * AT_ONCE).await;
    let done = publisher.end().await;
    until("all has come", || {
        let mut seen = pair.seen.iter();
        seen.all(|seen| missing(&seen.lock().unwrap(), &done).is_empty())
    });
    for seen in &pair.seen {
        let seen = seen.lock().unwrap();
        assert_eq!(seen.faults, Vec::<String>::new());
        let gaps: u64 = seen.groups.values().map(|group| group.gaps).sum();
        let counts = seen.groups.values().flat_map(|group| &group.texts);
        let doubled: Vec<_> = counts.filter(|(_, count)| **count > 1).collect();
        if !loses_data {
            assert!(gaps == 0 && doubled.is_empty(), "{gaps}, {doubled:?}");
        }
    }
}

/// One at a time: there are few cores.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run(work: impl Future<Output = ()>) {
    let _alone = alone();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.unwrap().block_on(work);
}

#[test]
fn nothing_is_lost_or_doubled_when_redis_is_killed_or_hangs() {
    run(async {
        let mut server = Server::durable();
        under_fire(&mut server, false, async |server, publisher| {
            for _ in 0..2 {
                // In the middle of whatever it does.
                server.kill();
                server.restart();
                publisher.more(AT_ONCE).await;
                for millis in [500, 2_300] {
                    server.signal("-STOP");
                    pass(millis).await;
                    server.signal("-CONT");
                    publisher.more(AT_ONCE).await;
                }
                server.signal("-STOP");
                pass(2_100).await;
                server.kill();
                server.restart();
                publisher.more(AT_ONCE).await;
                server.cli(&["DEBUG", "SLEEP", "2.1"]);
                publisher.more(AT_ONCE).await;
            }
        })
        .await;
    });
}

#[test]
fn nothing_is_lost_or_doubled_when_connections_and_scripts_go() {
    run(async {
        let mut server = Server::durable();
        under_fire(&mut server, false, async |server, publisher| {
            for command in [
                &["CLIENT", "KILL", "TYPE", "pubsub"] as &[&str],
                &["SCRIPT", "FLUSH"],
                &["CLIENT", "KILL", "TYPE", "normal"],
                &["SCRIPT", "FLUSH", "ASYNC"],
            ]
            .repeat(3)
            {
                server.cli(command);
                publisher.more(AT_ONCE / 2).await;
            }
        })
        .await;
    });
}

#[test]
fn nothing_is_lost_or_doubled_when_redis_refuses() {
    run(async {
        let mut server = Server::durable();
        under_fire(&mut server, false, async |server, publisher| {
            for (wrong, right) in [
                (
                    &["CONFIG", "SET", "maxmemory", "1"] as &[&str],
                    &["CONFIG", "SET", "maxmemory", "0"] as &[&str],
                ),
                (
                    &["ACL", "SETUSER", "default", "-publish", "-set"],
                    &["ACL", "SETUSER", "default", "+@all"],
                ),
                (
                    &["ACL", "SETUSER", "default", "-evalsha", "-eval"],
                    &["ACL", "SETUSER", "default", "+@all"],
                ),
            ] {
                let before = publisher.refused();
                server.cli(wrong);
                until("publications are refused", || publisher.refused() > before);
                // For longer than the link needs to notice that it may do nothing.
                pass(1_500).await;
                server.cli(right);
                publisher.more(AT_ONCE).await;
            }
        })
        .await;
    });
}

#[test]
fn losses_are_reported_when_redis_loses_data() {
    run(async {
        let mut server = Server::forgetful();
        let empty = Server::forgetful();
        under_fire(&mut server, true, async |server, publisher| {
            server.cli(&["FLUSHALL"]);
            publisher.more(AT_ONCE).await;
            server.kill();
            server.restart();
            publisher.more(AT_ONCE).await;
            // Groups and ids are evicted, each by itself.
            server.cli(&["CONFIG", "SET", "maxmemory-policy", "allkeys-random"]);
            server.cli(&["CONFIG", "SET", "maxmemory", "1500000"]);
            pass(1_000).await;
            server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
            publisher.more(AT_ONCE).await;
            // It is read-only, has the data of another, and is a master again.
            server.cli(&["REPLICAOF", "127.0.0.1", &empty.port.to_string()]);
            until("it follows", || {
                let state = server.cli(&["INFO", "replication"]);
                state.contains("master_link_status:up")
            });
            server.cli(&["REPLICAOF", "NO", "ONE"]);
            publisher.more(AT_ONCE).await;
        })
        .await;
    });
}

/// A hub of a server on tokio, which keeps presence.
async fn present(url: &str) -> (sansws_tokio::Hub, Status) {
    let grace = Duration::from_millis(10);
    let groups = GroupOptions::default().presence(PresenceMode::Members { grace });
    let options = hub_options(HubOptions::default().groups(groups));
    let (hub, link) = sansws_tokio::Hub::linked(options);
    let redis = Redis::new(link, Runtime::Tokio, settings(url)).unwrap();
    let status = redis.status();
    tokio::spawn(redis.run());
    let server = sansws_tokio::Server::bind("127.0.0.1:0").await.unwrap();
    let refuse = async |_: sansws_tokio::Upgrade| Ok(());
    let router = sansws_tokio::Router::new().route("/", refuse).hub(&hub);
    tokio::spawn(server.serve(router));
    until("it is linked", || status.is_up());
    (hub, status)
}

#[test]
fn users_that_come_and_go_while_redis_refuses_are_announced_later() {
    run(async {
        let server = Server::durable();
        let (near, status) = present(&server.url()).await;
        let (far, _far) = present(&server.url()).await;
        let mut events = far.events();
        let refuse = |word: &str| {
            let before = status.metrics().refused;
            server.cli(&["ACL", "SETUSER", "default", &format!("-{word}")]);
            before
        };
        let allow = || server.cli(&["ACL", "SETUSER", "default", "+@all"]);
        let count = async || far.presence("room").await.unwrap().count;
        let mut told = async |is_told: fn(&str) -> bool| {
            let next = async {
                loop {
                    let HubEvent::Presence(change) = events.next().await else {
                        continue;
                    };
                    let of = |users: &[sansws_core::hub::Present], sign: &str| {
                        let users = users.iter().map(|one| format!("{sign}{}", one.user));
                        users.collect::<String>()
                    };
                    let change = of(&change.joined, "+") + &of(&change.left, "-");
                    assert!(is_told(&change), "{change}");
                    return;
                }
            };
            let told = tokio::time::timeout(Duration::from_secs(40), next).await;
            told.expect("a change of presence is told");
        };
        // The first write of a step is refused, or a later one, or publishing the change.
        for word in ["sadd", "hset", "publish"] {
            let before = refuse(word);
            let options = ChannelOptions {
                user: Some("ada".into()),
                ..ChannelOptions::default()
            };
            let ada = near.open_channel(options).unwrap();
            let joining = ada.join_with("room", JoinOptions::default());
            joining.await.unwrap();
            until("a step is refused", || status.metrics().refused > before);
            assert_eq!(count().await, 0, "{word}");
            allow();
            told(|change| change == "+ada").await;
            assert_eq!(count().await, 1, "{word}");
            let before = refuse(if word == "sadd" { "srem" } else { word });
            drop(ada);
            until("a step is refused", || status.metrics().refused > before);
            assert_eq!(count().await, 1, "{word}");
            allow();
            told(|change| change == "-ada").await;
            assert_eq!(count().await, 0, "{word}");
        }
        // Leaving frees memory, so it is not refused for lack of it.
        let options = ChannelOptions {
            user: Some("ada".into()),
            ..ChannelOptions::default()
        };
        let ada = near.open_channel(options).unwrap();
        ada.join_with("room", JoinOptions::default()).await.unwrap();
        told(|change| change == "+ada").await;
        let full = server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
        assert!(full.contains("OK"), "{full}");
        drop(ada);
        told(|change| change == "-ada").await;
        assert_eq!(count().await, 0);
    });
}
