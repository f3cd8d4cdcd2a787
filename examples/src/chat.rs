//! Chat rooms: each is a group of a hub, which keeps the history, knows the members, and replays missed lines to those who reconnect.
//!
//! Everything that grows has a bound: rooms, members, names, texts, history, and the queue of each member. A member that does not read is
//! closed with 1013; nobody waits for it. There are no passwords: users with the same name count as one person.
//!
//! Messages are JSON texts with a `kind`. The server sends:
//! - `said`: a `line`, and the `position` from which to resume;
//! - `people`: the users who came and went, and the `epoch` and `version` of the list after that change;
//! - `present`: the whole list, which a page requests if a version is missing or the epoch differs;
//! - `welcome`: the list of users, sent after all missed lines; `complete` tells whether none is missing, `node` which node serves;
//! - `missing`: the number of lines that were lost; `again`: the line was published before; `error`.
//!
//! The client sends `say`, with an `id` of its own: if it does not know whether a line arrived, it repeats the line with that id; and `who`.

use std::sync::Arc;
use std::time::Duration;

use sansws_async::app::Route;
use sansws_async::hub::Hub;
use sansws_async::{ConnectionPolicy, Error, HubEnv, Json, Result, Transport, Upgrade, WebSocket};
use sansws_core::close::CloseCode;
use sansws_core::config::{Config, Limits};
use sansws_core::hub::{
    ChannelOptions, FilterError, GroupOptions, HistoryOptions, HubOptions, Joined, Notice,
    Position, Presence, PresenceMode, Publication, QueueLimits, Recovered,
};
use sansws_core::message::Message;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::join_kept;

/// Maximum number of rooms with members.
const ROOMS: usize = 100;
/// Maximum number of members of a room.
const MEMBERS: usize = 100;
/// Maximum number of lines in the history of a room.
const HISTORY: usize = 100;
/// Maximum number of characters in the name of a room.
const ROOM: usize = 32;
/// Maximum number of characters in the name of a person.
const NAME: usize = 24;
/// Maximum number of characters in a text.
const TEXT: usize = 2000;

/// Returns the options of a hub with rooms.
///
/// # Errors
/// Never: the filter is valid.
pub fn options() -> Result<HubOptions, FilterError> {
    let room = GroupOptions::default()
        .history(HistoryOptions {
            messages: HISTORY,
            bytes: 256 << 10,
            age: Duration::from_secs(3600),
            recovery: HISTORY,
        })
        .presence(PresenceMode::members())
        .envelope(said)
        .notices(noticed);
    let mut options = HubOptions::default()
        .rule("chat/+".parse()?, room)
        .queue_limits(QueueLimits {
            bytes: 256 << 10,
            messages: 256,
            ..QueueLimits::default()
        });
    options.max_history = 16 << 20;
    Ok(options)
}

/// Returns the route: the client joins the path's `{room}` under the query's `name`, and first receives the lines after the query's position
/// `since`. If there are several nodes, members are told which one serves them.
pub fn route<T, O>(hub: &Hub<O>, node: Option<&str>) -> Route<T>
where
    T: Transport + Send + 'static,
    O: HubEnv + 'static,
{
    let rooms = hub.clone();
    let node: Option<Arc<str>> = node.map(Into::into);
    Route::new("/chat/{room}", move |upgrade| {
        member(upgrade, rooms.clone(), node.clone())
    })
    .policy(ConnectionPolicy::default().config(config()))
    .hub(hub)
}

/// Returns the configuration of connections.
pub(crate) fn config() -> Config {
    Config {
        limits: Limits {
            message: 32 << 10,
            write_queue: 64 << 10,
            ..Limits::default()
        },
        ..Config::default()
    }
}

/// A line as a member sends it. Members receive it in an envelope, see [`said`].
#[derive(Serialize)]
pub(crate) struct Line<'a> {
    pub(crate) from: &'a str,
    pub(crate) text: &'a str,
    pub(crate) id: &'a str,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum Request {
    Say {
        text: String,
        #[serde(default)]
        id: String,
    },
    Who,
}

async fn member<T: Transport, O: HubEnv>(
    upgrade: Upgrade<T>,
    hub: Hub<O>,
    node: Option<Arc<str>>,
) -> Result {
    let room: String = upgrade.param("room")?;
    let name = upgrade.query_value("name").unwrap_or_default();
    let name = name.trim().to_owned();
    let since = upgrade.query_value("since").map(|text| text.parse());
    let mut socket = upgrade.accept().await?;
    // Accept before checking: a page never sees the status of a refusal, but it sees a close code and its reason.
    let group = check(&room, &name)?;
    let since = since.transpose()?;
    has_room(hub.count(&group), || hub.groups().len())?;
    let id = socket.open_channel(ChannelOptions {
        user: Some(name.clone()),
        ..ChannelOptions::default()
    })?;
    let joined = join_kept(&socket, &hub, &group, since).await?;
    // Sent through the channel, so that it follows the missed lines.
    let welcome = welcome(&hub, &group, since, joined, node.as_deref()).await?;
    hub.send_to(id, welcome.to_string())?;
    while let Some(text) = socket.receive_text().await? {
        // Invalid JSON closes with 1007.
        let Json(value) = socket.parse::<Json<Value>>(text)?;
        let answer = match serde_json::from_value(value) {
            Ok(Request::Say { text, id }) => say(&socket, &group, &name, &text, &id).await?,
            Ok(Request::Who) => {
                let present = present("present", &hub.presence(&group).await?);
                Some(present.into())
            }
            Err(_) => Some(not_understood()),
        };
        if let Some(answer) = answer {
            hub.send_to(id, answer.to_string())?;
        }
    }
    Ok(())
}

