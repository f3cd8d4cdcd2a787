//! Decides what the error of a handler means: what the peer is told, and whether the application failed.
//! RFC 6455 section 7.4.1: "1011 indicates that a server is terminating the connection because it encountered an unexpected condition".
//! Knows no bytes. Only errors of the handler's own connection, or of the client's request, are not the application's failure.

use std::error::Error as StdError;
use std::fmt;

use crate::contain::contain;
#[cfg(feature = "json")]
use crate::error::NOT_JSON;
use crate::error::RequestError;
use crate::error::{Chain, HandlerError};
use crate::error::{ConnectionTag, Error};
use sansws_core::close::CloseCode;
use sansws_core::error::SendError;
use sansws_core::http::Response;
use sansws_core::hub::HubError;
use sansws_core::route::ParamError;

/// The answer when a handler failed before it accepted.
const FAILED: &str = "the request could not be handled\n";

/// A handler's own connection, as far as its errors are concerned.
pub trait OwnConnection {
    /// Returns what distinguishes errors about its messages.
    fn tag(&self) -> ConnectionTag;

    /// Returns whether the closing handshake has not started.
    fn is_open(&self) -> bool;

    /// Returns whether this is how the connection ended.
    fn has_met(&self, error: &Error) -> bool;

    /// Returns the meaning of an error with this text, if it was reported for this connection: some wrappers hide all but the text.
    fn has_reported(&self, text: &str) -> Option<(CloseCode, String)>;
}

/// The meaning of an error on an open connection.
#[derive(Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The code for the peer, if it is still there.
    pub code: CloseCode,
    pub reason: String,
    /// How it is counted.
    pub blame: Blame,
    /// The error is the end of the connection: there is no peer to tell.
    pub is_end: bool,
}

/// The side at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// None: the connection ended.
    Nobody,
    /// The peer; or the handler closed on purpose, or a limit was reached.
    Peer,
    /// The application.
    Application,
}

impl Verdict {
    /// Judges an error of a client's `on_open`, and logs it if it is the application's.
    pub fn of_hook(error: &HandlerError, own: &impl OwnConnection) -> Self {
        let verdict = Self::of(error, own);
        if verdict.blame == Blame::Application {
            // The text of an application's error is its code.
            let _ = contain(|| tracing::error!(error = %Chain(error), "`on_open` failed"));
        }
        verdict
    }

    /// Returns the error that the client's connection ends with after that of `on_open`; `end` is how the connection itself ended.
    pub fn hook_error(&self, error: HandlerError, end: impl FnOnce() -> Error) -> Error {
        match Error::from(error) {
            Error::Other(_) if self.is_end => end(),
            error if self.is_end => error,
            // The end of another connection is not the end of this one.
            error if self.blame == Blame::Application => Error::other(error),
            error => error,
        }
    }

    fn peer(code: CloseCode, reason: impl Into<String>) -> Self {
        Self {
            code,
            reason: reason.into(),
            blame: Blame::Peer,
            is_end: false,
        }
    }

    /// On a connection that is over, the peer is not told.
    const fn over(blame: Blame) -> Self {
        Self {
            code: CloseCode::NORMAL,
            reason: String::new(),
            blame,
            is_end: true,
        }
    }

    /// Internal errors are not revealed to the peer.
    const fn failed() -> Self {
        Self {
            code: CloseCode::INTERNAL,
            reason: String::new(),
            blame: Blame::Application,
            is_end: false,
        }
    }

    /// Judges an error of the handler of an open connection. Its text and its sources are code of the application, which may panic.
    pub fn of(error: &HandlerError, own: &impl OwnConnection) -> Self {
        contain(|| Self::by_chain(error, own)).unwrap_or_else(|_| Self::failed())
    }

    fn by_chain(error: &HandlerError, own: &impl OwnConnection) -> Self {
        let mut known = false;
        for cause in error.chain() {
            let verdict = if let Some(error) = cause.downcast_ref::<Error>() {
                if matches!(error, Error::Other(_)) {
                    continue;
                }
                known = true;
                of_error(error, own)
            } else {
                of_value(cause, own)
            };
            if let Some(verdict) = verdict {
                return verdict;
            }
            if known {
                // The causes of our own errors are not judged again.
                return Self::failed();
            }
        }
        // Some wrappers hide the type of their error: then its text identifies it.
        let texts: Vec<String> = error.chain().map(ToString::to_string).collect();
        match texts.iter().find_map(|text| own.has_reported(text)) {
            Some(_) if !own.is_open() => Self::over(Blame::Peer),
            Some((code, reason)) => Self::peer(code, reason),
            None => Self::failed(),
        }
    }
}

