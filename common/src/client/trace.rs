//! Events of clients for `tracing`: fields as OpenTelemetry names them.
//! Knows no connection.

use sansws_core::close::Closed;
use sansws_core::http::Url;
use sansws_core::time::Duration;

use crate::contain::contain;
use crate::error::Error;

macro_rules! say {
    ($url:expr, $($field:tt)*) => {
        tracing::debug!(
            server.address = $url.host(),
            server.port = $url.port(),
            // The query may be secret.
            url.path = $url.target().split('?').next(),
            $($field)*
        )
    };
}

/// A client connects to this URL.
pub fn connects(url: &Url) {
    tell(|| say!(url, "a client connects"));
}

/// A client has connected, or has failed to with this error.
pub fn connect_ended(url: &Url, error: Option<&Error>) {
    tell(|| match error {
        None => say!(url, "a client is connected"),
        Some(error) => say!(url, error = %error, "a client gave up"),
    });
}

/// Returns the URL of a client that is connected once, if anyone wants to be told of its [end](ended).
pub fn wanted(url: &Url) -> Option<Url> {
    let is_wanted = contain(|| tracing::enabled!(tracing::Level::DEBUG));
    is_wanted.unwrap_or_default().then(|| url.clone())
}

/// A connection of a client that is connected once has ended.
pub fn ended(url: &Url, closed: &Closed) {
    tell(|| {
        say!(
            url,
            websocket.close_code = closed.code(),
            websocket.close_reason = closed.reason,
            websocket.loss_cause = closed.cause.map(tracing::field::display),
            "a client's connection ended"
        );
    });
}

/// A client that reconnects waits this long, because of this error.
pub fn waits(url: &Url, why: &Error, wait: Duration) {
    tell(|| {
        say!(
            url,
            error = %why,
            websocket.wait_seconds = wait.as_secs_f64(),
            "a client waits to reconnect"
        );
    });
}

/// The application has closed a client.
pub fn closed(url: &Url, closed: Option<&Closed>) {
    tell(|| {
        say!(
            url,
            websocket.close_code = closed.map(Closed::code),
            "a client was closed"
        );
    });
}

/// The server has closed a client, which does not reconnect.
pub fn done(url: &Url, closed: &Closed) {
    tell(|| {
        say!(
            url,
            websocket.close_code = closed.code(),
            websocket.close_reason = closed.reason,
            "a client is done"
        );
    });
}

/// Logs an event. A subscriber is code of the application.
fn tell(event: impl FnOnce()) {
    let _ = contain(event);
}
