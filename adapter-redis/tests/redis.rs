//! Hubs that are linked through a real Redis.

#![cfg(all(feature = "tokio", feature = "smol"))]

mod server;

use std::net::SocketAddr;
use std::time::Duration;

use sansws_core::close::CloseCode;
use sansws_core::hub::{
    ChannelId, GroupOptions, HistoryOptions, HubError, HubEvent, HubOptions, Instruction,
    JoinOptions, OutagePolicy, Position, PresenceMode, Recovered, Target as To,
};
use sansws_core::time::Instant;
use sansws_redis::{
    Redis, RedisOptions, Runtime, Server as Target, SetupError, State, Status, hub_options,
};
use sansws_tokio::{
    ChannelOptions, ConnectOptions, Error, Hub, Result, Router, Upgrade, WebSocket, connect,
};
use server::{Guarded, Server};

/// A server with a hub, and its link.
struct Linked {
    hub: Hub,
    status: Status,
    linking: tokio::task::JoinHandle<()>,
    address: SocketAddr,
}

impl Linked {
    async fn enter(&self, path: &str) -> WebSocket {
        soon(connect(
            &format!("ws://{}/{path}", self.address),
            ConnectOptions::default(),
        ))
        .await
        .unwrap()
    }

    /// Says goodbye.
    async fn end(self) {
        self.status.close();
        soon(self.linking).await.unwrap();
        assert_eq!(self.status.state(), State::Closed);
    }

    /// Is gone without a word.
    fn crash(self) {
        self.linking.abort();
    }
}

fn groups() -> GroupOptions {
    GroupOptions::default()
        .history(HistoryOptions::default())
        .presence(PresenceMode::Members {
            grace: Duration::from_millis(100),
        })
}

fn options() -> HubOptions {
    let mut options = HubOptions::default().groups(groups());
    options.lease = Some(Duration::from_secs(1));
    options.check = Some(Duration::from_secs(1));
    hub_options(options)
}

/// Says its id, joins the group of its path, and publishes what it receives to all but itself.
async fn room(upgrade: Upgrade) -> Result {
    let group: String = upgrade.param("group")?;
    let user = upgrade.query_value("user").map(|user| user.into_owned());
    let since = upgrade
        .query_value("since")
        .map(|since| since.parse::<Position>())
        .transpose();
    let mut socket = upgrade.accept().await?;
    let id = socket.open_channel(ChannelOptions {
        user,
        ..ChannelOptions::default()
    })?;
    let joined = socket
        .join_since(&group, since.map_err(Error::Hub)?)
        .await?;
    let how = match joined.recovered {
        Recovered::Fresh => "fresh".to_owned(),
        Recovered::Complete(count) => format!("complete {count}"),
        Recovered::Incomplete { reason, .. } => reason.as_str().to_owned(),
        _ => String::new(),
    };
    socket
        .send_text(format!("{id} {} {how}", joined.position.unwrap()))
        .await?;
    while let Some(text) = socket.receive_text().await? {
        socket.publish(&group, text).exclude(id).await?;
    }
    Ok(())
}

/// Says for how long it waited for a group, until it was in it, and where that stands.
async fn impatient(upgrade: Upgrade) -> Result {
    let group: String = upgrade.param("group")?;
    let mut socket = upgrade.accept().await?;
    let mut dropped = 0;
    let joined = loop {
        let joining = socket.join(&group);
        match tokio::time::timeout(Duration::from_millis(50), joining).await {
            Ok(joined) => break joined?,
            Err(_) => dropped += 1,
        }
    };
    let position = joined.position.map(|position| position.offset);
    socket.send_text(format!("{dropped} {position:?}")).await?;
    while socket.receive().await?.is_some() {}
    Ok(())
}

/// A way to Redis that can be cut.
struct Wire {
    address: SocketAddr,
    cut: tokio::sync::watch::Sender<bool>,
}

impl Wire {
    async fn to(server: &Server) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (cut, is_cut) = tokio::sync::watch::channel(false);
        let to = server.address();
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let mut is_cut = is_cut.clone();
                tokio::spawn(async move {
                    if *is_cut.borrow() {
                        return;
                    }
                    let mut far = tokio::net::TcpStream::connect(to).await.unwrap();
                    let carrying = tokio::io::copy_bidirectional(&mut near, &mut far);
                    tokio::select! {
                        _ = carrying => {}
                        _ = is_cut.wait_for(|cut| *cut) => {}
                    }
                });
            }
        });
        Self { address, cut }
    }

    async fn serve(&self, options: HubOptions) -> Linked {
        let mut settings = RedisOptions::one(format!("redis://{}", self.address), "test");
        settings.timeout = Duration::from_secs(2);
        let linked = serve_by(settings, options).await;
        until("the hub is linked", || linked.status.is_up()).await;
        linked
    }
}

async fn serve(server: &Server, prefix: &str, options: HubOptions) -> Linked {
    let mut settings = RedisOptions::one(server.url(), prefix);
    settings.timeout = Duration::from_secs(2);
    let linked = serve_by(settings, options).await;
    until("the hub is linked", || linked.status.is_up()).await;
    linked
}

async fn serve_by(settings: RedisOptions, options: HubOptions) -> Linked {
    let (hub, link) = Hub::linked(options);
    let redis = Redis::new(link, Runtime::Tokio, settings).unwrap();
    let status = redis.status();
    let linking = tokio::spawn(redis.run());
    let server = sansws_tokio::Server::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    let router = Router::new()
        .route("/{group}", room)
        .route("/impatient/{group}", impatient)
        .hub(&hub);
    tokio::spawn(async move { server.serve(router).await });
    Linked {
        hub,
        status,
        linking,
        address,
    }
}

