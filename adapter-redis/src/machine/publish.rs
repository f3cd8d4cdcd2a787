//! The steps of a group: the request for each, and the meaning of its reply.

use std::sync::Arc;

use sansws_core::hub::{
    BackplaneEvent, HistorySlice, HubError, NodeId, Position, Presence, Publication,
    PublishRequest, Published, QueryResult, RecoveryFailure, Token,
};
use sansws_core::time::Instant;

use super::serial_queue::{Batch, Op, Reader};
use super::{AGAIN, Due, InFlight, Machine, NOWHERE};
use crate::name::Name;
use crate::request::{Channel, Entry, Failure, Reply, Request};
use crate::wire;

impl Machine {
    pub(super) fn publish(&mut self, from: NodeId, token: Option<Token>, draft: &PublishRequest) {
        self.metrics.published += 1;
        // Messages of one step are kept and evicted together, so it may take only part of the history's limit.
        let keep = self.options.of(&draft.group).history;
        let most = keep.map_or(usize::MAX, |keep| keep.bytes / 8);
        let lane = &mut self.group(&draft.group).lane;
        let before = lane.queue.len();
        let bytes = lane.publish(draft, (from, token), most);
        self.traffic.steps += lane.queue.len() - before;
        self.traffic.bytes += bytes;
        self.pump_group(&draft.group);
    }

    /// Queues a step of a group.
    pub(super) fn push_op(&mut self, name: &Name, op: Op) {
        let lane = &mut self.group(name).lane;
        let before = lane.queue.len();
        lane.push(op);
        let after = lane.queue.len();
        self.traffic.steps = self.traffic.steps + after - before;
        self.pump_group(name);
    }

    /// Starts the next step of a group, if none is in flight.
    pub(super) fn pump_group(&mut self, name: &Name) {
        let Some(group) = self.groups.get_mut(name) else {
            return;
        };
        let before = group.lane.aside.len();
        let next = group.lane.next_step();
        self.traffic.steps -= group.lane.aside.len() - before;
        let Some(mut op) = next else {
            return self.forget_idle(name);
        };
        let (request, asked) = self.request_of(name, &mut op);
        self.request(request, InFlight::Group(Arc::clone(name), op, asked));
    }

    /// Returns how many messages of these nodes wait or are in flight.
    pub(super) fn unanswered(&self, is_of: impl Fn(NodeId) -> bool) -> usize {
        let in_flight = self.traffic.flights.values().filter_map(|flight| {
            let InFlight::Group(_, op, _) = flight else {
                return None;
            };
            Some(op)
        });
        let waiting = self.groups.values().flat_map(|group| &group.lane.queue);
        let batches = in_flight.chain(waiting).filter_map(|op| match op {
            Op::Publish(batch) => Some(batch),
            _ => None,
        });
        let messages = batches.flat_map(|batch| &batch.of);
        messages.filter(|(node, _)| is_of(*node)).count()
    }

    fn request_of(&mut self, name: &Name, op: &mut Op) -> (Request, Vec<(NodeId, Token)>) {
        let group = Arc::clone(name);
        let keep = self.options.of(name).history;
        let mut asked = Vec::new();
        let request = match op {
            Op::Position { first } => {
                let ours;
                (ours, asked) = self.ask_position(name, *first);
                Request::Position {
                    group,
                    ours,
                    first: *first,
                    fresh: self.fresh(),
                }
            }
            Op::Publish(batch) => {
                self.metrics.batches += 1;
                Request::Publish {
                    group,
                    messages: core::mem::take(&mut batch.messages),
                    saved: batch.saved,
                    id: batch.id.clone(),
                    keep,
                    watched: self.watchers.watched,
                    fresh: self.fresh(),
                }
            }
            Op::Send(payload) => Request::Send {
                channel: Channel::Group(group),
                payload: payload.clone(),
            },
            Op::Read { since, .. } => Request::Read {
                group,
                since: *since,
                keep,
                fresh: self.fresh(),
            },
            Op::History { query, .. } => Request::History {
                group,
                // Any others are selected from all that are kept.
                limit: match (query.reverse, query.since) {
                    (true, None) => query.limit,
                    _ => usize::MAX,
                },
                keep,
            },
            Op::Presence(_) => Request::Presence {
                group,
                members: self.keeps_members(name),
            },
            Op::RemoveHistory { .. } => Request::RemoveHistory(group),
            Op::Enter(incarnation, entering) => Request::Enter {
                group,
                incarnation: *incarnation,
                users: self.of_redis(&entering.users),
                fresh: self.fresh(),
            },
            Op::Exit(incarnation, users) => Request::Exit {
                group,
                incarnation: *incarnation,
                users: users.clone(),
                fresh: self.fresh(),
            },
        };
        (request, asked)
    }

