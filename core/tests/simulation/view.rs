//! A client's view of one group over one connection, and whether it is possible.
//! Knows no connection: it is given what the client read, in order.

use std::collections::BTreeMap;
use std::sync::Arc;

use sansws_core::hub::{ChannelId, Position};

use crate::hold;
use crate::model::{Check, Model};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    #[default]
    Out,
    /// It asked to join; the position that it gave.
    Joining(Option<Position>),
    In,
    Leaving,
}

#[derive(Debug)]
pub struct View {
    pub group: Arc<str>,
    pub place: Place,
    /// It watches a filter that matches the group, or did.
    pub watched: bool,
    /// Gaps are told in this group.
    pub told: bool,
    /// Up to where it has heard, in this membership.
    pub at: Option<Position>,
    /// The newest position it knows, for the next time it joins.
    pub known: Option<Position>,
    /// Messages that did not come, and those that it was told of.
    missing: u64,
    announced: u64,
    /// It has heard of all that has a higher number, in the epoch in which it stands.
    pub first: u64,
    /// How many messages it was told of in all, that did not come.
    pub skips: u64,
    /// It was told that something is missing since the last message came.
    noted: bool,
    replayed: u64,
    pub present: Option<Known>,
    /// It was told that something was skipped: changes of presence too, perhaps.
    pub doubt: bool,
    /// A change of presence did not come, or one of another epoch did: it is to be told in full.
    pub jumped: bool,
    /// It asked for that.
    pub asking: bool,
}

/// The present users, as far as known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    pub epoch: u64,
    pub version: u64,
    /// By user, what was said of it.
    pub users: BTreeMap<String, String>,
}

impl View {
    pub fn new(group: &str, known: Option<Position>) -> Self {
        Self {
            group: group.into(),
            place: Place::Out,
            watched: false,
            told: !group.starts_with("mute"),
            at: None,
            known,
            missing: 0,
            announced: 0,
            first: 0,
            skips: 0,
            noted: false,
            replayed: 0,
            present: None,
            doubt: false,
            jumped: false,
            asking: false,
        }
    }

    /// Begins to join.
    pub fn joins(&mut self, since: Option<Position>) {
        self.place = Place::Joining(since);
        self.at = since;
        self.begin();
    }

    fn begin(&mut self) {
        (self.missing, self.announced, self.replayed) = (0, 0, 0);
        self.noted = false;
        self.present = None;
        (self.doubt, self.jumped, self.asking) = (false, false, false);
    }

    /// Whether a message comes to a watcher who has joined since, and has it in the position.
    pub fn is_late(&self, position: Option<Position>) -> bool {
        let before = self.at.zip(position);
        let is_before =
            |(at, position): (Position, Position)| at.epoch == position.epoch && position <= at;
        self.watched && before.is_some_and(is_before)
    }

    /// A message came.
    pub fn message(
        &mut self,
        model: &Model,
        id: ChannelId,
        position: Option<Position>,
        saved: bool,
        tag: &str,
    ) -> Check {
        let group = &self.group;
        let Some(position) = position else {
            hold!(
                self.place != Place::Out || self.watched,
                "membership: {tag} of {group} came to no member"
            );
            return Ok(());
        };
        if saved {
            let records = model.at(group, position.epoch, position.offset);
            let record = records.iter().find(|record| record.tag == tag);
            let Some(record) = record else {
                return Err(format!(
                    "content: {tag} came as {position} of {group}, where {records:?} stands"
                ));
            };
            hold!(
                !record.exclude.contains(&id),
                "exclusion: {tag} of {group} came to {id}"
            );
        }
        match self.place {
            Place::Out | Place::Joining(None) => {
                hold!(
                    self.watched,
                    "membership: {tag} of {group} came to no member"
                );
                return Ok(());
            }
            Place::Joining(Some(_)) => self.replayed += 1,
            Place::In | Place::Leaving => {}
        }
        let Some(at) = self.at else { return Ok(()) };
        if at.epoch != position.epoch {
            hold!(
                self.noted || !self.told,
                "gap: {group} went on at {position} after {at}, and nobody said so"
            );
            self.missing = self.announced;
            self.first = position.offset;
        } else if saved {
            hold!(
                position.offset > at.offset,
                "order: {position} of {group} came after {at}"
            );
            self.misses(model, id, at, position.offset - 1)?;
        } else {
            // It stands behind the message with this number.
            self.misses(model, id, at, position.offset)?;
        }
        if saved || at.epoch != position.epoch || position > at {
            self.at = Some(position);
            self.known = Some(position);
        }
        self.noted = false;
        Ok(())
    }

