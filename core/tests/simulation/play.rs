//! The effect of each operation on a world.
//! Numbers in operations choose among what there is: what can't be done is left out.

use std::sync::Arc;

use sansws_core::close::CloseCode;
use sansws_core::time::Duration;

use crate::model::Check;
use crate::ops::{self, BY_NODE, Op};
use crate::session::{ServerEnd, Session};
use crate::setup::{FILTERS, GROUPS, POISON};
use crate::traffic::{encoding, filler};
use crate::view::{Place, View};
use crate::world::{Client, World};

impl World {
    /// Does one operation, and what is due at its moment.
    pub fn step(&mut self, op: Op) -> Check {
        self.play(op)?;
        self.settle()
    }

    fn play(&mut self, op: Op) -> Check {
        let node_of = |node: u8| usize::from(node) % self.setup.nodes;
        let group_of = |group: u8| GROUPS[usize::from(group) % GROUPS.len()];
        match op {
            Op::Connect {
                client,
                node,
                user,
                shape,
            } => self.connect(usize::from(client), node_of(node), user, shape),
            Op::Join {
                client,
                group,
                since,
            } => self.join(client, group_of(group), since, "join"),
            Op::DropJoin {
                client,
                group,
                since,
            } => self.join(client, group_of(group), since, "drop"),
            Op::Meta { client, value } => {
                self.tell(client, &format!("meta m{value}"));
            }
            Op::Leave { client, group } => {
                let group = group_of(group);
                if self
                    .view(client, group)
                    .is_some_and(|view| view.place == Place::In)
                    && self.tell(client, &format!("leave {group}"))
                    && let Some(view) = self.view(client, group)
                {
                    view.place = Place::Leaving;
                }
            }
            Op::Publish {
                client,
                group,
                count,
                flags,
                size,
            } => {
                let group = group_of(group);
                for _ in 0..count {
                    let fails = flags & ops::POISON == ops::POISON;
                    let begins = if fails { POISON } else { "t" };
                    let tag = format!("{begins}{}", self.fresh());
                    let size = usize::from(size);
                    if flags & BY_NODE != 0 {
                        let node = usize::from(client) % self.setup.nodes;
                        self.publish(node, None, group, flags, &tag, size);
                        self.flush(node)?;
                    } else {
                        let rest = filler(&tag, size);
                        let said = format!("pub {group} {flags} {tag} {size} {rest}");
                        self.tell(client, &said);
                    }
                }
            }
            Op::Direct { client, target } => {
                if let Some(id) = self.target(target) {
                    let tag = self.fresh();
                    self.tell(client, &format!("send {id} t{tag}"));
                }
            }
            Op::ToUser { client, user } => {
                let tag = self.fresh();
                let user = user % self.setup.users;
                self.tell(client, &format!("user u{user} t{tag}"));
            }
            Op::Echo { client, size } => {
                let tag = self.fresh();
                let said = format!("echo {}", filler(&format!("e{}", tag % 3), size.into()));
                if self.tell(client, &said)
                    && let Some(session) = self.session(client)
                {
                    session.echoes.push_back(said);
                }
            }
            Op::Ping { client, count } => {
                let now = self.now;
                for _ in 0..count {
                    let number = self.fresh();
                    if let Some(session) = self.session(client)
                        && let Some(connection) = session.client_open()
                        && connection.ping(&number.to_le_bytes()).is_ok()
                    {
                        session.pings.push_back((number, now));
                    }
                }
            }
            Op::Watch { client, filter } => {
                let filter = FILTERS[usize::from(filter) % FILTERS.len()];
                if self.tell(client, &format!("watch {filter}")) {
                    let filter: sansws_core::hub::Filter = filter.parse().unwrap();
                    for group in GROUPS.into_iter().filter(|group| filter.matches(group)) {
                        if let Some(view) = self.view(client, group) {
                            view.watched = true;
                        }
                    }
                }
            }
            Op::Unwatch { client, filter } => {
                let filter = FILTERS[usize::from(filter) % FILTERS.len()];
                self.tell(client, &format!("unwatch {filter}"));
            }
            Op::CloseAll { node, group } => {
                let (node, group) = (node_of(node), group_of(group));
                let hub = &mut self.nodes[node].hub;
                let _ = hub.close_all(group, CloseCode::POLICY, "all out");
                self.flush(node)?;
            }
            Op::CloseUser { node, user } => {
                let (node, user) = (node_of(node), user % self.setup.users);
                let hub = &mut self.nodes[node].hub;
                let _ = hub.close_user(&format!("u{user}"), CloseCode::POLICY, "out");
                self.flush(node)?;
            }
            Op::CloseChannel { node, target } => {
                if let Some(id) = self.target(target) {
                    let (node, now) = (node_of(node), self.now);
                    self.nodes[node]
                        .hub
                        .close(now, id, CloseCode::POLICY, "out");
                    self.flush(node)?;
                }
            }
            Op::Quit { client } => self.quit(usize::from(client)),
            Op::Cut { client, loud } => {
                if let Some(session) = self.session(client) {
                    session.cut(loud);
                }
            }
            Op::Stall { client } => {
                if let Some(session) = self.session(client) {
                    session.stalled = true;
                    session.pings.clear();
                }
            }
            Op::Unstall { client } => {
                if let Some(session) = self.session(client) {
                    session.stalled = false;
                    session.pings.clear();
                }
            }
            Op::Partition { .. }
            | Op::Hush { .. }
            | Op::Heal { .. }
            | Op::Lose { .. }
            | Op::Restart
            | Op::Trouble { .. }
            | Op::Crash { .. } => {
                self.disturbed = true;
                self.disturb(op)?;
            }
            Op::Drain { node } => {
                let (node, now) = (node_of(node), self.now);
                let node_ = &mut self.nodes[node];
                node_.draining = true;
                node_.hub.drain();
                let sessions: Vec<usize> = node_.slots.values().copied().collect();
                for at in sessions {
                    if let Some(id) = self.sessions[at].id {
                        let hub = &mut self.nodes[node].hub;
                        hub.close(now, id, CloseCode::RESTART, "the node drains");
                    }
                }
                self.flush(node)?;
            }
            Op::Pass { millis } => self.pass(Duration::from_millis(millis.into()))?,
        }
        Ok(())
    }

