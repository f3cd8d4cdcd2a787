//! The state of a client, and the meaning of an end.
//! RFC 6455 sections 7.2.3 and 7.4; `sansws_core::dial` decides.
//! Knows no connection: errors go in, ends come out.

use std::io;
use std::sync::Arc;

use crate::error::Error;
use sansws_core::close::{CloseCode, Closed};
use sansws_core::dial::{Ended, Next, Reconnect};
use sansws_core::handshake::Failure;
use sansws_core::http::Url;
use sansws_core::proxy::{SocksReply, TunnelError};
use sansws_core::time::{Duration, Instant};

use super::trace;
use crate::contain::contain;

/// The state of a client.
///
/// ```
/// use sansws_common::{ClientState, Stop};
///
/// /// What a client shows to its user; for `Client::on_change`.
/// fn show(state: &ClientState) -> String {
///     match state {
///         ClientState::Open => "connected".into(),
///         ClientState::Waiting { wait, why } => format!("{why}; next attempt in {wait:?}"),
///         ClientState::Stopped(Stop::Failed(why)) => format!("gave up: {why}"),
///         ClientState::Stopped(_) => "signed out".into(),
///         _ => "connecting".into(),
///     }
/// }
///
/// assert_eq!(show(&ClientState::Connecting), "connecting");
/// assert_eq!(show(&ClientState::Stopped(Stop::Closed(None))), "signed out");
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ClientState {
    /// It dials, or its hook `on_open` runs. This is the initial state, although nothing happens before it is polled.
    Connecting,
    /// The connection is open: messages are sent at once.
    Open,
    /// It waits before it dials again.
    Waiting {
        /// The length of the wait, from when it was reported.
        wait: Duration,
        /// The error that ended the connection, or the attempt.
        why: Arc<Error>,
    },
    /// It does not reconnect.
    Stopped(Stop),
}

impl ClientState {
    /// Returns the state after a connection or an attempt has ended with an error: [`Waiting`](Self::Waiting), or
    /// [`Stopped`](Self::Stopped).
    #[doc(hidden)]
    pub fn after(error: Error, reconnect: &mut Reconnect, now: Instant) -> Self {
        match reconnect.ended(now, ended(&error)) {
            Next::Wait(wait) => Self::Waiting {
                wait,
                why: Arc::new(error),
            },
            Next::Stop => Self::Stopped(match error {
                Error::Disconnect(closed) if closed.code == Some(CloseCode::NORMAL) => {
                    Stop::Done(*closed)
                }
                error => Stop::Failed(Arc::new(error)),
            }),
        }
    }

    /// Returns the state after a connection has ended, where each side may have closed it; `said` is as for
    /// [`first_close`](crate::socket::ending::Ending::first_close). A client that has itself closed with 1000 is done.
    #[doc(hidden)]
    pub fn after_end(closed: Closed, said: u16, reconnect: &mut Reconnect, now: Instant) -> Self {
        if said == CloseCode::NORMAL.get() {
            return Self::Stopped(Stop::Closed(Some(closed)));
        }
        Self::after(Error::of_end(closed), reconnect, now)
    }

    /// Logs the new state of a client of this URL, and calls the hook `on_change`, which may panic.
    #[doc(hidden)]
    pub fn report<F: FnMut(&Self) + ?Sized>(&self, url: &Url, hook: Option<&mut F>) {
        match self {
            Self::Connecting => trace::connects(url),
            Self::Open => trace::connect_ended(url, None),
            Self::Waiting { wait, why } => trace::waits(url, why, *wait),
            Self::Stopped(Stop::Failed(why)) => trace::connect_ended(url, Some(why)),
            Self::Stopped(Stop::Closed(closed)) => trace::closed(url, closed.as_ref()),
            Self::Stopped(Stop::Done(closed)) => trace::done(url, closed),
        }
        if let Some(hook) = hook
            && contain(|| hook(self)).is_err()
        {
            let _ = contain(|| tracing::error!("`on_change` panicked"));
        }
    }
}

/// A hook that is called with each new state.
#[doc(hidden)]
pub type OnChange = Box<dyn FnMut(&ClientState) + Send>;

