//! Whether and when a client reconnects after its connection ended.
//! RFC 6455 sections 7.2.3 and 7.4; RFC 9110 sections 10.2.3 (Retry-After) and 15.
//! Knows no socket: the caller reports how a connection, or an attempt, ended.
//!
//! The question is whether the same client, doing the same again, may succeed.
//!
//! | it ended with | next | reason |
//! | --- | --- | --- |
//! | 1000 | stop | "the purpose for which the connection was established has been fulfilled" |
//! | 1001 | reconnect | the server goes away, and another takes its place |
//! | 1002, 1003, 1007, 1009 | stop | our data was rejected; the same client would send the same |
//! | 1005 | reconnect | a Close without a code states no reason; a peer that is done sends 1000 |
//! | 1006 | reconnect | the connection was lost |
//! | 1008 | stop | we violated a policy, which will still hold; many servers use it for "not authorized" |
//! | 1010 | stop | the server lacks a required extension |
//! | 1011, 1014 | reconnect | a fault of the server, or of its gateway |
//! | 1012, 1013 | reconnect, not at once | the server asks for time; all its clients were told at the same moment |
//! | 1015 | stop | an untrusted certificate stays untrusted |
//! | 3000, 3003 | stop | registered as "Unauthorized" and "Forbidden" |
//! | 3000 to 3499, 4000 to 4499 | reconnect | the halves of each range, as Centrifugo's clients divide them: the lower is temporary, |
//! | 3500 to 3999, 4500 to 4999 | stop | the upper is final |
//! | any other code | stop | it is not allowed in a Close frame |
//! | HTTP 408, 425, 429, 500, 502, 503, 504 | reconnect | the server or an intermediary has a fault, or asks for time |
//! | any other status | stop | the same request gets the same answer |
//! | no connection, a timeout | reconnect | networks recover |
//! | a peer that broke the protocol | stop | it will do so again |
//! | invalid input | stop | only the caller can mend it |
//!
//! With [`ReconnectOptions::persistent`], only close code 1000, invalid input, or running out of `attempts`, stops the client.

use super::backoff::{Backoff, Retries};
use crate::close::{Closed, LossCause};
use crate::http::{Headers, date};
use crate::random::Seed;
use crate::time::{Duration, Instant};

/// How a connection, or an attempt at one, ended.
///
/// For an example see [`Reconnect`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ended {
    /// The connection was open, and closed with this number (1005 and 1006 included, see [`Closed::code`]).
    Closed(u16),
    /// The server answered the opening handshake with a status other than 101.
    Refused {
        /// The status.
        status: u16,
        /// How long the server asks us to wait.
        retry_after: Option<Duration>,
    },
    /// There was no connection: name resolution, TCP or a proxy failed, or the answer was late or cut off.
    Unreachable,
    /// The server broke the protocol, in the handshake or after it.
    Broken,
    /// Nothing could be attempted: a URL, a header field or another argument of the caller is invalid.
    InvalidInput,
}

impl Ended {
    /// Creates one from a refusal and its header fields.
    pub fn refused(status: u16, fields: &Headers) -> Self {
        Self::Refused {
            status,
            retry_after: retry_after(fields),
        }
    }
}

/// A connection that the peer's violation ended is [`Broken`](Ended::Broken), and any other [`Closed`](Ended::Closed).
impl From<&Closed> for Ended {
    fn from(closed: &Closed) -> Self {
        match closed.cause {
            Some(LossCause::Violation(_)) => Self::Broken,
            _ => Self::Closed(closed.code()),
        }
    }
}

/// The next step of a client after the end.
///
/// For an example see [`Reconnect`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Next {
    /// It tries again after this time.
    Wait(Duration),
    /// It does not reconnect.
    Stop,
}

/// Settings of [`Reconnect`].
///
/// ```
/// use sansws_core::dial::{Ended, Next, Reconnect, ReconnectOptions};
/// use sansws_core::random::Seed;
/// use sansws_core::time::Instant;
///
/// let options = ReconnectOptions { attempts: Some(2), ..ReconnectOptions::default() };
/// let mut reconnect = Reconnect::new(options, &Seed::new([7; 32]));
/// for _ in 0..2 {
///     assert!(matches!(reconnect.ended(Instant::ZERO, Ended::Unreachable), Next::Wait(_)));
/// }
/// assert_eq!(reconnect.ended(Instant::ZERO, Ended::Unreachable), Next::Stop);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReconnectOptions {
    /// The waits.
    pub backoff: Backoff,
    /// Maximum number of consecutive attempts without a stable connection; default unlimited.
    pub attempts: Option<u32>,
    /// How long a connection must have been open to count as stable; default 10 s.
    pub settled: Duration,
    /// The longest `Retry-After` that is honoured; longer ones are cut to it; default 5 min.
    pub most_retry_after: Duration,
    /// Whether to reconnect even when another attempt is expected to fail the same way, such as after a 404, 1008, an untrusted certificate or
    /// a malformed response, though not at once; default no. For clients that nobody restarts: a route that is missing during a deployment
    /// comes back, and certificates are renewed.
    pub persistent: bool,
}