async fn two(server: &Server) -> (Linked, Linked) {
    (
        serve(server, "test", options()).await,
        serve(server, "test", options()).await,
    )
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..1_000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within 10 s: {what}");
}

/// Returns how much of the stream of writes a server has: what a master has sent, and what a replica has processed.
fn replicated(server: &Server) -> u64 {
    let info = server.cli(&["INFO", "replication"]);
    let mut lines = info.lines();
    let offset = lines.find_map(|line| line.strip_prefix("master_repl_offset:"));
    offset.unwrap().trim().parse().unwrap()
}

async fn soon<R>(work: impl Future<Output = R>) -> R {
    let done = tokio::time::timeout(Duration::from_secs(10), work).await;
    done.expect("within 10 s")
}

async fn text(socket: &mut WebSocket) -> String {
    soon(socket.receive_text()).await.unwrap().unwrap()
}

/// The first message of a room: the id of the channel, the position, the result of recovery.
async fn said(socket: &mut WebSocket) -> (ChannelId, Position, String) {
    let said = text(socket).await;
    let mut words = said.splitn(3, ' ');
    let mut next = || words.next().unwrap();
    (
        next().parse().unwrap(),
        next().parse().unwrap(),
        next().to_owned(),
    )
}

async fn publish(hub: &Hub, group: &str, text: &str) -> Position {
    soon(hub.publish(group, text).into_future())
        .await
        .unwrap()
        .position
        .unwrap()
}

/// Until somebody hears what is published, it is published.
async fn until_heard(hub: &Hub, group: &str, heard: &mut sansws_async::Subscription) {
    for _ in 0..100 {
        publish(hub, group, "hello?").await;
        if tokio::time::timeout(Duration::from_millis(50), heard.receive())
            .await
            .is_ok()
        {
            return;
        }
    }
    panic!("nothing is heard");
}

#[tokio::test]
async fn members_on_other_servers_receive_in_one_order_unless_excluded() {
    let server = Server::durable();
    let (one, other) = two(&server).await;
    let (mut ada, mut bob) = (one.enter("lobby").await, other.enter("lobby").await);
    let (ada_id, begun, _) = said(&mut ada).await;
    let (bob_id, _, _) = said(&mut bob).await;
    assert_ne!(ada_id.node, bob_id.node);
    ada.send_text("from ada").await.unwrap();
    assert_eq!(text(&mut bob).await, "from ada");
    bob.send_text("from bob").await.unwrap();
    // Ada's own message does not come back to her, though it went through Redis.
    assert_eq!(text(&mut ada).await, "from bob");
    let position = publish(&one.hub, "lobby", "to all").await;
    assert_eq!(
        (position.epoch, position.offset),
        (begun.epoch, begun.offset + 3)
    );
    assert_eq!(
        (text(&mut ada).await, text(&mut bob).await),
        ("to all".into(), "to all".into())
    );
    let kept = soon(other.hub.history("lobby", 2)).await.unwrap();
    let texts: Vec<_> = kept
        .publications
        .iter()
        .map(|kept| kept.as_text().unwrap())
        .collect();
    assert_eq!(texts, ["from bob", "to all"]);
    assert_eq!(kept.publications[0].sender, Some(bob_id));
    one.end().await;
    other.end().await;
}

#[tokio::test]
async fn messages_to_one_channel_or_user_and_closing_reach_other_servers() {
    let server = Server::durable();
    let (one, other) = two(&server).await;
    let mut ada = one.enter("lobby?user=ada").await;
    let (id, _, _) = said(&mut ada).await;
    for n in 0..20 {
        other.hub.send_to(id, format!("psst {n}").as_str()).unwrap();
    }
    for n in 0..20 {
        assert_eq!(text(&mut ada).await, format!("psst {n}"));
    }
    other.hub.send_to_user("ada", "to the user").unwrap();
    assert_eq!(text(&mut ada).await, "to the user");
    other.hub.close(id, CloseCode::POLICY, "out");
    assert!(soon(ada.receive()).await.is_err());
    assert_eq!(ada.closed().unwrap().code(), 1008);
    let mut bob = one.enter("lobby").await;
    said(&mut bob).await;
    other
        .hub
        .publish("lobby", "the last")
        .try_publish()
        .unwrap();
    other
        .hub
        .close_all("lobby", CloseCode::NORMAL, "bye")
        .unwrap();
    // In their order.
    assert_eq!(text(&mut bob).await, "the last");
    assert!(soon(bob.receive()).await.unwrap().is_none());
    assert_eq!(bob.closed().unwrap().reason, "bye");
}

#[tokio::test]
async fn a_client_recovers_on_another_server_what_it_missed_and_nothing_else() {
    let server = Server::durable();
    let (one, other) = two(&server).await;
    let mut ada = one.enter("lobby").await;
    said(&mut ada).await;
    let seen = publish(&one.hub, "lobby", "seen").await;
    assert_eq!(text(&mut ada).await, "seen");
    drop(ada);
    // Many at once: they lie together in Redis, and are told apart.
    let missed: Vec<String> = (0..90).map(|n| format!("missed {n}")).collect();
    for text in &missed {
        one.hub
            .publish("lobby", text.as_str())
            .try_publish()
            .unwrap();
    }
    publish(&one.hub, "lobby", "and this").await;
    let mut again = other.enter(&format!("lobby?since={seen}")).await;
    let (_, position, how) = said(&mut again).await;
    assert_eq!(
        (position.offset, how.as_str()),
        (seen.offset + 91, "complete 91")
    );
    for expected in &missed {
        assert_eq!(&text(&mut again).await, expected);
    }
    assert_eq!(text(&mut again).await, "and this");
    // Beyond what is kept, and of another epoch, it is told so.
    for n in 0..100 {
        one.hub
            .publish("lobby", format!("{n}").as_str())
            .try_publish()
            .unwrap();
    }
    publish(&one.hub, "lobby", "x").await;
    for (since, expected) in [
        (seen, "some are not kept any more"),
        (
            Position { epoch: 7, ..seen },
            "the group began another numbering",
        ),
        (
            Position {
                offset: 1 << 40,
                ..seen
            },
            "the position lies ahead",
        ),
    ] {
        let mut late = other.enter(&format!("lobby?since={since}")).await;
        assert_eq!(said(&mut late).await.2, expected);
    }
}

