//! The backplane within one process: it numbers publications, keeps them, and notifies the nodes.
//! All nodes are notified in one order.
//! Knows channels only by id. Between machines another backplane takes its place, and uses the same [`BackplaneCommand`]s and [`BackplaneEvent`]s.

mod publish;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::backplane::{BackplaneCommand, BackplaneEvent, HistorySlice, Query, QueryResult};
use super::filter::Filters;
use super::group_record::GroupRecord;
use super::id::Name;
use super::metrics::BrokerCounters;
use super::{
    Filter, HubOptions, NodeId, Position, Presence, PresenceChange, Publication, RecoveryFailure,
    Target,
};
use crate::time::Instant;

/// Groups, with their numbers, histories and presence; nodes, with their pending events.
///
/// For an example see [`LocalHub`](super::LocalHub), a broker with its only node.
///
/// With commands of a node, and the events that answer them:
///
/// ```
/// use std::sync::Arc;
///
/// use sansws_core::hub::{
///     BackplaneCommand, BackplaneEvent, Broker, HistorySlice, HubOptions, NodeId, Query, QueryResult,
/// };
/// use sansws_core::time::Instant;
///
/// let (now, node) = (Instant::ZERO, NodeId(1));
/// let mut broker = Broker::new(Arc::new(HubOptions::default()), 7);
/// broker.handle(now, node, BackplaneCommand::Subscribe { group: "lobby".into(), token: 1 });
/// let question = Query::Presence("lobby".into());
/// broker.handle(now, node, BackplaneCommand::Ask { question, token: 2 });
/// while let Some((to, event)) = broker.poll_event() {
///     assert_eq!(to, node);
///     match event {
///         BackplaneEvent::Subscribed { position, .. } => {
///             // Later, after a broken link: what came since?
///             let (group, since) = ("lobby".into(), position);
///             broker.handle(now, node, BackplaneCommand::Read { group, since, token: 3 });
///         }
///         BackplaneEvent::Answer { answer: QueryResult::Presence(presence), token: 2 } => {
///             assert_eq!(presence.count, 0);
///         }
///         BackplaneEvent::Read { past: HistorySlice { publications, .. }, token: 3, .. } => {
///             assert!(publications.is_empty());
///         }
///         other => panic!("{other:?}"),
///     }
/// }
/// assert_eq!(broker.counters().published, 0);
/// ```
#[derive(Debug)]
pub struct Broker {
    options: Arc<HubOptions>,
    /// The next epoch.
    epoch: u64,
    /// Boxed, because nodes of the map have room for more entries than they hold.
    topics: BTreeMap<Name, Box<GroupRecord>>,
    nodes: BTreeMap<NodeId, Node>,
    /// Nodes that were given up although their links had not broken: they are told once they send a command.
    given_up: BTreeSet<NodeId>,
    /// Nodes that get all changes of presence.
    listening: BTreeSet<NodeId>,
    /// Nodes by filter.
    watching: Filters<NodeId>,
    events: VecDeque<(NodeId, BackplaneEvent)>,
    /// When a group must be checked.
    due: BTreeSet<(Instant, Name)>,
    /// Empty groups, by when the last member left or a message was published.
    idle: BTreeSet<(Instant, Name)>,
    history: usize,
    /// The number of remembered publication ids.
    ids: usize,
    counters: BrokerCounters,
}

#[derive(Debug)]
struct Node {
    /// Whether its link is up, as far as known.
    linked: bool,
    windows: u16,
    heard: Instant,
    watched: BTreeSet<Filter>,
}

impl Broker {
    /// Creates a broker without nodes. `epoch` must be fresh entropy each time: it distinguishes earlier positions.
    pub fn new(options: Arc<HubOptions>, epoch: u64) -> Self {
        Self {
            options,
            epoch,
            topics: BTreeMap::new(),
            nodes: BTreeMap::new(),
            given_up: BTreeSet::new(),
            listening: BTreeSet::new(),
            watching: Filters::default(),
            events: VecDeque::new(),
            due: BTreeSet::new(),
            idle: BTreeSet::new(),
            history: 0,
            ids: 0,
            counters: BrokerCounters::default(),
        }
    }

    /// Returns its counters.
    pub const fn counters(&self) -> BrokerCounters {
        self.counters
    }

    /// Returns the number of bytes that all histories hold.
    pub const fn history_bytes(&self) -> usize {
        self.history
    }

