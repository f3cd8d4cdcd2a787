//! The clocks of a session: its own, which never goes back, and that of the system, which may be set.
//! RFC 7519 section 4.1.4: a token expires by the latter.
//! Knows no clock: both times are arguments.

use sansws_core::time::Instant;

use super::Session;

impl Session {
    /// Takes the time since the Unix epoch by the clock of the system, by which connections and subscriptions expire; call it before
    /// [`answer`](Self::answer), [`hub_result`](Self::hub_result), [`signal`](Self::signal) and [`tick`](Self::tick). Without it, `now`
    /// counts as that time. The clock of a process does not do: it goes on from the time of its start, although the system's may be set
    /// afterwards, or go on while the machine is suspended.
    pub fn set_unix_time(&mut self, now: Instant, unix: Instant) {
        self.ahead = i128::from(unix.as_micros()) - i128::from(now.as_micros());
    }

    /// Returns the time by the clock of the system.
    pub(super) fn unix_now(&self) -> Instant {
        moved(self.now, self.ahead)
    }

    /// Returns when something expires, by the clock of the session.
    pub(super) fn expiry(&self, at: Instant) -> Instant {
        moved(at, -self.ahead)
    }
}

fn moved(time: Instant, by: i128) -> Instant {
    let micros = (i128::from(time.as_micros()) + by).max(0);
    Instant::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}
