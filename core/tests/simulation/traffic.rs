//! The traffic of a connection: the server obeys clients, and clients check their messages.
//! RFC 6455 section 5.5.3 for pings.
//! Knows no link between nodes.

use std::sync::Arc;

use sansws_core::hub::{
    ChannelId, ChannelOptions, Encoding, HubError, Instruction, JoinOptions, PublishOptions,
    PublishRequest, Taken, Target,
};
use sansws_core::message::PreparedMessage;
use sansws_core::time::Duration;

use crate::hold;
use crate::model::Check;
use crate::ops::{EXCLUDE, EXPIRES, ID, KEY, UNSAVED};
use crate::session::{Got, ServerEnd};
use crate::setup::FILTERS;
use crate::view::{Place, View};
use crate::world::{Endpoint, World};

/// Octets that a server's connection takes from the hub before they are written.
const AHEAD: usize = 2 << 10;

/// By when a ping is answered, whatever waits.
const ANSWER: Duration = Duration::from_millis(250);

impl World {
    /// Moves what can be moved of a session; says whether anything was.
    pub fn pump(&mut self, at: usize) -> Result<bool, String> {
        let (now, mut moved) = (self.now, false);
        if self.sessions[at].due().is_some_and(|due| due <= now) {
            self.sessions[at].tick(now);
        }
        loop {
            let mut more = false;
            if let Some(request) = self.sessions[at].server_request(now)? {
                self.accept(at, &request)?;
                more = true;
            }
            while let Some(got) = self.sessions[at].client_reads(now)? {
                self.client_got(at, got)?;
                more = true;
            }
            while let Some(got) = self.sessions[at].server_reads(now) {
                self.server_got(at, got)?;
                more = true;
            }
            more |= self.deliver(at)?;
            more |= self.sessions[at].write(now);
            if !more {
                break;
            }
            moved = true;
        }
        let session = &mut self.sessions[at];
        if session.server_is_over() && !matches!(session.server_end, ServerEnd::Ended) {
            session.server_end = ServerEnd::Ended;
            session.down.end();
            let (node, id) = (session.node, session.id);
            if let Some(id) = id {
                self.nodes[node].slots.remove(&id.slot());
                self.nodes[node].hub.closed(now, id);
                self.flush(node)?;
            }
            moved = true;
        }
        Ok(moved)
    }

    fn accept(&mut self, at: usize, request: &sansws_core::handshake::Request) -> Check {
        let (now, server) = (self.now, Arc::clone(&self.server));
        let session = &mut self.sessions[at];
        let found = self.routes.find("GET", request.path());
        let found = found.map_err(|miss| format!("route: {miss}"))?;
        let user = match found.endpoint {
            Endpoint::User => found.params.text("user").map(|user| user.to_string()),
            Endpoint::Room => None,
        };
        hold!(
            user == session.user,
            "route: {} led to {user:?}",
            request.path()
        );
        let window_bits = session.accept(now, request, &server)?;
        if let Some(bits) = window_bits {
            self.windows |= 1 << bits;
        }
        let open = ChannelOptions {
            metadata: user.clone(),
            user,
            encoding: session.encoding,
            expiry: session.silent_close.then(|| Duration::from_secs(4)),
            window_bits,
        };
        let node = session.node;
        let opened = self.nodes[node].hub.open(now, open);
        let id = opened.map_err(|error| format!("open: {error}"))?;
        hold!(
            !self.ids.contains(&id),
            "stale: the id {id} was given twice"
        );
        self.ids.push(id);
        if let Some(user) = self.sessions[at].user.clone() {
            self.model.users.insert(id, user);
        }
        self.sessions[at].id = Some(id);
        self.nodes[node].slots.insert(id.slot(), at);
        self.say(node, id, &format!("I {id}"));
        self.flush(node)
    }

    /// Gives the connection what waits in the hub, while it has room.
    fn deliver(&mut self, at: usize) -> Result<bool, String> {
        let (now, mut moved) = (self.now, false);
        let session = &mut self.sessions[at];
        let (node, Some(id)) = (session.node, session.id) else {
            return Ok(false);
        };
        while session.woken
            && let Some(connection) = session.server_open()
            && connection.queued() < AHEAD
        {
            let node = &mut self.nodes[node];
            match node.hub.take(now, id, |frame, _| frame.clone()) {
                Taken::Message(frame) => {
                    if !frame.payload().starts_with(b"S ") {
                        node.taken += 1;
                    }
                    let sent = connection.send_prepared(&frame);
                    hold!(sent.is_ok(), "connection: {sent:?}");
                }
                Taken::Skipped { .. } => {
                    return Err("content: a channel was told as a listener".into());
                }
                Taken::Close(code, reason) => {
                    let _ = connection.close(now, Some(code), &reason);
                    session.woken = false;
                }
                Taken::Nothing => session.woken = false,
            }
            moved = true;
        }
        if self.setup.turns && session.woken {
            session.blocked = true;
            self.nodes[node].hub.blocked(now, id);
        }
        self.flush(node)?;
        Ok(moved)
    }

