//! The metrics of a server.
//! RFC 6455 section 7.4 (close codes); RFC 9110 section 15 (classes of status); the text is that of Prometheus.
//! Plain values, counted by `tally`.

#[doc(hidden)]
pub mod counters;
#[doc(hidden)]
mod health;
mod hub;
#[doc(hidden)]
pub mod trace;

pub use health::{Health, Status};
pub use hub::{BackplaneState, HubMetrics};

use sansws_core::http::Response;
use sansws_core::internal::{Exposition, Kind};

/// Defines an enum of label values.
macro_rules! labels {
    ($(#[$about:meta])* $name:ident { $($(#[$help:meta])* $variant:ident = $label:literal,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$help])* $variant,)*
        }

        impl $name {
            /// All values, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Returns its label.
            pub const fn label(self) -> &'static str {
                match self {
                    $(Self::$variant => $label,)*
                }
            }
        }
    };
}

labels! {
    /// The class of a close code: each registered code, and those of applications by their range.
    ///
    /// ```
    /// use sansws_common::metrics::CodeClass;
    ///
    /// assert_eq!(CodeClass::of(1000), CodeClass::Normal);
    /// assert_eq!(CodeClass::of(4321).label(), "4xxx"); // as in the text for Prometheus
    /// ```
    CodeClass {
        /// 1000.
        Normal = "1000",
        /// 1001.
        Away = "1001",
        /// 1002.
        Protocol = "1002",
        /// 1003.
        Unsupported = "1003",
        /// No code in the Close frame.
        NoCode = "1005",
        /// No Close frame.
        Vanished = "1006",
        /// 1007.
        Invalid = "1007",
        /// 1008.
        Policy = "1008",
        /// 1009.
        TooBig = "1009",
        /// 1010.
        Extension = "1010",
        /// 1011.
        Internal = "1011",
        /// 1012.
        Restart = "1012",
        /// 1013.
        Again = "1013",
        /// 1014.
        BadGateway = "1014",
        /// 3000 to 3999, of libraries and frameworks.
        Registered = "3xxx",
        /// 4000 to 4999, of applications.
        Private = "4xxx",
    }
}

impl CodeClass {
    /// Returns the class of a code as RFC 6455 section 7.1.5 defines it.
    pub const fn of(code: u16) -> Self {
        match code {
            1000 => Self::Normal,
            1001 => Self::Away,
            1002 => Self::Protocol,
            1003 => Self::Unsupported,
            1005 => Self::NoCode,
            1007 => Self::Invalid,
            1008 => Self::Policy,
            1009 => Self::TooBig,
            1010 => Self::Extension,
            1011 => Self::Internal,
            1012 => Self::Restart,
            1013 => Self::Again,
            1014 => Self::BadGateway,
            3000..=3999 => Self::Registered,
            4000..=4999 => Self::Private,
            _ => Self::Vanished,
        }
    }
}

labels! {
    /// The side that sent the first Close frame. A lost connection counts as closed by the peer, one cut off by a shutdown as closed by
    /// the server.
    ///
    /// ```
    /// use sansws_common::ServerHandle;
    /// use sansws_common::metrics::{ClosedBy, CodeClass};
    ///
    /// let metrics = ServerHandle::new(10).metrics();
    /// let too_slow = metrics.closed_by(ClosedBy::Server, CodeClass::Again);
    /// assert_eq!(too_slow, 0);
    /// ```
    ClosedBy {
        /// The client.
        Peer = "peer",
        /// This server.
        Server = "server",
    }
}

labels! {
    /// Why a connection was refused. For an example see [`ServerMetrics`].
    RejectReason {
        /// The server was full; the client got 503.
        Full = "full",
        /// The server drains; the client got 503.
        Draining = "draining",
        /// Its socket was closed without an answer: too many were being refused, the server stops, or no thread can be started for it.
        Untold = "dropped",
    }
}

labels! {
    /// Why a connection ended before a page or a handler answered.
    ///
    /// ```
    /// use sansws_common::ServerHandle;
    /// use sansws_common::metrics::HandshakeFailure;
    ///
    /// let metrics = ServerHandle::new(10).metrics();
    /// for reason in HandshakeFailure::ALL {
    ///     println!("{}: {}", reason.label(), metrics.failed(*reason));
    /// }
    /// ```
    HandshakeFailure {
        /// Before HTTP: TLS, or the PROXY protocol.
        Transport = "transport",
        /// It timed out.
        Timeout = "timeout",
        /// The client left.
        Left = "left",
        /// Its request was not acceptable, and was answered with the reason.
        Invalid = "invalid",
    }
}

