//! The commands of a hub.
//! Knows no connection: sessions are woken, and told things through the hub. What links the nodes stands in `plane.rs`.

use sansws_core::hub::{
    ChannelId, HubError, HubEvent, Joined, Output, Presence, PresenceMode, QueryResult, Recovered,
};
use sansws_core::message::PreparedMessage;
use sansws_core::time::Duration;

use crate::hold;
use crate::model::Check;
use crate::setup::{GROUPS, said};
use crate::world::World;

impl World {
    /// Does what a hub wants done.
    pub fn flush(&mut self, at: usize) -> Check {
        while let Some(output) = self.nodes[at].hub.poll_output() {
            match output {
                Output::Wake(slot) => {
                    if let Some(session) = self.nodes[at].slots.get(&slot) {
                        self.sessions[*session].woken = true;
                    }
                }
                Output::Command(command) => self.send_command(at, command),
                Output::Signal(..) => return Err("signal: nobody sent one".into()),
                Output::Joined(id, group, joined) => {
                    hold!(
                        !group.starts_with('\u{1}'),
                        "membership: a channel was told of a group that nobody can name"
                    );
                    match joined {
                        Ok(joined) => self.say_joined(at, id, &group, joined),
                        Err(_) => self.say(at, id, &format!("E {group}")),
                    }
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
                Output::Answer(token, answer) => {
                    let asked = self.nodes[at].asked.remove(&token);
                    let Some((id, group)) = asked else {
                        return Err(format!("ask: {token} was answered twice, or not asked"));
                    };
                    match answer {
                        Ok(QueryResult::Presence(presence)) => {
                            self.say_snapshot(at, id, &group, &presence);
                        }
                        Ok(_) => {}
                        // A change that did not fit is told in full later.
                        Err(_) => {
                            let later = self.now + Duration::from_millis(500);
                            self.nodes[at].refresh.get_or_insert(later);
                        }
                    }
                }
                Output::Room => self.retry(at),
                Output::Event(HubEvent::Left { .. }) => self.left = self.now,
                Output::Event(HubEvent::Down) => self.nodes[at].downs += 1,
                Output::Event(HubEvent::Presence(change)) => {
                    let now = (change.epoch, change.version);
                    let heard = &mut self.nodes[at].heard;
                    let before = heard.insert(change.group.to_string(), now);
                    hold!(
                        before.is_none_or(|before| before.0 != now.0 || before.1 < now.1),
                        "events: {now:?} of {} was told after {before:?}",
                        change.group
                    );
                }
                Output::Event(HubEvent::Slow(id)) => {
                    let session = self.nodes[at].slots.get(&id.slot());
                    let session = session.map(|session| &self.sessions[*session]);
                    hold!(
                        !self.setup.turns || session.is_none_or(|session| session.blocked),
                        "slow: {id} was closed, though it took all that it was given"
                    );
                }
                Output::Event(HubEvent::Up) => {
                    self.nodes[at].refresh = Some(self.now + Duration::from_millis(40));
                }
                Output::Event(_) => {}
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
            if node.hub.is_crowded() {
                node.held.push_front(draft);
                return;
            }
            if let Err(HubError::Backpressure) = node.hub.publish_draft(self.now, draft, None) {
                node.held.push_back(again);
            }
        }
    }

    /// Tells a client something, in the order of its messages.
    pub fn say(&mut self, at: usize, id: ChannelId, text: &str) {
        let _ = self.nodes[at]
            .hub
            .send_to(self.now, id, PreparedMessage::new(text));
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
    pub fn say_present(&mut self, at: usize, id: ChannelId, group: &str) {
        let options = &self.setup.options;
        let rule = options
            .rules
            .iter()
            .find(|(filter, _)| filter.matches(group));
        let is_kept = rule
            .is_some_and(|(_, options)| matches!(options.presence, PresenceMode::Members { .. }));
        if is_kept {
            self.ask_present(at, id, group);
        }
    }

    pub fn say_snapshot(&mut self, at: usize, id: ChannelId, group: &str, presence: &Presence) {
        let mut text = format!("V {group} {} {}", presence.epoch, presence.version);
        for present in &presence.members {
            text += " ";
            text += &said(present);
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
