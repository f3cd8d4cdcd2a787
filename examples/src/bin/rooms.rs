//! Typed commands over groups: an endpoint that takes JSON, with any number of rooms per connection.
//!
//! Run: `cargo run --release --bin rooms -- --runtime smol --listen 127.0.0.1:9009`
//! See: `listening on ws://127.0.0.1:9009`; then `cargo run --bin client -- 'ws://127.0.0.1:9009/?name=ada'`, and another as `bob`
//! (a cookie `name` works too). Type `{"do":"join","room":"tea"}` into both: members learn who joins. Go on with
//! `{"do":"say","room":"tea","text":"Hello"}`, `{"do":"list"}`, `{"do":"history","room":"tea","limit":3}`,
//! `{"do":"tell","who":"bob","text":"psst"}`, `{"do":"leave","room":"tea"}`. If you `join` with `"since"`, the `position` of the last line
//! that you saw, you get the lines that you missed. A refused command is answered with an `error`; invalid commands close with 1007.

use std::error::Error;

use clap::Parser;
use sansws_async::app::Endpoint;
use sansws_async::hub::Hub;
use sansws_async::{
    Error as Failure, HubEnv, Json, Result as Outcome, Transport, Upgrade, WebSocket,
};
use sansws_core::http::Response;
use sansws_core::hub::{
    ChannelId, ChannelOptions, GroupOptions, HistoryOptions, HubError, HubOptions, Notice,
    PresenceMode, Publication,
};
use sansws_core::message::Message;
use sansws_examples::{Runtime, run};
use serde::Deserialize;
use serde_json::{Value, json};

/// Maximum length of a text, in bytes.
const TEXT: usize = 2000;

/// Serves rooms.
#[derive(Debug, Parser)]
struct Options {
    /// The runtime to run on.
    #[arg(long, value_enum, default_value = "tokio")]
    runtime: Runtime,
    /// The address to listen on; with port 0 the system chooses one.
    #[arg(long, default_value = "127.0.0.1:9009")]
    listen: String,
}

/// A command of a client.
#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "lowercase")]
enum Command {
    Join { room: String, since: Option<String> },
    Leave { room: String },
    Say { room: String, text: String },
    Tell { who: String, text: String },
    History { room: String, limit: usize },
    List,
}

/// The endpoint; each connection has one.
#[derive(Clone)]
struct Person<O> {
    hub: Hub<O>,
    name: String,
    /// The channel for answers, which arrive after earlier messages of its rooms.
    channel: Option<ChannelId>,
}

impl<T: Transport + Send + 'static, O: HubEnv + 'static> Endpoint<T> for Person<O> {
    type Message = Json<Command>;

    async fn on_connect(&mut self, upgrade: Upgrade<T>) -> Outcome<WebSocket<T>> {
        let name = upgrade.query_value("name").map(|name| name.into_owned());
        let name = name.or_else(|| upgrade.cookie("name").map(str::to_owned));
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            let response = Response::text(401, "a name is required: ?name=\n");
            return Err(Failure::reject(response));
        };
        let socket = upgrade.accept().await?;
        self.channel = Some(socket.open_channel(ChannelOptions {
            user: Some(name.clone()),
            ..ChannelOptions::default()
        })?);
        self.name = name;
        Ok(socket)
    }

    async fn on_receive(
        &mut self,
        socket: &mut WebSocket<T>,
        Json(command): Json<Command>,
    ) -> Outcome {
        let answer = match self.obey(socket, command).await {
            Ok(answer) => answer,
            // Such as a bad name, or too many rooms: report it, and let the client go on.
            Err(Failure::Hub(why)) => json!({"error": why.to_string()}),
            Err(error) => return Err(error.into()),
        };
        if let Some(channel) = self.channel.filter(|_| !answer.is_null()) {
            self.hub.send_to(channel, answer.to_string())?;
        }
        Ok(())
    }
}

impl<O: HubEnv> Person<O> {
    /// Executes a command, and returns the answer.
    async fn obey<T: Transport>(
        &self,
        socket: &WebSocket<T>,
        command: Command,
    ) -> Outcome<Value, Failure> {
        let is_in = |room: &String| socket.groups().iter().any(|group| **group == **room);
        Ok(match command {
            Command::Join { room, since } => {
                let since = since.map(|since| since.parse()).transpose()?;
                let joined = socket.join_since(&room, since).await?;
                json!({
                    "joined": room,
                    "people": self.people(&room).await?,
                    "position": joined.position.map(|position| position.to_string()),
                    "recovered": format!("{:?}", joined.recovered),
                })
            }
            Command::Leave { room } => {
                json!({"left": room, "was_in": socket.leave(&room)?.removed})
            }
            Command::Say { text, .. } | Command::Tell { text, .. } if text.len() > TEXT => {
                return Err(HubError::TooLong.into());
            }
            Command::Say { room, .. } | Command::History { room, .. } if !is_in(&room) => {
                json!({"error": format!("you are not in {room}")})
            }
            Command::Say { room, text } => {
                let line = json!({"from": self.name, "text": text});
                socket.publish_json(room, &line).await?;
                Value::Null
            }
            Command::Tell { who, text } => {
                let line = json!({"from": self.name, "told": text});
                self.hub.send_to_user(&who, line.to_string())?;
                Value::Null
            }
            Command::History { room, limit } => {
                let kept = self.hub.history(&room, limit).await?;
                let lines: Vec<Value> = kept.publications.iter().map(|line| said(line)).collect();
                json!({"history": lines, "room": room})
            }
            Command::List => {
                let mut rooms = serde_json::Map::new();
                for room in self.hub.groups() {
                    rooms.insert(room.to_string(), self.people(&room).await?);
                }
                json!({"rooms": rooms})
            }
        })
    }

    async fn people(&self, room: &str) -> Outcome<Value, Failure> {
        let members = self.hub.presence(room).await?.members;
        Ok(members.iter().map(|one| &*one.user).collect())
    }
}

/// The envelope of a line.
fn said(publication: &Publication) -> Value {
    let line: Value = serde_json::from_slice(publication.as_bytes()).unwrap_or_default();
    json!({
        "room": &*publication.group,
        "position": publication.position.map(|position| position.to_string()),
        "said": line,
    })
}

fn noticed(notice: &Notice) -> Option<Message> {
    let Notice::Presence(change) = notice else {
        return None;
    };
    let words = json!({
        "room": &*change.group,
        "came": change.joined.iter().map(|one| &*one.user).collect::<Vec<_>>(),
        "went": change.left.iter().map(|gone| &*gone.user).collect::<Vec<_>>(),
        "count": change.count,
    });
    Some(words.to_string().into())
}

fn main() -> Result<(), Box<dyn Error>> {
    let Options { runtime, listen } = Options::parse();
    sansws_examples::log();
    run!(runtime, adapter, async {
        let server = adapter::Server::bind(listen.as_str()).await?;
        println!("listening on ws://{}", server.local_addr()?);
        let room = GroupOptions::default()
            .history(HistoryOptions::default())
            .presence(PresenceMode::members())
            .envelope(|publication| said(publication).to_string().into())
            .notices(noticed);
        let hub = adapter::Hub::with_options(HubOptions::default().groups(room));
        let person = Person {
            hub: hub.clone(),
            name: String::new(),
            channel: None,
        };
        server
            .serve(adapter::Router::new().route("/", person).hub(&hub))
            .await
    })?;
    Ok(())
}
