//! Hubs that are linked through a real Redis.
//! No RFC.

#![cfg(all(feature = "tokio", feature = "smol"))]

mod server;

use std::time::Duration;

use sansws_core::hub::{
    GroupOptions, HistoryOptions, HubError, HubEvent, HubOptions, Missed, PresenceMode,
};
use sansws_redis::{Redis, RedisOptions, Runtime, Status, hub_options};
use sansws_tokio::Hub;
use server::Server;

/// A hub, and its link.
struct Linked {
    hub: Hub,
    status: Status,
    linking: tokio::task::JoinHandle<()>,
}

fn options() -> HubOptions {
    let groups = GroupOptions::default()
        .history(HistoryOptions::default())
        .presence(PresenceMode::members());
    hub_options(HubOptions::default().groups(groups))
}

async fn link(server: &Server, options: HubOptions) -> Linked {
    let (hub, link) = Hub::linked(options);
    let mut settings = RedisOptions::one(server.url(), "test");
    settings.timeout = Duration::from_secs(2);
    let redis = Redis::new(link, Runtime::Tokio, settings).unwrap();
    let status = redis.status();
    let linking = tokio::spawn(redis.run());
    until("the hub is linked", || status.is_up()).await;
    Linked {
        hub,
        status,
        linking,
    }
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

async fn soon<R>(work: impl Future<Output = R>) -> R {
    let done = tokio::time::timeout(Duration::from_secs(10), work).await;
    done.expect("within 10 s")
}

#[tokio::test]
async fn what_one_server_publishes_another_receives_keeps_and_recovers() {
    let server = Server::durable();
    let (one, other) = (
        link(&server, options()).await,
        link(&server, options()).await,
    );
    let mut heard = other.hub.subscribe("#".parse().unwrap()).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let published = soon(one.hub.publish("lobby", "hello").into_future())
        .await
        .unwrap();
    assert_eq!(published.position.unwrap().offset, 1);
    let received = soon(heard.receive()).await.unwrap();
    assert_eq!(
        (received.as_text(), received.position),
        (Some("hello"), published.position)
    );
    soon(other.hub.publish("lobby", "again").into_future())
        .await
        .unwrap();
    let kept = soon(one.hub.history("lobby", 10)).await.unwrap();
    let texts: Vec<_> = kept
        .publications
        .iter()
        .map(|kept| kept.as_text().unwrap())
        .collect();
    assert_eq!(texts, ["hello", "again"]);
    assert_eq!(kept.position.unwrap().offset, 2);
    let presence = soon(one.hub.presence("lobby")).await.unwrap();
    assert_eq!(presence.count, 0);
    one.status.close();
    soon(one.linking).await.unwrap();
}
