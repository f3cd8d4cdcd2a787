//! Requests to the backplane that are not answered yet.
//! Recoveries are also found by their group and channel: after an outage there may be as many as members.
//! Knows no answer.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::backplane::Token;
use super::id::Name;
use super::{ChannelId, JoinReply, NodeId, Position, Publication};

/// The purpose of a request.
#[derive(Debug)]
pub(super) enum Asked {
    /// To publish.
    Publication,
    /// To answer a query.
    Query,
    /// To recover a channel's missed messages.
    Recovery(Recovery),
}

/// The recovery of a channel's missed messages.
#[derive(Debug)]
pub(super) struct Recovery {
    pub(super) channel: ChannelId,
    pub(super) group: Name,
    pub(super) since: Position,
    pub(super) replayed: usize,
    pub(super) opened: bool,
    pub(super) reply: Option<JoinReply>,
    /// The messages for the reply.
    pub(super) missed: Vec<Arc<Publication>>,
}

impl Recovery {
    fn place(&self, token: Token) -> (Name, ChannelId, Token) {
        (Arc::clone(&self.group), self.channel, token)
    }
}

/// All requests.
#[derive(Debug, Default)]
pub(super) struct Pending {
    asked: BTreeMap<Token, Asked>,
    recoveries: BTreeSet<(Name, ChannelId, Token)>,
    last: Token,
}

impl Pending {
    /// Returns a token that no other request has.
    pub(super) const fn token(&mut self) -> Token {
        self.last += 1;
        self.last
    }

    pub(super) fn contains(&self, token: Token) -> bool {
        self.asked.contains_key(&token)
    }

    pub(super) fn insert(&mut self, token: Token, asked: Asked) {
        if let Asked::Recovery(recovery) = &asked {
            self.recoveries.insert(recovery.place(token));
        }
        self.asked.insert(token, asked);
    }

    pub(super) fn remove(&mut self, token: Token) -> Option<Asked> {
        let asked = self.asked.remove(&token)?;
        if let Asked::Recovery(recovery) = &asked {
            self.recoveries.remove(&recovery.place(token));
        }
        Some(asked)
    }

    /// Takes out all requests but recoveries, in order.
    pub(super) fn take_lost(&mut self) -> Vec<(Token, Asked)> {
        let all = core::mem::take(&mut self.asked).into_iter();
        let (kept, lost) = all.partition(|(_, asked)| matches!(asked, Asked::Recovery(_)));
        self.asked = BTreeMap::from_iter::<Vec<_>>(kept);
        lost
    }

    /// Takes out all recoveries, in order.
    pub(super) fn take_recoveries(&mut self) -> Vec<Recovery> {
        self.recoveries.clear();
        let mut recoveries = Vec::new();
        for (token, asked) in core::mem::take(&mut self.asked) {
            match asked {
                Asked::Recovery(recovery) => recoveries.push(recovery),
                other => drop(self.asked.insert(token, other)),
            }
        }
        recoveries
    }

    /// Returns the channel of a recovery, if it is of this group.
    pub(super) fn recovering(&self, group: &Name, token: Token) -> Option<ChannelId> {
        match self.asked.get(&token) {
            Some(Asked::Recovery(recovery)) if recovery.group == *group => Some(recovery.channel),
            _ => None,
        }
    }

    /// Returns the channels that recover in a group.
    pub(super) fn all_recovering(&self, group: &Name) -> Vec<ChannelId> {
        let first = ChannelId::from_parts(NodeId(0), 0, 0);
        let places = self.recoveries.range((Arc::clone(group), first, 0)..);
        let places = places.take_while(|(name, ..)| name == group);
        places.map(|(_, channel, _)| *channel).collect()
    }

    /// Drops the recovery of a channel in a group.
    pub(super) fn forget_recovery(&mut self, group: &Name, channel: ChannelId) {
        let tokens = [0, Token::MAX].map(|token| (Arc::clone(group), channel, token));
        let [first, last] = tokens;
        let places = self.recoveries.range(first..=last);
        for (.., token) in places.cloned().collect::<Vec<_>>() {
            self.remove(token);
        }
    }
}