    /// Returns the next event for a node.
    pub fn poll_event(&mut self) -> Option<(NodeId, BackplaneEvent)> {
        self.events.pop_front()
    }

    /// Returns when to call [`tick`](Self::tick).
    pub fn deadline(&self) -> Option<Instant> {
        let due = self.due.first().map(|(at, _)| *at);
        let lease = self
            .options
            .lease
            .and_then(|lease| self.nodes.values().map(|node| node.heard + lease).min());
        [due, lease].into_iter().flatten().min()
    }

    /// Forgets expired data, and nodes that are silent for too long.
    pub fn tick(&mut self, now: Instant) {
        while let Some((at, _)) = self.due.first()
            && *at <= now
            && let Some((_, name)) = self.due.pop_first()
        {
            if let Some(topic) = self.topics.get_mut(&name) {
                topic.due = None;
            }
            self.look(now, &name);
        }
        if let Some(lease) = self.options.lease {
            let silent: Vec<(NodeId, bool)> = self
                .nodes
                .iter()
                .filter(|(_, node)| node.heard + lease <= now)
                .map(|(id, node)| (*id, node.linked))
                .collect();
            for (node, linked) in silent {
                self.lose(now, node);
                if linked {
                    self.given_up.insert(node);
                }
            }
        }
    }

    /// Executes a command of a node.
    pub fn handle(&mut self, now: Instant, from: NodeId, command: BackplaneCommand) {
        let node = self.nodes.entry(from).or_insert(Node {
            linked: true,
            windows: 0,
            heard: now,
            watched: BTreeSet::new(),
        });
        (node.linked, node.heard) = (true, now);
        if self.given_up.remove(&from) {
            // Its subscriptions were forgotten: it repeats them.
            self.events.push_back((from, BackplaneEvent::Down));
            self.events.push_back((from, BackplaneEvent::Up));
        }
        match command {
            BackplaneCommand::Windows(windows) => node.windows = windows,
            BackplaneCommand::Subscribe { group, token } => {
                let topic = self.topic(&group);
                topic.subscribe(from);
                let position = topic.position;
                self.look(now, &group);
                self.tell(
                    from,
                    BackplaneEvent::Subscribed {
                        group,
                        token,
                        position,
                    },
                );
            }
            BackplaneCommand::Unsubscribe(group) => {
                if let Some(topic) = self.topics.get_mut(&group) {
                    topic.unsubscribe(from);
                    topic.touched = now;
                    self.look(now, &group);
                }
            }
            BackplaneCommand::Watch(filter) => {
                self.watching.insert(&filter, from);
                node.watched.insert(filter);
            }
            BackplaneCommand::Unwatch(filter) => {
                self.watching.remove(&filter, &from);
                node.watched.remove(&filter);
            }
            BackplaneCommand::Publish { token, draft } => {
                let result = self.publish(now, &draft);
                if let Some(token) = token {
                    self.tell(from, BackplaneEvent::Published { token, result });
                }
            }
            BackplaneCommand::Read {
                group,
                token,
                since,
            } => {
                let past = self.read(now, &group, since);
                self.tell(from, BackplaneEvent::Read { group, token, past });
            }
            BackplaneCommand::Ask { token, question } => {
                let answer = self.answer(now, &question);
                self.tell(from, BackplaneEvent::Answer { token, answer });
            }
            BackplaneCommand::Enter { group, users } => {
                let change = self.topic(&group).presence.enter(&group, from, users);
                self.announce(change);
                self.look(now, &group);
            }
            BackplaneCommand::Exit { group, users } => {
                if let Some(topic) = self.topics.get_mut(&group) {
                    let change = topic.presence.exit(&group, from, &users);
                    self.announce(change);
                    self.look(now, &group);
                }
            }
            BackplaneCommand::Here(groups) => {
                let mut here: BTreeMap<Name, _> = groups.into_iter().collect();
                for name in here.keys() {
                    self.topic(name);
                }
                for (name, topic) in &mut self.topics {
                    let users = here.remove(name).unwrap_or_default();
                    for change in topic.presence.set(name, from, users) {
                        announce(
                            &mut self.events,
                            topic.subscribers(),
                            &self.listening,
                            change,
                        );
                    }
                }
                // A group without members has to be checked.
                let names: Vec<Name> = self.topics.keys().cloned().collect();
                for name in names {
                    self.look(now, &name);
                }
            }
            BackplaneCommand::Direct { to, message } => {
                self.tell(to.node, BackplaneEvent::Direct { to, message });
            }
            BackplaneCommand::Instruct {
                target,
                instruction,
            } => {
                let nodes: Vec<NodeId> = match &target {
                    Target::Channel(id) => alloc::vec![id.node],
                    Target::User(group) => {
                        let topic = self.topics.get(group);
                        let nodes = topic.into_iter().flat_map(|topic| topic.subscribers());
                        nodes.copied().collect()
                    }
                };
                for node in nodes {
                    let event = BackplaneEvent::Instruct {
                        target: target.clone(),
                        instruction: instruction.clone(),
                    };
                    self.tell(node, event);
                }
            }
            BackplaneCommand::Close {
                group,
                code,
                reason,
            } => {
                let subscribers = self.topics.get(&group).map(|topic| topic.subscribers());
                for node in subscribers.into_iter().flatten() {
                    let event = BackplaneEvent::Close {
                        group: Arc::clone(&group),
                        code,
                        reason: reason.clone(),
                    };
                    self.events.push_back((*node, event));
                }
            }
            BackplaneCommand::CloseChannel {
                channel,
                code,
                reason,
            } => self.tell(
                channel.node,
                BackplaneEvent::CloseChannel {
                    channel,
                    code,
                    reason,
                },
            ),
            BackplaneCommand::Listen(listens) => {
                if listens {
                    self.listening.insert(from);
                } else {
                    self.listening.remove(&from);
                }
            }
            BackplaneCommand::Beat => {}
            BackplaneCommand::Goodbye => self.lose(now, from),
        }
    }

