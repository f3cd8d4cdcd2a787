//! The span of a connection, and the event of its end. Fields follow OpenTelemetry's semantic conventions, and are named `websocket.…`
//! where these define none; `docs/monitoring.md` lists them.
//! Knows no subscriber. Without one, nothing is written.

use std::net::SocketAddr;

use tracing::field::{Empty, display};

use crate::contain::contain;
use crate::error::Chain;
use crate::error::Error;
use crate::error::HandlerError;
use crate::metrics::ClosedBy;
use crate::server::connect_info::ConnectInfo;
use crate::server::handle::ServerHandle;
use crate::server::outcome::ConnectionOutcome;
use crate::server::scope::Scope;
use crate::server::verdict::Blame;
use sansws_core::close::Closed;
use sansws_core::handshake::Refusal;
use sansws_core::http::RequestHead;
use sansws_core::route::Pattern;

/// The span of a connection; boxed, and empty without a subscriber.
#[derive(Debug, Default)]
pub struct Span(Option<Box<tracing::Span>>);

impl Span {
    pub fn of(arrival: &ConnectInfo) -> Self {
        let transport = if arrival.peer.is_some() {
            "tcp"
        } else {
            "unix"
        };
        Self::new(arrival.peer, transport)
    }

    fn new(peer: Option<SocketAddr>, transport: &str) -> Self {
        let span = tracing::info_span!(
            "connection",
            otel.kind = "server",
            otel.name = Empty,
            otel.status_code = Empty,
            network.protocol.name = "websocket",
            network.transport = transport,
            network.peer.address = peer.map(|peer| display(peer.ip())),
            network.peer.port = peer.map(|peer| peer.port()),
            client.address = Empty,
            client.port = Empty,
            server.address = Empty,
            server.port = Empty,
            url.scheme = Empty,
            url.path = Empty,
            http.request.method = Empty,
            http.response.status_code = Empty,
            http.route = Empty,
            user_agent.original = Empty,
            "error.type" = Empty,
            websocket.subprotocol = Empty,
            websocket.close_code = Empty,
            websocket.closed_by = Empty,
            websocket.loss_cause = Empty,
            websocket.messages_received = Empty,
            websocket.messages_sent = Empty,
            websocket.bytes_received = Empty,
            websocket.bytes_sent = Empty,
        );
        Self((!span.is_disabled()).then(|| Box::new(span)))
    }

    /// Creates the span of a connection that arrived through another stack, inside that stack's span, and was accepted with `status`.
    pub fn foreign(
        head: &RequestHead,
        peer: Option<SocketAddr>,
        route: Option<&str>,
        status: u16,
        subprotocol: Option<&str>,
    ) -> Self {
        let span = Self::new(peer, "tcp");
        span.enter(|| {
            let span = tracing::Span::current();
            say_asked(&span, head, false);
            say_route(&span, &head.method, route);
            say_agreed(&span, status, subprotocol);
        });
        span
    }

    pub const fn is_none(&self) -> bool {
        self.0.is_none()
    }

    pub fn enter<R>(&self, work: impl FnOnce() -> R) -> R {
        match &self.0 {
            Some(span) => span.in_scope(work),
            None => work(),
        }
    }
}

/// Records a WebSocket request, with its client. The query may be secret, and is left out.
pub fn asked(scope: &Scope) {
    let span = tracing::Span::current();
    if span.is_disabled() {
        return;
    }
    if let Some(client) = scope.client_addr() {
        span.record("client.address", display(client.ip()));
        span.record("client.port", client.port());
    }
    say_asked(&span, scope, scope.is_secure());
    let route = scope.pattern().map(Pattern::as_str);
    say_route(&span, &scope.method, route);
    tracing::debug!("a WebSocket was requested");
}

/// Records the fields of a head.
fn say_asked(span: &tracing::Span, head: &RequestHead, secure: bool) {
    span.record("url.scheme", if secure { "https" } else { "http" });
    span.record("url.path", head.path());
    span.record("http.request.method", head.method.as_str());
    let (name, port) = split_host(head.host());
    if !name.is_empty() {
        span.record("server.address", name);
        span.record("server.port", port.unwrap_or(if secure { 443 } else { 80 }));
    }
    if let Some(agent) = head.fields.get_str("user-agent") {
        span.record("user_agent.original", agent);
    }
}

/// Records the route.
fn say_route(span: &tracing::Span, method: &str, route: Option<&str>) {
    if let Some(route) = route {
        span.record("http.route", route);
        let name = format!("{method} {route}");
        span.record("otel.name", name.as_str());
    }
}

/// Splits a `Host` field into name and port; an IPv6 address loses its brackets.
fn split_host(host: &str) -> (&str, Option<u16>) {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, port.parse().ok()),
        _ => (host, None),
    };
    let bare = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'));
    (bare.unwrap_or(name), port)
}

/// Records the status of the response that ends the connection, or makes it a WebSocket.
pub fn answered(status: u16) {
    tracing::Span::current().record("http.response.status_code", status);
}

