// Included for each runtime: `ws` is its adapter, `runtime` what else is asked of it.

use crate::runtimes::Door;
use runtime::start;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ws::{
    ChannelOptions, Config, ConnectOptions, ConnectionPolicy, Deflate, Error, GroupOptions, Hub,
    HubError, HubOptions, Limits, Listener, QueueLimits, Result, Router, Server, ServerHandle,
    SlowConsumerPolicy, Upgrade, WebSocket,
};

/// Joins the group of its path, says so, and publishes what it receives there.
async fn room(upgrade: Upgrade) -> Result {
    let room: String = upgrade.param("room")?;
    let mut socket = upgrade.accept().await?;
    socket.join(&room).await?;
    socket.send_text("joined").await?;
    while let Some(text) = socket.receive_text().await? {
        socket.publish(&room, text).await?;
    }
    Ok(())
}

fn rooms(hub: &Hub) -> Router {
    Router::new().route("/{room}", room).hub(hub)
}

async fn enter(address: SocketAddr, room: &str, dial: ConnectOptions) -> WebSocket {
    let url = format!("ws://{address}/{room}");
    let mut socket = ws::connect(&url, dial).await.unwrap();
    assert_eq!(text(&mut socket).await, "joined");
    socket
}

async fn text(socket: &mut WebSocket) -> String {
    socket.receive_text().await.unwrap().unwrap()
}

/// Waits until something holds, for 20 s.
async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..2_000 {
        if holds() {
            return;
        }
        ws::sleep(Duration::from_millis(10)).await;
    }
    panic!("it does not come to this: {what}");
}

#[test]
fn any_thread_may_publish_and_membership_ends_with_the_socket() {
    let hub = Hub::new();
    runtime::block_on(async {
        let (address, _door) = start(rooms(&hub)).await;
        let mut ada = enter(address, "lobby", ConnectOptions::default()).await;
        let mut bob = enter(address, "lobby", ConnectOptions::default()).await;
        let outside = hub.clone();
        std::thread::spawn(move || {
            let published = outside.publish("lobby", "from a thread").try_publish().unwrap();
            assert_eq!(published.position.unwrap().offset, 1);
        })
        .join()
        .unwrap();
        for socket in [&mut ada, &mut bob] {
            assert_eq!(text(socket).await, "from a thread");
        }
        // One closes, one is cut.
        assert_eq!(hub.count("lobby"), 2);
        ada.close(1000, "").await.unwrap();
        drop(bob);
        until("nobody is left", || hub.groups().is_empty()).await;
        until("no channel is left", || {
            hub.metrics().hub.gauges.channels == 0
        })
        .await;
        assert!(hub.metrics().hub.adds_up());
    });
}

#[test]
fn members_with_and_without_compression_receive_the_same_and_it_is_compressed_once() {
    let hub = Hub::new();
    runtime::block_on(async {
        let config = Config {
            deflate: Some(Deflate::default()),
            ..Config::default()
        };
        let policy = ConnectionPolicy::default().config(config.clone());
        let (address, _door) = start(rooms(&hub).policy(policy)).await;
        let mut sockets = Vec::new();
        for deflates in [true, false, true, true] {
            let dial = ConnectOptions::default();
            let dial = if deflates {
                dial.config(config.clone())
            } else {
                dial
            };
            let socket = enter(address, "lobby", dial).await;
            assert_eq!(socket.is_deflated(), deflates);
            sockets.push(socket);
        }
        let long = "the same to everybody; ".repeat(100);
        for round in 0..3 {
            let message = format!("{round} {long}");
            hub.publish("lobby", message.as_str()).try_publish().unwrap();
            for socket in &mut sockets {
                assert_eq!(text(socket).await, message);
            }
            // Messages that each connection compresses by itself come between.
            for socket in &mut sockets {
                socket
                    .send_text(format!("own {round} {long}"))
                    .await
                    .unwrap();
                let own = text(socket).await;
                assert!(own.starts_with("own"));
            }
            for socket in &mut sockets {
                for _ in 0..3 {
                    text(socket).await;
                }
            }
        }
        let metrics = hub.metrics();
        assert_eq!((metrics.broker.encodes, metrics.broker.deflates), (15, 15));
        let counters = metrics.hub.counters;
        assert_eq!((counters.fan_out, counters.delivered), (60, 60));
    });
}