    fn answer(&mut self, now: Instant, question: &Query) -> QueryResult {
        match question {
            Query::History(query) => {
                let topic = self.topics.get(&query.group);
                let kept = topic.map(|topic| topic.history.iter(now).cloned().collect());
                let position = self.position(&query.group);
                QueryResult::History(query.select(kept.unwrap_or_default(), position))
            }
            Query::Presence(group) => QueryResult::Presence(self.presence(group)),
            Query::RemoveHistory(group) => {
                if let Some(topic) = self.topics.get_mut(group) {
                    self.history -= topic.history.bytes();
                    topic.history.miss(topic.position.offset);
                    self.look(now, group);
                }
                QueryResult::HistoryRemoved
            }
        }
    }

    /// Returns the newest kept messages of a group, at most `limit`, oldest first.
    pub fn history(&self, now: Instant, group: &str, limit: usize) -> Vec<Arc<Publication>> {
        let Some(topic) = self.topics.get(group) else {
            return Vec::new();
        };
        let mut newest: Vec<_> = topic.history.iter(now).rev().take(limit).cloned().collect();
        newest.reverse();
        newest
    }

    /// Returns the position of a group, if it is known.
    pub fn position(&self, group: &str) -> Option<Position> {
        self.topics.get(group).map(|topic| topic.position)
    }

    /// Returns the users in a group.
    pub fn presence(&self, group: &str) -> Presence {
        let mode = self.options.of(group).presence;
        let topic = self.topics.get(group);
        topic.map_or_else(Presence::default, |topic| topic.presence.snapshot(mode))
    }

    /// Breaks the link of a node, without telling it: its subscriptions are forgotten, and its users stay present until the lease ends.
    pub fn unlink(&mut self, now: Instant, node: NodeId) {
        self.given_up.remove(&node);
        self.listening.remove(&node);
        if let Some(known) = self.nodes.get_mut(&node) {
            known.linked = false;
            for filter in core::mem::take(&mut known.watched) {
                self.watching.remove(&filter, &node);
            }
        }
        let names: Vec<Name> = self
            .topics
            .iter_mut()
            .filter_map(|(name, topic)| {
                let left = topic.unsubscribe(node);
                topic.touched = if left { now } else { topic.touched };
                left.then(|| Arc::clone(name))
            })
            .collect();
        for name in names {
            self.look(now, &name);
        }
        self.events.retain(|(to, _)| *to != node);
    }

    /// Forgets everything, like a restart: numbers start again.
    pub fn restart(&mut self, epoch: u64) {
        *self = Self {
            counters: self.counters,
            ..Self::new(Arc::clone(&self.options), epoch)
        };
    }

    fn read(&self, now: Instant, group: &Name, since: Position) -> HistorySlice {
        let nothing = |position, missed| HistorySlice {
            publications: Vec::new(),
            position,
            missed: Some(missed),
        };
        let Some(topic) = self.topics.get(group) else {
            return nothing(
                Position {
                    epoch: 0,
                    offset: 0,
                },
                RecoveryFailure::Epoch,
            );
        };
        let top = topic.position;
        match &self.options.of(group).history {
            Some(options) => topic.history.since(options, now, since, top),
            None => HistorySlice {
                publications: Vec::new(),
                position: top,
                missed: RecoveryFailure::between(None, since, top, top.offset),
            },
        }
    }

