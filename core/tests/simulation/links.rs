//! What nodes and the broker say to each other, and what a hub wants done.
//! No RFC.
//! Knows no connection: sessions are woken, and told things through the hub.

use sansws_core::hub::{
    ChannelId, Command, Event, HubError, HubEvent, Joined, NodeId, Output, PresenceMode, Recovered,
};
use sansws_core::message::Prepared;
use sansws_core::time::Duration;

use crate::hold;
use crate::model::Check;
use crate::setup::GROUPS;
use crate::world::World;

/// Longest wait on a link, in microseconds.
const SLOWEST: u64 = 3_000;

impl World {
    /// Passes on what has arrived at either end of the links.
    pub fn links(&mut self) -> Result<bool, String> {
        let (now, mut moved) = (self.now, false);
        for at in 0..self.nodes.len() {
            let id = self.nodes[at].hub.node();
            loop {
                let node = &mut self.nodes[at];
                let due = node.to_broker.front().is_some_and(|(due, _)| *due <= now);
                if !due || node.hushed || !node.linked {
                    break;
                }
                let Some((_, command)) = node.to_broker.pop_front() else {
                    break;
                };
                self.broker_does(id, command)?;
                moved = true;
            }
            loop {
                let node = &mut self.nodes[at];
                let due = node.to_node.front().is_some_and(|(due, _)| *due <= now);
                if !due || node.hushed || !node.linked {
                    break;
                }
                let Some((_, event)) = node.to_node.pop_front() else {
                    break;
                };
                node.hub.receive(now, event);
                self.flush(at)?;
                moved = true;
            }
        }
        Ok(moved)
    }

    /// Gives the broker a command, and notes what was published.
    pub fn broker_does(&mut self, from: NodeId, command: Command) -> Check {
        let draft = match &command {
            Command::Publish { draft, .. } => Some(draft.clone()),
            _ => None,
        };
        let before = self.broker.counters();
        self.broker.handle(self.now, from, command);
        let after = self.broker.counters();
        hold!(
            after.encodes == after.published,
            "encodes: {} messages were framed {} times",
            after.published,
            after.encodes
        );
        let most = u64::from(self.windows.count_ones()) * (after.published - before.published);
        hold!(
            after.deflates - before.deflates <= most,
            "deflates: one message was compressed {} times for {most} windows",
            after.deflates - before.deflates
        );
        let events = self.broker_said();
        if let Some(draft) = draft
            && after.published > before.published
        {
            self.model.published += 1;
            if !draft.group.starts_with('\u{1}') {
                let seen = events.iter().find_map(|(_, event)| match event {
                    Event::Received(publication) => publication.position,
                    _ => None,
                });
                let position = seen.or_else(|| self.broker.position(&draft.group));
                self.model.note(&draft, position)?;
            }
        }
        self.send_events(events);
        Ok(())
    }

    fn broker_said(&mut self) -> Vec<(NodeId, Event)> {
        core::iter::from_fn(|| self.broker.poll_event()).collect()
    }

    /// Sends the nodes what the broker says.
    pub fn broker_says(&mut self) {
        let events = self.broker_said();
        self.send_events(events);
    }

    fn send_events(&mut self, events: Vec<(NodeId, Event)>) {
        for (to, event) in events {
            let delay = Duration::from_micros(self.random.between(20, SLOWEST));
            let Some(node) = self.nodes.iter_mut().find(|node| node.hub.node() == to) else {
                continue;
            };
            if !node.linked {
                continue;
            }
            if let Event::Received(publication) = &event
                && !publication.group.starts_with('\u{1}')
                && node.lose > 0
            {
                node.lose -= 1;
                continue;
            }
            let last = node.to_node.back().map_or(self.now, |(at, _)| *at);
            node.to_node.push_back((last.max(self.now + delay), event));
        }
    }

