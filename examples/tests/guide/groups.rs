//! Channels and groups, beside the guide of Nexios.

use std::time::Duration;

use serde_json::{Value, json};

use super::{end, run, serve, text, value, visit};
use crate::sansws::{
    ChannelOptions, CloseCode, ConnectOptions, Encoding, Error, GroupOptions, HistoryOptions, Hub,
    HubEvent, HubOptions, Position, PresenceMode, Recovered, Result, Router, Sent, Upgrade,
    connect, sleep,
};

/// Joins `chat`, and publishes there what it receives.
async fn chat(upgrade: Upgrade) -> Result {
    let name = upgrade.query_value("name").map(|name| name.into_owned());
    let mut socket = upgrade.accept().await?;
    socket.open_channel(ChannelOptions {
        user: name,
        ..ChannelOptions::default()
    })?;
    socket.join("chat").await?;
    socket.send_text("joined").await?;
    while let Some(text) = socket.receive_text().await? {
        socket.publish("chat", text).await?;
    }
    Ok(())
}

/// A hub, and where its chat is.
async fn hub(options: HubOptions) -> Result<(Hub, String), Error> {
    let hub = Hub::with_options(options);
    let url = serve(Router::new().route("/chat", chat).hub(&hub)).await? + "/chat";
    Ok((hub, url))
}

/// A client that has joined.
async fn member(url: &str, name: &str) -> Result<crate::sansws::WebSocket, Error> {
    let mut client = connect(&format!("{url}?name={name}"), ConnectOptions::default()).await?;
    assert_eq!(text(&mut client).await, "joined");
    Ok(client)
}

#[test]
fn a_channel() {
    // ours: channel
    async fn handler(upgrade: Upgrade) -> Result {
        let mut socket = upgrade.accept().await?;
        let id = socket.open_channel(ChannelOptions {
            user: Some("ada".into()),
            metadata: Some(json!({"colour": "red"}).to_string()), // what others see in presence
            encoding: Encoding::Text, // or Binary, or AsSent, the default
            expiry: Some(Duration::from_secs(2)), // closed with 1001 after this silence
            ..ChannelOptions::default()
        })?;
        socket.send_text(id.to_string()).await?; // it can be parsed back
        while let Some(text) = socket.receive_text().await? {
            socket.send_text(text).await?;
        }
        Ok(())
    }

    let hub = Hub::new();
    let app = Router::new().route("/ws", handler).hub(&hub);
    // end
    run(async {
        let mut client = visit(app, "/ws").await?;
        let id = text(&mut client).await.parse()?;
        // It takes text, so what is octets comes as that.
        assert_eq!(hub.send_to(id, b"psst".to_vec())?, Sent::Queued);
        assert_eq!(text(&mut client).await, "psst");
        for _ in 0..6 {
            sleep(Duration::from_millis(500)).await;
            client.send_text("heartbeat").await?;
            text(&mut client).await;
        }
        assert_eq!(end(&mut client).await.0, 1001);
        assert_eq!(hub.send_to(id, "too late")?, Sent::Gone);
        Ok(())
    });
}

#[test]
fn groups() {
    // ours: group
    async fn chat(upgrade: Upgrade) -> Result {
        let mut socket = upgrade.accept().await?;
        let joined = socket.join("chat").await?;
        assert!(joined.added); // CHANNEL_ADDED; `opened` if it is the first member
        while let Some(text) = socket.receive_text().await? {
            socket.publish("chat", text).await?; // to all members, including itself
        }
        let left = socket.leave("chat")?; // optional: a connection leaves when it ends
        assert!(left.removed); // CHANNEL_REMOVED; GROUP_REMOVED is `emptied`
        Ok(())
    }

    let hub = Hub::new();
    let app = Router::new().route("/chat", chat).hub(&hub);
    // end
    run(async {
        let mut events = hub.events();
        let url = serve(app).await? + "/chat";
        let mut ada = connect(&url, ConnectOptions::default()).await?;
        let mut bob = connect(&url, ConnectOptions::default()).await?;
        while hub.count("chat") < 2 {
            sleep(Duration::from_millis(5)).await;
        }
        ada.send_text("hello").await?;
        for client in [&mut ada, &mut bob] {
            assert_eq!(text(client).await, "hello");
        }
        ada.close(1000, "").await?;
        drop(bob);
        while events.next().await != HubEvent::Emptied("chat".into()) {}
        Ok(())
    });
}

