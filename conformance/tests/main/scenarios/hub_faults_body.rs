// Included for each runtime: `ws` is its adapter, `runtime` what else is asked of it.

use crate::runtimes::Door;
use runtime::start;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ws::{
    ChannelOptions, ConnectOptions, GroupOptions, HistoryOptions, Hub, HubError, HubEvent,
    HubOptions, Listener, PresenceMode, QueueLimits, Result, Router, Server, ServerHandle, Upgrade,
    WebSocket,
};

/// Joins the group of its path, says so, and publishes what it receives there.
async fn room(upgrade: Upgrade) -> Result {
    let room: String = upgrade.param("room")?;
    let mut socket = upgrade.accept().await?;
    socket.join(&room).await?;
    socket.send_text("joined").await?;
    while let Some(text) = socket.receive_text().await? {
        let _ = socket.publish(&room, text).await;
    }
    Ok(())
}

fn rooms(hub: &Hub) -> Router {
    Router::new().route("/{room}", room).hub(hub)
}

async fn enter(address: SocketAddr, room: &str) -> WebSocket {
    let url = format!("ws://{address}/{room}");
    let mut socket = ws::connect(&url, ConnectOptions::default()).await.unwrap();
    assert_eq!(text(&mut socket).await, "joined");
    socket
}

async fn text(socket: &mut WebSocket) -> String {
    socket.receive_text().await.unwrap().unwrap()
}

#[test]
fn an_envelope_that_panics_fails_one_message_and_one_that_calls_the_hub_is_told_so() {
    // The envelope is given its own hub once there is one.
    let own: Arc<Mutex<Option<Hub>>> = Arc::default();
    let errors: Arc<Mutex<Vec<String>>> = Arc::default();
    let (inner, told) = (own.clone(), errors.clone());
    let options = GroupOptions::default().envelope(move |publication| {
        let text = publication.as_text().unwrap_or_default();
        assert_ne!(text, "poison", "an envelope that does not like this");
        let hub = inner.lock().unwrap().clone();
        if let Some(hub) = hub {
            match text {
                "publish" => {
                    let error = hub.publish("audit", "it was called").try_publish().unwrap_err();
                    told.lock().unwrap().push(error.to_string());
                }
                "count" => drop(hub.count("lobby")),
                _ => {}
            }
        }
        format!("<{text}>").into()
    });
    let hub = Hub::with_options(HubOptions::default().groups(options));
    *own.lock().unwrap() = Some(hub.clone());
    runtime::block_on(async {
        let (address, _door) = start(rooms(&hub)).await;
        let mut ada = enter(address, "lobby").await;
        let mut bob = enter(address, "lobby").await;
        for message in ["one", "poison", "publish", "count", "two"] {
            ada.send_text(message).await.unwrap();
        }
        for socket in [&mut ada, &mut bob] {
            for want in ["<one>", "<publish>", "<two>"] {
                assert_eq!(text(socket).await, want);
            }
        }
        let refused = hub.publish("lobby", "poison").await.unwrap_err();
        assert!(refused.to_string().contains("envelope"), "{refused}");
        // New clients are let in as before.
        let mut eve = enter(address, "lobby").await;
        hub.publish("lobby", "three").await.unwrap();
        assert_eq!(text(&mut eve).await, "<three>");
        assert_eq!(hub.metrics().callback_panics, 3);
        assert_eq!(hub.metrics().broker.unwrapped, 3);
        let errors = errors.lock().unwrap();
        assert_eq!(*errors, [HubError::InCallback.to_string()]);
    });
}

#[test]
fn notices_that_panic_or_count_are_not_told_and_the_server_goes_on() {
    let own: Arc<Mutex<Option<Hub>>> = Arc::default();
    let inner = own.clone();
    let options = GroupOptions::default()
        .presence(PresenceMode::Members {
            grace: Duration::from_millis(1),
        })
        .notices(move |_| {
            let hub = inner.lock().unwrap().clone();
            let count = hub.map_or(0, |hub| hub.count("lobby"));
            panic!("notices that do not like {count} members")
        });
    let hub = Hub::with_options(HubOptions::default().groups(options));
    *own.lock().unwrap() = Some(hub.clone());
    runtime::block_on(async {
        let (address, _door) = start(rooms(&hub)).await;
        let mut ada = enter(address, "lobby").await;
        for _ in 0..3 {
            // A user that comes, and goes by the clock of the server.
            drop(enter(address, "lobby").await);
        }
        let mut panics = 0;
        while hub.presence("lobby").await.unwrap().count > 1 || panics < 4 {
            panics = hub.metrics().callback_panics;
            ws::sleep(Duration::from_millis(5)).await;
        }
        let mut eve = enter(address, "lobby").await;
        hub.publish("lobby", "still here").await.unwrap();
        for socket in [&mut ada, &mut eve] {
            assert_eq!(text(socket).await, "still here");
        }
    });
}

