//! What a server has done and holds.
//! RFC 6455 section 7.4 (close codes); RFC 9110 section 15 (classes of status); the text is that of Prometheus.
//! Plain values: `tally` counts them.

pub(crate) mod health;
pub(crate) mod tally;
pub(crate) mod trace;

pub use health::{Health, Status};

use crate::hub::HubMetrics;
use sansws_core::http::Response;
use sansws_core::internal::{Exposition, Kind};

/// Names of the numbers of one kind, in the order of an enum.
macro_rules! labels {
    ($(#[$about:meta])* $name:ident { $($(#[$help:meta])* $variant:ident = $label:literal,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$help])* $variant,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// How it is called in a label.
            pub const fn label(self) -> &'static str {
                match self {
                    $(Self::$variant => $label,)*
                }
            }
        }
    };
}

labels! {
    /// What a connection was closed with: each registered code, and those of applications by their range.
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
    /// The class of a code as RFC 6455 section 7.1.5 gives it.
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
    /// Who sent the first Close frame. Who vanished is the peer; whom a shutdown cut off, the server has.
    Closer {
        /// The client.
        Peer = "peer",
        /// This server.
        Server = "server",
    }
}

labels! {
    /// Why a connection was not let in.
    TurnedAway {
        /// As many are in as may be; it was told so by 503.
        Full = "full",
        /// The server drains; it was told so by 503.
        Draining = "draining",
        /// Its socket was closed without a word: too many were being told, or the server stops.
        Untold = "dropped",
    }
}

labels! {
    /// Why a connection came to no answer of a page or a handler.
    Failed {
        /// Before HTTP: TLS, or the PROXY protocol.
        Transport = "transport",
        /// Its time was over.
        Timeout = "timeout",
        /// The client left.
        Left = "left",
        /// What it sent is no request that is taken here; it was told why.
        Invalid = "invalid",
    }
}

labels! {
    /// What a request was for.
    Asked {
        /// A WebSocket.
        WebSocket = "websocket",
        /// A page.
        Page = "page",
        /// Neither: it was malformed, or not taken.
        Invalid = "invalid",
    }
}

labels! {
    /// The class of a status.
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
    /// The class of a status of a response that ends a request.
    pub const fn of(status: u16) -> Self {
        match status {
            ..300 => Self::Success,
            300..400 => Self::Redirection,
            400..500 => Self::ClientError,
            _ => Self::ServerError,
        }
    }
}

/// Counts by one label.
pub type By<const N: usize> = [u64; N];

/// Counters and gauges of all servers behind one [`ServerHandle`](super::ServerHandle).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerMetrics {
    /// Connections that are in, those in their handshake too.
    pub connections: usize,
    /// How many may be in.
    pub connections_max: usize,
    /// Whether nobody is let in any more.
    pub draining: bool,
    /// Connections that were let in.
    pub accepted: u64,
    /// Connections that were not, as in [`TurnedAway`].
    pub(crate) turned_away: By<{ TurnedAway::ALL.len() }>,
    /// Connections that came to no answer, as in [`Failed`].
    pub(crate) failed: By<{ Failed::ALL.len() }>,
    /// Answers other than 101, as in [`Asked`], and there as in [`StatusClass`].
    pub(crate) responses: [By<{ StatusClass::ALL.len() }>; Asked::ALL.len()],
    /// WebSockets opened.
    pub opened: u64,
    /// WebSockets closed, as in [`Closer`], and there as in [`CodeClass`].
    pub(crate) closed: [By<{ CodeClass::ALL.len() }>; Closer::ALL.len()],
    /// Handlers that failed by our fault: panics, errors of their own.
    pub handlers_failed: u64,
    /// Messages received.
    pub messages_received: u64,
    /// Messages sent.
    pub messages_sent: u64,
    /// Octets received over WebSockets, headers and control frames included.
    pub octets_received: u64,
    /// Octets sent over WebSockets.
    pub octets_sent: u64,
    /// Messages received and thrown away, since there were more than allowed.
    pub messages_dropped: u64,
}

impl ServerMetrics {
    /// WebSockets that are open.
    pub fn websockets(&self) -> u64 {
        // What was opened is read first, and may be behind.
        self.opened.saturating_sub(self.all_closed())
    }

