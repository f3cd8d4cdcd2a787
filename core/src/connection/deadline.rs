//! Every wait of an open connection, and what its end means.
//! RFC 6455 sections 5.5.2 (ping as keepalive) and 7.1.1 (waiting for the close).
//! Knows no clock: it is told the time, and says until when nothing needs to be done.

use super::{Connection, Effect, Input, State};
use crate::close::CloseCode;
use crate::frame::Opcode;
use crate::time::{Duration, Instant};

/// What [`Connection::tick`] or [`Endpoint::tick`](super::Endpoint::tick) found to have run out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Expired {
    /// The time for the opening handshake, of an [`Endpoint`](super::Endpoint) only: 408 was queued, or 503 where the caller took too
    /// long to decide; a client's is over.
    Handshake,
    /// Silence: a ping was queued; or, while the peer is owed something, it is watched whether it takes any of that.
    Silence,
    /// Nothing at all came after a ping, or nothing was taken of what the peer is owed: it is dead, and the connection over (1006).
    Pong,
    /// No message went either way: Close 1001 was queued.
    Idle,
    /// A message took too long to arrive: Close 1008 was queued.
    Message,
    /// The peer did not answer our Close, or did not end TCP, also after a failed write: the connection is over.
    Close,
}

/// Says what time it is, when it is asked.
pub(super) type Clock<'a> = &'a dyn Fn() -> Instant;

/// How far the peer has taken what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendProgress {
    /// Octets that the peer has acknowledged since it was connected. What counts is that it grows: what was written before the
    /// connection was opened, or what TLS adds, does no harm.
    pub acknowledged: u64,
    /// Whether something was written that the peer has not acknowledged.
    pub outstanding: bool,
}

/// Octets of Linux's `struct tcp_info` up to `tcpi_notsent_bytes`, which Linux fills since version 4.6.
pub const TCP_INFO: usize = 148;

impl SendProgress {
    /// Reads the front of Linux's `struct tcp_info`: `tcpi_unacked` (segments), `tcpi_bytes_acked` and `tcpi_notsent_bytes`.
    pub fn from_tcp_info(info: &[u8; TCP_INFO]) -> Option<Self> {
        let number = |at| {
            let octets = info.get(at..at + 4)?;
            Some(u32::from_ne_bytes(octets.try_into().ok()?))
        };
        let acknowledged = info.get(120..128)?;
        Some(Self {
            acknowledged: u64::from_ne_bytes(acknowledged.try_into().ok()?),
            outstanding: number(24)? > 0 || number(144)? > 0,
        })
    }
}

/// Returns whether the Linux of a release, such as `6.1.0-13-amd64`, fills [`TCP_INFO`] octets.
pub fn fills_tcp_info(release: &str) -> bool {
    let numbers = release.split(['.', '-']);
    let mut numbers = numbers.map_while(|number| number.trim().parse::<u32>().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (4, 6)
}

/// What a silent peer is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Probe {
    /// Nothing yet.
    None,
    /// The pong: nothing lay before the ping.
    Pong,
    /// That it takes some of what it is owed, a ping being of no use behind that.
    Progress,
}

/// When what happened last.
#[derive(Debug)]
pub(super) struct Times {
    /// Any octet came, or the probe began, or output ended.
    pub(super) heard: Instant,
    /// A message ended, in either direction.
    pub(super) message: Instant,
    probe: Probe,
    /// What the newest probe began with: of a ping, the [`ticks`] at which it was queued; of [`Probe::Progress`], how many octets
    /// were acknowledged, modulo 2^32.
    mark: u32,
    /// The pong of the newest ping has not come.
    awaits_pong: bool,
    /// Octets that the caller keeps, and will offer again in front of what arrives.
    kept: u32,
    /// Input is left unread on purpose.
    paused: bool,
    /// While so much was unsent that we did not read, some of it was written.
    pub(super) moved: bool,
    /// Something was written since the probe began.
    pub(super) wrote: bool,
    /// A message was sent since it was last known what time it is.
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
            kept: 0,
            paused: false,
            moved: false,
            wrote: false,
            sent: false,
        }
    }

    /// The peer is there, or what is waited for begins anew.
    pub(super) const fn hear(&mut self, now: Instant) {
        (self.heard, self.probe) = (now, Probe::None);
    }

    pub(super) const fn keep(&mut self, octets: usize) {
        self.kept = if octets > u32::MAX as usize {
            u32::MAX
        } else {
            octets as u32
        };
    }
}