#[tokio::test]
async fn watchers_of_filters_hear_all_servers_and_each_message_once() {
    let server = Server::durable();
    let (one, other) = two(&server).await;
    let mut heard = other.hub.subscribe("sensors/#".parse().unwrap()).unwrap();
    until_heard(&one.hub, "sensors/0", &mut heard).await;
    // Of a group with members there it arrives by two ways, and counts once.
    let mut member = other.enter("sensors%2F1").await;
    said(&mut member).await;
    for n in 0..50 {
        publish(&one.hub, "sensors/1", &format!("{n}")).await;
        publish(&one.hub, "sensors/2", &format!("{n}")).await;
        publish(&one.hub, "other", "not this").await;
    }
    let (mut of_one, mut of_two) = (Vec::new(), Vec::new());
    while of_one.len() + of_two.len() < 100 {
        let publication = soon(heard.receive()).await.unwrap().unwrap();
        let text = publication.as_text().unwrap().to_owned();
        match &*publication.group {
            "sensors/1" => of_one.push(text),
            "sensors/2" => of_two.push(text),
            "sensors/0" => {}
            other => panic!("{other}"),
        }
    }
    let all: Vec<String> = (0..50).map(|n| n.to_string()).collect();
    assert_eq!((&of_one, &of_two), (&all, &all));
    let more = tokio::time::timeout(Duration::from_millis(200), heard.receive()).await;
    assert!(more.is_err(), "{more:?}");
}

#[tokio::test]
async fn a_publication_with_an_id_is_published_once_by_any_number_of_servers() {
    let server = Server::durable();
    let (one, other) = two(&server).await;
    let first = soon(one.hub.publish("lobby", "paid").id("order-7").into_future())
        .await
        .unwrap();
    let second = soon(
        other
            .hub
            .publish("lobby", "paid")
            .id("order-7")
            .into_future(),
    )
    .await
    .unwrap();
    assert!(!first.again && second.again);
    assert_eq!(first.position, second.position);
    assert_eq!(
        soon(one.hub.history("lobby", 10))
            .await
            .unwrap()
            .publications
            .len(),
        1
    );
}