    fn announce(&mut self, change: Option<PresenceChange>) {
        if let Some(change) = change
            && let Some(topic) = self.topics.get(&change.group)
        {
            announce(
                &mut self.events,
                topic.subscribers(),
                &self.listening,
                change,
            );
        }
    }

    fn tell(&mut self, node: NodeId, event: BackplaneEvent) {
        if self.nodes.get(&node).is_some_and(|node| node.linked) {
            self.events.push_back((node, event));
        } else {
            self.counters.undeliverable += 1;
        }
    }

    fn topic(&mut self, group: &Name) -> &mut GroupRecord {
        if !self.topics.contains_key(group) {
            self.epoch = self.epoch.wrapping_add(1);
        }
        let epoch = self.epoch;
        self.topics
            .entry(Arc::clone(group))
            .or_insert_with(|| Box::new(GroupRecord::new(Position { epoch, offset: 0 })))
    }

    /// Removes a node: its subscriptions and users go with it, in one step.
    fn lose(&mut self, now: Instant, node: NodeId) {
        self.unlink(now, node);
        self.nodes.remove(&node);
        let names: Vec<Name> = self.topics.keys().cloned().collect();
        for name in names {
            if let Some(topic) = self.topics.get_mut(&name) {
                let change = topic.presence.lose(&name, node);
                self.announce(change);
                self.look(now, &name);
            }
        }
    }

    /// Forgets expired data of a group, and the group if nothing of it is left.
    fn look(&mut self, now: Instant, name: &Name) {
        let Some(topic) = self.topics.get_mut(name) else {
            return;
        };
        let mut next = None;
        if let Some(options) = &self.options.of(name).history {
            let before = topic.history.bytes();
            topic.history.age(options, now);
            self.history -= before - topic.history.bytes();
            next = topic.history.deadline(options);
            // A returning member must find its position again, even if nothing was published.
            if topic.subscribers().is_empty() {
                let kept = Some(topic.touched + options.age).filter(|until| *until > now);
                next = next.into_iter().chain(kept).min();
            }
        }
        self.ids -= topic.published.age(now);
        next = [next, topic.published.deadline()]
            .into_iter()
            .flatten()
            .min();
        let is_empty = topic.is_empty();
        if is_empty && next.is_none() {
            return self.forget(name);
        }
        let idle = is_empty.then_some(topic.touched);
        if topic.idle != idle {
            if let Some(before) = core::mem::replace(&mut topic.idle, idle) {
                self.idle.remove(&(before, Arc::clone(name)));
            }
            if let Some(since) = idle {
                self.idle.insert((since, Arc::clone(name)));
            }
        }
        // An early check costs little; rescheduling it for each message would cost more.
        if let Some(next) = next
            && topic.due.is_none_or(|due| next < due)
        {
            if let Some(due) = topic.due {
                self.due.remove(&(due, Arc::clone(name)));
            }
            topic.due = Some(next);
            self.due.insert((next, Arc::clone(name)));
        }
        while self.idle.len() > self.options.max_idle_groups
            && let Some((_, longest)) = self.idle.first().cloned()
        {
            self.counters.forgotten += 1;
            self.forget(&longest);
        }
    }

    /// Forgets a group: its numbers start again.
    fn forget(&mut self, name: &Name) {
        let Some(topic) = self.topics.remove(name) else {
            return;
        };
        self.history -= topic.history.bytes();
        self.ids -= topic.published.count();
        if let Some(due) = topic.due {
            self.due.remove(&(due, Arc::clone(name)));
        }
        if let Some(since) = topic.idle {
            self.idle.remove(&(since, Arc::clone(name)));
        }
    }
}

/// Notifies nodes that users came or went.
fn announce(
    events: &mut VecDeque<(NodeId, BackplaneEvent)>,
    nodes: &[NodeId],
    listening: &BTreeSet<NodeId>,
    change: PresenceChange,
) {
    let change = Arc::new(change);
    for node in nodes {
        events.push_back((*node, BackplaneEvent::Presence(Arc::clone(&change))));
    }
    for node in listening {
        events.push_back((*node, BackplaneEvent::Changed(Arc::clone(&change))));
    }
}
