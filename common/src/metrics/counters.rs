//! Counts the events of a server, on all its threads.
//! Knows no connection: the code that serves one reports events. A connection counts its messages itself, and adds them here once a turn,
//! to a cell that the threads of a server seldom share.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::metrics::{
    ClosedBy, CodeClass, HandshakeFailure, RejectReason, RequestKind, ServerMetrics, StatusClass,
};
use crate::socket::counters::Counters;

/// Number of cells that threads are spread over.
const CELLS: usize = 16;

/// Live counters. Each is read and written separately: together they are consistent only at rest.
#[derive(Debug, Default)]
pub struct ServerCounters {
    accepted: Count,
    opened: Count,
    handlers_failed: Count,
    turned_away: [Count; RejectReason::ALL.len()],
    failed: [Count; HandshakeFailure::ALL.len()],
    responses: [[Count; StatusClass::ALL.len()]; RequestKind::ALL.len()],
    closed: [[Count; CodeClass::ALL.len()]; ClosedBy::ALL.len()],
    moved: Box<[Cell; CELLS]>,
}

#[derive(Debug, Default)]
struct Count(AtomicU64);

impl Count {
    fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The traffic of connections on some threads. No two cells share a cache line.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Cell {
    received: Count,
    sent: Count,
    bytes_received: Count,
    bytes_sent: Count,
    dropped: Count,
}

impl ServerCounters {
    pub fn accepted(&self) {
        self.accepted.add(1);
    }

    pub fn turned_away(&self, why: RejectReason) {
        add(&self.turned_away, why as usize);
    }

    pub fn failed(&self, why: HandshakeFailure) {
        add(&self.failed, why as usize);
    }

    pub fn response(&self, asked: RequestKind, status: u16) {
        if let Some(to) = self.responses.get(asked as usize) {
            add(to, StatusClass::of(status) as usize);
        }
    }

    pub fn opened(&self) {
        self.opened.add(1);
    }

    pub fn closed(&self, by: ClosedBy, code: u16) {
        if let Some(by) = self.closed.get(by as usize) {
            add(by, CodeClass::of(code) as usize);
        }
    }

    pub fn handler_failed(&self) {
        self.handlers_failed.add(1);
    }

    /// Adds the traffic of a connection.
    pub fn moved(&self, more: &Counters) {
        let Some(cell) = self.moved.get(cell_here()) else {
            return;
        };
        let all = [
            (&cell.received, more.received),
            (&cell.sent, more.sent),
            (&cell.bytes_received, more.bytes_received),
            (&cell.bytes_sent, more.bytes_sent),
            (&cell.dropped, more.dropped),
        ];
        for (count, more) in all {
            if more > 0 {
                count.add(more);
            }
        }
    }

    /// Returns the sum.
    pub fn read(&self) -> ServerMetrics {
        let sum = |of: fn(&Cell) -> &Count| self.moved.iter().map(|cell| of(cell).get()).sum();
        ServerMetrics {
            accepted: self.accepted.get(),
            opened: self.opened.get(),
            handlers_failed: self.handlers_failed.get(),
            turned_away: self.turned_away.each_ref().map(Count::get),
            failed: self.failed.each_ref().map(Count::get),
            responses: self
                .responses
                .each_ref()
                .map(|to| to.each_ref().map(Count::get)),
            closed: self
                .closed
                .each_ref()
                .map(|by| by.each_ref().map(Count::get)),
            messages_received: sum(|cell| &cell.received),
            messages_sent: sum(|cell| &cell.sent),
            bytes_received: sum(|cell| &cell.bytes_received),
            bytes_sent: sum(|cell| &cell.bytes_sent),
            messages_dropped: sum(|cell| &cell.dropped),
            ..ServerMetrics::default()
        }
    }
}

fn add(counts: &[Count], at: usize) {
    if let Some(count) = counts.get(at) {
        count.add(1);
    }
}

/// Returns the cell of this thread.
fn cell_here() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    std::thread_local! {
        static HERE: usize = NEXT.fetch_add(1, Ordering::Relaxed) % CELLS;
    }
    HERE.with(|here| *here)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_threads_are_added_up() {
        let tally = ServerCounters::default();
        std::thread::scope(|scope| {
            for _ in 0..2 * CELLS {
                scope.spawn(|| {
                    for _ in 0..1_000 {
                        tally.moved(&Counters {
                            received: 1,
                            bytes_sent: 3,
                            ..Counters::default()
                        });
                        tally.closed(ClosedBy::Peer, 4001);
                    }
                });
            }
        });
        let (metrics, all) = (tally.read(), 2 * CELLS as u64 * 1_000);
        assert_eq!(metrics.messages_received, all);
        assert_eq!(metrics.bytes_sent, 3 * all);
        assert_eq!(metrics.closed(CodeClass::Private), all);
        assert_eq!((metrics.messages_sent, metrics.all_closed()), (0, all));
    }
}