    fn server_got(&mut self, at: usize, got: Got) -> Check {
        let (node, Some(id)) = (self.sessions[at].node, self.sessions[at].id) else {
            return Ok(());
        };
        match got {
            Got::Text(text) => {
                let _ = self.nodes[node].hub.touch(self.now, id);
                self.command(at, node, id, &text);
                self.flush(node)
            }
            Got::Violation(violation) => Err(format!("connection: the client's {violation}")),
            Got::Pong(_) | Got::Close => Ok(()),
        }
    }

    /// Does what a client says.
    fn command(&mut self, at: usize, node: usize, id: ChannelId, text: &str) {
        let now = self.now;
        let mut words = text.split(' ');
        let verb = words.next().unwrap_or_default();
        let first = words.next().unwrap_or_default();
        let hub = &mut self.nodes[node].hub;
        match verb {
            "join" => {
                let since = words.next().map(|since| since.parse().unwrap());
                match hub.join(now, id, first, JoinOptions::recover(since)) {
                    Ok(Some(joined)) => self.say_joined(node, id, first, joined),
                    Ok(None) => {}
                    Err(_) => self.say(node, id, &format!("E {first}")),
                }
            }
            "drop" => {
                let since = words.next().map(|since| since.parse().unwrap());
                match hub.join(now, id, first, JoinOptions::recover(since)) {
                    Ok(Some(joined)) => self.say_joined(node, id, first, joined),
                    Ok(None) => {
                        hub.cancel_join(now, id, first);
                        self.say(node, id, &format!("E {first}"));
                    }
                    Err(_) => self.say(node, id, &format!("E {first}")),
                }
            }
            "meta" => {
                let said = Instruction::SetMetadata(first.into());
                let _ = hub.instruct(now, Target::Channel(id), said);
            }
            "who" => self.say_present(node, id, first),
            "leave" => {
                let _ = hub.leave(now, id, first);
                self.say(node, id, &format!("L {first}"));
            }
            "pub" => {
                let flags = words.next().and_then(|flags| flags.parse().ok());
                let tag = words.next().unwrap_or_default();
                let size = words.next().and_then(|size| size.parse().ok());
                let (flags, size) = (flags.unwrap_or(0), size.unwrap_or(0));
                self.publish(node, Some(id), first, flags, tag, size);
            }
            "send" => {
                let tag = words.next().unwrap_or_default();
                let message = format!("D {first} {tag}");
                let to = first.parse().unwrap();
                let _ = hub.send_to(now, to, PreparedMessage::new(message.as_str()));
            }
            "user" => {
                let tag = words.next().unwrap_or_default();
                let message = format!("U {first} {tag}");
                let _ = hub.send_to_user(now, first, PreparedMessage::new(message.as_str()));
            }
            "watch" => {
                if hub.subscribe(now, id, first.parse().unwrap()).is_ok() {
                    self.sessions[at].watches(now, first);
                }
            }
            "unwatch" => {
                let _ = hub.unsubscribe(id, &first.parse().unwrap());
                self.sessions[at].watches_no_more(now, first);
            }
            _ => {
                if let Some(connection) = self.sessions[at].server_open()
                    && connection.has_room()
                {
                    let _ = connection.send_text(&format!("O {text}"));
                }
            }
        }
    }

    /// Publishes a message.
    pub fn publish(
        &mut self,
        node: usize,
        sender: Option<ChannelId>,
        group: &str,
        flags: u8,
        tag: &str,
        size: usize,
    ) {
        let now = self.now;
        let chance = self.random.next();
        let name =
            |flag, most| (flags & flag != 0).then(|| format!("n{}", chance % most).as_str().into());
        let options = PublishOptions {
            exclude: sender
                .filter(|_| flags & EXCLUDE != 0)
                .into_iter()
                .collect(),
            without_history: flags & UNSAVED != 0,
            key: name(KEY, 3),
            id: name(ID, 40).filter(|_| chance & 0x100 == 0),
            expires: (flags & EXPIRES != 0).then(|| Duration::from_millis(200)),
            ..PublishOptions::default()
        };
        let text = format!("{tag} {}", filler(tag, size));
        let draft = PublishRequest {
            group: group.into(),
            message: PreparedMessage::new(text.as_str()),
            sender,
            options,
        };
        let node = &mut self.nodes[node];
        if node.hub.is_crowded() {
            return node.held.push_back(draft);
        }
        let token = (chance & 0x200 != 0).then(|| node.hub.next_token());
        match node.hub.publish_draft(now, draft.clone(), token) {
            Ok(()) => {
                if let Some(token) = token {
                    node.tokens.insert(token, tag.to_string());
                }
            }
            Err(HubError::Backpressure) => node.held.push_back(draft),
            Err(_) => {}
        }
    }