impl Connection {
    /// When [`tick`](Self::tick) should be called next, if nothing happens before. Ask again after each call that changes the connection.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Open => self.waits().into_iter().flatten().map(|(at, _)| at).min(),
            State::CloseSent { .. } | State::Lingering { .. } | State::Closed { .. } => {
                self.state.deadline()
            }
        }
    }

    /// Says that input is left unread on purpose, though [`wants_input`](Self::wants_input): that a caller is busy must not make
    /// its peer look dead, idle or slow. Until [`resume`](Self::resume) no wait for input runs out; a ping may still be queued.
    pub const fn pause(&mut self) {
        self.times.paused = true;
    }

    /// Says that input is read again: the waits for it begin anew.
    pub const fn resume(&mut self, now: Instant) {
        self.times.paused = false;
        self.times.hear(now);
        self.restart(now);
    }

    /// Whether input is left unread on purpose.
    pub const fn is_paused(&self) -> bool {
        self.times.paused
    }

    /// Whether the time of what was sent is not known yet and matters.
    #[doc(hidden)]
    pub fn owes_time(&self) -> bool {
        self.times.sent && self.config.timeouts.idle.is_some()
    }

    /// Says what time it is, and nothing else. Sending asks for no time: it counts from the next call that tells it.
    #[inline]
    #[doc(hidden)]
    pub const fn note_time(&mut self, now: Instant) {
        if self.times.sent {
            self.times.sent = false;
            self.times.message = now;
        }
    }

    /// So many octets were offered; what was kept and is offered again says nothing new of the peer.
    #[inline]
    pub(super) fn offered(&mut self, octets: usize, clock: Clock<'_>) {
        if octets > self.times.kept as usize {
            let now = clock();
            self.times.hear(now);
            self.note_time(now);
            if core::mem::take(&mut self.times.moved) {
                self.restart(now);
            }
        }
    }

    /// Messages could not come before now, since nothing was read.
    const fn restart(&mut self, now: Instant) {
        self.times.message = now;
        self.inbound.restart(now);
    }

    /// Says what time it is. Calls that come early, late or twice do no harm; when it says what expired, call it again.
    ///
    /// What was written counts as taken by the peer, which it is not while it lies in the kernel: see
    /// [`tick_with`](Self::tick_with).
    pub fn tick(&mut self, now: Instant) -> Option<Expired> {
        self.tick_with(now, None)
    }

    /// Says what time it is, and how far the peer has taken what was written, if the operating system tells.
    pub fn tick_with(&mut self, now: Instant, progress: Option<SendProgress>) -> Option<Expired> {
        if !self.is_open() {
            let due = self.state.deadline().is_some_and(|at| at <= now);
            return due.then(|| self.end(now, Expired::Close));
        }
        self.note_time(now);
        if self.wants_input() && core::mem::take(&mut self.times.moved) {
            self.restart(now);
        }
        let due = self
            .waits()
            .into_iter()
            .flatten()
            .filter(|(at, _)| *at <= now);
        let (_, expired) = due.min_by_key(|(at, _)| *at)?;
        match expired {
            Expired::Silence => self.probe(now, progress),
            Expired::Pong if self.is_taking(progress) => {
                // It lives, though what it says may lie behind, or is not read meanwhile.
                self.probe(now, progress);
                return None;
            }
            Expired::Pong | Expired::Close | Expired::Handshake => {
                return Some(self.end(now, expired));
            }
            Expired::Idle => {
                let _ = self.close(now, Some(CloseCode::AWAY), "idle for too long");
            }
            Expired::Message => {
                if self.turn(now, Input::Failure) == Effect::SendClose {
                    self.write_close(Some(CloseCode::POLICY), "a message took too long to arrive");
                }
            }
        }
        Some(expired)
    }

    /// Begins to wait for a silent peer. A ping would lie behind what the peer is owed: then it is judged by what it takes of that,
    /// and pinged when a ping is next.
    fn probe(&mut self, now: Instant, progress: Option<SendProgress>) {
        let owed = self.has_output() || progress.is_some_and(|progress| progress.outstanding);
        if !owed {
            self.write_frame(Opcode::Ping, true, false, &[]);
        }
        (self.times.heard, self.times.wrote) = (now, false);
        self.times.awaits_pong = !owed;
        (self.times.probe, self.times.mark) = if owed {
            (Probe::Progress, acknowledged(progress))
        } else {
            (Probe::Pong, ticks(now))
        };
    }

    /// An empty pong came: it answers the newest ping of keepalive, if that waits for one.
    pub(super) fn ponged(&mut self, clock: Clock<'_>) {
        if core::mem::take(&mut self.times.awaits_pong) {
            self.round_trip = ticks(clock()).wrapping_sub(self.times.mark).max(1);
        }
    }

    /// Time from the newest ping of keepalive to its pong; `None` before the first pong. A silent peer is pinged
    /// ([`Timeouts::ping`](crate::config::Timeouts::ping)) while it is owed nothing, so that the ping waits behind no message. Known to
    /// 16 microseconds; what a caller leaves unread for a while counts.
    pub fn round_trip(&self) -> Option<Duration> {
        let ticks = (self.round_trip > 0).then_some(self.round_trip)?;
        Some(Duration::from_micros(u64::from(ticks) * TICK))
    }

    /// Whether a peer that is owed something has taken some of it. That a ping was taken is the kernel's doing alone.
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

    /// What an open connection waits for. A wait that is turned off is absent.
    fn waits(&self) -> [Option<(Instant, Expired)>; 3] {
        let timeouts = &self.config.timeouts;
        let (reads, paused) = (self.wants_input(), self.times.paused);
        let keepalive = match self.times.probe {
            // Nobody can be pinged any more: only what has been on its way is waited for.
            _ if self.is_output_over() => {
                (!paused).then(|| (self.times.heard + timeouts.close, Expired::Close))
            }
            Probe::Pong | Probe::Progress if paused => None,
            Probe::Pong | Probe::Progress => timeouts
                .pong
                .map(|wait| (self.times.heard + wait, Expired::Pong)),
            Probe::None => timeouts
                .ping
                .map(|wait| (self.times.heard + wait, Expired::Silence)),
        };
        let messages = |at: Instant, wait: Option<Duration>, expired| {
            wait.filter(|_| reads && !paused)
                .map(|wait| (at + wait, expired))
        };
        let idle = messages(self.times.message, timeouts.idle, Expired::Idle);
        let since = self.inbound.assembling_since();
        let message = since.and_then(|at| messages(at, timeouts.message, Expired::Message));
        [keepalive, idle, message]
    }
}

/// Microseconds in a tick.
const TICK: u64 = 16;

/// Ticks since the epoch, modulo 2^32, which is 19 hours.
#[expect(clippy::cast_possible_truncation, reason = "the low half is meant")]
const fn ticks(now: Instant) -> u32 {
    (now.as_micros() / TICK) as u32
}

/// Octets that the peer has acknowledged, modulo 2^32: whether there were more is seen by that.
#[expect(clippy::cast_possible_truncation, reason = "the low half is meant")]
fn acknowledged(progress: Option<SendProgress>) -> u32 {
    progress.map_or(0, |progress| progress.acknowledged as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_linux_tells_of_a_peer_is_read_where_it_stands() {
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