    /// Something goes wrong between the nodes.
    fn disturb(&mut self, op: Op) -> Check {
        let node_of = |node: u8| usize::from(node) % self.setup.nodes;
        match op {
            Op::Partition { node } => self.part(node_of(node))?,
            Op::Hush { node } => self.hush(node_of(node)),
            Op::Heal { node } => self.heal(node_of(node))?,
            Op::Lose { node, count } => self.lose(node_of(node), count),
            Op::Restart => self.restart()?,
            Op::Trouble { kind } => self.trouble(kind)?,
            Op::Crash { node } => {
                for at in self.together(node_of(node)) {
                    self.crash(at);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn connect(&mut self, client: usize, node: usize, user: u8, shape: u16) {
        while self.clients.len() <= client {
            self.clients.push(Client::default());
        }
        if self.nodes[node].draining {
            return;
        }
        self.quit(client);
        if let Some(old) = self.clients[client].session.take() {
            let views = self.sessions[old].views.values();
            for view in views {
                if let Some(known) = view.known {
                    let group = view.group.to_string();
                    self.clients[client].known.insert(group, known);
                }
            }
        }
        let user = (shape & 0x800 == 0).then(|| format!("u{}", user % self.setup.users));
        let seed = self.fresh() ^ (self.setup.seed << 20);
        let known = self.clients[client].known.clone();
        let server = Arc::clone(&self.server);
        let mut session = Session::new(seed, node, shape, user, known, &server);
        session.encoding = encoding(shape);
        session.silent_close = shape & 0x700 == 0x700;
        self.clients[client].session = Some(self.sessions.len());
        self.live.push(self.sessions.len());
        self.sessions.push(session);
    }

    pub fn join(&mut self, client: u8, group: &str, since: bool, verb: &str) {
        let Some(view) = self.view(client, group) else {
            return;
        };
        match view.place {
            Place::Out => {
                let since = view.known.filter(|_| since && !view.watched);
                let said = match since {
                    Some(since) => format!("{verb} {group} {since}"),
                    None => format!("{verb} {group}"),
                };
                if self.tell(client, &said)
                    && let Some(view) = self.view(client, group)
                {
                    view.joins(since);
                }
            }
            Place::In => {
                self.tell(client, &format!("join {group}"));
            }
            Place::Joining(_) | Place::Leaving => {}
        }
    }

    /// The connection of a client, if it has one.
    pub fn session(&mut self, client: u8) -> Option<&mut Session> {
        let at = self.clients.get(usize::from(client))?.session?;
        self.sessions.get_mut(at)
    }

    /// Returns a client's view of a group, if its connection is open.
    pub fn view(&mut self, client: u8, group: &str) -> Option<&mut View> {
        let session = self.session(client)?;
        session.client_open()?;
        let known = session.known.get(group).copied();
        let view = session.views.entry(group.into());
        Some(view.or_insert_with(|| View::new(group, known)))
    }

    /// Lets a client say something; says whether it could.
    fn tell(&mut self, client: u8, text: &str) -> bool {
        let session = self.session(client);
        let connection = session.and_then(Session::client_open);
        connection.is_some_and(|connection| connection.send_text(text).is_ok())
    }

    fn target(&self, target: u16) -> Option<sansws_core::hub::ChannelId> {
        let at = usize::from(target) % self.ids.len().max(1);
        self.ids.get(at).copied()
    }

    /// Lets a client close its connection.
    pub fn quit(&mut self, client: usize) {
        let now = self.now;
        if let Some(at) = self.clients.get(client).and_then(|client| client.session) {
            let session = &mut self.sessions[at];
            session.stalled = false;
            session.pings.clear();
            if let Some(connection) = session.client_open() {
                let _ = connection.close(now, Some(CloseCode::NORMAL), "");
            } else if session.told.is_none() {
                session.cut(true);
            }
        }
    }

    /// A node is gone at once, with all its connections; another one takes its place.
    pub fn crash(&mut self, at: usize) {
        let node = self.fresh_node(at);
        let old = core::mem::replace(&mut self.nodes[at], node);
        self.vanish(&old);
        for live in self.live.clone() {
            let session = &mut self.sessions[live];
            if session.node == at {
                session.cut(true);
                session.server_end = ServerEnd::Ended;
            }
        }
    }
}