const BURST: usize = 10_000;

/// Receives a burst in full and in order, and stays open.
async fn whole_burst(mut socket: WebSocket) {
    for number in 0..BURST {
        assert_eq!(text(&mut socket).await, number.to_string());
    }
}

/// Checks the hub's counters after a burst that every member received.
fn no_member_was_slow(hub: &Hub, members: usize) {
    let hub = hub.metrics().hub;
    assert_eq!(hub.counters.closed_slow, 0, "{hub:?}");
    assert_eq!(hub.dropped() + hub.counters.discarded, 0, "{hub:?}");
    assert_eq!(hub.counters.delivered, (BURST * members) as u64, "{hub:?}");
    assert!(hub.adds_up());
}

async fn burst(hub: &Hub, router: Router, members: usize, start_it: impl AsyncFnOnce(SocketAddr)) {
    let (address, _door) = start(router).await;
    let mut waiting = Vec::new();
    for _ in 0..members {
        let socket = enter(address, "lobby").await;
        let (done, wait) = async_channel::bounded(1);
        runtime::spawn(async move {
            whole_burst(socket).await;
            let _ = done.send(()).await;
        });
        waiting.push(wait);
    }
    start_it(address).await;
    for wait in waiting {
        wait.recv().await.unwrap();
    }
    no_member_was_slow(hub, members);
}

#[test]
fn ten_thousand_messages_at_once_from_one_client_close_nobody() {
    for members in [1, 100] {
        let hub = Hub::new();
        let router = rooms(&hub).route("/send", send);
        runtime::block_on(burst(&hub, router, members, async |address| {
            let mut socket =
                ws::connect(&format!("ws://{address}/send"), ConnectOptions::default())
                    .await
                    .unwrap();
            for number in 0..BURST {
                socket.send_text(number.to_string()).await.unwrap();
            }
            socket.flush().await.unwrap();
            runtime::spawn(async move { while let Ok(Some(_)) = socket.receive().await {} });
        }));
    }
}

/// A room whose path `send` publishes to the lobby without being in it.
async fn send(upgrade: Upgrade) -> Result {
    let mut socket = upgrade.accept().await?;
    while let Some(text) = socket.receive_text().await? {
        socket.publish("lobby", text).await?;
    }
    Ok(())
}

/// A handler that publishes in a loop as soon as it is asked.
async fn flood(upgrade: Upgrade) -> Result {
    let mut socket = upgrade.accept().await?;
    socket.receive().await?;
    for number in 0..BURST {
        socket.publish("lobby", number.to_string()).await?;
    }
    Ok(())
}

/// Publishes what it receives as a member of the lobby, and at its end that it has gone.
async fn speaker(upgrade: Upgrade) -> Result {
    let mut socket = upgrade.accept().await?;
    while let Some(text) = socket.receive_text().await? {
        socket.publish("lobby", text).await?;
    }
    socket.publish("lobby", "gone").await?;
    Ok(())
}

#[test]
fn messages_before_a_clients_close_are_all_published() {
    for count in [0, 1, 3_000] {
        let hub = Hub::new();
        let router = rooms(&hub).route("/speak", speaker);
        runtime::block_on(async {
            let (address, _door) = start(router).await;
            let mut member = enter(address, "lobby").await;
            let url = format!("ws://{address}/speak");
            let mut socket = ws::connect(&url, ConnectOptions::default()).await.unwrap();
            for number in 0..count {
                socket.send_text(number.to_string()).await.unwrap();
            }
            socket.start_close(None, "");
            runtime::spawn(async move { while let Ok(Some(_)) = socket.receive().await {} });
            for number in 0..count {
                assert_eq!(text(&mut member).await, number.to_string());
            }
            assert_eq!(text(&mut member).await, "gone");
            while hub.metrics().hub.gauges.channels > 1 {
                ws::sleep(Duration::from_millis(5)).await;
            }
        });
    }
}