/// Returns the group of a room, if room and name are valid.
pub(crate) fn check(room: &str, name: &str) -> Result<String> {
    let refused = |why| Err(Error::close(CloseCode::POLICY, why));
    let is_fine = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    if room.is_empty() || room.chars().count() > ROOM || !room.chars().all(is_fine) {
        return refused("a room name is 1 to 32 letters, digits, _ or -");
    }
    if name.is_empty() || name.chars().count() > NAME || name.chars().any(char::is_control) {
        return refused("a name is 1 to 24 characters");
    }
    Ok(format!("chat/{room}"))
}

async fn welcome<O>(
    hub: &Hub<O>,
    group: &str,
    since: Option<Position>,
    joined: Joined,
    node: Option<&str>,
) -> Result<Value> {
    Ok(greet(&hub.presence(group).await?, since, joined, node))
}

/// Returns the first message of a member, after all missed lines.
pub(crate) fn greet(
    presence: &Presence,
    since: Option<Position>,
    joined: Joined,
    node: Option<&str>,
) -> Value {
    let mut welcome = present("welcome", presence);
    let is_ours = |since: Position| joined.position.is_some_and(|at| at.epoch == since.epoch);
    let complete = !matches!(joined.recovered, Recovered::Incomplete { .. });
    let position = joined.position.map(|position| position.to_string());
    welcome.extend([
        ("node".into(), node.into()),
        ("position".into(), position.into()),
        (
            "complete".into(),
            (complete && since.is_none_or(is_ours)).into(),
        ),
    ]);
    welcome.into()
}

/// Checks that a room may have one more member, given its members and the number of rooms.
pub(crate) fn has_room(members: usize, rooms: impl FnOnce() -> usize) -> Result {
    if members >= MEMBERS {
        return Err(Error::close(CloseCode::AGAIN, "the room is full"));
    }
    if members == 0 && rooms() >= ROOMS {
        return Err(Error::close(CloseCode::AGAIN, "too many rooms"));
    }
    Ok(())
}

/// Returns the answer to a line that is not published.
pub(crate) fn objection(text: &str, id: &str) -> Option<Value> {
    let why = "a text is 1 to 2000 characters";
    let is_wrong = text.chars().count() > TEXT || text.trim().is_empty();
    is_wrong.then(|| json!({"kind": "error", "id": id, "text": why}))
}

/// Returns the answer to what is no request.
pub(crate) fn not_understood() -> Value {
    json!({"kind": "error", "text": "expected `say` with a `text`, or `who`"})
}

/// Returns the list of users with its version. The epoch is a text, as it has more digits than a number of JavaScript.
pub(crate) fn present(kind: &str, presence: &Presence) -> Map<String, Value> {
    let people: Vec<&str> = presence.members.iter().map(|one| &*one.user).collect();
    Map::from_iter([
        ("kind".into(), kind.into()),
        ("people".into(), people.into()),
        ("epoch".into(), format!("{:x}", presence.epoch).into()),
        ("version".into(), presence.version.into()),
    ])
}

/// Publishes a line, and returns the answer.
async fn say<T: Transport>(
    socket: &WebSocket<T>,
    group: &str,
    from: &str,
    text: &str,
    id: &str,
) -> Result<Option<Value>> {
    if let Some(objection) = objection(text, id) {
        return Ok(Some(objection));
    }
    let line = socket.publish_json(group, &Line { from, text, id });
    let published = match id {
        "" => line.await?,
        // Ids of different users are unrelated.
        id => line.id(&format!("{from}/{id}")).await?,
    };
    Ok(published.again.then(|| json!({"kind": "again", "id": id})))
}

/// The envelope of a line, made once for all members.
fn said(publication: &Publication) -> Message {
    let position = json!(publication.position.map(|position| position.to_string()));
    let at = publication.time.as_micros() / 1000;
    let line = publication.as_text().unwrap_or("null");
    format!(r#"{{"kind":"said","position":{position},"at":{at},"line":{line}}}"#).into()
}

fn noticed(notice: &Notice) -> Option<Message> {
    let words = match notice {
        Notice::Presence(change) => json!({
            "kind": "people",
            "epoch": format!("{:x}", change.epoch),
            "version": change.version,
            "joined": change.joined.iter().map(|one| &*one.user).collect::<Vec<_>>(),
            "left": change.left.iter().map(|gone| &*gone.user).collect::<Vec<_>>(),
        }),
        Notice::Skipped { count, .. } => json!({"kind": "missing", "count": count}),
        Notice::Gap { count, .. } => json!({"kind": "missing", "count": count}),
        _ => return None,
    };
    Some(words.to_string().into())
}
