//! The deadlines of an open connection, and their meaning.
//! RFC 6455 sections 5.5.2 (ping as keepalive) and 7.1.1 (waiting for the close).
//! Knows no clock: it takes the current time, and returns when to be called next.

use super::{Connection, Effect, Input, State};
use crate::close::{CloseCode, LossCause};
use crate::frame::Opcode;
use crate::time::{Duration, Instant};

/// The deadline that expired in [`Connection::tick`] or [`Endpoint::tick`](super::Endpoint::tick).
///
/// For an example see [`State`](super::State).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Expired {
    /// The time for the opening handshake, only of an [`Endpoint`](super::Endpoint): a server queued 408, or 503 if the caller took too
    /// long to decide; a client's endpoint is over.
    Handshake,
    /// Silence: a ping was queued or, if the peer has unread output, we now watch whether it takes any of that.
    Silence,
    /// Nothing arrived after a ping, or the peer took none of its output: it is dead, and the connection over (1006).
    Pong,
    /// No message was sent or received: Close 1001 was queued.
    Idle,
    /// A message took too long to arrive: Close 1008 was queued.
    Message,
    /// The peer did not answer our Close, or did not end TCP, possibly after a failed write: the connection is over.
    Close,
}

impl Expired {
    /// Returns why an open or closing connection is lost by this; `None` if it goes on, and for an opening handshake. A write that failed
    /// before is the cause instead; after the Close frames, nothing is lost any more.
    pub const fn loss(self) -> Option<LossCause> {
        match self {
            Self::Pong => Some(LossCause::Unresponsive),
            Self::Close => Some(LossCause::CloseTimeout),
            Self::Message => Some(LossCause::MessageTimeout),
            Self::Handshake | Self::Silence | Self::Idle => None,
        }
    }

    /// Returns the code of the Close frame that was queued, with which this side closed.
    pub const fn close_code(self) -> Option<CloseCode> {
        match self {
            Self::Idle => Some(CloseCode::AWAY),
            Self::Message => Some(CloseCode::POLICY),
            Self::Handshake | Self::Silence | Self::Pong | Self::Close => None,
        }
    }
}

/// Minimum silence before a ping. Without it, each pong of a peer would be answered by the next ping: both would do nothing else.
const LEAST: Duration = Duration::from_millis(1);

/// Returns the current time on request.
pub(super) type Clock<'a> = &'a dyn Fn() -> Instant;

/// How much of the output the peer has taken.
///
/// ```
/// use sansws_core::config::Config;
/// use sansws_core::connection::{Connection, SendProgress};
/// use sansws_core::handshake::Agreement;
/// use sansws_core::time::Instant;
///
/// let config = Config::default().into();
/// let mut server = Connection::server(config, &Agreement::default(), Instant::ZERO);
/// // The kernel says how much arrived: a peer that reads slowly is not taken for a dead one.
/// let progress = SendProgress { acknowledged: 4_096, outstanding: true };
/// assert_eq!(server.tick_with(Instant::ZERO, Some(progress)), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendProgress {
    /// Number of bytes that the peer has acknowledged since it was connected. Only growth matters: bytes written before the connection
    /// was opened, or added by TLS, do no harm.
    pub acknowledged: u64,
    /// Whether there is output that the peer has not acknowledged.
    pub outstanding: bool,
}

/// Length in bytes of Linux's `struct tcp_info` up to `tcpi_notsent_bytes`, which Linux fills since version 4.6.
pub const TCP_INFO: usize = 148;

impl SendProgress {
    /// Parses the front of Linux's `struct tcp_info`: `tcpi_unacked` (segments), `tcpi_bytes_acked` and `tcpi_notsent_bytes`.
    pub fn from_tcp_info(info: &[u8; TCP_INFO]) -> Option<Self> {
        let number = |at| {
            let bytes = info.get(at..at + 4)?;
            Some(u32::from_ne_bytes(bytes.try_into().ok()?))
        };
        let acknowledged = info.get(120..128)?;
        Some(Self {
            acknowledged: u64::from_ne_bytes(acknowledged.try_into().ok()?),
            outstanding: number(24)? > 0 || number(144)? > 0,
        })
    }
}

