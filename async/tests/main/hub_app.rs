//! Rules of groups for connections, one in each test: over the test kit, in virtual time.
//! RFC 6455 section 7.4.1.

#[allow(dead_code, reason = "not all of it is used here")]
use crate::support;

use std::future::{Future, IntoFuture};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use sansws_async::test_kit::{TestHub, TestServer, TestSocket};
use sansws_async::{Error, HandlerError, Result, Scope};
use sansws_core::close::CloseCode;
use sansws_core::frame::MessageKind;
use sansws_core::hub::{
    ChannelId, ChannelOptions, GroupOptions, HistoryOptions, HubError, HubEvent, HubOptions,
    JoinOptions, Position, PresenceMode, QueueLimits, Recovered, SlowConsumerPolicy,
};
use support::app::{Routes, Up, run, serve};

/// Joins the group of its path, and publishes what it receives there.
async fn room(upgrade: Up) -> Result {
    let room: String = upgrade.param("room")?;
    let user = upgrade.query_value("user").map(|user| user.to_string());
    let mut socket = upgrade.accept().await?;
    if let Some(user) = user {
        socket.open_channel(ChannelOptions {
            user: Some(user),
            ..ChannelOptions::default()
        })?;
    }
    socket.join(&room).await?;
    while let Some(text) = socket.receive_text().await? {
        socket.publish(&room, text).await?;
    }
    Ok(())
}

fn rooms(hub: &TestHub) -> TestServer {
    serve(Routes::new().route("/rooms/{room}", room).hub(hub))
}

async fn settle(server: &TestServer, socket: &mut TestSocket) {
    let _ = server;
    socket.expect_nothing(Duration::from_millis(1)).await;
}

#[test]
fn publications_reach_all_members_in_one_order_their_sender_too() {
    run(async {
        let hub = TestHub::new();
        let server = rooms(&hub);
        let mut ada = server.connect("/rooms/lobby").await.unwrap();
        let mut bob = server.connect("/rooms/lobby").await.unwrap();
        let mut eve = server.connect("/rooms/other").await.unwrap();
        settle(&server, &mut eve).await;
        ada.send_text("one").await.unwrap();
        for socket in [&mut ada, &mut bob] {
            socket.expect_text("one").await;
        }
        bob.send_text("two").await.unwrap();
        hub.publish("lobby", "three").try_publish().unwrap();
        for socket in [&mut ada, &mut bob] {
            let mut got = Vec::new();
            for _ in 0..2 {
                got.push(socket.expect_message().await.as_text().unwrap().to_string());
            }
            got.sort_unstable();
            assert_eq!(got, ["three", "two"]);
        }
        eve.expect_nothing(Duration::from_secs(1)).await;
        assert!(hub.metrics().hub.adds_up());
        Ok(())
    });
}

#[test]
fn membership_ends_with_the_connection_whatever_way_it_ends() {
    run(async {
        async fn fails(upgrade: Up) -> Result {
            let how: String = upgrade.param("how")?;
            let mut socket = upgrade.accept().await?;
            socket.join("all").await?;
            let _ = socket.receive().await?;
            match how.as_str() {
                "error" => Err(Error::close(CloseCode::POLICY, "enough")),
                "panic" => panic!("on purpose"),
                "busy" => {
                    // The peer leaves while the handler waits for something else.
                    std::future::pending().await
                }
                _ => Ok(()),
            }
        }
        let hub = TestHub::new();
        let server = serve(Routes::new().route("/{how}", fails).hub(&hub));
        for how in ["return", "error", "panic", "busy", "cut"] {
            let mut socket = server.connect(&format!("/{how}")).await.unwrap();
            settle(&server, &mut socket).await;
            assert_eq!(hub.count("all"), 1, "{how}");
            if how != "cut" {
                socket.send_text("go").await.unwrap();
                settle_all(&server).await;
            }
            if matches!(how, "busy") {
                let _ = socket.close(1000, "").await;
            }
            drop(socket);
            settle_all(&server).await;
            assert_eq!((how, hub.count("all")), (how, 0));
        }
        assert_eq!(hub.groups().len(), 0);
        assert!(hub.metrics().hub.adds_up());
        Ok(())
    });
}

