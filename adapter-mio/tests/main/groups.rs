//! Groups over real sockets: the scenarios of the async adapters (`conformance/tests/main/scenarios/hub_body.rs`), on event loops.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use sansws_mio::core::time::Instant;
use sansws_mio::{
    AcceptOptions, ChannelOptions, CloseCode, Closed, Config, ConnectionPolicy, Deflate, Endpoint,
    Error, Filter, GroupOptions, HistoryOptions, Hub, HubError, HubEvent, HubOptions, Incoming,
    Instruction, JoinDecision, JoinOptions, JoinReply, Joined, Limits, Listener, PresenceMode,
    Publication, PublishOptions, QueueLimits, Recovered, Result, Router, Scope, Server,
    ServerOptions, Signal, SlowConsumerPolicy, Socket, Target,
};
use sansws_std::{ConnectOptions, WebSocket, connect};

use crate::support::Running;
use crate::support::groups::{block_on, enter, rooms, text, until};

fn serve(hub: &Hub) -> Running {
    let hub = hub.clone();
    Running::new(move || rooms(&hub))
}

#[test]
fn any_thread_may_publish_and_membership_ends_with_the_socket() {
    let hub = Hub::new();
    let server = serve(&hub);
    let mut ada = enter(server.address, "lobby", ConnectOptions::default());
    let mut bob = enter(server.address, "lobby", ConnectOptions::default());
    let outside = hub.clone();
    let publish = move || {
        let published = outside
            .publish("lobby", "from a thread")
            .try_publish()
            .unwrap();
        assert_eq!(published.position.unwrap().offset, 1);
    };
    thread::spawn(publish).join().unwrap();
    for socket in [&mut ada, &mut bob] {
        assert_eq!(text(socket), "from a thread");
    }
    // One closes, one is cut.
    assert_eq!(hub.count("lobby"), 2);
    ada.close(1000, "").unwrap();
    drop(bob);
    until("nobody is left", || hub.groups().is_empty());
    until("no channel is left", || {
        hub.metrics().hub.gauges.channels == 0
    });
    assert!(hub.metrics().hub.adds_up());
}

#[test]
fn members_with_and_without_compression_receive_the_same_and_it_is_compressed_once() {
    let hub = Hub::new();
    let config = Config {
        deflate: Some(Deflate::default()),
        ..Config::default()
    };
    let policy = ConnectionPolicy::default().config(config.clone());
    let router = hub.clone();
    let server = Running::new(move || rooms(&router).policy(policy));
    let mut sockets = Vec::new();
    for deflates in [true, false, true, true] {
        let dial = ConnectOptions::default();
        let dial = if deflates {
            dial.config(config.clone())
        } else {
            dial
        };
        let socket = enter(server.address, "lobby", dial);
        assert_eq!(socket.is_deflated(), deflates);
        sockets.push(socket);
    }
    let long = "the same to everybody; ".repeat(100);
    for round in 0..3 {
        let message = format!("{round} {long}");
        hub.publish("lobby", message.as_str())
            .try_publish()
            .unwrap();
        for socket in &mut sockets {
            assert_eq!(text(socket), message);
        }
        // Messages that each connection compresses by itself come between.
        for socket in &mut sockets {
            socket.send_text(format!("own {round} {long}")).unwrap();
            assert!(text(socket).starts_with("own"));
        }
        for socket in &mut sockets {
            for _ in 0..3 {
                text(socket);
            }
        }
    }
    let metrics = hub.metrics();
    assert_eq!((metrics.broker.encodes, metrics.broker.deflates), (15, 15));
    let counters = metrics.hub.counters;
    assert_eq!((counters.fan_out, counters.delivered), (60, 60));
}

/// Serves on two loops, until it is closed.
fn on_two_loops(hub: &Hub) -> (std::net::SocketAddr, impl FnOnce() + use<>) {
    let mut server = Server::new(Listener::bind_shared(("127.0.0.1", 0)).unwrap());
    let (address, handle) = (server.local_addr().unwrap(), server.handle());
    let (router, nodes) = (hub.clone(), hub.clone());
    let serving = thread::spawn(move || {
        server.serve_on_threads(2, |_| rooms(&router).route("/send", Speaker))
    });
    until("each loop has a node", || nodes.metrics().nodes == 2);
    let end = move || {
        handle.close();
        serving.join().unwrap().unwrap();
        assert_eq!(nodes.metrics().nodes, 1);
    };
    (address, end)
}