    fn keeps_members(&self, name: &Name) -> bool {
        self.options.of(name).presence.keeps_members()
    }

    /// A step of a group was answered.
    pub(super) fn group_reply(
        &mut self,
        now: Instant,
        name: &Name,
        op: Op,
        asked: Vec<(NodeId, Token)>,
        result: Result<Reply, Failure>,
    ) {
        let refused = match result {
            Ok(reply) => self.group_done(now, name, op, asked, reply),
            Err(_) => self.group_failed(name, op, asked),
        };
        self.traffic.steps -= 1;
        let lane = &mut self.group(name).lane;
        lane.busy = false;
        if let Some(op) = refused {
            lane.aside.push_back(op);
            self.due.insert((now + AGAIN, Due::Group(Arc::clone(name))));
        }
        self.pump_group(name);
    }

    /// Repeats the steps that Redis refused.
    pub(super) fn try_again(&mut self, name: &Name) {
        let Some(group) = self.groups.get_mut(name) else {
            return;
        };
        if group.nodes.is_empty() {
            // No node wants the position any more.
            let aside = &mut group.lane.aside;
            aside.retain(|op| !matches!(op, Op::Position { .. }));
        }
        let of = group.lane.collapse();
        self.traffic.steps += group.lane.aside.len();
        group.lane.resume();
        for incarnation in of {
            self.give_back(name, incarnation);
        }
        self.pump_group(name);
    }

    /// Processes a reply. Returns the step if the reply does not match it.
    fn group_done(
        &mut self,
        now: Instant,
        name: &Name,
        op: Op,
        asked: Vec<(NodeId, Token)>,
        reply: Reply,
    ) -> Option<Op> {
        match (op, reply) {
            (Op::Position { first }, Reply::Position { mark, newest }) => {
                self.stands(now, name, (mark, newest), first, asked);
            }
            (Op::Publish(batch), Reply::Published { before, .. }) => {
                self.published(batch, before);
            }
            (Op::Publish(batch), Reply::Again(position)) => self.again(batch, position),
            (
                Op::Read { readers, .. },
                Reply::Kept {
                    position,
                    floor,
                    entries,
                },
            ) => {
                let position = position.unwrap_or(NOWHERE.position);
                let publications = self.publications(name, position.epoch, entries);
                let keep = self.options.of(name).history;
                for Reader { node, token, since } in readers {
                    let missed = RecoveryFailure::between(keep.as_ref(), since, position, floor);
                    let past = past(&publications, since, position, missed);
                    let group = Arc::clone(name);
                    self.events
                        .push_back((node, BackplaneEvent::Read { group, token, past }));
                }
            }
            (
                Op::History { node, token, query },
                Reply::Kept {
                    position, entries, ..
                },
            ) => {
                let kept = match position {
                    Some(position) => self.publications(name, position.epoch, entries),
                    None => Vec::new(),
                };
                let history = query.select(kept, position);
                self.answer(node, token, QueryResult::History(history));
            }
            (
                Op::Presence(askers),
                Reply::Presence {
                    epoch,
                    version,
                    count,
                    mut members,
                },
            ) => {
                self.to_local(&mut members);
                let mut presence = Presence::default();
                (presence.epoch, presence.version) = (epoch, version);
                presence.count = count;
                if self.keeps_members(name) {
                    presence.members = members;
                }
                for (node, token) in askers {
                    self.answer(node, token, QueryResult::Presence(presence.clone()));
                }
            }
            (Op::RemoveHistory { node, token }, Reply::Done) => {
                self.answer(node, token, QueryResult::HistoryRemoved);
            }
            (Op::Enter(incarnation, _), Reply::GivenUp) => self.incarnation_given_up(incarnation),
            (Op::Send(_) | Op::Enter(..), _) => {}
            (Op::Exit(incarnation, users), _) => self.exited(name, incarnation, users.is_none()),
            (op, _) => return self.group_failed(name, op, asked),
        }
        None
    }