/// Lets virtual time pass.
async fn settle_all(server: &TestServer) {
    let _ = server.get("/nowhere").await;
}

#[test]
fn a_client_that_reconnects_with_its_position_misses_nothing() {
    run(async {
        async fn since(upgrade: Up) -> Result {
            let since = upgrade.query_value("since").map(|text| text.to_string());
            let mut socket = upgrade.accept().await?;
            let since = since.map(|since| since.parse()).transpose()?;
            let joined = socket.join_since("news", since).await?;
            let position = joined.position.unwrap();
            let text = format!("{position} {:?}", joined.recovered);
            socket.send_text(text).await?;
            while socket.receive().await?.is_some() {}
            Ok(())
        }
        let options = GroupOptions::default().history(HistoryOptions::default());
        let hub = TestHub::with_options(HubOptions::default().groups(options));
        let server = serve(Routes::new().route("/", since).hub(&hub));
        let mut socket = server.connect("/").await.unwrap();
        let hello = socket.expect_message().await;
        let (position, recovered) = hello.as_text().unwrap().split_once(' ').unwrap();
        assert_eq!(recovered, format!("{:?}", Recovered::Fresh));
        let position: Position = position.parse().unwrap();
        drop(socket);
        settle_all(&server).await;
        for text in ["one", "two"] {
            hub.publish("news", text).try_publish().unwrap();
        }
        // A group that has only a history is in no list.
        assert!(hub.groups().is_empty());
        let mut socket = server
            .connect(&format!("/?since={position}"))
            .await
            .unwrap();
        // The missed messages were put into its channel when it joined; the handler's own may come before or behind.
        let mut got = Vec::new();
        for _ in 0..3 {
            got.push(socket.expect_message().await.as_text().unwrap().to_string());
        }
        let texts: Vec<&String> = got.iter().filter(|text| text.len() < 4).collect();
        assert_eq!(texts, ["one", "two"]);
        assert!(
            got.iter().any(|text| text.ends_with("Complete(2)")),
            "{got:?}"
        );
        hub.publish("news", "three").try_publish().unwrap();
        socket.expect_text("three").await;
        Ok(())
    });
}

#[test]
fn a_user_with_two_connections_is_present_until_both_are_gone_and_the_grace_is_over() {
    run(async {
        let options = GroupOptions::default().presence(PresenceMode::members());
        let hub = TestHub::with_options(HubOptions::default().groups(options));
        let server = rooms(&hub);
        let mut first = server.connect("/rooms/lobby?user=ada").await.unwrap();
        let mut second = server.connect("/rooms/lobby?user=ada").await.unwrap();
        let mut bob = server.connect("/rooms/lobby?user=bob").await.unwrap();
        settle(&server, &mut bob).await;
        let presence = hub.presence("lobby").await?;
        assert_eq!((presence.count, presence.version), (2, 2));
        let _ = first.close(1000, "").await;
        bob.expect_nothing(Duration::from_secs(10)).await;
        assert_eq!(hub.presence("lobby").await?.count, 2);
        let _ = second.close(1000, "").await;
        bob.expect_nothing(Duration::from_secs(2)).await;
        assert_eq!(hub.presence("lobby").await?.count, 2);
        bob.expect_nothing(Duration::from_secs(2)).await;
        let presence = hub.presence("lobby").await?;
        assert_eq!((presence.count, presence.version), (1, 3));
        assert_eq!(&*presence.members[0].user, "bob");
        hub.send_to_user("bob", "just you").unwrap();
        bob.expect_text("just you").await;
        Ok(())
    });
}

#[test]
fn a_channel_can_be_sent_to_and_closed_from_anywhere_and_a_stale_id_is_nobodys() {
    run(async {
        async fn who(upgrade: Up) -> Result {
            let mut socket = upgrade.accept().await?;
            let id = socket.id()?;
            socket.send_text(id.to_string()).await?;
            while socket.receive().await?.is_some() {}
            Ok(())
        }
        let hub = TestHub::new();
        let server = serve(Routes::new().route("/", who).hub(&hub));
        let mut socket = server.connect("/").await.unwrap();
        let id: ChannelId = socket
            .expect_message()
            .await
            .as_text()
            .unwrap()
            .parse()
            .unwrap();
        hub.send_to(id, "psst").unwrap();
        socket.expect_text("psst").await;
        hub.send_to(id, "last words").unwrap();
        assert!(hub.close(id, CloseCode::POLICY, "out"));
        socket.expect_text("last words").await;
        assert_eq!(socket.expect_close(1008).await, "out");
        drop(socket);
        settle_all(&server).await;
        let sent = hub.send_to(id, "too late").unwrap();
        assert_eq!(sent, sansws_core::hub::Sent::Gone);
        assert!(!hub.close(id, CloseCode::POLICY, "again"));
        assert!(hub.metrics().hub.counters.stale >= 2);
        Ok(())
    });
}

