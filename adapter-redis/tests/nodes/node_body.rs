// A server of rooms, linked through Redis. Included for each runtime: `ws` is its adapter, `runtime` what else is asked of it.

use std::time::Duration;

use sansws_core::http::Response;
use sansws_core::hub::{
    GroupOptions, HistoryOptions, HubOptions, Joined, Notice, OutagePolicy, Position, PresenceMode,
    Publication, Recovered, RecoveryFailure,
};
use sansws_core::message::Message;
use sansws_redis::{Redis, RedisOptions, Server as Target, hub_options};
use ws::{ChannelOptions, Error, Hub, Result, Router, Server, Upgrade};

use super::Setup;

fn wrap(publication: &Publication) -> Message {
    let position = publication
        .position
        .map_or_else(|| "-".to_string(), |position| position.to_string());
    format!("M {position} {}", publication.as_text().unwrap_or_default()).into()
}

fn word(notice: &Notice) -> Option<Message> {
    match notice {
        Notice::Gap {
            count: Some(count), ..
        } => Some(format!("G {count}").into()),
        Notice::Gap { count: None, .. } => Some("G ?".into()),
        Notice::Skipped { count, .. } => Some(format!("S {count}").into()),
        Notice::Presence(change) => {
            let joined = change
                .joined
                .iter()
                .map(|present| format!(" +{}", present.user));
            let left = change.left.iter().map(|user| format!(" -{}", user.user));
            let changes: String = joined.chain(left).collect();
            Some(format!("P {} {}{changes}", change.version, change.count).into())
        }
        _ => None,
    }
}

fn options(setup: &Setup) -> HubOptions {
    let mut groups = GroupOptions::default().envelope(wrap).notices(word);
    if setup.history {
        groups = groups.history(HistoryOptions {
            messages: 20_000,
            bytes: 64 << 20,
            recovery: 20_000,
            ..HistoryOptions::default()
        });
    }
    let present = groups.clone().presence(PresenceMode::Members {
        grace: Duration::from_millis(300),
    });
    let mut options = HubOptions::default()
        .rule("who/+".parse().unwrap(), present)
        .groups(groups);
    options.on_outage = OutagePolicy::Refuse;
    options.lease = Some(Duration::from_secs(3));
    options.check = Some(Duration::from_secs(2));
    options.queue_limits.messages = 40_000;
    options.queue_limits.bytes = 64 << 20;
    hub_options(options)
}

fn said(joined: &Joined) -> String {
    let position = joined
        .position
        .map_or_else(|| "-".to_string(), |position| position.to_string());
    let how = match joined.recovered {
        Recovered::Fresh => "fresh".to_string(),
        Recovered::Complete(count) => format!("complete {count}"),
        Recovered::Incomplete { reason, .. } => match reason {
            RecoveryFailure::Epoch => "epoch".to_string(),
            other => format!("incomplete {}", other.as_str()),
        },
        _ => "?".to_string(),
    };
    format!("J {position} {how}")
}

/// Joins the group of its path, and publishes there what it receives; says of each whether it was.
async fn room(upgrade: Upgrade, hub: Hub) -> Result {
    let kind: String = upgrade.param("kind")?;
    let group = format!("{kind}/{}", upgrade.param::<String>("group")?);
    let since = upgrade
        .query_value("since")
        .map(|since| since.parse::<Position>())
        .transpose();
    let since = since.map_err(Error::Hub)?;
    let user = upgrade.query_value("user").map(|user| user.into_owned());
    let mut socket = upgrade.accept().await?;
    socket.use_hub(&hub);
    if let Some(user) = user {
        socket.open_channel(ChannelOptions {
            user: Some(user),
            ..ChannelOptions::default()
        })?;
    }
    let joined = socket.join_since(&group, since).await?;
    socket.send_text(said(&joined)).await?;
    while let Some(text) = socket.receive_text().await? {
        if text == "who" {
            let said = match hub.presence(&group).await {
                Ok(presence) => {
                    let users: String = presence
                        .members
                        .iter()
                        .map(|member| format!(" {}", member.user))
                        .collect();
                    format!("W {}{users}", presence.count)
                }
                Err(_) => "E".to_string(),
            };
            socket.send_text(said).await?;
            continue;
        }
        let (to, text) = match text
            .strip_prefix("to ")
            .and_then(|rest| rest.split_once(' '))
        {
            Some((to, text)) => (to, text.to_owned()),
            None => (group.as_str(), text),
        };
        let said = match socket.publish(to, text.as_str()).await {
            Ok(published) => {
                let position = published
                    .position
                    .map_or_else(|| "-".to_string(), |position| position.to_string());
                format!("A {position} {text}")
            }
            Err(Error::Hub(_)) => format!("E {text}"),
            Err(error) => return Err(error.into()),
        };
        socket.send_text(said).await?;
    }
    Ok(())
}

/// Runs until SIGTERM.
pub async fn serve(setup: Setup) {
    let (hub, link) = Hub::linked(options(&setup));
    let target = if setup.urls.len() > 1 {
        Target::Cluster(setup.urls.clone())
    } else {
        Target::One(setup.urls.first().unwrap().clone())
    };
    let mut settings = RedisOptions::new(target, "nodes");
    settings.timeout = Duration::from_secs(2);
    let redis = Redis::new(link, runtime::KIND, settings).unwrap();
    let status = redis.status();
    let (done, is_done) = async_channel::bounded::<()>(1);
    runtime::spawn(async move {
        redis.run().await;
        drop(done);
    });
    let server = Server::bind(setup.listen.as_str()).await.unwrap();
    println!("listening {}", server.local_addr().unwrap());
    let health = status.clone();
    let of_rooms = hub.clone();
    let router = Router::new()
        .route("/{kind}/{group}", move |upgrade| {
            room(upgrade, of_rooms.clone())
        })
        .get("/health", move |_| {
            let is_up = health.is_up();
            async move {
                let status = if is_up { 200 } else { 503 };
                Response::text(status, if is_up { "up\n" } else { "down\n" })
            }
        })
        .hub(&hub);
    server
        .drain_on_signal(Duration::from_secs(1))
        .serve(router)
        .await
        .unwrap();
    status.close();
    let _ = is_done.recv().await;
}