    /// Redis refused a step. Returns it if it has to be retried.
    fn group_failed(&mut self, name: &Name, op: Op, asked: Vec<(NodeId, Token)>) -> Option<Op> {
        match op {
            Op::Publish(batch) => {
                self.traffic.bytes -= batch.bytes;
                for (node, token) in batch.of {
                    if let Some(token) = token {
                        let result = Err(HubError::Refused);
                        self.events
                            .push_back((node, BackplaneEvent::Published { token, result }));
                    }
                }
                None
            }
            Op::History { node, token, .. } | Op::RemoveHistory { node, token } => {
                self.fail(node, token);
                None
            }
            Op::Presence(askers) => {
                for (node, token) in askers {
                    self.fail(node, token);
                }
                None
            }
            Op::Read { readers, .. } => {
                for Reader { node, token, .. } in readers {
                    self.tell_unavailable(name, &[(node, token)]);
                }
                None
            }
            Op::Send(_) => None,
            Op::Position { .. } => {
                // The nodes that asked are answered by the next try.
                self.ask_again(name, asked);
                self.tell_unavailable(name, &[]);
                Some(op)
            }
            Op::Enter(..) | Op::Exit(..) => Some(op),
        }
    }

    fn published(&mut self, batch: Batch, before: Position) {
        self.traffic.bytes -= batch.bytes;
        let mut position = before;
        for (node, token) in batch.of {
            position.offset += u64::from(batch.saved);
            if let Some(token) = token {
                let mut published = Published::default();
                published.position = Some(position);
                let result = Ok(published);
                self.events
                    .push_back((node, BackplaneEvent::Published { token, result }));
            }
        }
    }

    fn again(&mut self, batch: Batch, position: Position) {
        self.traffic.bytes -= batch.bytes;
        for (node, token) in batch.of {
            if let Some(token) = token {
                let mut published = Published::default();
                (published.position, published.again) = (Some(position), true);
                let result = Ok(published);
                self.events
                    .push_back((node, BackplaneEvent::Published { token, result }));
            }
        }
    }

    /// Makes publications of entries that were read.
    fn publications(
        &mut self,
        name: &Name,
        epoch: u64,
        entries: Vec<Entry>,
    ) -> Vec<Arc<Publication>> {
        let mut publications = Vec::with_capacity(entries.len());
        for entry in entries {
            let offset = entry.offset;
            match wire::decode(name, &entry.message) {
                Ok(draft) => {
                    let position = Position { epoch, offset };
                    publications.push(self.publication(&draft, position, entry.time));
                }
                // Its number is missing, which the reader notices.
                Err(wire::WireError::Unknown) => self.metrics.unknown += 1,
                Err(_) => self.metrics.malformed += 1,
            }
        }
        publications
    }
}

/// Returns the publications that a reader missed.
fn past(
    publications: &[Arc<Publication>],
    since: Position,
    position: Position,
    missed: Option<RecoveryFailure>,
) -> HistorySlice {
    let seen = publications.partition_point(|publication| publication.position <= Some(since));
    let publications = if missed.is_none_or(RecoveryFailure::replays) {
        publications.get(seen..).unwrap_or_default().to_vec()
    } else {
        Vec::new()
    };
    HistorySlice {
        publications,
        position,
        missed,
    }
}
