//! Answers to requests that no handler runs for.
//! RFC 9110 sections 15.5.5 (404), 15.5.6 (405) and 15.5.22 (426).
//! Knows no connection.

use crate::contain::contain;
use crate::error::{Error, HandlerError};
use crate::metrics::{HandshakeFailure, RequestKind, trace};
use crate::server::handle::ServerHandle;
use crate::server::scope::Head;
use crate::server::verdict::{Blame, refusal, unavailable};
use sansws_core::handshake::{Refusal, Request};
use sansws_core::http::{RequestHead, Response};
use sansws_core::internal::Framing;
use sansws_core::route::{Miss, Pattern};

/// The method that distinguishes routes of WebSockets from those of pages; plain requests never have it.
pub const WEBSOCKET: &str = "WEBSOCKET";

/// The error of a handler that leaves a request unanswered.
pub const NOT_ANSWERED: &str = "the handler returned without accepting or rejecting the request";

/// Classifies a request: a valid WebSocket request, a plain one if `plain` are served, or an invalid one.
///
/// # Errors
/// Why it is refused.
pub fn judge(head: RequestHead, plain: bool) -> Result<Head, Refusal> {
    if !plain || Request::is_meant(&head) {
        return Request::check(head).map(Head::WebSocket);
    }
    Request::check_plain(&head)?;
    Ok(Head::Plain(head))
}

/// Returns the answer to a request whose layers or page took too long.
pub fn late() -> Response {
    unavailable("the request was not handled in time")
}

/// Returns the answer to a request that matches no route.
pub fn answer_to(miss: &Miss, is_websocket: bool, method: &str) -> Response {
    match miss {
        Miss::MethodNotAllowed(_) if is_websocket => {
            Response::text(404, "no WebSocket at this path\n")
        }
        Miss::MethodNotAllowed(allow) => not_allowed(allow, method == "GET"),
        Miss::NotFound | Miss::BadPath(_) => Response::text(miss.status(), format!("{miss}\n")),
    }
}

/// RFC 9110 15.5.22: 426 if a GET only lacks the upgrade; otherwise 405 with the allowed methods.
pub fn not_allowed(allow: &[String], is_get: bool) -> Response {
    let pages: Vec<&str> = allow
        .iter()
        .map(String::as_str)
        .filter(|method| *method != WEBSOCKET)
        .collect();
    if pages.is_empty() && is_get {
        return Refusal::NotWebSocket.response();
    }
    let allow = if pages.is_empty() {
        "GET".into()
    } else {
        pages.join(", ")
    };
    Response::text(405, "method not allowed\n").with("Allow", allow)
}

/// Returns a response if it can be encoded, else the 500 that takes its place, so that every request is answered.
///
/// # Errors
/// That 500.
pub fn encodable(response: Response) -> Result<Response, Response> {
    let Err(error) = response.check() else {
        return Ok(response);
    };
    let error = Error::of_fields(error, &response.fields);
    tracing::error!(%error, status = response.status, "a response could not be encoded");
    Err(Response::text(500, "the request could not be handled\n"))
}

/// Counts the response to a request, and returns it, or what is sent in its place.
pub fn counted(response: Response, asked: RequestKind, handle: &ServerHandle) -> Response {
    let response = encodable(response).unwrap_or_else(|instead| instead);
    handle.counters().response(asked, response.status);
    if asked == RequestKind::WebSocket {
        trace::answered(response.status);
    }
    response
}

/// Encodes a response that is [encodable].
pub fn written(response: &Response, framing: Framing) -> Vec<u8> {
    let mut bytes = Vec::new();
    let encoded = response.write_as(framing, &mut bytes);
    debug_assert!(encoded.is_ok(), "{encoded:?}");
    bytes
}

/// Encodes the head of a streamed response that is [encodable], and returns whether a body follows.
pub fn written_head(head: &Response, framing: Framing) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    let encoded = head.write_head(framing, true, &mut bytes);
    debug_assert!(encoded.is_ok(), "{encoded:?}");
    (bytes, !framing.head && !matches!(head.status, 204 | 304))
}

/// Returns the response to a request whose decision or page failed.
pub fn failed(error: &HandlerError, route: Option<&Pattern>, handle: &ServerHandle) -> Response {
    // The text of an application's error is its code.
    let told = contain(|| {
        let (response, blame) = refusal(error);
        if blame == Blame::Application {
            trace::page_failed(error, route, handle);
        }
        response
    });
    told.unwrap_or_else(|panic| refusal(&panic.into()).0)
}

/// Counts a response that refuses a request.
pub fn note_refusal(handle: &ServerHandle, error: &Error) {
    if let Error::Refusal(refusal) = error {
        let status = refusal.response().status;
        handle.counters().response(RequestKind::Invalid, status);
        trace::answered(status);
    }
}

/// Counts a request that ended before a decision.
pub fn note_failure(handle: &ServerHandle, error: &Error) {
    handle.counters().failed(match error {
        // It was refused, which is not a failure.
        Error::Refusal(Refusal::Busy) => return,
        Error::Refusal(Refusal::Timeout) => HandshakeFailure::Timeout,
        Error::Refusal(_) => HandshakeFailure::Invalid,
        _ => HandshakeFailure::Left,
    });
}
