//! A Redis in memory: it answers requests as the scripts do, each in one step.
//! `src/request.rs` describes each request.
//! Knows no machine, and no clock: what time it is, it is told.

mod group;
mod incarnations;
mod room;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use sansws_core::hub::{HistoryOptions, Position, PresenceChange};
use sansws_redis::request::{Channel, Failure, Mark, Name, Push, Reply, Request, RequestId};
use sansws_redis::wire::{self, Messages};

pub use group::Group;
pub use incarnations::Incarnations;
pub use room::Room;

/// By which a connection is known.
pub type Wire = u64;

/// The output to a connection: replies and pushes, in the order in which they happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    Reply(RequestId, Result<Reply, Failure>),
    Push(Push),
}

/// A message that was published: the truth, for whoever compares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noted {
    pub group: Name,
    /// Its own position; for one without a number, that of the message before it.
    pub position: Position,
    pub message: Vec<u8>,
}

/// All that is kept, and copied to replicas.
#[derive(Clone, Debug, Default)]
pub struct Data {
    groups: BTreeMap<Name, Group>,
    rooms: BTreeMap<Name, Room>,
    incarnations: Incarnations,
}

#[derive(Debug)]
pub struct Server {
    data: Data,
    /// Empty on a server that was never promoted, another one after each time it was.
    fence: String,
    promotions: u64,
    /// How often it was started.
    runs: u64,
    /// A push to a connection that its own request gave rise to comes before the reply: that differs between versions.
    pub pushes_first: bool,
    /// Decides which requests it refuses, without any effect: for want of memory, or of rights.
    pub refuses: fn(&Request) -> bool,
    wires: BTreeMap<Wire, BTreeSet<Channel>>,
    said: VecDeque<(Wire, Said)>,
    noted: VecDeque<Noted>,
}

impl Server {
    pub const fn new() -> Self {
        Self {
            data: Data {
                groups: BTreeMap::new(),
                rooms: BTreeMap::new(),
                incarnations: Incarnations::new(),
            },
            fence: String::new(),
            promotions: 0,
            runs: 0,
            pushes_first: true,
            refuses: |_| false,
            wires: BTreeMap::new(),
            said: VecDeque::new(),
            noted: VecDeque::new(),
        }
    }

    /// A connection is there.
    pub fn open(&mut self, wire: Wire) {
        self.wires.insert(wire, BTreeSet::new());
    }

    /// A connection is no more: nothing is sent to it.
    pub fn close(&mut self, wire: Wire) {
        self.wires.remove(&wire);
        self.said.retain(|(to, _)| *to != wire);
    }

    /// The output that is sent next.
    pub fn poll(&mut self) -> Option<(Wire, Said)> {
        self.said.pop_front()
    }

    /// The publications.
    pub fn poll_noted(&mut self) -> Option<Noted> {
        self.noted.pop_front()
    }

    /// A copy of all that is kept.
    pub fn snapshot(&self) -> Data {
        self.data.clone()
    }

    /// It ends and begins anew with this; all connections are gone.
    pub fn restart(&mut self, data: Data) {
        self.data = data;
        self.runs += 1;
        self.wires.clear();
        self.said.clear();
    }

    /// A replica that has this takes its place; all connections are gone.
    pub fn promote(&mut self, data: Data) {
        self.restart(data);
        self.promotions += 1;
        self.fence = format!("fence {}", self.promotions);
    }

    pub fn group(&self, group: &str) -> Option<&Group> {
        self.data.groups.get(group)
    }

    pub const fn incarnations(&self) -> &Incarnations {
        &self.data.incarnations
    }

    /// How many connections are subscribed to a channel.
    pub fn subscribers(&self, channel: &Channel) -> usize {
        let subscribed = |channels: &&BTreeSet<Channel>| channels.contains(channel);
        self.wires.values().filter(subscribed).count()
    }

    /// Whether a connection is subscribed to a channel.
    pub fn is_subscribed(&self, wire: Wire, channel: &Channel) -> bool {
        let channels = self.wires.get(&wire);
        channels.is_some_and(|channels| channels.contains(channel))
    }

    /// Channels that somebody is subscribed to.
    pub fn channels(&self) -> impl Iterator<Item = &Channel> {
        self.wires.values().flatten()
    }