labels! {
    /// The purpose of a request. For an example see [`StatusClass`].
    RequestKind {
        /// A WebSocket.
        WebSocket = "websocket",
        /// A page.
        Page = "page",
        /// Neither: it was malformed, or not accepted.
        Invalid = "invalid",
    }
}

labels! {
    /// The class of a status.
    ///
    /// ```
    /// use sansws_common::ServerHandle;
    /// use sansws_common::metrics::{RequestKind, StatusClass};
    ///
    /// let metrics = ServerHandle::new(10).metrics();
    /// let refused = metrics.responses(RequestKind::WebSocket, StatusClass::ClientError);
    /// assert_eq!(refused, 0);
    /// assert_eq!(StatusClass::of(404), StatusClass::ClientError);
    /// ```
    StatusClass {
        /// 200 to 299.
        Success = "2xx",
        /// 300 to 399.
        Redirection = "3xx",
        /// 400 to 499.
        ClientError = "4xx",
        /// 500 to 599.
        ServerError = "5xx",
    }
}

impl StatusClass {
    /// Returns the class of the status of a final response.
    pub const fn of(status: u16) -> Self {
        match status {
            ..300 => Self::Success,
            300..400 => Self::Redirection,
            400..500 => Self::ClientError,
            _ => Self::ServerError,
        }
    }
}

/// Counts by a label.
pub type By<const N: usize> = [u64; N];

/// Counters and gauges of all servers that share one [`ServerHandle`](crate::ServerHandle).
///
/// ```
/// use sansws_common::ServerHandle;
/// use sansws_common::metrics::{CodeClass, RejectReason};
///
/// let handle = ServerHandle::new(2);
/// let _connection = handle.enter();
/// let metrics = handle.metrics();
/// assert_eq!((metrics.connections, metrics.connections_max), (1, 2));
/// assert_eq!(metrics.turned_away(RejectReason::Full), 0);
/// assert_eq!(metrics.closed(CodeClass::Vanished), 0); // without a Close frame
/// assert!(metrics.to_prometheus().contains("\nsansws_server_connections 1\n"));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerMetrics {
    /// Open connections, including those in their handshake.
    pub connections: usize,
    /// Maximum number of open connections.
    pub connections_max: usize,
    /// Whether the server admits no new connections.
    pub draining: bool,
    /// Connections admitted.
    pub accepted: u64,
    /// Connections refused, by [`RejectReason`].
    #[doc(hidden)]
    pub turned_away: By<{ RejectReason::ALL.len() }>,
    /// Connections that ended without an answer, by [`HandshakeFailure`].
    #[doc(hidden)]
    pub failed: By<{ HandshakeFailure::ALL.len() }>,
    /// Responses other than 101, by [`RequestKind`] and [`StatusClass`].
    #[doc(hidden)]
    pub responses: [By<{ StatusClass::ALL.len() }>; RequestKind::ALL.len()],
    /// WebSockets opened.
    pub opened: u64,
    /// WebSockets closed, by [`ClosedBy`] and [`CodeClass`].
    #[doc(hidden)]
    pub closed: [By<{ CodeClass::ALL.len() }>; ClosedBy::ALL.len()],
    /// Handlers that failed by the application's fault: panics, and their own errors.
    pub handlers_failed: u64,
    /// Messages received.
    pub messages_received: u64,
    /// Messages sent.
    pub messages_sent: u64,
    /// Bytes received over WebSockets, including headers and control frames.
    pub bytes_received: u64,
    /// Bytes sent over WebSockets.
    pub bytes_sent: u64,
    /// Received messages that were dropped because they exceeded the rate limits.
    pub messages_dropped: u64,
}

impl ServerMetrics {
    /// Returns the number of open WebSockets.
    pub fn websockets(&self) -> u64 {
        // `opened` is read first, and may be behind.
        self.opened.saturating_sub(self.all_closed())
    }

    /// Returns the number of closed WebSockets.
    pub fn all_closed(&self) -> u64 {
        self.closed.iter().flatten().sum()
    }

    /// Returns the number of WebSockets closed with codes of a class, by either side.
    pub fn closed(&self, class: CodeClass) -> u64 {
        let by = |closer: &ClosedBy| self.closed_by(*closer, class);
        ClosedBy::ALL.iter().map(by).sum()
    }

    /// Returns the number of WebSockets closed with codes of a class, by one side.
    pub fn closed_by(&self, closer: ClosedBy, class: CodeClass) -> u64 {
        let by = self.closed.get(closer as usize);
        by.and_then(|by| by.get(class as usize))
            .copied()
            .unwrap_or(0)
    }