/// Returns whether the Linux of a release, such as `6.1.0-13-amd64`, fills the [`TCP_INFO`] bytes.
pub fn fills_tcp_info(release: &str) -> bool {
    let numbers = release.split(['.', '-']);
    let mut numbers = numbers.map_while(|number| number.trim().parse::<u32>().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (4, 6)
}

/// The sign of life that we wait for from a silent peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Probe {
    /// Nothing yet.
    None,
    /// The pong: nothing was queued before the ping.
    Pong,
    /// Progress: it has unread output, and a ping would queue behind it.
    Progress,
}

/// The times of the last events.
#[derive(Debug)]
pub(super) struct Times {
    /// A byte arrived, or the probe started, or output ended.
    pub(super) heard: Instant,
    /// A message ended, in either direction.
    pub(super) message: Instant,
    probe: Probe,
    /// The starting value of the newest probe: for a ping, the [`ticks`] at which it was queued; for [`Probe::Progress`], the number of
    /// acknowledged bytes, modulo 2^32.
    mark: u32,
    /// The pong of the newest ping has not arrived.
    awaits_pong: bool,
    /// Number of pings, of the application too, less that of pongs.
    pub(super) unanswered: u8,
    /// Input came after the end of messages, or may come: the peer sends pongs that no ping asked for, so that they cannot be counted.
    pub(super) surplus: bool,
    /// Number of bytes that the caller keeps, and will offer again in front of new ones.
    kept: u32,
    /// Input is deliberately left unread.
    paused: bool,
    /// Some output was written while so much was unsent that we did not read.
    pub(super) moved: bool,
    /// Some output was written since the probe started.
    pub(super) wrote: bool,
    /// A message was sent since the time was last known.
    pub(super) sent: bool,
}

impl Times {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            heard: now,
            message: now,
            probe: Probe::None,
            mark: 0,
            awaits_pong: false,
            unanswered: 0,
            surplus: false,
            kept: 0,
            paused: false,
            moved: false,
            wrote: false,
            sent: false,
        }
    }

    /// The peer is alive, or the wait starts again.
    pub(super) const fn hear(&mut self, now: Instant) {
        (self.heard, self.probe) = (now, Probe::None);
    }

    /// A ping was sent.
    pub(super) const fn pinged(&mut self) {
        self.unanswered = self.unanswered.saturating_add(1);
    }

    /// A pong arrived. 5.5.3: "A Pong frame MAY be sent unsolicited." One that crosses a ping must not pass for its answer.
    pub(super) const fn answered(&mut self) {
        match self.unanswered.checked_sub(1) {
            Some(left) => self.unanswered = left,
            None => self.surplus = true,
        }
    }

    pub(super) const fn keep(&mut self, bytes: usize) {
        self.kept = if bytes > u32::MAX as usize {
            u32::MAX
        } else {
            bytes as u32
        };
    }
}