#[test]
fn threads_have_a_node_each_and_all_members_see_one_order() {
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
    let _door = Door(handle);
    while hub.metrics().nodes < 2 {
        std::thread::sleep(Duration::from_millis(10));
    }
    runtime::block_on(async {
        const EACH: usize = 20;
        let mut sockets = Vec::new();
        for _ in 0..32 {
            sockets.push(enter(address, "lobby", ConnectOptions::default()).await);
        }
        for round in 0..EACH {
            for (at, socket) in sockets.iter_mut().enumerate() {
                socket.send_text(format!("{round} of {at}")).await.unwrap();
            }
            hub.publish("lobby", "and one from outside").try_publish().unwrap();
        }
        let mut orders = Vec::new();
        for socket in &mut sockets {
            let mut order = Vec::new();
            for _ in 0..EACH * 33 {
                order.push(text(socket).await);
            }
            orders.push(order);
        }
        assert!(orders.iter().all(|order| *order == orders[0]));
        let metrics = hub.metrics();
        assert_eq!(metrics.broker.encodes as usize, EACH * 33);
        assert_eq!(metrics.hub.counters.delivered as usize, EACH * 33 * 32);
        drop(sockets);
        until("nobody is left", || hub.metrics().hub.gauges.channels == 0).await;
    });
    drop(_door);
    serving.join().unwrap().unwrap();
    assert_eq!(hub.metrics().nodes, 1);
}