    fn client_got(&mut self, at: usize, got: Got) -> Check {
        let now = self.now;
        match got {
            Got::Text(text) => {
                self.trace.note(&now.as_micros().to_le_bytes());
                self.trace.note(&at.to_le_bytes());
                self.trace.note(text.as_bytes());
                self.client_text(at, &text)
                    .map_err(|why| format!("{why} (session {at}, {text:.60})"))
            }
            Got::Pong(bytes) => {
                let number = bytes.try_into().map_or(0, u64::from_le_bytes);
                let pings = &mut self.sessions[at].pings;
                while let Some((ping, _)) = pings.front()
                    && *ping <= number
                {
                    pings.pop_front();
                }
                Ok(())
            }
            Got::Close => {
                self.trace.note(b"close");
                self.trace.note(&now.as_micros().to_le_bytes());
                Ok(())
            }
            Got::Violation(violation) => Err(format!("connection: the server's {violation}")),
        }
    }

    fn client_text(&mut self, at: usize, text: &str) -> Check {
        let session = &mut self.sessions[at];
        let mut words = text.split(' ');
        let verb = words.next().unwrap_or_default();
        let first = words.next().unwrap_or_default();
        match verb {
            "I" => {
                session.told = first.parse().ok();
                return Ok(());
            }
            "O" => {
                let want = session.echoes.pop_front();
                let got = text.get(2..);
                hold!(want.as_deref() == got, "echo: wanted {want:?}, got {got:?}");
                return Ok(());
            }
            "D" | "U" => {
                let tag = words.next().unwrap_or_default();
                let own = match verb {
                    "D" => session.told.map(|id| id.to_string()),
                    _ => session.user.clone(),
                };
                hold!(
                    own.as_deref() == Some(first),
                    "stale: {tag} was for {first} and came to {own:?}"
                );
                hold!(session.seen.insert(tag.into()), "double: {tag} came twice");
                return Ok(());
            }
            _ => {}
        }
        let Some(id) = session.told else {
            return Err("order: something came before the id".into());
        };
        let known = session.known.get(first).copied();
        let view = session
            .views
            .entry(first.into())
            .or_insert_with(|| View::new(first, known));
        let mut number = || words.next().and_then(|word| word.parse::<u64>().ok());
        match verb {
            "M" => {
                let mut words = text.split(' ').skip(2);
                let position = words.next().and_then(|position| position.parse().ok());
                let saved = words.next() == Some("s");
                let tag = words.next().unwrap_or_default();
                let rest: usize = words.map(|word| word.len() + 1).sum();
                hold!(rest > 0, "content: {tag} is cut");
                hold!(session.seen.insert(tag.into()), "double: {tag} came twice");
                if self.plane.is_loose() && view.is_late(position) {
                    return Ok(());
                }
                view.message(&self.model, id, position, saved, tag)
            }
            "S" | "G" => {
                let count = number();
                view.told_of(count);
                Ok(())
            }
            "P" => {
                let (epoch, version) = (number().unwrap_or(0), number().unwrap_or(0));
                view.change(epoch, version, words)?;
                if view.jumped && !core::mem::replace(&mut view.asking, true) {
                    let ask = format!("who {first}");
                    if let Some(connection) = session.client_open() {
                        let _ = connection.send_text(&ask);
                    }
                }
                Ok(())
            }
            "V" => {
                let (epoch, version) = (number().unwrap_or(0), number().unwrap_or(0));
                view.snapshot(epoch, version, words);
                Ok(())
            }
            "J" => {
                let position = words.next().and_then(|position| position.parse().ok());
                let outcome = words.next().unwrap_or_default();
                let count = words.next().and_then(|count| count.parse().ok());
                if outcome == "again" {
                    return Ok(());
                }
                view.joined(&self.model, id, position, outcome, count.unwrap_or(0))
            }
            "L" => {
                view.left();
                Ok(())
            }
            "E" => {
                if let Place::Joining(_) = view.place {
                    view.place = Place::Out;
                }
                Ok(())
            }
            _ => Err(format!("content: {verb} is nothing that is said")),
        }
    }

    /// Whether pings are answered in time, where the client reads and the connection is there.
    pub fn check_pings(&self) -> Check {
        for at in &self.live {
            let session = &self.sessions[*at];
            if session.stalled || session.up.dead {
                continue;
            }
            if let Some((ping, sent)) = session.pings.front() {
                hold!(
                    *sent + ANSWER > self.now,
                    "control: ping {ping} of session {at} has waited since {sent:?}"
                );
            }
        }
        Ok(())
    }
}

/// Octets that compress, and differ from message to message.
pub fn filler(tag: &str, size: usize) -> String {
    let mut text = String::with_capacity(size + tag.len());
    text.push('x');
    while text.len() < size {
        text += tag;
        text += FILTERS[text.len() % 4];
    }
    text.truncate(size.max(1));
    text
}

/// Returns the kind of messages that a channel takes, by its shape.
pub const fn encoding(shape: u16) -> Encoding {
    match (shape >> 12) & 3 {
        0 => Encoding::Binary,
        1 => Encoding::Text,
        _ => Encoding::AsSent,
    }
}