/// Judges one of our errors; `None` when it is unrelated to the connection.
fn of_error(error: &Error, own: &impl OwnConnection) -> Option<Verdict> {
    match error {
        Error::Close(close) => Some(Verdict::peer(close.0, close.1.as_str())),
        Error::WrongKind(kind) if kind.tag == own.tag() => {
            Some(Verdict::peer(CloseCode::UNSUPPORTED, error.to_string()))
        }
        #[cfg(feature = "json")]
        Error::Json(json) if json.tag == own.tag() => {
            Some(Verdict::peer(CloseCode::INVALID, NOT_JSON))
        }
        Error::Disconnect(_) if own.has_met(error) => Some(Verdict::over(Blame::Nobody)),
        Error::Violation(_) | Error::Io(_) if own.has_met(error) => {
            Some(Verdict::over(Blame::Peer))
        }
        Error::NotSent(error) => of_value(error, own),
        Error::Param(param) => of_value(param, own),
        Error::Request(request) => of_value(request, own),
        Error::Hub(hub) => of_value(hub, own),
        _ => None,
    }
}

/// Judges an error that is wrapped in one of ours, by itself.
fn of_value(cause: &(dyn StdError + 'static), own: &impl OwnConnection) -> Option<Verdict> {
    let is_over = || !own.is_open();
    if let Some(SendError::Closing) = cause.downcast_ref() {
        return is_over().then(|| Verdict::over(Blame::Nobody));
    }
    if let Some(error) = cause.downcast_ref::<HubError>() {
        return match error.close_code() {
            _ if *error == HubError::Gone && is_over() => Some(Verdict::over(Blame::Nobody)),
            CloseCode::INTERNAL => None,
            code => Some(Verdict::peer(code, error.to_string())),
        };
    }
    is_of_the_url(cause).then(|| Verdict::peer(CloseCode::POLICY, cause.to_string()))
}

/// Returns whether the client's URL is at fault.
fn is_of_the_url(cause: &(dyn StdError + 'static)) -> bool {
    matches!(cause.downcast_ref(), Some(ParamError::Unfit(_)))
        || cause.downcast_ref::<RequestError>().is_some()
}

/// Returns the answer to a request that may succeed later.
pub fn unavailable(why: impl fmt::Display) -> Response {
    Response::text(503, format!("{why}\n")).with("Retry-After", "5")
}

/// Returns the response to a request whose handler, layer or page failed before it was accepted, and the side at fault.
pub fn refusal(error: &HandlerError) -> (Response, Blame) {
    let failed = || (Response::text(500, FAILED), Blame::Application);
    let judged = contain(|| refusal_by_chain(error)).unwrap_or_default();
    judged.unwrap_or_else(failed)
}

/// Returns the response that an error demands.
fn refusal_by_chain(error: &HandlerError) -> Option<(Response, Blame)> {
    for cause in error.chain() {
        let value: &(dyn StdError + 'static) = match cause.downcast_ref::<Error>() {
            Some(Error::Reject(response)) => {
                return Some((Response::clone(response), Blame::Nobody));
            }
            Some(Error::Param(param)) => param,
            Some(Error::Request(request)) => request,
            Some(Error::Hub(hub)) => hub,
            Some(_) => continue,
            None => cause,
        };
        if is_of_the_url(value) {
            let response = Response::text(400, format!("{value}\n"));
            return Some((response, Blame::Peer));
        }
        match value.downcast_ref().map(|hub: &HubError| hub.close_code()) {
            Some(CloseCode::AGAIN | CloseCode::RESTART) => {
                return Some((unavailable(value), Blame::Peer));
            }
            // A name or a position from the client's request.
            Some(CloseCode::POLICY) => {
                let response = Response::text(400, format!("{value}\n"));
                return Some((response, Blame::Peer));
            }
            _ => {}
        }
    }
    None
}