#[test]
fn ten_thousand_messages_at_once_from_a_handler_or_from_outside_close_nobody() {
    for members in [1, 100] {
        let hub = Hub::new();
        let router = rooms(&hub).route("/flood", flood);
        runtime::block_on(burst(&hub, router, members, async |address| {
            let url = format!("ws://{address}/flood");
            let mut socket = ws::connect(&url, ConnectOptions::default()).await.unwrap();
            socket.send_text("go").await.unwrap();
            socket.receive().await.unwrap();
        }));
        let hub = Hub::new();
        runtime::block_on(burst(&hub, rooms(&hub), members, async |_| {
            for number in 0..BURST {
                hub.publish("lobby", number.to_string()).await.unwrap();
            }
        }));
    }
}

#[test]
fn ten_thousand_messages_at_once_close_nobody_on_several_threads() {
    let hub = Hub::new();
    let first = runtime::block_on(async { Listener::bind_shared(([127, 0, 0, 1], 0).into()) });
    let address = first.unwrap().local_addr().unwrap();
    let handle = ServerHandle::new(1_000);
    let (door, router) = (handle.clone(), rooms(&hub));
    let serving = std::thread::spawn(move || {
        let server = || {
            let listener = Listener::bind_shared(address)?;
            Ok(Server::new(listener).share(door.clone()))
        };
        Server::serve_on_threads(2, server, router)
    });
    let door = Door(handle);
    while hub.metrics().nodes < 2 {
        std::thread::sleep(Duration::from_millis(10));
    }
    runtime::block_on(async {
        let mut waiting = Vec::new();
        for _ in 0..20 {
            let socket = enter(address, "lobby").await;
            let (done, wait) = async_channel::bounded(1);
            runtime::spawn(async move {
                whole_burst(socket).await;
                let _ = done.send(()).await;
            });
            waiting.push(wait);
        }
        for number in 0..BURST {
            hub.publish("lobby", number.to_string()).await.unwrap();
        }
        for wait in waiting {
            wait.recv().await.unwrap();
        }
    });
    no_member_was_slow(&hub, 20);
    drop(door);
    serving.join().unwrap().unwrap();
}

#[test]
fn a_client_that_does_not_read_is_closed_and_holds_up_no_other() {
    let options = HubOptions::default().queue_limits(QueueLimits {
        bytes: 256 << 10,
        ..QueueLimits::default()
    });
    let hub = Hub::with_options(options);
    runtime::block_on(async {
        let (address, _door) = start(rooms(&hub)).await;
        let deaf = enter(address, "lobby").await;
        let mut ada = enter(address, "lobby").await;
        let long = "x".repeat(4 << 10);
        let mut sent = 0;
        while hub.metrics().hub.counters.closed_slow == 0 {
            hub.publish("lobby", long.as_str()).await.unwrap();
            assert_eq!(text(&mut ada).await.len(), long.len());
            sent += 1;
            let held = hub.metrics().hub.gauges.waiting_bytes;
            assert!(held <= (256 << 10) + 2 * long.len(), "{held} octets wait");
            assert!(sent < 100_000, "nobody is called slow");
        }
        assert_eq!(hub.count("lobby"), 1);
        drop(deaf);
    });
}

#[test]
fn a_listener_that_falls_behind_gets_what_is_there_and_is_told_its_loss() {
    let hub = Hub::new();
    runtime::block_on(async {
        let mut listener = hub.subscribe("#".parse().unwrap()).unwrap();
        // It is not polled: publishers wait for its turn once, and go on.
        for number in 0..3_000 {
            hub.publish("lobby", number.to_string()).await.unwrap();
        }
        let mut got = 0;
        let lost = loop {
            match listener.receive().await.unwrap() {
                Ok(publication) => {
                    assert_eq!(publication.as_text(), Some(got.to_string().as_str()));
                    got += 1;
                }
                Err(lagged) => break lagged,
            }
        };
        assert_eq!((got + lost.count, &*lost.group), (3_000, "lobby"));
        hub.publish("lobby", "later").await.unwrap();
        let later = listener.receive().await.unwrap().unwrap();
        assert_eq!(later.as_text(), Some("later"));
        // One that is polled loses nothing.
        let (done, wait) = async_channel::bounded(1);
        runtime::spawn(async move {
            for number in 0..BURST {
                let publication = listener.receive().await.unwrap().unwrap();
                assert_eq!(publication.as_text(), Some(number.to_string().as_str()));
            }
            let _ = done.send(()).await;
        });
        for number in 0..BURST {
            hub.publish("lobby", number.to_string()).await.unwrap();
        }
        wait.recv().await.unwrap();
    });
}