impl Default for ReconnectOptions {
    fn default() -> Self {
        Self {
            backoff: Backoff::default(),
            attempts: None,
            settled: Duration::from_secs(10),
            most_retry_after: Duration::from_secs(300),
            persistent: false,
        }
    }
}

/// Decides on the reconnection of a client.
///
/// ```
/// use sansws_core::dial::{Ended, Next, Reconnect, ReconnectOptions};
/// use sansws_core::random::Seed;
/// use sansws_core::time::{Duration, Instant};
///
/// let mut reconnect = Reconnect::new(ReconnectOptions::default(), &Seed::new([7; 32]));
/// let now = Instant::ZERO;
/// reconnect.opened(now);
/// let Next::Wait(wait) = reconnect.ended(now, Ended::Closed(1006)) else { panic!() };
/// assert!(wait <= Duration::from_millis(500));
/// assert_eq!(reconnect.ended(now + wait, Ended::Closed(1000)), Next::Stop);
/// ```
#[derive(Debug)]
pub struct Reconnect {
    options: ReconnectOptions,
    retries: Retries,
    opened: Option<Instant>,
}

/// The wait that an end requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Return {
    Soon,
    /// Not before the base of the backoff.
    Patient,
    /// Not before this.
    After(Duration),
    Never,
}

impl Reconnect {
    /// Starts with no attempts. The seed should be fresh entropy: clients with equal seeds reconnect at the same time.
    pub fn new(options: ReconnectOptions, seed: &Seed) -> Self {
        Self {
            retries: Retries::new(options.backoff, seed),
            options,
            opened: None,
        }
    }

    /// Reports that the connection is open; call [`Reconnect::ended`] when it has ended.
    pub const fn opened(&mut self, now: Instant) {
        self.opened = Some(now);
    }

    /// Reports that the connection has ended, or the attempt has failed.
    pub fn ended(&mut self, now: Instant, ended: Ended) -> Next {
        let opened = self.opened.take();
        if opened.is_some_and(|opened| now.since(opened) >= self.options.settled) {
            self.retries.succeeded();
        }
        let answer = match answer(ended) {
            Return::Never
                if self.options.persistent
                    && !matches!(ended, Ended::Closed(1000) | Ended::InvalidInput) =>
            {
                Return::Patient
            }
            answer => answer,
        };
        let most = self.options.attempts;
        if answer == Return::Never || most.is_some_and(|most| self.retries.attempts() >= most) {
            return Next::Stop;
        }
        Next::Wait(match answer {
            Return::Patient => self.retries.patient_wait(),
            // All clients that were told this would reconnect at the same moment: jitter is added.
            Return::After(least) => {
                let least = least.min(self.options.most_retry_after);
                least.saturating_add(self.retries.wait())
            }
            // 7.2.3: "The first reconnect attempt SHOULD be delayed by a random amount of time."
            Return::Soon | Return::Never => self.retries.wait(),
        })
    }

    /// Returns how many attempts were made since the last stable connection.
    pub const fn attempts(&self) -> u32 {
        self.retries.attempts()
    }
}

const fn answer(ended: Ended) -> Return {
    match ended {
        Ended::Closed(code) => match code {
            3000 | 3003 => Return::Never,
            1001 | 1005 | 1006 | 1011 | 1014 | 3001..=3499 | 4000..=4499 => Return::Soon,
            1012 | 1013 => Return::Patient,
            _ => Return::Never,
        },
        Ended::Refused {
            status: 408 | 425 | 429 | 500 | 502..=504,
            retry_after,
        } => match retry_after {
            Some(least) => Return::After(least),
            None => Return::Soon,
        },
        Ended::Refused { .. } | Ended::Broken | Ended::InvalidInput => Return::Never,
        Ended::Unreachable => Return::Soon,
    }
}