#[test]
fn without_a_hub_joining_fails_with_a_word_on_what_to_do() {
    run(async {
        async fn alone(upgrade: Up) -> Result {
            let socket = upgrade.accept().await?;
            let error = socket.join("lobby").await.unwrap_err();
            assert!(matches!(error, Error::Hub(HubError::NoHub)));
            assert!(error.to_string().contains("Router::hub"));
            Err(error.into())
        }
        let server = serve(Routes::new().route("/", alone));
        let mut socket = server.connect("/").await.unwrap();
        assert_eq!(socket.expect_close(1011).await, "");
        Ok(())
    });
}

#[test]
fn close_all_closes_the_members_of_a_group_and_no_others() {
    run(async {
        let hub = TestHub::new();
        let server = rooms(&hub);
        let mut ada = server.connect("/rooms/lobby").await.unwrap();
        let mut bob = server.connect("/rooms/other").await.unwrap();
        settle(&server, &mut bob).await;
        hub.close_all("lobby", CloseCode::RESTART, "moving")
            .unwrap();
        assert_eq!(ada.expect_close(1012).await, "moving");
        bob.expect_nothing(Duration::from_secs(1)).await;
        assert_eq!(
            hub.groups().iter().map(|name| &**name).collect::<Vec<_>>(),
            ["other"]
        );
        Ok(())
    });
}

#[test]
fn an_idle_channel_expires_and_one_whose_peer_speaks_does_not() {
    run(async {
        async fn expiring(upgrade: Up) -> Result {
            let mut socket = upgrade.accept().await?;
            socket.open_channel(ChannelOptions {
                expiry: Some(Duration::from_secs(10)),
                ..ChannelOptions::default()
            })?;
            while socket.receive().await?.is_some() {}
            Ok(())
        }
        let hub = TestHub::new();
        let server = serve(Routes::new().route("/", expiring).hub(&hub));
        let mut socket = server.connect("/").await.unwrap();
        for _ in 0..3 {
            socket.expect_nothing(Duration::from_secs(6)).await;
            socket.send_text("here").await.unwrap();
        }
        socket.expect_nothing(Duration::from_secs(9)).await;
        assert_eq!(socket.expect_close(1001).await, "the channel expired");
        Ok(())
    });
}

#[test]
fn a_subscription_hears_what_its_filters_match_once_each() {
    run(async {
        let hub = TestHub::new();
        let mut subscription = hub.subscribe("sensors/+/temp".parse().unwrap()).unwrap();
        subscription.add("sensors/#".parse().unwrap()).unwrap();
        let mut events = hub.events();
        hub.publish("sensors/1/temp", "20").await.unwrap();
        hub.publish("weather", "fine").await.unwrap();
        hub.publish("sensors/2", vec![7]).await.unwrap();
        let first = subscription.receive().await.unwrap().unwrap();
        assert_eq!(
            (&*first.group, first.as_text()),
            ("sensors/1/temp", Some("20"))
        );
        let second = subscription.receive().await.unwrap().unwrap();
        assert_eq!((&*second.group, second.as_bytes()), ("sensors/2", &[7][..]));
        drop(subscription);
        let server = rooms(&hub);
        let mut socket = server.connect("/rooms/lobby").await.unwrap();
        settle(&server, &mut socket).await;
        assert_eq!(events.next().await, HubEvent::Opened("lobby".into()));
        assert_eq!(hub.metrics().hub.gauges.channels, 1);
        Ok(())
    });
}