/// Says who it is and joins; then does what it is told.
async fn told(upgrade: Upgrade) -> Result {
    let user: String = upgrade.param("user")?;
    let since = upgrade.query_value("since").map(|since| since.parse());
    let mut socket = upgrade.accept().await?;
    socket.open_channel(ChannelOptions {
        user: Some(user.clone()),
        metadata: Some(format!("first of {user}")),
        ..ChannelOptions::default()
    })?;
    let joined = socket.join_since("lobby", since.transpose()?).await?;
    socket
        .send_in_order(format!("{}", joined.position.unwrap()))
        .await?;
    while let Some(text) = socket.receive_text().await? {
        match text.as_str() {
            "leave" => drop(socket.leave("lobby")?),
            "order" => {
                socket.publish("lobby", "published").await?;
                socket.send_in_order("sent behind it").await?;
            }
            "end" => socket.set_expiry(Some(ws::core::time::Instant::from_micros(1)))?,
            "echo" => {
                let me = socket.id()?;
                socket.publish("lobby", "not to me").exclude(me).await?;
            }
            other => socket.set_metadata(other)?,
        }
    }
    Ok(())
}

#[test]
fn presence_shows_what_was_said_last_and_who_leaves_is_gone_at_once() {
    let options = GroupOptions::default().presence(PresenceMode::Members {
        grace: Duration::from_secs(600),
    });
    let hub = Hub::with_options(HubOptions::default().groups(options));
    runtime::block_on(async {
        let (address, _door) = start(Router::new().route("/{user}", told).hub(&hub)).await;
        let mut events = hub.events();
        let mut changed = async || loop {
            if let HubEvent::Presence(change) = events.next().await {
                return change;
            }
        };
        let url = format!("ws://{address}/ada");
        let mut ada = ws::connect(&url, ConnectOptions::default()).await.unwrap();
        text(&mut ada).await;
        assert_eq!(
            changed().await.joined[0].metadata.as_deref(),
            Some("first of ada")
        );
        ada.send_text("away").await.unwrap();
        let update = changed().await;
        assert_eq!(
            (update.updated[0].metadata.as_deref(), update.version),
            (Some("away"), 2)
        );
        let presence = hub.presence("lobby").await.unwrap();
        assert_eq!(presence.members[0].metadata.as_deref(), Some("away"));
        // A second tab says something else.
        let mut tab = ws::connect(&url, ConnectOptions::default()).await.unwrap();
        text(&mut tab).await;
        assert_eq!(
            changed().await.updated[0].metadata.as_deref(),
            Some("first of ada")
        );
        for socket in [&mut ada, &mut tab] {
            socket.send_text("leave").await.unwrap();
        }
        let gone = changed().await;
        assert_eq!((gone.count, gone.epoch), (0, update.epoch));
        // All have left; the session that ends is closed by its server.
        ada.send_text("end").await.unwrap();
        let end = ada.receive().await.unwrap_err().to_string();
        assert!(end.contains("1008"), "{end}");
    });
}

#[test]
fn exclusion_survives_a_reconnect_and_ordered_messages_follow() {
    let options = GroupOptions::default().history(HistoryOptions::default());
    let hub = Hub::with_options(HubOptions::default().groups(options));
    runtime::block_on(async {
        let (address, _door) = start(Router::new().route("/{user}", told).hub(&hub)).await;
        let url = format!("ws://{address}/ada");
        let mut ada = ws::connect(&url, ConnectOptions::default()).await.unwrap();
        let since = text(&mut ada).await;
        ada.send_text("echo").await.unwrap();
        ada.send_text("order").await.unwrap();
        assert_eq!(text(&mut ada).await, "published");
        assert_eq!(text(&mut ada).await, "sent behind it");
        drop(ada);
        while hub.count("lobby") > 0 {
            ws::sleep(Duration::from_millis(5)).await;
        }
        let mut ada = ws::connect(&format!("{url}?since={since}"), ConnectOptions::default())
            .await
            .unwrap();
        assert_eq!(
            text(&mut ada).await,
            "published",
            "not what it was excluded from"
        );
        // Another user gets both.
        let url = format!("ws://{address}/bob?since={since}");
        let mut bob = ws::connect(&url, ConnectOptions::default()).await.unwrap();
        assert_eq!(text(&mut bob).await, "not to me");
        assert_eq!(text(&mut bob).await, "published");
    });
}