    /// The slot of a channel moves to another shard, which ends all subscriptions to it.
    pub fn migrate(&mut self, channel: &Channel) {
        for (wire, channels) in &mut self.wires {
            if channels.remove(channel) {
                let push = Said::Push(Push::Unsubscribed(channel.clone()));
                self.said.push_back((*wire, push));
            }
        }
    }

    /// Does what a request says. A connection that has ended meanwhile hears nothing of it.
    pub fn execute(&mut self, time: u64, from: Wire, id: RequestId, request: Request) {
        let before = self.said.len();
        let reply = if (self.refuses)(&request) && !self.is_repeated(time, &request) {
            Err(Failure("NOPERM".to_owned()))
        } else {
            Ok(self.answer(time, from, request))
        };
        let reply = Said::Reply(id, reply);
        if !self.wires.contains_key(&from) {
            return;
        }
        let own = |(to, said): &(Wire, Said)| {
            *to == from
                && !matches!(
                    said,
                    Said::Push(Push::Subscribed(_) | Push::Unsubscribed(_))
                )
        };
        let at = if self.pushes_first {
            None
        } else {
            self.said.iter().skip(before).position(own)
        };
        let at = at.map_or(self.said.len(), |at| before + at);
        self.said.insert(at, (from, reply));
    }

    /// Whether it was published before, so that nothing is written or sent.
    fn is_repeated(&self, time: u64, request: &Request) -> bool {
        let Request::Publish {
            group,
            id: Some(id),
            ..
        } = request
        else {
            return false;
        };
        let known = self.data.groups.get(group);
        known.is_some_and(|known| known.find(time, id).is_some())
    }

    fn answer(&mut self, time: u64, from: Wire, request: Request) -> Reply {
        match request {
            Request::Subscribe(channel) => {
                if let Some(channels) = self.wires.get_mut(&from) {
                    channels.insert(channel.clone());
                    let push = Said::Push(Push::Subscribed(channel));
                    self.said.push_back((from, push));
                }
                Reply::Done
            }
            Request::Unsubscribe(channel) => {
                if let Some(channels) = self.wires.get_mut(&from) {
                    channels.remove(&channel);
                    let push = Said::Push(Push::Unsubscribed(channel));
                    self.said.push_back((from, push));
                }
                Reply::Done
            }
            Request::Position {
                group,
                ours,
                first,
                fresh,
            } => {
                let mark = self.position(time, &group, ours, first, fresh);
                let group = self.data.groups.get(&group);
                let unnumbered = group.map_or(0, |group| group.unnumbered);
                let newest = mark.time.max(unnumbered);
                Reply::Position { mark, newest }
            }
            Request::Publish {
                group,
                messages,
                id,
                keep,
                watched,
                fresh,
                ..
            } => self.publish(time, group, &messages, id, keep, watched, fresh),
            Request::Send { channel, payload } => {
                self.send(&channel, &payload);
                Reply::Done
            }
            Request::Read {
                group,
                since,
                keep,
                fresh,
            } => {
                let recovery = keep.as_ref().map_or(0, |keep| keep.recovery);
                let group = self.make(time, &group, fresh);
                group.read(time, keep.as_ref(), Some(since), recovery)
            }
            Request::History { group, limit, keep } => match self.data.groups.get_mut(&group) {
                Some(group) => group.read(time, keep.as_ref(), None, limit),
                None => Reply::Kept {
                    position: None,
                    floor: 0,
                    entries: Vec::new(),
                },
            },
            Request::RemoveHistory(group) => {
                if let Some(group) = self.data.groups.get_mut(&group) {
                    group.remove_history();
                }
                Reply::Done
            }
            Request::Presence { group, members } => {
                let room = self.data.rooms.get(&group);
                match room {
                    Some(room) => room.presence(members),
                    None => Room::default().presence(members),
                }
            }
            Request::Enter {
                group,
                incarnation,
                users,
                fresh,
            } => {
                let room = self.data.rooms.entry(Arc::clone(&group)).or_default();
                if room.is_given_up(time, incarnation) {
                    return Reply::GivenUp;
                }
                let change = room.enter(&group, incarnation, users, (time, fresh, self.runs));
                self.tell(&group, change.as_ref());
                Reply::Done
            }
            Request::Exit {
                group,
                incarnation,
                users,
                fresh,
            } => {
                let room = self.data.rooms.entry(Arc::clone(&group)).or_default();
                let change = room.exit(&group, incarnation, users.as_deref(), (fresh, self.runs));
                if users.is_none() {
                    room.give_up(time, incarnation);
                }
                self.tell(&group, change.as_ref());
                Reply::Done
            }
            Request::Register {
                incarnation,
                groups,
                lease,
            } => self
                .data
                .incarnations
                .register(time, incarnation, groups, lease),
            Request::Unregister {
                incarnation,
                groups,
                whole,
            } => {
                self.data
                    .incarnations
                    .unregister(time, incarnation, &groups, whole);
                Reply::Done
            }
            Request::Groups(incarnation) => {
                Reply::Groups(self.data.incarnations.groups(incarnation))
            }
            Request::Beat {
                incarnation,
                watching,
                lease,
            } => self
                .data
                .incarnations
                .beat(time, incarnation, watching, lease),
        }
    }