#[test]
fn publish_with_options() {
    run(async {
        let (hub, url) = hub(HubOptions::default()).await?;
        let mut ada = member(&url, "ada").await?;
        let id = hub.members("chat")[0];
        let mut bob = member(&url, "bob").await?;
        // ours: publish
        hub.publish_json("chat", &json!({"message": "hi"})).await?;
        hub.publish("chat", "is typing")
            .without_history()
            .exclude(id)
            .await?;
        let line = hub.publish("chat", "once").id("42"); // your id: published once, even if repeated
        let published = line.expires(Duration::from_secs(60)).await?; // not delivered later than this
        println!("it stands at {:?}", published.position);
        // end
        assert!(hub.publish("chat", "twice").id("42").await?.again);
        hub.publish("chat", "last").try_publish()?;
        for want in [r#"{"message":"hi"}"#, "once", "last"] {
            assert_eq!(text(&mut ada).await, want);
        }
        for want in [r#"{"message":"hi"}"#, "is typing", "once", "last"] {
            assert_eq!(text(&mut bob).await, want);
        }
        Ok(())
    });
}

#[test]
fn history() {
    run(async {
        // ours: history
        let kept = GroupOptions::default().history(HistoryOptions {
            messages: 50,
            bytes: 1 << 20, // of payload; the oldest are dropped first
            age: Duration::from_secs(3600),
            ..HistoryOptions::default()
        });
        let options = HubOptions::default().rule("chat/#".parse()?, kept); // for groups that match
        let hub = Hub::with_options(options);
        // end
        for text in ["one", "two", "three"] {
            hub.publish("chat/tea", text).await?;
            hub.publish("news", text).await?;
        }
        // ours: show-history
        for said in hub.history("chat/tea", 2).await?.publications {
            println!("{:?} {:?}", said.position, said.as_text());
        }
        // end
        let texts = async |group: &str| {
            let kept = hub.history(group, 2).await.unwrap();
            let texts = kept
                .publications
                .iter()
                .map(|said| said.as_text().unwrap().to_owned());
            texts.collect::<Vec<_>>()
        };
        assert_eq!(texts("chat/tea").await, ["two", "three"]);
        assert_eq!(texts("news").await.len(), 0);
        Ok(())
    });
}

#[test]
fn recovery() {
    // ours: recover
    async fn tea(upgrade: Upgrade) -> Result {
        let since = upgrade.query_value("since").map(|since| since.parse());
        let since: Option<Position> = since.transpose()?; // 400 if it is not a position
        let hub = upgrade.state::<Hub>()?;
        let mut socket = upgrade.accept().await?;
        let joined = socket.join_since("chat/tea", since).await?; // replays what was missed
        if let Recovered::Incomplete { reason, .. } = joined.recovered {
            println!("some messages are lost: {}", reason.as_str());
        }
        let position = joined.position.map(|position| position.to_string());
        // The client returns with this. `send_to` delivers it after the missed messages.
        hub.send_to(socket.id()?, json!(position).to_string())?;
        while socket.receive().await?.is_some() {}
        Ok(())
    }

    let kept = GroupOptions::default().history(HistoryOptions::default());
    let hub = Hub::with_options(HubOptions::default().groups(kept));
    let app = Router::new().route("/", tea).hub(&hub).state(hub.clone());
    // end
    run(async {
        let url = serve(app).await?;
        let mut client = connect(&url, ConnectOptions::default()).await?;
        let position = value(&mut client).await;
        drop(client);
        for text in ["one", "two"] {
            hub.publish("chat/tea", text).await?;
        }
        let position = position.as_str().expect("a position");
        let url = format!("{url}/?since={position}");
        let mut client = connect(&url, ConnectOptions::default()).await?;
        for text in ["one", "two"] {
            assert_eq!(super::text(&mut client).await, text);
        }
        assert!(value(&mut client).await.is_string());
        let url = url.replace(position, "zzz");
        assert_eq!(super::refused(&url, ConnectOptions::default()).await, 400);
        Ok(())
    });
}