    /// Returns the number of connections refused for a reason.
    pub fn turned_away(&self, why: RejectReason) -> u64 {
        self.turned_away.get(why as usize).copied().unwrap_or(0)
    }

    /// Returns the number of connections that ended without an answer for a reason.
    pub fn failed(&self, why: HandshakeFailure) -> u64 {
        self.failed.get(why as usize).copied().unwrap_or(0)
    }

    /// Returns the number of responses of a class to requests of a kind.
    pub fn responses(&self, asked: RequestKind, class: StatusClass) -> u64 {
        let to = self.responses.get(asked as usize);
        to.and_then(|to| to.get(class as usize))
            .copied()
            .unwrap_or(0)
    }

    /// Returns the metrics as text for Prometheus (exposition format 0.0.4).
    pub fn to_prometheus(&self) -> String {
        use Kind::{Counter, Gauge};
        let mut out = Exposition::default();
        let numbers = [
            (
                Gauge,
                "connections",
                "Open connections, including those in their handshake.",
                self.connections as u64,
            ),
            (
                Gauge,
                "connections_max",
                "Maximum number of open connections.",
                self.connections_max as u64,
            ),
            (
                Gauge,
                "draining",
                "1 once the server admits no new connections.",
                u64::from(self.draining),
            ),
            (Gauge, "websockets", "Open WebSockets.", self.websockets()),
            (
                Counter,
                "connections_accepted",
                "Connections admitted.",
                self.accepted,
            ),
            (
                Counter,
                "websockets_opened",
                "WebSockets opened.",
                self.opened,
            ),
            (
                Counter,
                "handlers_failed",
                "Handlers that panicked or failed.",
                self.handlers_failed,
            ),
            (
                Counter,
                "messages_received",
                "Messages received.",
                self.messages_received,
            ),
            (
                Counter,
                "messages_sent",
                "Messages sent.",
                self.messages_sent,
            ),
            (
                Counter,
                "messages_dropped",
                "Received messages that were dropped because they exceeded the rate limits.",
                self.messages_dropped,
            ),
            (
                Counter,
                "bytes_received",
                "Bytes received over WebSockets, including headers and control frames.",
                self.bytes_received,
            ),
            (
                Counter,
                "bytes_sent",
                "Bytes sent over WebSockets, including headers and control frames.",
                self.bytes_sent,
            ),
        ];
        for (kind, name, help, value) in numbers {
            out.one(kind, &format!("server_{name}"), help, value);
        }
        let help = "Connections refused.";
        let mut family = out.family(Counter, "server_connections_refused", help);
        for why in RejectReason::ALL {
            family.sample("", &[("reason", why.label())], self.turned_away(*why));
        }
        let help = "Connections that ended before a page or a handler answered.";
        let mut family = out.family(Counter, "server_handshakes_failed", help);
        for why in HandshakeFailure::ALL {
            family.sample("", &[("reason", why.label())], self.failed(*why));
        }
        let help = "Responses other than 101, by kind of request and class of status.";
        let mut family = out.family(Counter, "server_responses", help);
        for asked in RequestKind::ALL {
            for class in StatusClass::ALL {
                let labels = [("request", asked.label()), ("status", class.label())];
                family.sample("", &labels, self.responses(*asked, *class));
            }
        }
        let help = "WebSockets closed, by the code and the sender of the first Close frame.";
        let mut family = out.family(Counter, "server_websockets_closed", help);
        for closer in ClosedBy::ALL {
            for class in CodeClass::ALL {
                let labels = [("code", class.label()), ("by", closer.label())];
                family.sample("", &labels, self.closed_by(*closer, *class));
            }
        }
        out.into_text()
    }
}

/// The media type of the text.
const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Returns the response to a Prometheus scrape: all metrics of a server, and of the hub that its connections use.
pub fn prometheus_response(server: &ServerMetrics, hub: Option<&HubMetrics>) -> Response {
    let mut text = server.to_prometheus();
    if let Some(hub) = hub {
        text.push_str(&hub.to_prometheus());
    }
    Response::bytes(200, MEDIA_TYPE, text).with("Cache-Control", "no-store")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_one_class_and_a_label_of_its_own() {
        for code in 0..=u16::MAX {
            let class = CodeClass::of(code);
            let label = class.label();
            match code {
                3000..=4999 => assert_eq!(label, format!("{}xxx", code / 1000)),
                1000..=1003 | 1005..=1014 => assert_eq!(label, format!("{code}")),
                _ => assert_eq!(class, CodeClass::Vanished),
            }
        }
        let mut labels: Vec<&str> = CodeClass::ALL.iter().map(|class| class.label()).collect();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), CodeClass::ALL.len());
    }
}