#[test]
fn of_events_that_nobody_takes_the_newest_are_kept_and_the_others_counted() {
    run(async {
        let hub = TestHub::new();
        let mut events = hub.events();
        let server = rooms(&hub);
        for _ in 0..300 {
            let mut socket = server.connect("/rooms/lobby").await?;
            settle(&server, &mut socket).await;
        }
        settle_all(&server).await;
        // Opened, joined, left, emptied: the first ones are lost.
        assert!(events.lost() > 0);
        let mut kept = 0;
        let last = loop {
            let mut next = pin!(events.next());
            match poll_once(next.as_mut()) {
                Some(_) => kept += 1,
                None => break kept,
            }
        };
        assert_eq!(last, 1024);
        assert_eq!(events.lost(), 4 * 300 - 1024);
        Ok(())
    });
}

#[test]
fn a_publication_that_nobody_awaits_does_not_happen_and_one_that_is_dropped_is_forgotten() {
    run(async {
        let options = GroupOptions::default().slow_consumer(SlowConsumerPolicy::Wait);
        let budget = QueueLimits {
            messages: 1,
            ..QueueLimits::default()
        };
        let hub = TestHub::with_options(HubOptions::default().groups(options).queue_limits(budget));
        let mut subscription = hub.subscribe("lobby".parse().unwrap()).unwrap();
        drop(hub.publish("lobby", "never"));
        assert_eq!(hub.metrics().broker.published, 0);
        // A subscription by a filter keeps nobody waiting; a member does.
        hub.publish("lobby", "one").await?;
        assert_eq!(
            subscription.receive().await.unwrap().unwrap().as_text(),
            Some("one")
        );
        let server = rooms(&hub);
        let mut socket = server.connect("/rooms/lobby").await?;
        settle(&server, &mut socket).await;
        hub.publish("lobby", "two").try_publish()?;
        let refused = hub.publish("lobby", "three").try_publish();
        assert!(matches!(refused, Err(Error::Hub(HubError::Backpressure))));
        {
            let mut waiting = pin!(hub.publish("lobby", "given up").into_future());
            assert!(poll_once(waiting.as_mut()).is_none());
        }
        let mut waiting = pin!(hub.publish("lobby", "four").into_future());
        assert!(poll_once(waiting.as_mut()).is_none());
        socket.expect_text("two").await;
        waiting.await?;
        socket.expect_text("four").await;
        Ok(())
    });
}

#[test]
fn a_handler_that_waits_for_something_else_still_delivers() {
    run(async {
        async fn busy(upgrade: Up) -> Result {
            let socket = upgrade.accept().await?;
            socket.join("lobby").await?;
            std::future::pending().await
        }
        let hub = TestHub::new();
        let server = serve(Routes::new().route("/", busy).hub(&hub));
        let mut socket = server.connect("/").await?;
        settle(&server, &mut socket).await;
        for round in 0..3 {
            let text = round.to_string();
            hub.publish("lobby", text.as_str()).try_publish()?;
            socket.expect_text(&text).await;
        }
        Ok(())
    });
}

#[test]
fn a_message_sent_in_pieces_is_not_interrupted_by_a_group() {
    run(async {
        async fn slowly(upgrade: Up) -> Result {
            let mut socket = upgrade.accept().await?;
            socket.join("lobby").await?;
            socket.receive().await?;
            let mut writer = socket.send_stream(MessageKind::Text);
            writer.write("one ").await?;
            socket_pause().await;
            writer.write("two ").await?;
            socket_pause().await;
            writer.finish().await?;
            while socket.receive().await?.is_some() {}
            Ok(())
        }
        let hub = TestHub::new();
        let server = serve(Routes::new().route("/", slowly).hub(&hub));
        let mut socket = server.connect("/").await?;
        socket.send_text("go").await?;
        settle(&server, &mut socket).await;
        hub.publish("lobby", "in between").try_publish()?;
        socket.expect_text("one two ").await;
        socket.expect_text("in between").await;
        Ok(())
    });
}

async fn socket_pause() {
    let clock = sansws_async::test_kit::Clock::current().unwrap();
    clock.sleep(Duration::from_secs(1)).await;
}

fn poll_once<F: Future>(work: Pin<&mut F>) -> Option<F::Output> {
    match work.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => Some(done),
        Poll::Pending => None,
    }
}

