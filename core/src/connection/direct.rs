//! Reading large payloads directly into the message that they belong to, instead of through the caller's buffer.
//! RFC 6455 section 6.2.
//! Knows only binary messages that are not compressed: text is validated as it is copied.

use alloc::vec::Vec;

use super::deadline::Clock;
use super::inbound::Direct;
use super::{Connection, Event, Step};
use crate::message::Assembly;
use crate::time::Instant;

/// Minimum number of bytes for which reading directly is worth a read of its own.
const WORTH: usize = 64 << 10;

impl Connection {
    /// Lends the memory of the message that is arriving, to read the rest of its payload into without a copy in between; `None` if that
    /// is not possible or not worth a read. Its content has been received; append at most its spare capacity.
    ///
    /// Call it before a read, when [`receive`](Self::receive) has consumed all input and messages are not received in chunks. Then
    /// report with [`receive_direct`](Self::receive_direct) how many bytes were appended. An ordinary read instead is always allowed.
    ///
    /// The memory grows with the received bytes, at most to twice their number and 64 KiB, whatever length the peer announced.
    ///
    /// ```
    /// use std::io::Read;
    /// # use sansws_core::{config::Config, connection::Connection, handshake::Agreement, message::Assembly, time::Instant};
    /// # let now = Instant::ZERO;
    /// # let (mut connection, mut assembly) = (Connection::server(Config::default().into(), &Agreement::default(), now), Assembly::default());
    /// # let mut socket = std::io::empty();
    /// if let Some(payload) = connection.direct_read(&mut assembly) {
    ///     let spare = payload.capacity() - payload.len();
    ///     let count = socket.take(spare as u64).read_to_end(payload)?;
    ///     let step = connection.receive_direct(now, &mut assembly, count);
    ///     // handle `step.event`
    /// }
    /// # Ok::<_, std::io::Error>(())
    /// ```
    pub fn direct_read<'a>(&self, assembly: &'a mut Assembly) -> Option<&'a mut Vec<u8>> {
        if !self.is_open() || assembly.stale {
            return None;
        }
        let payload = &mut assembly.bytes;
        let received = payload.len();
        let room = self.config.limits.message.saturating_sub(received as u64);
        let left = self.inbound.direct_left()?.min(room);
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        if received < WORTH || left < WORTH {
            return None;
        }
        if payload.capacity() - received < WORTH {
            // A rest that would not be worth another direct read is read with the others.
            let all = left <= received.saturating_add(WORTH);
            payload.reserve_exact(if all { left } else { received });
        }
        // More than the rest of the payload must not be read.
        payload.shrink_to(received.saturating_add(left));
        (payload.capacity() - received <= left).then_some(payload)
    }

    /// Processes the last `count` bytes of the memory that [`direct_read`](Self::direct_read) lent. If they complete the message, it is
    /// the event, in the assembly. Nothing else may be received in between.
    ///
    /// It cannot fail: the limits were checked before.
    pub fn receive_direct<'b>(
        &mut self,
        now: Instant,
        assembly: &'b mut Assembly,
        count: usize,
    ) -> Step<Event<'b>> {
        self.receive_direct_timed(&|| now, assembly, count)
    }

    /// Like the method above, but asks for the time only when it matters.
    #[doc(hidden)]
    pub fn receive_direct_timed<'b>(
        &mut self,
        clock: Clock<'_>,
        assembly: &'b mut Assembly,
        count: usize,
    ) -> Step<Event<'b>> {
        self.offered(count, clock);
        self.times.keep(0);
        let done = self.take_direct(assembly, count);
        if done == Direct::More {
            self.inbound.time(clock);
        }
        let assembled = done == Direct::Done;
        let event = assembled.then(|| Event::Binary(&assembly.bytes));
        Step {
            consumed: 0,
            event,
            assembled,
        }
    }
}