/// Why a client does not reconnect.
///
/// ```
/// use std::sync::Arc;
/// use sansws_common::{Error, Stop};
///
/// let failed = Stop::Failed(Arc::new(Error::ConnectTimeout(None)));
/// assert!(!failed.is_normal());
/// assert!(Stop::Closed(None).is_normal());
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Stop {
    /// It was closed by our side: by `Client::close`, or because its event loop ends. Tells how the connection ended, if there was one.
    Closed(Option<Closed>),
    /// The server closed with 1000: its purpose is fulfilled.
    Done(Closed),
    /// [`Reconnect`](sansws_core::dial::Reconnect) does not reconnect after this end, or not that often.
    Failed(Arc<Error>),
}

impl Stop {
    /// Returns whether it is a normal end: by our own request, or with 1000.
    pub const fn is_normal(&self) -> bool {
        match self {
            Self::Closed(_) | Self::Done(_) => true,
            Self::Failed(_) => false,
        }
    }
}

/// Classifies an error for [`Reconnect`](sansws_core::dial::Reconnect).
///
/// An error that only the caller can fix is [`Ended::InvalidInput`]: the same attempt would fail again. An error of `on_open` is judged by the
/// close code that it ends the connection with, as for a server's handler.
pub fn ended(error: &Error) -> Ended {
    match error {
        Error::Disconnect(closed) => Ended::from(&**closed),
        Error::Refused(response) => Ended::refused(response.status, &response.fields),
        Error::Io(error) if is_untrusted(error) => Ended::Closed(1015),
        Error::Io(_) | Error::ConnectTimeout(_) => Ended::Unreachable,
        Error::Handshake(Failure::EndOfInput | Failure::Timeout) => Ended::Unreachable,
        Error::Proxy(error) => through(*error),
        Error::Violation(_) | Error::Handshake(_) | Error::Redirect(_) | Error::Refusal(_) => {
            Ended::Broken
        }
        Error::NotSent(_)
        | Error::InvalidInput(_)
        | Error::BadUrl { .. }
        | Error::BadHeader { .. } => Ended::InvalidInput,
        Error::Close(close) => Ended::Closed(close.0.get()),
        Error::WrongKind(_) => Ended::Closed(1003),
        #[cfg(feature = "json")]
        Error::Json(_) => Ended::Closed(1007),
        Error::Hub(error) => Ended::Closed(error.close_code().get()),
        _ => Ended::Closed(1011),
    }
}

/// Classifies a proxy's refusal, like that of a gateway.
fn through(error: TunnelError) -> Ended {
    let refused = |status| Ended::Refused {
        status,
        retry_after: None,
    };
    match error {
        TunnelError::Refused(status) => refused(status),
        TunnelError::NoMethod | TunnelError::Unauthorized | TunnelError::Credentials => {
            refused(407)
        }
        TunnelError::Failed(SocksReply::NotAllowed) => refused(403),
        TunnelError::Failed(SocksReply::Command | SocksReply::AddressType) => refused(501),
        TunnelError::Failed(_) | TunnelError::EndOfInput => Ended::Unreachable,
        TunnelError::Host | TunnelError::Malformed | TunnelError::TooLarge | TunnelError::Early => {
            Ended::Broken
        }
    }
}

/// Returns whether TLS failed because a certificate is not trusted: 1015, "e.g., the server certificate can't be verified".
#[cfg(feature = "tls")]
fn is_untrusted(error: &io::Error) -> bool {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(inner, Some(rustls::Error::InvalidCertificate(_)))
}