/// A task of its own that waits for signals alone learns of the end of its connection by them.
#[test]
fn waiting_for_a_signal_ends_with_the_connection() {
    run(async {
        async fn signalled(upgrade: Up) -> Result {
            let how: String = upgrade.param("how")?;
            let mut socket = upgrade.accept().await?;
            loop {
                let signal = match how.as_str() {
                    // It ends before anybody waits.
                    "late" => {
                        while socket
                            .receive()
                            .await
                            .is_ok_and(|message| message.is_some())
                        {}
                        socket.signal().await
                    }
                    _ => socket.signal().await,
                };
                match signal {
                    Ok(signal) => socket.send_text(format!("{signal:?}")).await?,
                    Err(error) => {
                        assert!(matches!(error, Error::Hub(HubError::Gone)), "{error:?}");
                        return Ok(());
                    }
                }
            }
        }
        let hub = TestHub::new();
        let server = serve(Routes::new().route("/{how}", signalled).hub(&hub));
        for how in ["close", "cut", "late", "shutdown"] {
            let mut socket = server.connect(&format!("/{how}")).await.unwrap();
            settle(&server, &mut socket).await;
            match how {
                "close" | "late" => drop(socket.close(1000, "").await),
                "cut" => {}
                _ => {
                    server.handle().close();
                    socket.expect_close(1001).await;
                }
            }
            drop(socket);
            server.pass(Duration::from_secs(1)).await;
            assert_eq!(hub.metrics().hub.gauges.channels, 0, "{how}");
        }
        Ok(())
    });
}

/// A handler that asks for signals first still receives what its client sent before its Close.
#[test]
fn the_end_of_signals_does_not_precede_messages() {
    run(async {
        async fn both(upgrade: Up) -> Result {
            let (read, write) = upgrade.accept().await?.split();
            let (mut read, mut count) = (read, 0);
            loop {
                let mut signal = pin!(write.signal());
                let mut receive = pin!(read.receive());
                let next = std::future::poll_fn(|cx| {
                    if let Poll::Ready(signal) = signal.as_mut().poll(cx) {
                        return Poll::Ready(signal.map(|_| false));
                    }
                    let received = receive.as_mut().poll(cx);
                    received.map(|received| received.map(|message| message.is_some()))
                })
                .await;
                match next {
                    Ok(true) => count += 1,
                    Ok(false) => break,
                    Err(error) => {
                        assert!(matches!(error, Error::Hub(HubError::Gone)), "{error:?}");
                        break;
                    }
                }
            }
            assert_eq!(count, 49);
            Ok(())
        }
        let hub = TestHub::new();
        let server = serve(Routes::new().route("/", both).hub(&hub));
        let mut socket = server.connect("/").await.unwrap();
        settle(&server, &mut socket).await;
        for number in 1..50 {
            socket.send_text(number.to_string()).await?;
        }
        socket.close(1000, "").await?;
        server.pass(Duration::from_secs(1)).await;
        assert_eq!(hub.metrics().hub.gauges.channels, 0);
        assert_eq!(server.handle().metrics().handlers_failed, 0);
        Ok(())
    });
}

#[test]
fn a_page_that_the_hub_refuses_says_why_and_when_to_ask_again() {
    run(async {
        let page = async |_: Scope| Err::<&str, HandlerError>(HubError::Down.into());
        let server = serve(Routes::new().post("/publish", page));
        let refused = server.post("/publish", "").await?;
        assert_eq!(
            (refused.status, &*refused.body),
            (503, &b"the backplane is down\n"[..])
        );
        assert_eq!(refused.fields.get_str("retry-after"), Some("5"));
        Ok(())
    });
}

#[test]
fn a_member_without_byte_capacity_takes_one_message_after_the_other() {
    run(async {
        let hub = TestHub::new();
        let channel = hub.open_channel(ChannelOptions::default())?;
        channel.join_with("lobby", JoinOptions::default()).await?;
        for text in ["", "one", "two"] {
            hub.publish("lobby", text).await?;
        }
        let mut taken = Vec::new();
        for _ in 0..2 {
            let some = poll_once(pin!(channel.take(0)));
            taken.push(some.expect("there are messages").messages.len());
        }
        assert_eq!(taken, [2, 1]);
        Ok(())
    });
}