/// Parses `Retry-After`, in seconds or as a date, which is relative to the response's own `Date`.
fn retry_after(fields: &Headers) -> Option<Duration> {
    let value = fields.get_str("retry-after")?;
    // RFC 9110 10.2.3: "Retry-After = HTTP-date / delay-seconds"
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let then = date::parse(value)?;
    let sent = date::parse(fields.get_str("date")?)?;
    Some(Duration::from_secs(then.saturating_sub(sent)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Violation;
    use Return::{After, Never, Patient, Soon};
    use alloc::string::String;

    #[test]
    fn a_persistent_client_stops_after_1000_and_its_last_attempt_only() {
        let options = ReconnectOptions {
            attempts: Some(4),
            persistent: true,
            ..ReconnectOptions::default()
        };
        let mut reconnect = Reconnect::new(options.clone(), &Seed::new([7; 32]));
        let refused = Ended::Refused {
            status: 404,
            retry_after: None,
        };
        for ended in [
            refused,
            Ended::Broken,
            Ended::Closed(1008),
            Ended::Closed(1015),
        ] {
            let Next::Wait(wait) = reconnect.ended(Instant::ZERO, ended) else {
                panic!("{ended:?}");
            };
            assert!(wait >= options.backoff.base, "{ended:?}: {wait:?}");
        }
        assert_eq!(reconnect.ended(Instant::ZERO, refused), Next::Stop);
        for ended in [Ended::Closed(1000), Ended::InvalidInput] {
            let mut reconnect = Reconnect::new(options.clone(), &Seed::new([7; 32]));
            assert_eq!(reconnect.ended(Instant::ZERO, ended), Next::Stop);
        }
    }

    #[test]
    fn each_code_as_the_table_says() {
        let cases: &[(u16, u16, Return)] = &[
            (0, 1000, Never),
            (1001, 1001, Soon),
            (1002, 1004, Never),
            (1005, 1006, Soon),
            (1007, 1010, Never),
            (1011, 1011, Soon),
            (1012, 1013, Patient),
            (1014, 1014, Soon),
            (1015, 3000, Never),
            (3001, 3002, Soon),
            (3003, 3003, Never),
            (3004, 3499, Soon),
            (3500, 3999, Never),
            (4000, 4499, Soon),
            (4500, u16::MAX, Never),
        ];
        let mut next = 0;
        for (first, last, want) in cases {
            assert_eq!(*first, next);
            for code in *first..=*last {
                assert_eq!(answer(Ended::Closed(code)), *want, "{code}");
            }
            next = last.wrapping_add(1);
        }
        assert_eq!(next, 0);
        assert_eq!(answer(Ended::Unreachable), Soon);
        assert_eq!(answer(Ended::Broken), Never);
    }

    #[test]
    fn a_violation_of_the_peer_is_no_lost_connection() {
        let ended = |cause| {
            Ended::from(&Closed {
                code: None,
                reason: String::new(),
                clean: false,
                cause,
            })
        };
        let violation = LossCause::Violation(Violation::ReservedBit);
        assert_eq!(ended(Some(violation)), Ended::Broken);
        assert_eq!(ended(Some(LossCause::Reset)), Ended::Closed(1006));
        assert_eq!(ended(None), Ended::Closed(1006));
    }

    #[test]
    fn each_status_as_the_table_says() {
        let back = [408, 425, 429, 500, 502, 503, 504];
        for status in 0..1000 {
            let want = if back.contains(&status) { Soon } else { Never };
            assert_eq!(
                answer(Ended::refused(status, &Headers::default())),
                want,
                "{status}"
            );
        }
    }

    #[test]
    fn retry_after_in_both_forms() {
        const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
        let cases: &[(&str, Option<&str>, Return)] = &[
            ("120", None, After(Duration::from_secs(120))),
            ("0", None, After(Duration::ZERO)),
            (
                "99999999999999999999999",
                None,
                After(Duration::from_secs(u64::MAX)),
            ),
            ("-1", None, Soon),
            ("1.5", None, Soon),
            ("", None, Soon),
            (
                "Sun, 06 Nov 1994 08:50:37 GMT",
                Some(DATE),
                After(Duration::from_secs(60)),
            ),
            (
                "Sun, 06 Nov 1994 08:00:00 GMT",
                Some(DATE),
                After(Duration::ZERO),
            ),
            ("Sun, 06 Nov 1994 08:50:37 GMT", None, Soon),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some("yesterday"), Soon),
            ("soon", Some(DATE), Soon),
        ];
        for (value, date, want) in cases {
            let mut fields: Headers = [("Retry-After", value)].into_iter().collect();
            if let Some(date) = date {
                fields.push("Date", date.as_bytes());
            }
            assert_eq!(answer(Ended::refused(503, &fields)), *want, "{value}");
        }
    }

    #[test]
    fn a_connection_that_settled_starts_anew_and_the_count_ends() {
        let options = ReconnectOptions {
            attempts: Some(2),
            ..ReconnectOptions::default()
        };
        let mut reconnect = Reconnect::new(options, &Seed::new([1; 32]));
        let mut end = |open_for: Option<u64>| {
            if open_for.is_some() {
                reconnect.opened(Instant::ZERO);
            }
            let now = Instant::ZERO + Duration::from_secs(open_for.unwrap_or(1_000));
            let next = reconnect.ended(now, Ended::Closed(1006));
            (next != Next::Stop, reconnect.attempts())
        };
        assert_eq!(end(None), (true, 1));
        assert_eq!(end(Some(9)), (true, 2));
        assert_eq!(end(Some(10)), (true, 1));
        assert_eq!(end(None), (true, 2));
        assert_eq!(end(None), (false, 2));
        assert_eq!(end(Some(9)), (false, 2));
    }
}