#[test]
fn loops_have_a_node_each_and_all_members_see_one_order() {
    const EACH: usize = 20;
    let hub = Hub::new();
    let (address, end) = on_two_loops(&hub);
    let mut sockets = Vec::new();
    for _ in 0..32 {
        sockets.push(enter(address, "lobby", ConnectOptions::default()));
    }
    for round in 0..EACH {
        for (at, socket) in sockets.iter_mut().enumerate() {
            socket.send_text(format!("{round} of {at}")).unwrap();
        }
        hub.publish("lobby", "and one from outside")
            .try_publish()
            .unwrap();
    }
    let mut orders = Vec::new();
    for socket in &mut sockets {
        let order: Vec<String> = (0..EACH * 33).map(|_| text(socket)).collect();
        orders.push(order);
    }
    assert!(orders.iter().all(|order| *order == orders[0]));
    let metrics = hub.metrics();
    assert_eq!(metrics.broker.encodes as usize, EACH * 33);
    assert_eq!(metrics.hub.counters.delivered as usize, EACH * 33 * 32);
    drop(sockets);
    until("nobody is left", || hub.metrics().hub.gauges.channels == 0);
    end();
}

#[test]
fn a_peer_that_does_not_read_is_closed_and_the_others_lose_nothing() {
    let budget = QueueLimits {
        bytes: 1 << 20,
        ..QueueLimits::default()
    };
    let hub = Hub::with_options(HubOptions::default().queue_limits(budget));
    let server = serve(&hub);
    let mut reader = enter(server.address, "lobby", ConnectOptions::default());
    let mut stalled = enter(server.address, "lobby", ConnectOptions::default());
    let message = "x".repeat(64 << 10);
    let mut rounds = 0;
    while hub.metrics().hub.counters.closed_slow == 0 {
        block_on(hub.publish("lobby", message.as_str())).unwrap();
        assert_eq!(text(&mut reader).len(), message.len());
        rounds += 1;
        assert!(rounds < 2_000, "a socket takes no 128 MiB");
    }
    assert_eq!(hub.count("lobby"), 1);
    let metrics = hub.metrics().hub;
    assert!(metrics.counters.discarded > 0 && metrics.adds_up());
    // It reads what was sent before, and that it was too slow.
    let mut got = 0;
    let end = loop {
        match stalled.receive() {
            Ok(Some(_)) => got += 1,
            other => break other,
        }
    };
    assert!(got > 0);
    match end {
        Err(Error::Disconnect(closed)) => {
            assert_eq!((closed.code(), &*closed.reason), (1013, "too slow"));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_publisher_waits_for_a_member_that_is_behind_and_receives_nothing_meanwhile() {
    let options = HubOptions::default()
        .groups(GroupOptions::default().slow_consumer(SlowConsumerPolicy::Wait))
        .queue_limits(QueueLimits {
            messages: 4,
            ..QueueLimits::default()
        });
    let hub = Hub::with_options(options);
    let server = serve(&hub);
    let mut reader = enter(server.address, "lobby", ConnectOptions::default());
    let message = "x".repeat(256 << 10);
    let mut sent = 0;
    let refused = loop {
        match hub.publish("lobby", message.as_str()).try_publish() {
            Ok(_) => sent += 1,
            Err(error) => break error,
        }
        assert!(sent < 1_000, "a socket takes no 256 MiB");
        thread::sleep(Duration::from_millis(1));
    };
    assert!(
        matches!(refused, Error::Hub(HubError::Backpressure)),
        "{refused}"
    );
    // A connection that publishes waits in the loop; one of another group does not.
    let mut speaker = enter(server.address, "other", ConnectOptions::default());
    let mut waits = connect(
        format!("ws://{}/lobby", server.address),
        ConnectOptions::default(),
    )
    .unwrap();
    assert_eq!(text(&mut waits), "joined");
    for number in 0..3 {
        waits.send_text(format!("at last {number}")).unwrap();
    }
    speaker.send_text("at once").unwrap();
    assert_eq!(text(&mut speaker), "at once");
    let published = hub.metrics().hub.counters.published;
    for _ in 0..sent {
        assert_eq!(text(&mut reader).len(), message.len());
    }
    for number in 0..3 {
        assert_eq!(text(&mut reader), format!("at last {number}"));
        assert_eq!(text(&mut waits), format!("at last {number}"));
    }
    assert!(hub.metrics().hub.counters.published >= published);
}

#[test]
fn the_time_of_a_hub_is_kept_by_the_loop() {
    struct Brief;
    impl Endpoint for Brief {
        type Data = ();
        fn upgrade(&mut self, _: &mut Scope, _: &mut AcceptOptions) -> Result {
            Ok(())
        }
        fn open(&mut self, socket: &mut Socket<'_, ()>) -> Result {
            let options = ChannelOptions {
                expiry: Some(Duration::from_secs(2)),
                ..ChannelOptions::default()
            };
            socket.open_channel(options.clone())?;
            let again = socket.open_channel(options).unwrap_err();
            assert!(matches!(again, Error::Hub(HubError::IsOpen)), "{again}");
            Ok(())
        }
        fn message(&mut self, _: &mut Socket<'_, ()>, _: Incoming<'_>) -> Result {
            Ok(())
        }
    }
    let hub = Hub::new();
    let router = hub.clone();
    let server = Running::new(move || Router::new().route("/", Brief).hub(&router));
    let mut socket = connect(server.url(), ConnectOptions::default()).unwrap();
    // A peer that sends is kept: twice its expiry passes.
    for _ in 0..40 {
        socket.send_text("alive").unwrap();
        thread::sleep(Duration::from_millis(100));
    }
    // 1001 is a normal end.
    assert!(socket.receive().unwrap().is_none());
    assert_eq!(socket.closed().unwrap().reason, "the channel expired");
}

#[test]
fn a_server_that_drains_closes_members_with_what_they_are_owed() {
    let hub = Hub::new();
    let server = serve(&hub);
    let mut socket = enter(server.address, "lobby", ConnectOptions::default());
    hub.publish("lobby", "before").try_publish().unwrap();
    server.handle.close();
    assert_eq!(text(&mut socket), "before");
    assert!(socket.receive().unwrap().is_none());
    server.close();
    assert_eq!(hub.metrics().hub.gauges.channels, 0);
}

/// Does what it is told in three groups.
struct Busy;

impl Endpoint for Busy {
    type Data = ();
    fn upgrade(&mut self, _: &mut Scope, _: &mut AcceptOptions) -> Result {
        Ok(())
    }
    fn message(&mut self, socket: &mut Socket<'_, ()>, message: Incoming<'_>) -> Result {
        let (verb, group) = message.text()?.split_once(' ').unwrap_or_default();
        match verb {
            "join" => socket.join(group)?,
            "leave" => drop(socket.leave(group)?),
            _ => socket.publish(group, "x")?,
        }
        Ok(())
    }
}

#[test]
fn joining_leaving_and_publishing_at_once_leaves_nothing_behind() {
    // The thread publishes as fast as it can: whoever falls behind loses messages and is not closed.
    let options = HubOptions::default()
        .groups(GroupOptions::default().slow_consumer(SlowConsumerPolicy::DropOldest));
    let hub = Hub::with_options(options);
    let router = hub.clone();
    let limits = Limits {
        write_queue: 1 << 20,
        ..Limits::default()
    };
    let policy = ConnectionPolicy::default().config(Config {
        limits,
        ..Config::default()
    });
    let server = Running::new(move || Router::new().route("/", Busy).hub(&router).policy(policy));
    let stop = Arc::new(AtomicBool::new(false));
    let (publisher, stopping) = (hub.clone(), Arc::clone(&stop));
    let outside = thread::spawn(move || {
        let mut published = 0_u64;
        while !stopping.load(Ordering::SeqCst) {
            for group in ["a", "b", "c"] {
                match publisher.publish(group, "outside").try_publish() {
                    Ok(_) => published += 1,
                    Err(Error::Hub(HubError::Backpressure)) => {}
                    Err(other) => panic!("{other}"),
                }
            }
            thread::yield_now();
        }
        published
    });
    let clients: Vec<_> = (0..20_usize)
        .map(|at| {
            let url = server.url();
            thread::spawn(move || {
                let mut socket = connect(url, ConnectOptions::default()).unwrap();
                for round in 0..200_usize {
                    let group = ["a", "b", "c"][(round + at) % 3];
                    let verb = ["join", "publish", "leave", "publish"][(round * 7 + at * 3) % 4];
                    socket.send_text(format!("{verb} {group}")).unwrap();
                    while let Ok(Some(_)) = socket.receive_timeout(Duration::from_millis(1)) {}
                }
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
    stop.store(true, Ordering::SeqCst);
    assert!(outside.join().unwrap() > 0);
    until("nobody is left", || hub.metrics().hub.gauges.channels == 0);
    let metrics = hub.metrics().hub;
    assert!(metrics.adds_up(), "{metrics:?}");
    assert_eq!((metrics.gauges.groups, metrics.gauges.held_bytes), (0, 0));
    assert_eq!(metrics.counters.joins, metrics.counters.leaves);
}

const BURST: usize = 10_000;

/// Receives a burst in full and in order, and stays open.
fn whole_burst(mut socket: WebSocket) -> thread::JoinHandle<WebSocket> {
    thread::spawn(move || {
        for number in 0..BURST {
            assert_eq!(text(&mut socket), number.to_string());
        }
        socket
    })
}

/// Checks the hub's counters after a burst that every member received.
fn no_member_was_slow(hub: &Hub, members: usize) {
    let hub = hub.metrics().hub;
    assert_eq!(hub.counters.closed_slow, 0, "{hub:?}");
    assert_eq!(hub.dropped() + hub.counters.discarded, 0, "{hub:?}");
    assert_eq!(hub.counters.delivered, (BURST * members) as u64, "{hub:?}");
    assert!(hub.adds_up());
}

/// Publishes to the lobby without being in it, and says at its end that it has gone.
struct Speaker;

impl Endpoint for Speaker {
    type Data = ();
    fn upgrade(&mut self, _: &mut Scope, _: &mut AcceptOptions) -> Result {
        Ok(())
    }
    fn message(&mut self, socket: &mut Socket<'_, ()>, message: Incoming<'_>) -> Result {
        Ok(socket.publish("lobby", message.into_message())?)
    }
    fn close(&mut self, socket: &mut Socket<'_, ()>, _: &Closed) {
        socket.publish("lobby", "gone").unwrap();
    }
}

#[test]
fn ten_thousand_messages_at_once_from_one_client_close_nobody_on_one_loop_or_two() {
    for (members, loops) in [(1, 1), (50, 1), (50, 2)] {
        let hub = Hub::new();
        let router = hub.clone();
        let (address, end): (_, Box<dyn FnOnce()>) = if loops == 1 {
            let server = Running::new(move || rooms(&router).route("/send", Speaker));
            (server.address, Box::new(move || server.close()))
        } else {
            let (address, end) = on_two_loops(&hub);
            (address, Box::new(end))
        };
        let waiting: Vec<_> = (0..members)
            .map(|_| whole_burst(enter(address, "lobby", ConnectOptions::default())))
            .collect();
        let url = format!("ws://{address}/send");
        let mut socket = connect(url, ConnectOptions::default()).unwrap();
        for number in 0..BURST {
            socket.send_text(number.to_string()).unwrap();
        }
        let sockets: Vec<_> = waiting
            .into_iter()
            .map(|wait| wait.join().unwrap())
            .collect();
        no_member_was_slow(&hub, members);
        drop((socket, sockets));
        end();
    }
}

#[test]
fn messages_before_a_clients_close_are_all_published() {
    for count in [0, 1, 3_000] {
        let hub = Hub::new();
        let router = hub.clone();
        let server = Running::new(move || rooms(&router).route("/speak", Speaker));
        let mut member = enter(server.address, "lobby", ConnectOptions::default());
        let url = format!("ws://{}/speak", server.address);
        let mut socket = connect(url, ConnectOptions::default()).unwrap();
        for number in 0..count {
            socket.send_text(number.to_string()).unwrap();
        }
        let closing = thread::spawn(move || socket.close(1000, ""));
        for number in 0..count {
            assert_eq!(text(&mut member), number.to_string());
        }
        assert_eq!(text(&mut member), "gone");
        closing.join().unwrap().unwrap();
        until("its channel is gone", || {
            hub.metrics().hub.gauges.channels == 1
        });
    }
}

#[test]
fn ten_thousand_messages_at_once_from_outside_close_nobody_on_one_loop_or_two() {
    for loops in [1, 2] {
        let hub = Hub::new();
        let (address, end): (_, Box<dyn FnOnce()>) = if loops == 1 {
            let server = serve(&hub);
            (server.address, Box::new(move || server.close()))
        } else {
            let (address, end) = on_two_loops(&hub);
            (address, Box::new(end))
        };
        let waiting: Vec<_> = (0..20)
            .map(|_| whole_burst(enter(address, "lobby", ConnectOptions::default())))
            .collect();
        for number in 0..BURST {
            block_on(hub.publish("lobby", number.to_string())).unwrap();
        }
        let sockets: Vec<_> = waiting
            .into_iter()
            .map(|wait| wait.join().unwrap())
            .collect();
        no_member_was_slow(&hub, 20);
        drop(sockets);
        end();
    }
}

#[test]
fn a_client_that_does_not_read_is_closed_and_holds_up_no_other() {
    let options = HubOptions::default().queue_limits(QueueLimits {
        bytes: 256 << 10,
        ..QueueLimits::default()
    });
    let hub = Hub::with_options(options);
    let server = serve(&hub);
    let deaf = enter(server.address, "lobby", ConnectOptions::default());
    let mut ada = enter(server.address, "lobby", ConnectOptions::default());
    let long = "x".repeat(4 << 10);
    let mut sent = 0;
    while hub.metrics().hub.counters.closed_slow == 0 {
        block_on(hub.publish("lobby", long.as_str())).unwrap();
        assert_eq!(text(&mut ada).len(), long.len());
        sent += 1;
        let held = hub.metrics().hub.gauges.waiting_bytes;
        assert!(held <= (256 << 10) + 2 * long.len(), "{held} bytes wait");
        assert!(sent < 100_000, "nobody is called slow");
    }
    assert_eq!(hub.count("lobby"), 1);
    drop(deaf);
}

#[test]
fn envelopes_and_notices_that_panic_or_call_the_hub_hurt_nobody_else() {
    let own: Arc<Mutex<Option<Hub>>> = Arc::default();
    let inner = own.clone();
    let options = GroupOptions::default()
        .envelope(move |publication| {
            let text = publication.as_text().unwrap_or_default();
            assert_ne!(text, "poison", "an envelope that does not like this");
            let hub = inner.lock().unwrap().clone();
            if let Some(hub) = hub.filter(|_| text == "publish") {
                let error = hub.publish("audit", "it was called").try_publish();
                assert!(matches!(error, Err(Error::Hub(HubError::InCallback))));
            }
            format!("<{text}>").into()
        })
        .presence(PresenceMode::Members {
            grace: Duration::from_millis(1),
        })
        .notices(|_| panic!("notices that like nobody"));
    let hub = Hub::with_options(HubOptions::default().groups(options));
    *own.lock().unwrap() = Some(hub.clone());
    let server = serve(&hub);
    let mut ada = enter(server.address, "lobby", ConnectOptions::default());
    let mut bob = enter(server.address, "lobby", ConnectOptions::default());
    for message in ["one", "poison", "publish", "two"] {
        ada.send_text(message).unwrap();
    }
    for socket in [&mut ada, &mut bob] {
        for want in ["<one>", "<publish>", "<two>"] {
            assert_eq!(text(socket), want);
        }
    }
    let mut eve = enter(server.address, "lobby", ConnectOptions::default());
    hub.publish("lobby", "three").try_publish().unwrap();
    assert_eq!(text(&mut eve), "<three>");
    assert!(hub.metrics().callback_panics >= 1);
    *own.lock().unwrap() = None;
}

/// Says who it is and joins; then does what it is told.
struct Told;

impl Endpoint for Told {
    type Data = (String, Option<String>);

    fn upgrade(&mut self, request: &mut Scope, _: &mut AcceptOptions) -> Result<Self::Data> {
        let since = request.query_value("since").map(Into::into);
        Ok((request.param("user")?, since))
    }

    fn open(&mut self, socket: &mut Socket<'_, Self::Data>) -> Result {
        let (user, since) = socket.data().clone();
        socket.open_channel(ChannelOptions {
            user: Some(user.clone()),
            metadata: Some(format!("first of {user}")),
            ..ChannelOptions::default()
        })?;
        let since = since.map(|since| since.parse()).transpose()?;
        Ok(socket.join_since("lobby", since)?)
    }

    fn joined(&mut self, socket: &mut Socket<'_, Self::Data>, _: &str, joined: Joined) -> Result {
        let position = joined.position.unwrap();
        let recovered = match joined.recovered {
            Recovered::Fresh => "fresh".to_owned(),
            Recovered::Complete(count) => count.to_string(),
            other => format!("{other:?}"),
        };
        // Behind what is replayed.
        Ok(socket.send_in_order(format!("{position} {recovered}"))?)
    }

    fn signal(&mut self, socket: &mut Socket<'_, Self::Data>, signal: Signal) -> Result {
        let Signal::Text(text) = signal else {
            return Err("another signal".into());
        };
        if &*text == "fail" {
            return Err(Error::close(CloseCode::POLICY, "as told"));
        }
        let _ = socket.send(format!("signal {text}"));
        Ok(())
    }

    fn message(&mut self, socket: &mut Socket<'_, Self::Data>, message: Incoming<'_>) -> Result {
        match message.text()? {
            "leave" => drop(socket.leave("lobby")?),
            "order" => {
                socket.publish("lobby", "published")?;
                socket.send_in_order("sent behind it")?;
            }
            "end" => socket.set_expiry(Some(Instant::from_micros(1)))?,
            "echo" => {
                let mut options = PublishOptions::default();
                options.exclude.push(socket.channel()?);
                socket.publish_with("lobby", "not to me", options)?;
            }
            "groups" => {
                let groups = socket.groups().join(",");
                let _ = socket.send(groups);
            }
            "watch" => drop(socket.subscribe("news/#".parse::<Filter>().unwrap())?),
            "reply" => {
                let reply =
                    |_: &Joined, _: &[Arc<Publication>]| JoinDecision::Stay(Some("a reply".into()));
                let options = JoinOptions {
                    reply: Some(JoinReply::new(reply)),
                    ..JoinOptions::default()
                };
                socket.join_with("other", options)?;
            }
            other => socket.set_metadata(other)?,
        }
        Ok(())
    }
}

fn told(hub: &Hub) -> Running {
    let hub = hub.clone();
    Running::new(move || Router::new().route("/{user}", Told).hub(&hub))
}

fn as_user(server: &Running, path: &str) -> (WebSocket, String) {
    let url = format!("ws://{}/{path}", server.address);
    let mut socket = connect(url, ConnectOptions::default()).unwrap();
    let position = text(&mut socket);
    (socket, position)
}

#[test]
fn presence_shows_what_was_said_last_and_events_are_told_in_a_loop() {
    let options = GroupOptions::default().presence(PresenceMode::Members {
        grace: Duration::from_secs(600),
    });
    let hub = Hub::with_options(HubOptions::default().groups(options));
    let server = told(&hub);
    let (tell, changes) = channel();
    let events = hub.events();
    server.remote.run(move |within| {
        within.on_events(events, move |_, event| {
            if let HubEvent::Presence(change) = event {
                tell.send(change).unwrap();
            }
        });
    });
    let (mut ada, _) = as_user(&server, "ada");
    let first = changes.recv().unwrap();
    assert_eq!(first.joined[0].metadata.as_deref(), Some("first of ada"));
    ada.send_text("away").unwrap();
    let update = changes.recv().unwrap();
    assert_eq!(
        (update.updated[0].metadata.as_deref(), update.version),
        (Some("away"), 2)
    );
    // A loop asks, and goes on meanwhile.
    let (answer, answers) = channel();
    let asked = hub.clone();
    server.remote.run(move |within| {
        let presence = async move { asked.presence("lobby").await };
        within.spawn(Box::pin(presence), move |_, presence| {
            answer.send(presence).unwrap();
        });
    });
    let presence = answers.recv().unwrap().unwrap();
    assert_eq!(presence.members[0].metadata.as_deref(), Some("away"));
    // A second tab says something else.
    let (mut tab, _) = as_user(&server, "ada");
    assert_eq!(
        changes.recv().unwrap().updated[0].metadata.as_deref(),
        Some("first of ada")
    );
    for socket in [&mut ada, &mut tab] {
        socket.send_text("leave").unwrap();
    }
    let gone = changes.recv().unwrap();
    assert_eq!((gone.count, gone.epoch), (0, update.epoch));
    ada.send_text("end").unwrap();
    let end = ada.receive().unwrap_err().to_string();
    assert!(end.contains("1008"), "{end}");
}

#[test]
fn exclusion_survives_a_reconnect_and_ordered_messages_follow() {
    let options = GroupOptions::default().history(HistoryOptions::default());
    let hub = Hub::with_options(HubOptions::default().groups(options));
    let server = told(&hub);
    let (mut ada, since) = as_user(&server, "ada");
    let since = since.split(' ').next().unwrap().to_owned();
    ada.send_text("echo").unwrap();
    ada.send_text("order").unwrap();
    assert_eq!(text(&mut ada), "published");
    assert_eq!(text(&mut ada), "sent behind it");
    drop(ada);
    until("it has left", || hub.count("lobby") == 0);
    let (mut ada, first) = as_user(&server, &format!("ada?since={since}"));
    assert_eq!(first, "published", "not what it was excluded from");
    let position = text(&mut ada);
    assert!(position.ends_with(" 1"), "{position}");
    // Another user gets both, and then the number of them.
    let (mut bob, first) = as_user(&server, &format!("bob?since={since}"));
    assert_eq!(first, "not to me");
    assert_eq!(text(&mut bob), "published");
    assert!(text(&mut bob).ends_with(" 2"));
    let history = block_on(hub.history("lobby", 10)).unwrap();
    assert_eq!(history.publications.len(), 2);
}

#[test]
fn connections_are_sent_to_signalled_and_moved_by_channel_or_user() {
    let hub = Hub::new();
    let server = told(&hub);
    let (mut ada, _) = as_user(&server, "ada");
    let id = hub.members("lobby")[0];
    hub.send_to(id, "to a channel").unwrap();
    hub.send_to_user("ada", "to a user").unwrap();
    assert_eq!(text(&mut ada), "to a channel");
    assert_eq!(text(&mut ada), "to a user");
    hub.signal(Target::Channel(id), "wave").unwrap();
    assert_eq!(text(&mut ada), "signal wave");
    hub.leave(id, "lobby").unwrap();
    hub.instruct(
        Target::User("ada".into()),
        Instruction::SetMetadata("later".into()),
    )
    .unwrap();
    until("it has left", || hub.count("lobby") == 0);
    // Publications to which it subscribed come by its filter.
    ada.send_text("watch").unwrap();
    ada.send_text("groups").unwrap();
    assert_eq!(text(&mut ada), "");
    hub.publish("news/today", "news").try_publish().unwrap();
    assert_eq!(text(&mut ada), "news");
    // A reply precedes what comes of the group.
    ada.send_text("reply").unwrap();
    assert_eq!(text(&mut ada), "a reply");
    assert!(text(&mut ada).ends_with(" fresh"));
    // An error of a callback of the hub closes like one of any other.
    hub.signal(Target::Channel(id), "fail").unwrap();
    let end = ada.receive().unwrap_err().to_string();
    assert!(end.contains("1008") && end.contains("as told"), "{end}");
    until("nobody is left", || hub.metrics().hub.gauges.channels == 0);
    // Its address leads nowhere now.
    hub.send_to(id, "too late").unwrap();
}

#[test]
fn a_timer_publishes_and_a_loop_receives_publications_itself() {
    let hub = Hub::new();
    let server = serve(&hub);
    let mut ada = enter(server.address, "lobby", ConnectOptions::default());
    let (tell, heard) = channel();
    let subscription = hub.subscribe("#".parse().unwrap()).unwrap();
    let publisher = hub.clone();
    server.remote.run(move |within| {
        within.on_publications(subscription, move |_, publication| {
            let publication = publication.unwrap();
            tell.send(publication.as_text().unwrap().to_owned())
                .unwrap();
        });
        fn tick(within: &mut sansws_mio::Loop, hub: Hub, count: u32) {
            hub.publish("lobby", format!("tick {count}"))
                .try_publish()
                .unwrap();
            if count < 5 {
                within.after(Duration::from_millis(5), move |within| {
                    tick(within, hub, count + 1);
                });
            }
        }
        tick(within, publisher, 1);
    });
    for count in 1..=5 {
        assert_eq!(text(&mut ada), format!("tick {count}"));
        assert_eq!(heard.recv().unwrap(), format!("tick {count}"));
    }
}

#[test]
fn without_a_hub_it_is_an_error_that_says_so() {
    let server = Running::with(ServerOptions::default(), || {
        |socket: &mut Socket<'_, ()>, _: Incoming<'_>| -> Result { Ok(socket.join("lobby")?) }
    });
    let mut socket = connect(server.url(), ConnectOptions::default()).unwrap();
    socket.send_text("").unwrap();
    let end = socket.receive().unwrap_err().to_string();
    assert!(end.contains("1011"), "{end}");
}