/// Records the negotiated subprotocol.
pub fn agreed(subprotocol: Option<&str>) {
    say_agreed(&tracing::Span::current(), 101, subprotocol);
}

fn say_agreed(span: &tracing::Span, status: u16, subprotocol: Option<&str>) {
    span.record("http.response.status_code", status);
    if let Some(subprotocol) = subprotocol {
        span.record("websocket.subprotocol", subprotocol);
    }
}

/// Records how a connection ended. `first`: the side that closed the WebSocket, and the code. Failures of the application are for the
/// operator, with their route; mistakes of peers are logged at DEBUG.
pub fn ended(
    outcome: &ConnectionOutcome,
    blame: Blame,
    first: Option<(ClosedBy, u16)>,
    handle: &ServerHandle,
    route: Option<&str>,
) {
    // The text of an application's error is its code, and so is a subscriber.
    let _ = contain(|| log_end(outcome, blame, first, handle, route));
}

fn log_end(
    outcome: &ConnectionOutcome,
    blame: Blame,
    first: Option<(ClosedBy, u16)>,
    handle: &ServerHandle,
    route: Option<&str>,
) {
    let route = route.unwrap_or_default();
    let span = tracing::Span::current();
    let error = outcome.result.as_ref().err();
    if let Some(error) = error {
        span.record("error.type", error_type(error));
    }
    if let Some((by, code)) = first {
        let counters = &outcome.counters;
        span.record("websocket.close_code", code);
        span.record("websocket.closed_by", by.label());
        span.record("websocket.messages_received", counters.received);
        span.record("websocket.messages_sent", counters.sent);
        span.record("websocket.bytes_received", counters.bytes_received);
        span.record("websocket.bytes_sent", counters.bytes_sent);
    }
    let lost = outcome.closed.as_ref().and_then(|closed| closed.cause);
    let lost = lost.map(display);
    span.record("websocket.loss_cause", &lost);
    let (by, code) = first.unzip();
    let by = by.map(ClosedBy::label);
    let reason = outcome.closed.as_ref().map(reason);
    match error {
        None => tracing::debug!(
            http.route = route,
            websocket.close_code = code,
            websocket.closed_by = by,
            websocket.close_reason = reason,
            websocket.loss_cause = lost,
            "a connection ended"
        ),
        Some(error) if blame == Blame::Application => {
            handle.counters().handler_failed();
            span.record("otel.status_code", "ERROR");
            tracing::error!(
                http.route = route,
                "error.type" = error_type(error),
                error = %Chain(error),
                websocket.close_code = code,
                websocket.closed_by = by,
                websocket.loss_cause = lost,
                "a handler failed"
            );
        }
        Some(error) => tracing::debug!(
            http.route = route,
            "error.type" = error_type(error),
            error = %Chain(error),
            websocket.close_code = code,
            websocket.closed_by = by,
            websocket.close_reason = reason,
            websocket.loss_cause = lost,
            "a connection failed"
        ),
    }
}

fn reason(closed: &Closed) -> &str {
    &closed.reason
}

/// Records that a page, or a layer before it, failed.
pub fn page_failed(error: &HandlerError, route: Option<&Pattern>, handle: &ServerHandle) {
    handle.counters().handler_failed();
    tracing::error!(
        http.route = route.map_or("", Pattern::as_str),
        "error.type" = error_type(error),
        error = %Chain(error),
        "a page failed"
    );
}

/// Returns the type of an error, from a fixed set. Its sources are code of the application.
fn error_type(error: &HandlerError) -> &'static str {
    let known = contain(|| error.chain().find_map(|error| error.downcast_ref()));
    known.ok().flatten().map_or("other", word)
}

const fn word(error: &Error) -> &'static str {
    match error {
        Error::Io(_) => "io",
        Error::Disconnect(_) => "disconnect",
        Error::Violation(_) => "violation",
        Error::NotSent(_)
        | Error::InvalidInput(_)
        | Error::BadHeader { .. }
        | Error::BadUrl { .. } => "misuse",
        Error::Refusal(Refusal::Timeout) | Error::ConnectTimeout(_) => "timeout",
        Error::Refusal(Refusal::Busy) => "busy",
        Error::Refusal(_) => "refusal",
        Error::WrongKind(_) => "wrong_kind",
        #[cfg(feature = "json")]
        Error::Json(_) => "json",
        Error::Close(_) => "close",
        Error::Reject(_) => "reject",
        Error::Param(_) => "param",
        Error::Request(_) => "request",
        Error::Hub(_) => "hub",
        Error::NoState(_) => "no_state",
        Error::Panic => "panic",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_split_at_their_port() {
        for (host, want) in [
            ("example.org", ("example.org", None)),
            ("example.org:8080", ("example.org", Some(8080))),
            ("[::1]:9", ("::1", Some(9))),
            ("[::1]", ("::1", None)),
            ("a:b", ("a", None)),
        ] {
            assert_eq!(split_host(host), want, "{host}");
        }
    }
}