    /// Messages up to a number did not come.
    fn misses(&mut self, model: &Model, id: ChannelId, at: Position, last: u64) -> Check {
        let group = &self.group;
        self.missing += model.missing(group, at.epoch, at.offset + 1..last + 1, id);
        hold!(
            self.missing <= self.announced || !self.told || matches!(self.place, Place::Joining(_)),
            "gap: {} of {group} are missing up to {last} after {at}, {} were announced",
            self.missing,
            self.announced
        );
        Ok(())
    }

    /// It was told that messages are missing; `None`: nobody knows how many.
    pub fn told_of(&mut self, count: Option<u64>) {
        self.noted = true;
        self.doubt = true;
        self.announced += count.unwrap_or(0);
        self.skips = self.skips.saturating_add(count.unwrap_or(u64::MAX));
        if count.is_none() {
            (self.missing, self.announced) = (0, u64::MAX / 2);
        }
    }

    /// Its join is done.
    pub fn joined(
        &mut self,
        model: &Model,
        id: ChannelId,
        position: Option<Position>,
        outcome: &str,
        count: u64,
    ) -> Check {
        let Place::Joining(since) = self.place else {
            return Ok(());
        };
        let group = Arc::clone(&self.group);
        let Some(position) = position else {
            return Err(format!("recovery: {group} was joined without a position"));
        };
        match (outcome, since) {
            ("fresh", None) => {}
            ("complete", Some(_)) => {
                let at = self.at.unwrap_or(position);
                hold!(
                    at.epoch == position.epoch && at.offset <= position.offset,
                    "recovery: {group} is complete at {position}, though {at} was seen"
                );
                self.place = Place::In;
                self.misses(model, id, at, position.offset)?;
                let first = since.map_or(0, |since| since.offset + 1);
                let expires = model.expire(&group, at.epoch, first..position.offset + 1);
                hold!(
                    self.replayed == count
                        || ((self.announced > 0 || expires) && self.replayed < count)
                        || !self.told,
                    "recovery: {count} of {group} were to be replayed, {} came",
                    self.replayed
                );
            }
            ("incomplete", Some(_)) => {
                self.begin();
                self.skips = u64::MAX;
            }
            _ => {
                return Err(format!(
                    "recovery: {group} was joined since {since:?}: {outcome}"
                ));
            }
        }
        self.place = Place::In;
        self.first = position.offset;
        self.at = Some(position);
        self.known = Some(position);
        Ok(())
    }

    /// It has left.
    pub fn left(&mut self) {
        self.place = Place::Out;
    }

    /// Nothing is on its way any more: all up to `top` must have come.
    pub fn rests(&mut self, model: &Model, id: ChannelId, top: Position) -> Check {
        let (Place::In, Some(at)) = (self.place, self.at) else {
            return Ok(());
        };
        if at.epoch != top.epoch {
            hold!(
                self.noted || !self.told,
                "gap: {} stands at {top}, a member at {at}, and nobody said so",
                self.group
            );
            return Ok(());
        }
        hold!(
            at.offset <= top.offset,
            "order: {} stands at {top}, a member at {at}",
            self.group
        );
        self.misses(model, id, at, top.offset)
    }

    /// Takes a full snapshot of presence. An older snapshot of the same epoch is of no use.
    pub fn snapshot<'a>(&mut self, epoch: u64, version: u64, users: impl Iterator<Item = &'a str>) {
        let is_older = self.present.as_ref().is_some_and(|known| {
            !self.doubt && !self.jumped && known.epoch == epoch && known.version > version
        });
        self.asking = false;
        if is_older {
            return;
        }
        self.present = Some(Known {
            epoch,
            version,
            users: users.filter_map(user).collect(),
        });
        (self.doubt, self.jumped) = (false, false);
    }

    /// A change of presence came: what is beyond the snapshot is applied once. After another epoch, or a version that is missing, it is
    /// asked for in full.
    pub fn change<'a>(
        &mut self,
        epoch: u64,
        version: u64,
        changes: impl Iterator<Item = &'a str>,
    ) -> Check {
        let Some(known) = &mut self.present else {
            return Ok(());
        };
        if self.doubt || self.jumped || (known.epoch == epoch && version <= known.version) {
            return Ok(());
        }
        if known.epoch != epoch || version != known.version + 1 {
            self.jumped = true;
            return Ok(());
        }
        known.version = version;
        for change in changes {
            let (sign, said) = change.split_at(1);
            let is_change = match (sign, user(said)) {
                ("+", Some((user, said))) => known.users.insert(user, said).is_none(),
                ("~", Some((user, said))) => {
                    let before = known.users.insert(user, said.clone());
                    before.is_some_and(|before| before != said)
                }
                _ => known.users.remove(said).is_some(),
            };
            hold!(
                is_change,
                "presence: version {version} of {} says {change}, which changes nothing",
                self.group
            );
        }
        Ok(())
    }
}

/// A user, and what was said of it.
fn user(said: &str) -> Option<(String, String)> {
    let (user, said) = said.split_once('=')?;
    Some((user.into(), said.into()))
}