    /// A group; one that is not known begins.
    fn make(&mut self, time: u64, group: &Name, fresh: u64) -> &mut Group {
        let groups = &mut self.data.groups;
        let begin = || Group::new(fresh, time);
        groups.entry(Arc::clone(group)).or_insert_with(begin)
    }

    fn position(
        &mut self,
        time: u64,
        name: &Name,
        ours: Option<Mark>,
        first: bool,
        fresh: u64,
    ) -> Mark {
        let fence = self.fence.clone();
        let is_new = !self.data.groups.contains_key(name);
        let group = self.make(time, name, fresh);
        let begins =
            first && group.fence != fence || ours.is_some_and(|ours| group.contradicts(ours));
        if begins {
            group.begin(fresh);
            group.fence = if first { fence } else { group.fence.clone() };
        } else if is_new && first {
            group.fence = fence;
        }
        Mark {
            position: group.position,
            time: group.time,
        }
    }

    #[expect(clippy::too_many_arguments, reason = "they are those of the request")]
    fn publish(
        &mut self,
        time: u64,
        name: Name,
        messages: &Messages,
        id: Option<Name>,
        keep: Option<HistoryOptions>,
        watched: bool,
        fresh: u64,
    ) -> Reply {
        if let Some(id) = &id
            && let Some(group) = self.data.groups.get(&name)
            && let Some(stands) = group.find(time, id)
        {
            return Reply::Again(stands);
        }
        let is_new = !self.data.groups.contains_key(&name);
        let group = self.make(time, &name, fresh);
        let before = group.position;
        let time = if is_new {
            time
        } else {
            time.max(group.time.max(group.unnumbered) + 1)
        };
        let payload = wire::messages(before, time, messages);
        let mut noted = Vec::new();
        for message in messages.iter() {
            let message = message.unwrap().to_vec();
            group.push(time, &message, keep.as_ref());
            noted.push(Noted {
                group: Arc::clone(&name),
                position: group.position,
                message,
            });
        }
        if watched && group.position == before {
            group.unnumbered = time;
        }
        if let Some(id) = id {
            group.note(time, id);
        }
        self.noted.extend(noted);
        self.send(&Channel::Group(Arc::clone(&name)), &payload);
        if watched {
            self.send(&Channel::Watch, &wire::watched(&name, &payload));
        }
        Reply::Published { before, time }
    }

    fn tell(&mut self, group: &Name, change: Option<&PresenceChange>) {
        if let Some(change) = change {
            let payload = wire::presence(change);
            self.send(&Channel::Group(Arc::clone(group)), &payload);
            self.send(&Channel::Presence, &wire::watched(group, &payload));
        }
    }

    fn send(&mut self, channel: &Channel, payload: &[u8]) {
        for (wire, channels) in &self.wires {
            if channels.contains(channel) {
                let push = Push::Message(channel.clone(), payload.to_vec());
                self.said.push_back((*wire, Said::Push(push)));
            }
        }
    }

    pub fn room(&self, group: &str) -> Option<&Room> {
        self.data.rooms.get(group)
    }
}
