//! The chat on event loops: the rooms of [`chat`] with callbacks.

use sansws_core::handshake::AcceptOptions;
use sansws_core::hub::{ChannelId, ChannelOptions, HubError, Joined, Position, PublishOptions};
use sansws_mio::app::Route;
use sansws_mio::{ConnectionPolicy, Endpoint, Error, Hub, Incoming, Loop, Result, Scope, Socket};
use serde_json::{Value, json};

use crate::chat::{self, Line, Request};

/// Rooms of one loop.
struct Rooms {
    hub: Hub,
}

/// A member, or one who tries to be.
struct Member {
    room: String,
    name: String,
    since: Option<String>,
    /// The group and the channel, once it may join.
    seat: Option<(String, ChannelId)>,
    /// The position from which it resumes.
    position: Option<Position>,
}

/// Returns the route: as for [`chat::route`].
pub fn route(hub: &Hub) -> Route {
    let policy = ConnectionPolicy::default().config(chat::config());
    Route::new("/chat/{room}", Rooms { hub: hub.clone() })
        .policy(policy)
        .hub(hub)
}

impl Endpoint for Rooms {
    type Data = Member;

    fn upgrade(&mut self, request: &mut Scope, _: &mut AcceptOptions) -> Result<Member> {
        let name = request.query_value("name").unwrap_or_default();
        Ok(Member {
            room: request.param("room")?,
            name: name.trim().to_owned(),
            since: request.query_value("since").map(Into::into),
            seat: None,
            position: None,
        })
    }

    fn open(&mut self, socket: &mut Socket<'_, Member>) -> Result {
        // Accept before checking: a page never sees the status of a refusal, but it sees a close code and its reason.
        let member = socket.data();
        let (group, name) = (
            chat::check(&member.room, &member.name)?,
            member.name.clone(),
        );
        let since: Option<Position> = member.since.take().map(|text| text.parse()).transpose()?;
        member.position = since;
        chat::has_room(self.hub.count(&group), || self.hub.groups().len())?;
        let channel = socket.open_channel(ChannelOptions {
            user: Some(name),
            ..ChannelOptions::default()
        })?;
        socket.data().seat = Some((group.clone(), channel));
        // All kept lines are sent if the position has another epoch, because they are then new to the peer.
        let (id, hub, of) = (socket.id(), self.hub.clone(), group.clone());
        let history = Box::pin(async move { hub.history(&of, 0).await });
        socket.context().spawn(history, move |within, history| {
            let Some(mut socket) = within.socket(id) else {
                return;
            };
            let joined = history.map_err(Error::from).and_then(|history| {
                let known = |now: Position| match since {
                    Some(since) if since.epoch == now.epoch => since,
                    _ => Position { offset: 0, ..now },
                };
                socket.join_since(&group, history.position.map(known))
            });
            if let Err(error) = joined {
                socket.fail(error);
            }
        });
        Ok(())
    }

    fn joined(&mut self, socket: &mut Socket<'_, Member>, group: &str, joined: Joined) -> Result {
        let since = socket.data().position;
        self.with_presence(socket, group, move |presence| {
            chat::greet(&presence, since, joined, None)
        });
        Ok(())
    }

    fn message(&mut self, socket: &mut Socket<'_, Member>, message: Incoming<'_>) -> Result {
        message.text()?;
        let Some((group, _)) = socket.data().seat.clone() else {
            return Ok(());
        };
        // Invalid JSON closes with 1007.
        let answer = match serde_json::from_value(message.json::<Value>()?) {
            Ok(Request::Say { text, id }) => say(socket, &group, &text, &id)?,
            Ok(Request::Who) => {
                self.with_presence(socket, &group, |presence| {
                    chat::present("present", &presence).into()
                });
                None
            }
            Err(_) => Some(chat::not_understood()),
        };
        if let Some(answer) = answer {
            socket.send_in_order(answer.to_string())?;
        }
        Ok(())
    }
}

impl Rooms {
    /// Sends a member what is made of the list of users, after all earlier lines.
    fn with_presence(
        &self,
        socket: &mut Socket<'_, Member>,
        group: &str,
        make: impl FnOnce(sansws_core::hub::Presence) -> Value + 'static,
    ) {
        let (id, hub, group) = (socket.id(), self.hub.clone(), group.to_owned());
        let presence = Box::pin(async move { hub.presence(&group).await });
        socket
            .context()
            .spawn(presence, move |within: &mut Loop, presence| {
                let Some(mut socket) = within.socket(id) else {
                    return;
                };
                let sent = presence
                    .map_err(Error::from)
                    .and_then(|presence| socket.send_in_order(make(presence).to_string()));
                if let Err(error) = sent {
                    socket.fail(error);
                }
            });
    }
}

/// Publishes a line, and returns the answer.
fn say(
    socket: &mut Socket<'_, Member>,
    group: &str,
    text: &str,
    id: &str,
) -> Result<Option<Value>> {
    if let Some(objection) = chat::objection(text, id) {
        return Ok(Some(objection));
    }
    let from = socket.data().name.clone();
    let line = serde_json::to_string(&Line {
        from: &from,
        text,
        id,
    })?;
    let options = PublishOptions {
        // Ids of different users are unrelated.
        id: (!id.is_empty()).then(|| format!("{from}/{id}").into()),
        ..PublishOptions::default()
    };
    if id.is_empty() {
        socket.publish_with(group, line, options)?;
        return Ok(None);
    }
    match socket.try_publish(group, line, options) {
        Ok(published) => Ok(published.again.then(|| json!({"kind": "again", "id": id}))),
        Err(Error::Hub(HubError::Backpressure)) => Ok(Some(
            json!({"kind": "error", "id": id, "text": "too much at once; say it again"}),
        )),
        Err(error) => Err(error.into()),
    }
}
