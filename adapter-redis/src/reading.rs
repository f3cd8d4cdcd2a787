//! Bounds the long replies that are in flight, such as histories.
//! Knows no connection.

use std::collections::{BTreeMap, VecDeque};

use crate::machine::Machine;
use crate::request::{Request, RequestId};

/// Maximum length of the long replies in flight: Redis closes a connection whose output it cannot write, and after a reconnection all groups
/// are read at once. A longer one is alone.
const READING: usize = 4 << 20;

/// The length that is assumed of a list of users.
const USERS: usize = 64 << 10;

/// The requests whose replies may be long: some are in flight, later ones wait.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    waiting: VecDeque<(RequestId, Request)>,
    in_flight: BTreeMap<RequestId, usize>,
    bytes: usize,
}

impl Reading {
    /// Returns the next request to send.
    pub(crate) fn next(&mut self, machine: &mut Machine) -> Option<(RequestId, Request)> {
        let first = self.waiting.front();
        if first.is_some_and(|(_, request)| self.has_room(reply_bytes(request)))
            && let Some((id, request)) = self.waiting.pop_front()
        {
            return Some(self.begin(id, request));
        }
        while let Some((id, request)) = machine.poll_request() {
            let bytes = reply_bytes(&request);
            if bytes == 0 || (self.waiting.is_empty() && self.has_room(bytes)) {
                return Some(self.begin(id, request));
            }
            self.waiting.push_back((id, request));
        }
        None
    }

    const fn has_room(&self, bytes: usize) -> bool {
        self.bytes == 0 || self.bytes.saturating_add(bytes) <= READING
    }

    fn begin(&mut self, id: RequestId, request: Request) -> (RequestId, Request) {
        let bytes = reply_bytes(&request);
        if bytes > 0 {
            self.bytes = self.bytes.saturating_add(bytes);
            self.in_flight.insert(id, bytes);
        }
        (id, request)
    }

    /// A request was answered.
    pub(crate) fn answered(&mut self, id: RequestId) {
        if let Some(bytes) = self.in_flight.remove(&id) {
            self.bytes = self.bytes.saturating_sub(bytes);
        }
    }
}

/// Returns how many bytes the reply may have, if it may be long.
fn reply_bytes(request: &Request) -> usize {
    match request {
        Request::Read { keep, .. } | Request::History { keep, .. } => {
            keep.map_or(0, |keep| keep.bytes)
        }
        Request::Presence { members: true, .. } => USERS,
        _ => 0,
    }
}