#[test]
fn a_peer_that_does_not_read_is_closed_and_the_others_lose_nothing() {
    let budget = QueueLimits {
        bytes: 1 << 20,
        ..QueueLimits::default()
    };
    let hub = Hub::with_options(HubOptions::default().queue_limits(budget));
    runtime::block_on(async {
        let (address, _door) = start(rooms(&hub)).await;
        let mut reader = enter(address, "lobby", ConnectOptions::default()).await;
        let stalled = enter(address, "lobby", ConnectOptions::default()).await;
        let message = "x".repeat(64 << 10);
        let mut rounds = 0;
        while hub.metrics().hub.counters.closed_slow == 0 {
            hub.publish("lobby", message.as_str()).try_publish().unwrap();
            assert_eq!(text(&mut reader).await.len(), message.len());
            rounds += 1;
            assert!(rounds < 2_000, "a socket takes no 128 MiB");
        }
        assert_eq!(hub.count("lobby"), 1);
        let metrics = hub.metrics().hub;
        assert!(metrics.counters.discarded > 0 && metrics.adds_up());
        // It reads what was sent before, and that it was too slow.
        let mut stalled = stalled;
        let mut got = 0;
        let end = loop {
            match stalled.receive().await {
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
    });
}

#[test]
fn a_publisher_waits_for_a_member_that_is_behind() {
    let options = HubOptions::default()
        .groups(GroupOptions::default().slow_consumer(SlowConsumerPolicy::Wait))
        .queue_limits(QueueLimits {
            messages: 4,
            ..QueueLimits::default()
        });
    let hub = Hub::with_options(options);
    runtime::block_on(async {
        let (address, _door) = start(rooms(&hub)).await;
        let mut reader = enter(address, "lobby", ConnectOptions::default()).await;
        let message = "x".repeat(256 << 10);
        let mut sent = 0;
        let refused = loop {
            match hub.publish("lobby", message.as_str()).try_publish() {
                Ok(_) => sent += 1,
                Err(error) => break error,
            }
            assert!(sent < 1_000, "a socket takes no 256 MiB");
            // Its task takes what the socket takes.
            ws::sleep(Duration::from_millis(1)).await;
        };
        assert!(
            matches!(refused, Error::Hub(HubError::Backpressure)),
            "{refused}"
        );
        let (waiting, told) = (hub.clone(), Arc::new(std::sync::Mutex::new(false)));
        let done = Arc::clone(&told);
        runtime::spawn(async move {
            waiting.publish("lobby", "at last").await.unwrap();
            *done.lock().unwrap() = true;
        });
        ws::sleep(Duration::from_millis(100)).await;
        assert!(!*told.lock().unwrap());
        for _ in 0..sent {
            assert_eq!(text(&mut reader).await.len(), message.len());
        }
        assert_eq!(text(&mut reader).await, "at last");
        until("the publisher goes on", || *told.lock().unwrap()).await;
    });
}

#[test]
fn the_time_of_a_hub_is_kept_by_the_server() {
    async fn brief(upgrade: Upgrade) -> Result {
        let mut socket = upgrade.accept().await?;
        socket.open_channel(ChannelOptions {
            expiry: Some(Duration::from_millis(200)),
            ..ChannelOptions::default()
        })?;
        while socket.receive().await?.is_some() {}
        Ok(())
    }
    let hub = Hub::new();
    runtime::block_on(async {
        let (address, _door) = start(Router::new().route("/", brief).hub(&hub)).await;
        let mut socket = ws::connect(&format!("ws://{address}/"), ConnectOptions::default())
            .await
            .unwrap();
        // 1001 is a normal end.
        assert!(socket.receive().await.unwrap().is_none());
        assert_eq!(socket.closed().unwrap().reason, "the channel expired");
    });
}

#[test]
fn a_server_that_drains_closes_members_with_what_they_are_owed() {
    let hub = Hub::new();
    runtime::block_on(async {
        let mut server = Server::bind("127.0.0.1:0").await.unwrap();
        let (address, handle) = (server.local_addr().unwrap(), server.handle());
        let router = rooms(&hub);
        runtime::spawn(async move { server.serve(router).await.unwrap() });
        let mut socket = enter(address, "lobby", ConnectOptions::default()).await;
        hub.publish("lobby", "before").try_publish().unwrap();
        handle.close();
        assert_eq!(text(&mut socket).await, "before");
        assert!(socket.receive().await.unwrap().is_none());
        until("nobody is left", || hub.metrics().hub.gauges.channels == 0).await;
    });
}

#[test]
fn joining_leaving_and_publishing_at_once_leaves_nothing_behind() {
    async fn busy(upgrade: Upgrade) -> Result {
        let mut socket = upgrade.accept().await?;
        while let Some(text) = socket.receive_text().await? {
            let (verb, group) = text.split_once(' ').unwrap_or_default();
            match verb {
                "join" => drop(socket.join(group).await?),
                "leave" => drop(socket.leave(group)?),
                _ => drop(socket.publish(group, "x").await?),
            }
        }
        Ok(())
    }
    // The thread publishes as fast as it can: whoever falls behind loses messages and is not closed.
    let options = HubOptions::default()
        .groups(GroupOptions::default().slow_consumer(SlowConsumerPolicy::DropOldest));
    let hub = Hub::with_options(options);
    runtime::block_on(async {
        let limits = Limits {
            write_queue: 1 << 20,
            ..Limits::default()
        };
        let policy = ConnectionPolicy::default().config(Config {
            limits,
            ..Config::default()
        });
        let router = Router::new().route("/", busy).hub(&hub).policy(policy);
        let (address, _door) = start(router).await;
        let (hub_of_thread, stop) = (hub.clone(), Arc::new(std::sync::Mutex::new(false)));
        let stopping = Arc::clone(&stop);
        let outside = std::thread::spawn(move || {
            let mut published = 0_u64;
            while !*stopping.lock().unwrap() {
                for group in ["a", "b", "c"] {
                    // Awaiting it would wait for members whose queues are full.
                    match hub_of_thread.publish(group, "outside").try_publish() {
                        Ok(_) => published += 1,
                        Err(Error::Hub(HubError::Backpressure)) => {}
                        Err(other) => panic!("{other}"),
                    }
                }
                std::thread::yield_now();
            }
            published
        });
        let mut sockets = Vec::new();
        for _ in 0..20 {
            let url = format!("ws://{address}/");
            sockets.push(ws::connect(&url, ConnectOptions::default()).await.unwrap());
        }
        for round in 0..200_usize {
            for (at, socket) in sockets.iter_mut().enumerate() {
                let group = ["a", "b", "c"][(round + at) % 3];
                let verb = ["join", "publish", "leave", "publish"][(round * 7 + at * 3) % 4];
                socket.send_text(format!("{verb} {group}")).await.unwrap();
                // Input is read, so that no member falls behind.
                while let Ok(Ok(Some(_))) = within_a_moment(socket.receive()).await {}
            }
        }
        *stop.lock().unwrap() = true;
        assert!(outside.join().unwrap() > 0);
        drop(sockets);
        until("nobody is left", || hub.metrics().hub.gauges.channels == 0).await;
        let metrics = hub.metrics().hub;
        assert!(metrics.adds_up(), "{metrics:?}");
        assert_eq!((metrics.gauges.groups, metrics.gauges.held_bytes), (0, 0));
        assert_eq!(metrics.counters.joins, metrics.counters.leaves);
    });
}

/// Polls once.
async fn within_a_moment<R>(work: impl Future<Output = R>) -> Result<R, ()> {
    let mut work = std::pin::pin!(work);
    std::future::poll_fn(|cx| {
        std::task::Poll::Ready(match work.as_mut().poll(cx) {
            std::task::Poll::Ready(done) => Ok(done),
            std::task::Poll::Pending => Err(()),
        })
    })
    .await
}

#[test]
fn messages_of_a_client_leave_however_many_it_sends_in_one_turn() {
    async fn count(upgrade: Upgrade, counted: Arc<std::sync::atomic::AtomicUsize>) -> Result {
        let mut socket = upgrade.accept().await?;
        while socket.receive().await?.is_some() {
            counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
        Ok(())
    }
    let counted = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counts = Arc::clone(&counted);
    runtime::block_on(async {
        let handler = move |upgrade| count(upgrade, Arc::clone(&counts));
        let (address, _door) = start(Router::new().route("/", handler)).await;
        let mut sockets = Vec::new();
        for _ in 0..50 {
            let url = format!("ws://{address}/");
            sockets.push(ws::connect(&url, ConnectOptions::default()).await.unwrap());
        }
        // No socket is full, and nothing is waited for: a runtime may want to stop this.
        for round in 0..20 {
            for socket in &mut sockets {
                socket.send_text(round.to_string()).await.unwrap();
            }
        }
        // Nothing is done with the sockets now.
        let all = || counted.load(std::sync::atomic::Ordering::SeqCst) == 1_000;
        until("all was received", all).await;
    });
}