#[test]
fn one_channel_and_who_is_where() {
    run(async {
        let (hub, url) = hub(HubOptions::default()).await?;
        let mut ada = member(&url, "ada").await?;
        let id = hub.members("chat")[0];
        // ours: send-to
        if hub.send_to(id, "psst")? == Sent::Gone {
            println!("no channel has that id any more");
        }
        hub.send_to_user("ada", "in all your windows")?;
        // end
        assert_eq!(text(&mut ada).await, "psst");
        assert_eq!(text(&mut ada).await, "in all your windows");
        // ours: show-groups
        for group in hub.groups() {
            println!(
                "{group}: {} members: {:?}",
                hub.count(&group),
                hub.members(&group)
            );
        }
        let groups = hub.groups_of(id);
        // end
        assert_eq!(groups, [std::sync::Arc::<str>::from("chat")]);
        assert_eq!((hub.groups(), hub.count("chat")), (groups, 1));
        // ours: close-all
        hub.close_all("chat", CloseCode::RESTART, "we move")?; // 1012; also `close`, `close_user`
        // end
        assert_eq!(end(&mut ada).await, (1012, "we move".into()));
        Ok(())
    });
}

#[test]
fn a_task_that_publishes() {
    run(async {
        let (hub, url) = hub(HubOptions::default()).await?;
        let mut ada = member(&url, "ada").await?;
        // ours: task
        async fn clock(hub: Hub) -> Result {
            for tick in 0.. {
                hub.publish_json("chat", &json!({"tick": tick})).await?;
                sleep(Duration::from_millis(100)).await;
            }
            Ok(())
        }

        let task = clock(hub.clone()); // spawn it, or await it beside the server
        // end
        crate::spawn(async { task.await.expect("it goes on") });
        let first = value(&mut ada).await["tick"].as_u64();
        assert_eq!(
            value(&mut ada).await["tick"].as_u64(),
            first.map(|tick| tick + 1)
        );
        Ok(())
    });
}

#[test]
fn presence() {
    run(async {
        // ours: presence
        let members = GroupOptions::default()
            .presence(PresenceMode::members()) // with a grace of 3 s; or `Count`
            .notices(|notice| Some(format!("{notice:?}").into())); // sent to each member
        let hub = Hub::with_options(HubOptions::default().groups(members));
        // end
        let url = serve(Router::new().route("/chat", chat).hub(&hub)).await? + "/chat";
        let mut ada = connect(&format!("{url}?name=ada"), ConnectOptions::default()).await?;
        let told = [text(&mut ada).await, text(&mut ada).await];
        assert!(
            told.iter().any(|text| text.starts_with("Presence(")),
            "{told:?}"
        );
        let _again = connect(&format!("{url}?name=ada"), ConnectOptions::default()).await?;
        let _bob = connect(&format!("{url}?name=bob"), ConnectOptions::default()).await?;
        while hub.count("chat") < 3 {
            sleep(Duration::from_millis(5)).await;
        }
        // ours: who
        let presence = hub.presence("chat").await?;
        for one in &presence.members {
            println!("{} {:?}", one.user, one.metadata);
        }
        // end
        let who: Vec<Value> = presence
            .members
            .iter()
            .map(|one| json!(&*one.user))
            .collect();
        assert_eq!(
            (who, presence.version),
            (vec![json!("ada"), json!("bob")], 2)
        );
        Ok(())
    });
}
