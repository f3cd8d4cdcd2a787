//! How the broker numbers a publication, keeps it, and passes it on.
//! Knows no node's state but what compression its connections have.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;

use super::Broker;
use crate::hub::backplane::{BackplaneEvent, Published};
use crate::hub::publication::PublishRequest;
use crate::hub::{HubError, NodeId, Publication};
use crate::time::Instant;

impl Broker {
    /// Publishes, unless a publication with its id was published before.
    pub(super) fn publish(
        &mut self,
        now: Instant,
        draft: &PublishRequest,
    ) -> Result<Published, HubError> {
        let windows = self.nodes.values().fold(0, |all, node| all | node.windows);
        let options = Arc::clone(&self.options);
        let max_history = options.max_history;
        let name = Arc::clone(&draft.group);
        let topic = self.topic(&name);
        topic.touched = now;
        if let Some(id) = &draft.options.id {
            let aged = topic.published.age(now);
            let found = topic.published.find(id);
            self.ids -= aged;
            if found.is_some() {
                self.counters.again += 1;
                return Ok(Published {
                    position: found,
                    again: true,
                });
            }
            if self.ids >= options.max_ids {
                self.look(now, &name);
                return Err(HubError::TooManyIds);
            }
        }
        let topic = self.topic(&name);
        let mut position = topic.position;
        position.offset += u64::from(!draft.options.without_history);
        let publication = Publication::new(&options, draft, Some(position), now, windows);
        if publication.failed {
            self.counters.unwrapped += 1;
            self.look(now, &name);
            return Err(HubError::EnvelopeFailed);
        }
        let topic = self.topic(&name);
        topic.position = position;
        if let Some(id) = &draft.options.id {
            topic.published.note(now, Arc::clone(id), position);
            self.ids += 1;
        }
        let deflates = u64::from(publication.deflates);
        let publication = Arc::new(publication);
        let mut unkept = false;
        if let Some(history) = &options.of(&name).history
            && !draft.options.without_history
        {
            let topic = self.topic(&name);
            let before = topic.history.bytes();
            topic.history.age(history, now);
            topic.history.push(history, Arc::clone(&publication));
            let after = topic.history.bytes();
            self.history = self.history + after - before;
            if self.history > max_history {
                let topic = self.topic(&name);
                let held = topic.history.bytes();
                topic.history.miss(position.offset);
                self.history -= held;
                unkept = true;
            }
        }
        self.counters.published += 1;
        self.counters.encodes += 1;
        self.counters.deflates += deflates;
        self.counters.unkept += u64::from(unkept);
        let mut to: BTreeSet<NodeId> = BTreeSet::new();
        self.watching.matching(&name, |node| {
            to.insert(*node);
        });
        if let Some(topic) = self.topics.get(&name) {
            to.extend(topic.subscribers());
        }
        for node in to {
            self.events
                .push_back((node, BackplaneEvent::Received(Arc::clone(&publication))));
        }
        self.look(now, &name);
        Ok(Published {
            position: Some(position),
            again: false,
        })
    }
}