impl Connection {
    /// Returns when to call [`tick`](Self::tick) next, if nothing happens before. Ask again after each call that changes the
    /// connection.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Open => self.first_wait().map(|(at, _)| at),
            State::CloseSent { .. } | State::Lingering { .. } | State::Closed { .. } => {
                self.state.deadline()
            }
        }
    }

    /// Reports that input is deliberately left unread, although [`wants_input`](Self::wants_input): a busy caller must not make its
    /// peer look dead, idle or slow. Until [`resume`](Self::resume), no wait for input expires; a ping may still be queued.
    pub const fn pause(&mut self) {
        self.times.paused = true;
    }

    /// Reports that input is read again: the waits for it start again.
    pub fn resume(&mut self, now: Instant) {
        self.times.paused = false;
        self.times.hear(now);
        self.restart(now);
    }

    /// Returns whether input is deliberately left unread.
    pub const fn is_paused(&self) -> bool {
        self.times.paused
    }

    /// Returns whether the time of a sent message is unknown and matters.
    #[doc(hidden)]
    pub fn owes_time(&self) -> bool {
        self.times.sent && self.config.timeouts.idle.is_some()
    }

    /// Reports only the current time. Sending asks for no time: it counts from the next call that passes it.
    #[inline]
    #[doc(hidden)]
    pub const fn note_time(&mut self, now: Instant) {
        if self.times.sent {
            self.times.sent = false;
            self.times.message = now;
        }
    }

    /// Reports that so many bytes were offered; kept bytes that are offered again are no sign of life.
    #[inline]
    pub(super) fn offered(&mut self, bytes: usize, clock: Clock<'_>) {
        if bytes > self.times.kept as usize {
            let now = clock();
            self.times.hear(now);
            self.note_time(now);
            if core::mem::take(&mut self.times.moved) {
                self.restart(now);
            }
        }
    }

    /// Messages could not arrive before now, because nothing was read.
    fn restart(&mut self, now: Instant) {
        self.times.message = now;
        self.inbound.restart(now);
    }

    /// Reports the current time. Calls that come early, late or twice do no harm; if it returns what expired, call it again.
    ///
    /// Output counts as taken by the peer once it is written, although it may still be in the kernel: see
    /// [`tick_with`](Self::tick_with).
    pub fn tick(&mut self, now: Instant) -> Option<Expired> {
        self.tick_with(now, None)
    }

    /// Reports the current time, and how much of the output the peer has taken, if the operating system tells.
    pub fn tick_with(&mut self, now: Instant, progress: Option<SendProgress>) -> Option<Expired> {
        if !self.is_open() {
            let due = self.state.deadline().is_some_and(|at| at <= now);
            return due.then(|| self.end(now, Expired::Close));
        }
        self.note_time(now);
        if self.wants_input() && core::mem::take(&mut self.times.moved) {
            self.restart(now);
        }
        let (_, expired) = self.first_wait().filter(|(at, _)| *at <= now)?;
        match expired {
            Expired::Silence => self.probe(now, progress),
            Expired::Pong if self.is_taking(progress) => {
                // The peer is alive, though its data may be queued behind other data, or is not being read.
                self.probe(now, progress);
                return None;
            }
            Expired::Pong | Expired::Close | Expired::Handshake => {
                return Some(self.end(now, expired));
            }
            Expired::Idle => {
                let _ = self.close(now, expired.close_code(), "idle for too long");
            }
            Expired::Message => {
                if self.turn(now, Input::Failure) == Effect::SendClose {
                    self.write_close(expired.close_code(), "a message took too long to arrive");
                }
            }
        }
        Some(expired)
    }

    /// Starts to wait for a silent peer. A ping would queue behind unread output: the peer is then judged by how much of that it takes,
    /// and pinged when a ping would be next.
    fn probe(&mut self, now: Instant, progress: Option<SendProgress>) {
        let owed = self.has_output() || progress.is_some_and(|progress| progress.outstanding);
        if !owed {
            self.write_frame(Opcode::Ping, true, false, &[]);
            self.times.pinged();
        }
        (self.times.heard, self.times.wrote) = (now, false);
        self.times.awaits_pong = !owed;
        (self.times.probe, self.times.mark) = if owed {
            (Probe::Progress, acknowledged(progress))
        } else {
            (Probe::Pong, ticks(now))
        };
    }

    /// An empty pong arrived: it answers the newest keepalive ping, if that is unanswered.
    pub(super) fn ponged(&mut self, clock: Clock<'_>) {
        if core::mem::take(&mut self.times.awaits_pong) {
            self.round_trip = ticks(clock()).wrapping_sub(self.times.mark).max(1);
        }
    }

    /// Returns the time from the newest keepalive ping to its pong; `None` before the first pong. A silent peer is pinged
    /// ([`Timeouts::ping`](crate::config::Timeouts::ping)) only while it has no unread output, so that the ping queues behind no
    /// message. Its precision is 16 microseconds; time in which a caller leaves input unread is included.
    pub fn round_trip(&self) -> Option<Duration> {
        let ticks = (self.round_trip > 0).then_some(self.round_trip)?;
        Some(Duration::from_micros(u64::from(ticks) * TICK))
    }

    /// Returns whether a peer with unread output has taken some of it. That a ping was taken proves only that its kernel lives.
    fn is_taking(&self, progress: Option<SendProgress>) -> bool {
        match self.times.probe {
            Probe::Progress if progress.is_some() => acknowledged(progress) != self.times.mark,
            Probe::Progress => self.times.wrote,
            Probe::None | Probe::Pong => false,
        }
    }

    fn end(&mut self, now: Instant, expired: Expired) -> Expired {
        self.turn(now, Input::Deadline);
        expired
    }

    /// Returns what an open connection waits for first. A disabled wait is absent.
    fn first_wait(&self) -> Option<(Instant, Expired)> {
        let timeouts = &self.config.timeouts;
        let paused = self.times.paused;
        let keepalive = match self.times.probe {
            // No ping can be sent any more: only data that is in flight is waited for.
            _ if self.is_output_over() => {
                (!paused).then(|| (self.times.heard + timeouts.close, Expired::Close))
            }
            // A pong is not read meanwhile; whether output is taken does not depend on that.
            Probe::Pong if paused => None,
            Probe::Pong | Probe::Progress => timeouts
                .pong
                .map(|wait| (self.times.heard + wait, Expired::Pong)),
            Probe::None => timeouts
                .ping
                .map(|wait| (self.times.heard + wait.max(LEAST), Expired::Silence)),
        };
        let since = self.inbound.assembling_since();
        if (timeouts.idle.is_none() && since.is_none()) || paused || !self.wants_input() {
            return keepalive;
        }
        let wait = |at: Instant, wait: Duration, expired| (at + wait, expired);
        let idle = (timeouts.idle).map(|idle| wait(self.times.message, idle, Expired::Idle));
        let message = (timeouts.message)
            .zip(since)
            .map(|(limit, since)| wait(since, limit, Expired::Message));
        let all = [keepalive, idle, message];
        all.into_iter().flatten().min_by_key(|(at, _)| *at)
    }
}