#[cfg(not(feature = "tls"))]
const fn is_untrusted(_: &io::Error) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::KindError;
    use sansws_core::close::LossCause;
    use sansws_core::dial::ReconnectOptions;
    use sansws_core::error::{InvalidInput, Violation};
    use sansws_core::frame::MessageKind;
    use sansws_core::handshake::RedirectError;
    use sansws_core::http::Response;
    use sansws_core::random::Seed;

    #[test]
    fn each_error() {
        let refused = |status, seconds: Option<u64>| Ended::Refused {
            status,
            retry_after: seconds.map(Duration::from_secs),
        };
        let closed = |code| Closed {
            code: CloseCode::new(code),
            reason: String::new(),
            clean: code != 0,
            cause: None,
        };
        let response = Response::new(503).with("Retry-After", "7");
        let cases = [
            (
                Error::Disconnect(Box::new(closed(4001))),
                Ended::Closed(4001),
            ),
            (Error::Disconnect(Box::new(closed(0))), Ended::Closed(1006)),
            (Error::Refused(Box::new(response)), refused(503, Some(7))),
            (
                Error::Io(io::ErrorKind::ConnectionRefused.into()),
                Ended::Unreachable,
            ),
            (Error::ConnectTimeout(None), Ended::Unreachable),
            (Error::Handshake(Failure::Timeout), Ended::Unreachable),
            (Error::Handshake(Failure::EndOfInput), Ended::Unreachable),
            (Error::Handshake(Failure::Accept), Ended::Broken),
            (Error::Violation(Violation::InvalidUtf8), Ended::Broken),
            (Error::Redirect(RedirectError::TooMany), Ended::Broken),
            (
                Error::InvalidInput(InvalidInput::BadUrl),
                Ended::InvalidInput,
            ),
            (Error::Proxy(TunnelError::Refused(502)), refused(502, None)),
            (Error::Proxy(TunnelError::Unauthorized), refused(407, None)),
            (
                Error::Proxy(TunnelError::Failed(SocksReply::NotAllowed)),
                refused(403, None),
            ),
            (
                Error::Proxy(TunnelError::Failed(SocksReply::HostUnreachable)),
                Ended::Unreachable,
            ),
            (Error::Proxy(TunnelError::Malformed), Ended::Broken),
            (
                Error::close(CloseCode::POLICY, "no").into(),
                Ended::Closed(1008),
            ),
            (
                Error::WrongKind(KindError::new(MessageKind::Text)),
                Ended::Closed(1003),
            ),
            (Error::other("no token"), Ended::Closed(1011)),
        ];
        for (error, want) in cases {
            assert_eq!(ended(&error), want, "{error:?}");
        }
    }

    #[test]
    fn a_client_that_has_closed_with_1000_is_done() {
        let after = |code, cause, said| {
            let mut reconnect = Reconnect::new(ReconnectOptions::default(), &Seed::new([7; 32]));
            let closed = Closed {
                code: CloseCode::new(code),
                reason: String::new(),
                clean: code != 0,
                cause,
            };
            ClientState::after_end(closed, said, &mut reconnect, Instant::ZERO)
        };
        // However the server answers, or not.
        for (code, cause) in [
            (1000, None),
            (1011, None),
            (0, Some(LossCause::Unresponsive)),
        ] {
            let ClientState::Stopped(Stop::Closed(Some(closed))) = after(code, cause, 1000) else {
                panic!("{code}");
            };
            assert_eq!((closed.code, closed.cause), (CloseCode::new(code), cause));
        }
        // Another code of its own says nothing about the next connection.
        for said in [0, 1001, 1005, 4000] {
            let state = after(1001, None, said);
            assert!(matches!(state, ClientState::Waiting { .. }), "{state:?}");
            let state = after(1000, None, said);
            assert!(
                matches!(state, ClientState::Stopped(Stop::Done(_))),
                "{state:?}"
            );
        }
        let violation = Violation::ReservedBit;
        let ClientState::Stopped(Stop::Failed(why)) =
            after(0, Some(LossCause::Violation(violation)), 1002)
        else {
            panic!("a server that breaks the protocol stops it");
        };
        assert!(matches!(&*why, Error::Violation(found) if *found == violation));
    }

    #[cfg(feature = "tls")]
    #[test]
    fn a_certificate_that_is_not_trusted() {
        let tls =
            |error: rustls::Error| Error::Io(io::Error::new(io::ErrorKind::InvalidData, error));
        let untrusted = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        assert_eq!(ended(&tls(untrusted)), Ended::Closed(1015));
        let alert = rustls::Error::AlertReceived(rustls::AlertDescription::InternalError);
        assert_eq!(ended(&tls(alert)), Ended::Unreachable);
    }
}