    /// WebSockets that were closed.
    pub fn all_closed(&self) -> u64 {
        self.closed.iter().flatten().sum()
    }

    /// WebSockets that were closed with codes of a class, by either.
    pub fn closed(&self, class: CodeClass) -> u64 {
        let by = |closer: &Closer| self.closed_by(*closer, class);
        Closer::ALL.iter().map(by).sum()
    }

    /// WebSockets that one of both closed with codes of a class.
    pub fn closed_by(&self, closer: Closer, class: CodeClass) -> u64 {
        let by = self.closed.get(closer as usize);
        by.and_then(|by| by.get(class as usize))
            .copied()
            .unwrap_or(0)
    }

    /// Connections that were not let in for a reason.
    pub fn turned_away(&self, why: TurnedAway) -> u64 {
        self.turned_away.get(why as usize).copied().unwrap_or(0)
    }

    /// Connections that came to no answer for a reason.
    pub fn failed(&self, why: Failed) -> u64 {
        self.failed.get(why as usize).copied().unwrap_or(0)
    }

    /// Answers of a class to requests for something.
    pub fn responses(&self, asked: Asked, class: StatusClass) -> u64 {
        let to = self.responses.get(asked as usize);
        to.and_then(|to| to.get(class as usize))
            .copied()
            .unwrap_or(0)
    }

    /// As text for Prometheus (exposition format 0.0.4).
    pub fn to_prometheus(&self) -> String {
        use Kind::{Counter, Gauge};
        let mut out = Exposition::default();
        let numbers = [
            (
                Gauge,
                "connections",
                "Connections that are in, those in their handshake too.",
                self.connections as u64,
            ),
            (
                Gauge,
                "connections_max",
                "Connections that may be in at once.",
                self.connections_max as u64,
            ),
            (
                Gauge,
                "draining",
                "1 once nobody is let in any more.",
                u64::from(self.draining),
            ),
            (
                Gauge,
                "websockets",
                "WebSockets that are open.",
                self.websockets(),
            ),
            (
                Counter,
                "connections_accepted",
                "Connections that were let in.",
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
                "Handlers that panicked or failed by an error of their own.",
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
                "Messages received and thrown away, since there were more than allowed.",
                self.messages_dropped,
            ),
            (
                Counter,
                "octets_received",
                "Octets received over WebSockets, headers and control frames included.",
                self.octets_received,
            ),
            (
                Counter,
                "octets_sent",
                "Octets sent over WebSockets, headers and control frames included.",
                self.octets_sent,
            ),
        ];
        for (kind, name, help, value) in numbers {
            out.one(kind, &format!("server_{name}"), help, value);
        }
        let help = "Connections that were not let in.";
        let mut family = out.family(Counter, "server_connections_refused", help);
        for why in TurnedAway::ALL {
            family.sample("", &[("reason", why.label())], self.turned_away(*why));
        }
        let help = "Connections that came to no answer of a page or a handler.";
        let mut family = out.family(Counter, "server_handshakes_failed", help);
        for why in Failed::ALL {
            family.sample("", &[("reason", why.label())], self.failed(*why));
        }
        let help = "Answers other than 101, by what was asked for and the class of their status.";
        let mut family = out.family(Counter, "server_responses", help);
        for asked in Asked::ALL {
            for class in StatusClass::ALL {
                let labels = [("request", asked.label()), ("status", class.label())];
                family.sample("", &labels, self.responses(*asked, *class));
            }
        }
        let help = "WebSockets closed, by their close code and who closed first.";
        let mut family = out.family(Counter, "server_websockets_closed", help);
        for closer in Closer::ALL {
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

/// The answer to a scrape of Prometheus: all numbers of a server, and of the hub that its connections use.
pub fn scrape(server: &ServerMetrics, hub: Option<&HubMetrics>) -> Response {
    let mut text = server.to_prometheus();
    if let Some(hub) = hub {
        text.push_str(&hub.to_prometheus());
    }
    Response::octets(200, MEDIA_TYPE, text).with("Cache-Control", "no-store")
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