/// Microseconds in a tick.
const TICK: u64 = 16;

/// Returns the ticks since the epoch, modulo 2^32, which is 19 hours.
#[expect(clippy::cast_possible_truncation, reason = "the low half is meant")]
const fn ticks(now: Instant) -> u32 {
    (now.as_micros() / TICK) as u32
}

/// Returns the number of acknowledged bytes, modulo 2^32, by which growth is detected.
#[expect(clippy::cast_possible_truncation, reason = "the low half is meant")]
fn acknowledged(progress: Option<SendProgress>) -> u32 {
    progress.map_or(0, |progress| progress.acknowledged as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_tcp_info_are_read_at_their_offsets() {
        let mut info = [0; TCP_INFO];
        info[120..128].copy_from_slice(&7_000_000_000_u64.to_ne_bytes());
        let read = |info: &[u8; TCP_INFO]| SendProgress::from_tcp_info(info).unwrap();
        assert_eq!(
            (read(&info).acknowledged, read(&info).outstanding),
            (7_000_000_000, false)
        );
        for at in [24, 144] {
            let mut info = info;
            info[at..at + 4].copy_from_slice(&1_u32.to_ne_bytes());
            assert!(read(&info).outstanding, "{at}");
        }
        for (release, fills) in [
            ("6.1.0-13-amd64", true),
            ("4.6", true),
            ("4.5.9", false),
            ("3.10", false),
            ("", false),
        ] {
            assert_eq!(fills_tcp_info(release), fills, "{release}");
        }
    }
}