    /// Does what a hub wants done.
    pub fn flush(&mut self, at: usize) -> Check {
        while let Some(output) = self.nodes[at].hub.poll_output() {
            match output {
                Output::Wake(slot) => {
                    if let Some(session) = self.nodes[at].slots.get(&slot) {
                        self.sessions[*session].woken = true;
                    }
                }
                Output::Command(command) => {
                    let delay = Duration::from_micros(self.random.between(20, SLOWEST));
                    let node = &mut self.nodes[at];
                    if node.linked {
                        let last = node.to_broker.back().map_or(self.now, |(at, _)| *at);
                        let due = last.max(self.now + delay);
                        node.to_broker.push_back((due, command));
                    }
                }
                Output::Joined(id, group, joined) => {
                    hold!(
                        !group.starts_with('\u{1}'),
                        "membership: a channel was told of a group that nobody can name"
                    );
                    self.say_joined(at, id, &group, joined);
                }
                Output::Published(token, result) => {
                    let tag = self.nodes[at].tokens.remove(&token);
                    let Some(tag) = tag else {
                        return Err(format!("publish: {token} was answered twice, or not asked"));
                    };
                    if let Ok(published) = result
                        && !published.again
                        && let (Some(known), Some(said)) =
                            (self.model.standing.get(&tag), published.position)
                    {
                        hold!(
                            *known == said,
                            "publish: {tag} stands at {known}, its publisher heard {said}"
                        );
                    }
                }
                Output::Room => self.retry(at),
                Output::Event(HubEvent::Left { .. }) => self.left = self.now,
                Output::Event(HubEvent::Up) => {
                    self.nodes[at].refresh = Some(self.now + Duration::from_millis(40));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Publishes what had to wait.
    fn retry(&mut self, at: usize) {
        for _ in 0..self.nodes[at].held.len() {
            let node = &mut self.nodes[at];
            let Some(draft) = node.held.pop_front() else {
                return;
            };
            let again = draft.clone();
            if let Err(HubError::Behind) = node.hub.publish_draft(self.now, draft, None) {
                node.held.push_back(again);
            }
        }
    }

    /// Tells a client something, in the order of its messages.
    pub fn say(&mut self, at: usize, id: ChannelId, text: &str) {
        let _ = self.nodes[at]
            .hub
            .send_to(self.now, id, Prepared::new(text));
    }

    pub fn say_joined(&mut self, at: usize, id: ChannelId, group: &str, joined: Joined) {
        let position = joined
            .position
            .map_or_else(|| "-".to_string(), |position| position.to_string());
        let (outcome, count) = match joined.recovered {
            _ if !joined.added => ("again", 0),
            Recovered::Fresh => ("fresh", 0),
            Recovered::Complete(count) => ("complete", count),
            Recovered::Incomplete { replayed, .. } => ("incomplete", replayed),
            _ => ("unknown", 0),
        };
        self.say(at, id, &format!("J {group} {position} {outcome} {count}"));
        if joined.added {
            self.say_present(at, id, group);
        }
    }

    /// Tells a client who is present in a group, where that is kept.
    fn say_present(&mut self, at: usize, id: ChannelId, group: &str) {
        let options = &self.setup.options;
        let rule = options
            .rules
            .iter()
            .find(|(filter, _)| filter.matches(group));
        let is_kept = rule
            .is_some_and(|(_, options)| matches!(options.presence, PresenceMode::Members { .. }));
        if !is_kept || !self.nodes[at].linked {
            return;
        }
        let presence = self.broker.presence(group);
        let mut text = format!("V {group} {}", presence.version);
        for present in &presence.members {
            text += " ";
            text += &present.user;
        }
        self.say(at, id, &text);
    }

    /// Tells all members on a node again who is present.
    pub fn refresh(&mut self, at: usize) -> Check {
        for group in GROUPS {
            for id in self.nodes[at].hub.members(group) {
                self.say_present(at, id, group);
            }
        }
        self.flush(at)
    }
}
