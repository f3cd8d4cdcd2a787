//! Windows of flow control.
//! RFC 9113 section 6.9.

use std::collections::BTreeMap;

/// The initial windows of both sides (RFC 9113 section 6.9.2).
const WINDOW: i64 = 65_535;

/// The largest window (RFC 9113 section 6.9.1).
pub(super) const MOST_WINDOW: i64 = 0x7fff_ffff;

/// The windows of one direction (RFC 9113 section 6.9).
#[derive(Debug)]
pub(super) struct Windows {
    /// The window of the whole connection.
    pub(super) connection: i64,
    /// The window of a new stream.
    pub(super) initial: i64,
    /// The windows of the open streams.
    pub(super) streams: BTreeMap<u32, i64>,
}

impl Default for Windows {
    fn default() -> Self {
        Self {
            connection: WINDOW,
            initial: WINDOW,
            streams: BTreeMap::new(),
        }
    }
}

impl Windows {
    pub(super) fn open(&mut self, stream: u32) {
        let initial = self.initial;
        self.streams.entry(stream).or_insert(initial);
    }

    pub(super) fn room(&self, stream: u32) -> i64 {
        let own = self.streams.get(&stream).copied().unwrap_or(self.initial);
        own.min(self.connection)
    }

    /// Takes room for so many octets.
    pub(super) fn take(&mut self, stream: u32, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.connection -= count;
        if let Some(own) = self.streams.get_mut(&stream) {
            *own -= count;
        }
    }

    /// Adds room, to the connection with stream 0; returns whether the window stays in its bound.
    pub(super) fn add(&mut self, stream: u32, count: i64) -> bool {
        let window = match stream {
            0 => Some(&mut self.connection),
            stream => self.streams.get_mut(&stream),
        };
        window.is_none_or(|window| {
            *window = window.saturating_add(count);
            *window <= MOST_WINDOW
        })
    }

    /// 6.9.2: "a receiver MUST adjust the size of all stream flow-control windows that it maintains by the difference".
    pub(super) fn set_initial(&mut self, initial: u32) -> bool {
        let difference = i64::from(initial) - self.initial;
        self.initial = i64::from(initial);
        for window in self.streams.values_mut() {
            *window += difference;
        }
        self.streams.values().all(|window| *window <= MOST_WINDOW)
    }
}