#[tokio::test]
async fn presence_is_one_for_all_servers_and_ends_with_the_lease_of_one_that_crashed() {
    let server = Server::durable();
    let (one, other) = two(&server).await;
    let mut sockets = Vec::new();
    for (linked, user) in [(&one, "ada"), (&one, "bob"), (&other, "ada")] {
        let mut socket = linked.enter(&format!("lobby?user={user}")).await;
        said(&mut socket).await;
        sockets.push(socket);
    }
    let names = async || {
        let presence = soon(other.hub.presence("lobby")).await.unwrap();
        presence
            .members
            .iter()
            .map(|member| member.user.to_string())
            .collect::<Vec<_>>()
    };
    let mut seen = Vec::new();
    for _ in 0..200 {
        seen = names().await;
        if seen == ["ada", "bob"] {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(seen, ["ada", "bob"]);
    one.crash();
    for _ in 0..500 {
        seen = names().await;
        if seen == ["ada"] {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(
        seen,
        ["ada"],
        "who was on the server that crashed is gone, who is on another too is there"
    );
    other.end().await;
    // The last one has said goodbye: nothing is left of it but that, for a while.
    for left in server.cli(&["KEYS", "test:*:p:*"]).lines() {
        let users = server.cli(&["SMEMBERS", left]);
        let expires: i64 = server.cli(&["PTTL", left]).trim().parse().unwrap();
        assert!(users.trim().is_empty() && expires > 0, "{left}: {users}");
    }
    assert_eq!(server.cli(&["ZCARD", "test:{registry}:seats"]).trim(), "0");
}

#[tokio::test]
async fn while_redis_is_down_a_server_says_so_serves_its_own_and_is_linked_again_after() {
    let mut server = Server::durable();
    let (one, other) = two(&server).await;
    let (mut ada, mut bob) = (one.enter("lobby").await, other.enter("lobby").await);
    said(&mut ada).await;
    said(&mut bob).await;
    let mut events = one.hub.events();
    server.kill();
    until("it is noticed", || {
        !one.status.is_up() && !other.status.is_up()
    })
    .await;
    assert!(matches!(one.status.state(), State::Down { .. }));
    let down = async { while soon(events.next()).await != HubEvent::Down {} };
    soon(down).await;
    assert!(one.status.to_prometheus().contains("sansws_redis_up 0"));
    // Its own members hear it, without a number.
    assert_eq!(
        one.hub
            .publish("lobby", "alone")
            .try_publish()
            .unwrap()
            .position,
        None
    );
    assert_eq!(text(&mut ada).await, "alone");
    assert_eq!(soon(one.hub.presence("lobby")).await, Err(HubError::Down));
    server.restart();
    until("it is back", || one.status.is_up() && other.status.is_up()).await;
    publish(&other.hub, "lobby", "together").await;
    assert_eq!(
        (text(&mut ada).await, text(&mut bob).await),
        ("together".into(), "together".into())
    );
    assert_eq!(one.status.metrics().disconnects, 1);
}

#[tokio::test]
async fn clients_are_sent_elsewhere_when_redis_stays_away() {
    let mut server = Server::durable();
    let mut options = options();
    options.on_outage = OutagePolicy::Close {
        patience: Duration::from_millis(300),
        window: Duration::from_millis(300),
    };
    let one = serve(&server, "test", options).await;
    let mut ada = one.enter("lobby").await;
    said(&mut ada).await;
    server.kill();
    assert!(soon(ada.receive()).await.is_err());
    assert_eq!(ada.closed().unwrap().code(), 1012);
}

#[tokio::test]
async fn a_server_that_begins_before_redis_is_linked_when_there_is_one() {
    let mut server = Server::durable();
    let url = server.url();
    server.kill();
    let one = serve_by(RedisOptions::one(url, "test"), options()).await;
    until("it says what is wrong", || {
        matches!(one.status.state(), State::Down { attempts: 2.., .. })
    })
    .await;
    server.restart();
    until("it is linked", || one.status.is_up()).await;
    assert_eq!(publish(&one.hub, "lobby", "hello").await.offset, 1);
}

#[tokio::test]
async fn data_that_redis_forgets_is_restored_or_reported() {
    let server = Server::durable();
    let (one, other) = two(&server).await;
    let mut ada = one.enter("lobby?user=ada").await;
    let (_, begun, _) = said(&mut ada).await;
    publish(&one.hub, "lobby", "1").await;
    assert_eq!(text(&mut ada).await, "1");
    let mut events = one.hub.events();
    // Scripts are sent again when they are not known.
    server.cli(&["SCRIPT", "FLUSH"]);
    publish(&other.hub, "lobby", "2").await;
    assert_eq!(text(&mut ada).await, "2");
    // All data are lost, and no connection: numbers begin again, members are told, presence is said again.
    server.cli(&["FLUSHALL"]);
    let gap = async {
        loop {
            if let HubEvent::Gap { group, count } = soon(events.next()).await {
                return (group.to_string(), count);
            }
        }
    };
    assert_eq!(soon(gap).await, ("lobby".to_owned(), None));
    let again = publish(&other.hub, "lobby", "3").await;
    assert_ne!(again.epoch, begun.epoch);
    assert_eq!(text(&mut ada).await, "3");
    for _ in 0..500 {
        if soon(other.hub.presence("lobby")).await.unwrap().count == 1 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("nobody is present any more");
}

#[tokio::test]
async fn refusals_of_redis_are_errors_and_no_more() {
    let server = Server::start(&["--maxmemory", "1gb", "--maxmemory-policy", "noeviction"]);
    let one = serve(&server, "test", options()).await;
    // Something else lies under a key of ours.
    server.cli(&["SET", "test:{taken}:m", "not a hash"]);
    let refused = soon(one.hub.publish("taken", "x").into_future()).await;
    assert!(
        matches!(refused, Err(Error::Hub(HubError::Refused))),
        "{refused:?}"
    );
    let history = soon(one.hub.history("taken", 1)).await;
    assert_eq!(history.unwrap_err(), HubError::Refused);
    publish(&one.hub, "lobby", "x").await;
    // There is no memory left.
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let refused = soon(one.hub.publish("lobby", "x").into_future()).await;
    assert!(
        matches!(refused, Err(Error::Hub(HubError::Refused))),
        "{refused:?}"
    );
    server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(publish(&one.hub, "lobby", "x").await.offset, 2);
    assert!(one.status.is_up() && one.status.metrics().disconnects == 0);
}

#[tokio::test]
async fn a_join_that_redis_refuses_fails_and_holds_nothing_up() {
    let server = Server::durable();
    let (one, other) = two(&server).await;
    // Something else lies under a key of ours: who joins is told soon, with recovery or without.
    server.cli(&["SET", "test:{taken}:m", "not a hash"]);
    let since = Position {
        epoch: 1,
        offset: 1,
    };
    for path in ["taken".to_owned(), format!("taken?since={since}")] {
        let mut ada = one.enter(&path).await;
        assert!(soon(ada.receive()).await.is_err(), "{path}");
        assert_eq!(ada.closed().unwrap().code(), 1013, "{path}");
    }
    until("nobody is in it", || one.hub.count("taken") == 0).await;
    // Meanwhile others are served, and once the key is gone whoever joins as well.
    server.cli(&["DEL", "test:{taken}:m"]);
    let mut ada = one.enter("taken").await;
    said(&mut ada).await;
    publish(&other.hub, "taken", "1").await;
    assert_eq!(text(&mut ada).await, "1");
    // While members are there: publications fail and do not wait behind what is tried again, and members stay.
    server.cli(&["SET", "test:{taken}:m", "not a hash"]);
    for _ in 0..3 {
        let refused = soon(one.hub.publish("taken", "x").into_future()).await;
        assert!(
            matches!(refused, Err(Error::Hub(HubError::Refused))),
            "{refused:?}"
        );
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let mut events = one.hub.events();
    server.cli(&["DEL", "test:{taken}:m"]);
    publish(&other.hub, "taken", "2").await;
    assert_eq!(text(&mut ada).await, "2");
    // Its numbers began anew, as members are told.
    let told = async { while !matches!(soon(events.next()).await, HubEvent::Gap { .. }) {} };
    soon(told).await;
    one.end().await;
    other.end().await;
}

/// The rules that the guide to several servers recommends for the user of Redis.
const RULES: [&str; 5] = ["~test:*", "&test:*", "+@all", "-@admin", "-@dangerous"];

#[tokio::test]
async fn a_user_of_redis_needs_some_rights_and_the_reason_names_those_that_are_missing() {
    let server = Server::durable();
    let set_user = |rules: &[&str]| {
        let rules = ["ACL", "SETUSER", "chat", "reset", "on", ">secret"]
            .into_iter()
            .chain(rules.iter().copied());
        assert_eq!(server.cli(&rules.collect::<Vec<_>>()).trim(), "OK");
    };
    let url = format!("redis://chat:secret@127.0.0.1:{}", server.port);
    for (rules, reason) in [
        // Channels have rules of their own since Redis 7.
        (
            &["~test:*", "+@all"] as &[&str],
            "does not allow its user SUBSCRIBE, PUBLISH on",
        ),
        (
            &["~test:*", "&test:*", "+@all", "-subscribe"],
            "does not allow its user SUBSCRIBE on",
        ),
        (&["~other:*", "&test:*", "+@all"], "permissions to access"),
        (
            &["~test:*", "&test:*", "+@all", "-publish", "-xtrim"],
            "does not allow its user XTRIM, PUBLISH on keys and channels that begin with `test:`",
        ),
        (&RULES, "does not allow its user INFO on"),
        // Only subscriptions of groups are cut: watchers and other nodes would be told of nothing.
        (
            &["~test:*", "&test:{*", "+@all"],
            "the channels `test:[0000000000000000]`, `test:[watch]`, `test:[control]`, `test:[presence]`: it needs all that begin with `test:`",
        ),
        (
            &[
                "~test:*",
                "&test:{*",
                "&test:\\[[0-9c]*",
                "&test:\\[presence]",
                "+@all",
            ],
            "the channels `test:[watch]`: it",
        ),
        (
            &["~test:*", "&test:{registry}*", "&test:\\[*", "+@all"],
            "the channels `test:{rights}`: it",
        ),
    ] {
        set_user(rules);
        let one = serve_by(RedisOptions::one(&url, "test"), options()).await;
        let told = || match one.status.state() {
            State::Down { reason: told, .. } => told.contains(reason),
            State::Up { .. } => panic!("it is up with {rules:?}"),
            _ => false,
        };
        until(&format!("{rules:?} are found to be too few"), told).await;
        one.end().await;
    }
    // A command that was renamed is missing too.
    let renamed = Server::start(&["--rename-command", "ZSCORE", "hidden"]);
    let one = serve_by(RedisOptions::one(renamed.url(), "test"), options()).await;
    let told = || matches!(one.status.state(), State::Down { reason, .. } if reason.contains("user ZSCORE on"));
    until("a command is missing", told).await;
    one.end().await;
    set_user(&[&RULES[..], &["+info"]].concat());
    let one = serve_by(RedisOptions::one(&url, "test"), options()).await;
    until("the hub is linked", || one.status.is_up()).await;
    let mut ada = one.enter("lobby?user=ada").await;
    said(&mut ada).await;
    publish(&one.hub, "lobby", "allowed").await;
    assert_eq!(text(&mut ada).await, "allowed");
    assert_eq!(one.status.metrics().refused, 0);
    one.end().await;
}

#[tokio::test]
async fn a_link_without_the_password_says_so() {
    let server = Server::start(&["--requirepass", "secret"]);
    let port = server.port;
    for (login, reason) in [
        ("", "requires a user and a password"),
        ("redis:wrong@", "does not accept the user and the password"),
        (":wrong@", "does not accept the user and the password"),
    ] {
        let url = format!("redis://{login}127.0.0.1:{port}");
        let one = serve_by(RedisOptions::one(url, "test"), options()).await;
        let told = || match one.status.state() {
            State::Down { reason: told, .. } => told.contains(reason),
            _ => false,
        };
        until(reason, told).await;
        one.end().await;
    }
    let url = format!("redis://:secret@127.0.0.1:{port}");
    let one = serve_by(RedisOptions::one(url, "test"), options()).await;
    until("the hub is linked", || one.status.is_up()).await;
}

/// Answers each first request with `answer`, and then says nothing, or leaves if that is HTTP. Ends with the test's runtime.
async fn impostor(answer: &'static [u8]) -> u16 {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut said = [0; 1_024];
                let _ = stream.read(&mut said).await;
                // It comes with more commands.
                let _ = stream.write_all(&answer.repeat(8)).await;
                let stays = !answer.starts_with(b"HTTP");
                while stays && stream.read(&mut said).await.is_ok_and(|count| count > 0) {}
            });
        }
    });
    port
}

#[tokio::test]
async fn a_link_to_what_is_no_redis_of_these_days_says_what_to_do() {
    for (answer, reason) in [
        (
            &b"-ERR unknown command `HELLO`, with args beginning with: `3`, `AUTH`, `me`, `s3cret`, \r\n"[..],
            "does not speak RESP3: it must be 6.2",
        ),
        (b"-NOPROTO unsupported protocol version\r\n", "does not speak RESP3"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "no Redis answers there: "),
        (b"", "did not answer within 200ms"),
    ] {
        for login in ["", "me:s3cret@"] {
            let url = format!("redis://{login}127.0.0.1:{}", impostor(answer).await);
            let timeout = Duration::from_millis(200);
            let targets = [
                RedisOptions::one(url.as_str(), "test"),
                RedisOptions::cluster([url], "test"),
            ];
            for target in targets {
                let is_cluster = matches!(target.server, Target::Cluster(_));
                let one = serve_by(RedisOptions { timeout, ..target }, options()).await;
                let mut told = String::new();
                let is_down = || {
                    if let State::Down { reason, .. } = one.status.state() {
                        told = reason;
                    }
                    !told.is_empty()
                };
                until(reason, is_down).await;
                assert!(!told.contains("s3cret") && !told.contains('\n'), "{told}");
                // The cluster client tells little of what its connections met.
                let is_told = told.contains(reason);
                assert!(is_told || is_cluster && !reason.contains("RESP3"), "{told}");
                one.end().await;
            }
        }
    }
}

#[tokio::test]
async fn a_publication_that_redis_refuses_has_no_effect() {
    let server = Server::durable();
    let one = serve(&server, "test", options()).await;
    let mut ada = one.enter("lobby").await;
    said(&mut ada).await;
    let before = publish(&one.hub, "lobby", "before").await;
    assert_eq!(text(&mut ada).await, "before");
    let refused = async |rule: &str, group: &str| {
        server.cli(&["ACL", "SETUSER", "default", &format!("-{rule}")]);
        let publishing = one.hub.publish(group, "refused").id("7").into_future();
        let result = soon(publishing).await;
        assert!(
            matches!(result, Err(Error::Hub(HubError::Refused))),
            "{rule}: {result:?}"
        );
        server.cli(&["ACL", "SETUSER", "default", &format!("+{rule}")]);
    };
    for rule in ["publish", "set", "hset"] {
        refused(rule, "lobby").await;
        refused(rule, "fresh").await;
    }
    // It was neither numbered nor kept nor sent, and its id is free.
    for group in ["lobby", "fresh"] {
        let again = one.hub.publish(group, "again").id("7").into_future();
        let again = soon(again).await.unwrap();
        let offset = if group == "lobby" {
            before.offset + 1
        } else {
            1
        };
        assert_eq!(
            (again.position.unwrap().offset, again.again),
            (offset, false)
        );
    }
    assert_eq!(text(&mut ada).await, "again");
    let kept = soon(one.hub.history("lobby", 10)).await.unwrap();
    let texts = kept.publications.iter().map(|kept| kept.as_text().unwrap());
    assert_eq!(texts.collect::<Vec<_>>(), ["before", "again"]);
    assert_eq!(one.hub.metrics().hub.counters.gaps, 0);
    one.end().await;
}

#[tokio::test]
async fn histories_are_bounded_by_count_bytes_and_age() {
    let server = Server::durable();
    let of = |messages, bytes, millis| {
        let mut options = options();
        options.groups.history = Some(HistoryOptions {
            messages,
            bytes,
            age: Duration::from_millis(millis),
            recovery: 300,
        });
        options
    };
    let kept = async |linked: &Linked, group: &str| {
        let kept = soon(linked.hub.history(group, 1_000)).await.unwrap();
        kept.publications
            .iter()
            .map(|kept| kept.position.unwrap().offset)
            .collect::<Vec<_>>()
    };
    let one = serve(&server, "count", of(5, 1 << 20, 60_000)).await;
    for _ in 0..12 {
        publish(&one.hub, "a", "x").await;
    }
    assert_eq!(kept(&one, "a").await, [8, 9, 10, 11, 12]);
    let one = serve(&server, "octets", of(100, 1_000, 60_000)).await;
    for _ in 0..12 {
        publish(&one.hub, "a", &"x".repeat(200)).await;
    }
    assert_eq!(kept(&one, "a").await, [9, 10, 11, 12]);
    publish(&one.hub, "a", &"x".repeat(5_000)).await;
    assert_eq!(
        kept(&one, "a").await,
        [13],
        "one longer message is kept alone"
    );
    let one = serve(&server, "all", of(usize::MAX, usize::MAX, u64::MAX)).await;
    for _ in 0..3 {
        publish(&one.hub, "a", "x").await;
    }
    assert_eq!(kept(&one, "a").await, [1, 2, 3]);
    let one = serve(&server, "age", of(100, 1 << 20, 1_500)).await;
    publish(&one.hub, "a", "old").await;
    tokio::time::sleep(Duration::from_millis(1_800)).await;
    publish(&one.hub, "a", "new").await;
    assert_eq!(kept(&one, "a").await, [2]);
    tokio::time::sleep(Duration::from_millis(1_800)).await;
    assert_eq!(kept(&one, "a").await, [0_u64; 0]);
    // And the key goes by itself.
    until("the stream is gone", || {
        server.cli(&["EXISTS", "age:{a}:s"]).trim() == "0"
    })
    .await;
}

#[tokio::test]
async fn a_message_longer_than_may_wait_is_taken_alone() {
    let server = Server::durable();
    let settings = RedisOptions {
        max_ahead: 100,
        ..RedisOptions::one(server.url(), "test")
    };
    let one = serve_by(settings, hub_options(HubOptions::default())).await;
    until("the hub is linked", || one.status.is_up()).await;
    let mut ada = one.enter("lobby").await;
    said(&mut ada).await;
    let before = format!("{:?}", one.status.state());
    for long in ["a", "b"].map(|text| text.repeat(5_000)) {
        publish(&one.hub, "lobby", &long).await;
        assert_eq!(text(&mut ada).await, long);
    }
    assert_eq!(format!("{:?}", one.status.state()), before);
}

#[tokio::test]
async fn another_prefix_is_another_world() {
    let server = Server::durable();
    let (one, other) = (
        serve(&server, "one", options()).await,
        serve(&server, "other", options()).await,
    );
    let (mut ada, mut bob) = (one.enter("lobby").await, other.enter("lobby").await);
    said(&mut ada).await;
    said(&mut bob).await;
    publish(&one.hub, "lobby", "only here").await;
    publish(&other.hub, "lobby", "only there").await;
    assert_eq!(
        (text(&mut ada).await, text(&mut bob).await),
        ("only here".into(), "only there".into())
    );
}

#[tokio::test]
async fn unknown_records_are_skipped_and_counted() {
    let server = Server::durable();
    let one = serve(&server, "test", options()).await;
    let mut ada = one.enter("lobby").await;
    said(&mut ada).await;
    // A kind, and a version, of later.
    for payload in ["\u{1}\u{63}later", "\u{2}\u{1}"] {
        server.cli(&["PUBLISH", "test:{lobby}", payload]);
    }
    server.cli(&["PUBLISH", "test:{lobby}", "\u{1}\u{1}cut off"]);
    publish(&one.hub, "lobby", "understood").await;
    assert_eq!(text(&mut ada).await, "understood");
    let metrics = one.status.metrics();
    assert_eq!((metrics.unknown, metrics.malformed), (2, 1));
}

#[tokio::test]
async fn a_link_is_not_made_of_settings_that_would_do_harm() {
    let make = |settings: RedisOptions, options: HubOptions| {
        let (_hub, link) = Hub::linked(options);
        Redis::new(link, Runtime::Tokio, settings)
            .err()
            .map(|error| error.to_string())
    };
    let url = "redis://127.0.0.1:1";
    assert_eq!(make(RedisOptions::one(url, "fine"), options()), None);
    for prefix in ["", "a{b", "a}b", "a\n"] {
        assert_eq!(
            make(RedisOptions::one(url, prefix), options()),
            Some(SetupError::BadPrefix.to_string())
        );
    }
    for lease in [None, Some(Duration::ZERO), Some(Duration::from_nanos(999))] {
        let without_lease = HubOptions {
            lease,
            ..HubOptions::default()
        };
        assert_eq!(
            make(RedisOptions::one(url, "fine"), without_lease),
            Some(SetupError::NoLease.to_string())
        );
    }
    let bad = make(RedisOptions::one("http://nowhere", "fine"), options()).unwrap();
    assert!(bad.starts_with("not a Redis URL"), "{bad}");
    let (_hub, link) = Hub::linked(options());
    let other = Redis::new(link, Runtime::Smol, RedisOptions::one(url, "fine")).unwrap_err();
    assert_eq!(other.to_string(), SetupError::OtherRuntime.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_takes_the_place_of_a_master_and_members_are_told_that_something_may_be_missing()
{
    let mut guarded = Guarded::start();
    let target = Target::Sentinel {
        sentinels: vec![guarded.url()],
        master: "ours".into(),
        credentials: None,
    };
    let mut settings = RedisOptions::new(target, "test");
    settings.timeout = Duration::from_secs(1);
    let one = serve_by(settings.clone(), options()).await;
    let other = serve_by(settings, options()).await;
    until("both are linked", || {
        one.status.is_up() && other.status.is_up()
    })
    .await;
    let mut ada = one.enter("lobby").await;
    said(&mut ada).await;
    let before = publish(&other.hub, "lobby", "before").await;
    assert_eq!(text(&mut ada).await, "before");
    let mut events = one.hub.events();
    // WAIT would wait for nothing: it is about what its own connection has written.
    let written = replicated(&guarded.master);
    until("the replica has all that was written", || {
        replicated(&guarded.replica) >= written
    })
    .await;
    guarded.master.kill();
    let gap = async {
        loop {
            if let HubEvent::Gap { group, count } = events.next().await {
                return (group.to_string(), count);
            }
        }
    };
    let gap = tokio::time::timeout(Duration::from_secs(30), gap)
        .await
        .unwrap();
    assert_eq!(
        gap,
        ("lobby".to_owned(), None),
        "what a master has acknowledged its replica may not have"
    );
    assert!(guarded.replica.cli(&["ROLE"]).starts_with("master"));
    until("both are linked again", || {
        one.status.is_up() && other.status.is_up()
    })
    .await;
    let after = publish(&other.hub, "lobby", "after").await;
    assert_eq!(text(&mut ada).await, "after");
    // The replica's data is kept, and offsets go on in another epoch.
    assert_eq!(after.offset, before.offset + 1);
    assert_ne!(after.epoch, before.epoch);
    let kept = soon(one.hub.history("lobby", 10)).await.unwrap();
    let texts: Vec<_> = kept
        .publications
        .iter()
        .map(|kept| kept.as_text().unwrap())
        .collect();
    assert_eq!(texts, ["before", "after"]);
    let mut late = other.enter(&format!("lobby?since={before}")).await;
    assert_eq!(said(&mut late).await.2, "the group began another numbering");
}

#[tokio::test]
async fn presence_is_told_where_nobody_is_and_instructions_reach_other_servers() {
    let server = Server::durable();
    let (one, other) = two(&server).await;
    // It has no members, and never had.
    let mut events = other.hub.events();
    let mut changed = async || loop {
        if let HubEvent::Presence(change) = soon(events.next()).await {
            return change;
        }
    };
    // The subscription of those who listen is confirmed behind what this asks.
    soon(other.hub.presence("lobby")).await.unwrap();
    let mut ada = one.enter("lobby?user=ada").await;
    let (id, ..) = said(&mut ada).await;
    let came = changed().await;
    assert_eq!((&*came.joined[0].user, came.version), ("ada", 1));
    let target = || To::Channel(id);
    let said = Instruction::SetMetadata("away".into());
    other.hub.instruct(target(), said).unwrap();
    let update = changed().await;
    assert_eq!(update.updated[0].metadata.as_deref(), Some("away"));
    assert_eq!((update.epoch, update.version), (came.epoch, 2));
    let presence = soon(other.hub.presence("lobby")).await.unwrap();
    assert_eq!(presence.members[0].metadata.as_deref(), Some("away"));
    assert_eq!((presence.epoch, presence.version), (came.epoch, 2));
    // By user, and by id.
    other.hub.join_user("ada", "vip").unwrap();
    until("ada is in vip", || one.hub.count("vip") == 1).await;
    assert_eq!(&*changed().await.group, "vip");
    other.hub.leave(id, "vip").unwrap();
    until("ada is not in vip", || one.hub.count("vip") == 0).await;
    assert_eq!(&*changed().await.left[0].user, "ada", "at once");
    let ends = Instruction::SetExpiry(Some(Instant::from_micros(1)));
    other.hub.instruct(target(), ends).unwrap();
    let closed = soon(ada.receive()).await.unwrap_err();
    assert!(closed.to_string().contains("1008"), "{closed}");
    // The last one goes, though nobody is left to hear it.
    assert_eq!(&*changed().await.left[0].user, "ada");
}

#[tokio::test]
async fn a_server_that_lost_its_data_begins_another_epoch_of_presence() {
    let server = Server::durable();
    let (one, other) = two(&server).await;
    let mut ada = one.enter("lobby?user=ada").await;
    said(&mut ada).await;
    let before = soon(other.hub.presence("lobby")).await.unwrap();
    assert_eq!((before.count, before.version), (1, 1));
    server.cli(&["FLUSHALL"]);
    let mut bob = other.enter("lobby?user=bob").await;
    said(&mut bob).await;
    let after = soon(other.hub.presence("lobby")).await.unwrap();
    assert_ne!(after.epoch, before.epoch, "{after:?}");
}

#[tokio::test]
async fn messages_to_a_user_of_an_unlinked_server_come_later_or_their_loss_is_reported() {
    let server = Server::durable();
    for has_inbox in [true, false] {
        let mut options = options();
        if has_inbox {
            options.users = GroupOptions::default().history(HistoryOptions::default());
        }
        let wire = Wire::to(&server).await;
        let (one, other) = (
            serve(&server, "test", options.clone()).await,
            wire.serve(options).await,
        );
        let user = format!("user-{has_inbox}");
        let mut ada = other.enter(&format!("lobby?user={user}")).await;
        said(&mut ada).await;
        let mut events = other.hub.events();
        one.hub.send_to_user(&user, "first").unwrap();
        assert_eq!(text(&mut ada).await, "first");
        wire.cut.send(true).unwrap();
        until("it is noticed", || !other.status.is_up()).await;
        one.hub.send_to_user(&user, "while it was away").unwrap();
        publish(&one.hub, "elsewhere", "to be behind it").await;
        wire.cut.send(false).unwrap();
        until("it is back", || other.status.is_up()).await;
        if has_inbox {
            assert_eq!(text(&mut ada).await, "while it was away");
        } else {
            let told = async {
                loop {
                    if let HubEvent::UserGap { user, count } = events.next().await {
                        return (user, count);
                    }
                }
            };
            assert_eq!(soon(told).await, (user.as_str().into(), Some(1)));
        }
        one.hub.send_to_user(&user, "last").unwrap();
        assert_eq!(text(&mut ada).await, "last");
        one.end().await;
        other.end().await;
    }
}

#[tokio::test]
async fn recovery_of_many_groups_stays_within_the_output_buffers_of_redis() {
    const GROUPS: usize = 64;
    // Replies count as well, since they share a connection with subscriptions.
    let limit = ["--client-output-buffer-limit", "pubsub 8mb 4mb 60"];
    let server = Server::start(&limit);
    let wire = Wire::to(&server).await;
    let options = HubOptions {
        groups_per_channel: GROUPS,
        ..options()
    };
    let (one, other) = (
        serve(&server, "test", options.clone()).await,
        wire.serve(options).await,
    );
    let channel = other.hub.open_channel(ChannelOptions::default()).unwrap();
    let groups: Vec<String> = (0..GROUPS).map(|group| format!("g{group}")).collect();
    for group in &groups {
        let joining = channel.join_with(group, JoinOptions::default());
        soon(joining).await.unwrap();
    }
    wire.cut.send(true).unwrap();
    until("it is noticed", || !other.status.is_up()).await;
    let long = "x".repeat(40_000);
    for group in &groups {
        for _ in 0..20 {
            publish(&one.hub, group, &long).await;
        }
    }
    wire.cut.send(false).unwrap();
    let mut count = 0;
    let all = async {
        while count < 20 * GROUPS {
            let taken = channel.take(1).await;
            assert_eq!(taken.close, None);
            count += taken.messages.len();
        }
    };
    let all = tokio::time::timeout(Duration::from_secs(20), all).await;
    assert!(all.is_ok(), "{count} came, {:?}", other.status.metrics());
    assert_eq!(other.status.metrics().disconnects, 1);
    assert_eq!(other.hub.metrics().hub.counters.gaps, 0);
}

#[tokio::test]
async fn a_join_that_was_given_up_while_redis_stood_still_is_told_its_position_later() {
    let server = Server::durable();
    let one = serve(&server, "test", options()).await;
    publish(&one.hub, "lobby", "there is something").await;
    server.signal("-STOP");
    let mut ada = one.enter("impatient/lobby").await;
    // Some joins are given up before it goes on.
    tokio::time::sleep(Duration::from_secs(1)).await;
    server.signal("-CONT");
    let said = text(&mut ada).await;
    let (dropped, position) = said.split_once(' ').unwrap();
    assert!(dropped.parse::<u32>().unwrap() > 0, "{said}");
    assert_eq!(position, "Some(1)");
    one.hub.publish("lobby", "more").await.unwrap();
    assert_eq!(text(&mut ada).await, "more");
    one.end().await;
}
