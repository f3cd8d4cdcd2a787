//! What a caller may set on a client and on a server, the same for every adapter.
//! RFC 6455 sections 4.1 and 4.2.
//! Plain data.

use alloc::string::String;
use alloc::sync::Arc;

use crate::config::Config;
use crate::handshake::ClientOptions;

/// How to dial.
///
/// ```
/// use sansws_core::drive::Dial;
/// let dial = Dial::default().subprotocol("chat.v2").header("Origin", "https://example.org");
/// assert_eq!(dial.options.subprotocols, ["chat.v2"]);
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Dial {
    /// Limits, times, compression.
    pub config: Arc<Config>,
    /// Subprotocols and header fields of the request.
    pub options: ClientOptions,
    /// TLS settings for `wss://`; `None` trusts the roots of the system. See [`super::tls`].
    #[cfg(feature = "tls")]
    pub tls: Option<Arc<rustls::ClientConfig>>,
}

impl Dial {
    /// Sets limits, times and compression.
    pub fn config(mut self, config: impl Into<Arc<Config>>) -> Self {
        self.config = config.into();
        self
    }

    /// Offers a subprotocol, behind those offered before.
    pub fn subprotocol(mut self, name: impl Into<String>) -> Self {
        self.options.subprotocols.push(name.into());
        self
    }

    /// Adds a header field to the request, such as `Origin` or `Authorization`.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.options.fields.push(name, value.as_ref());
        self
    }

    /// Sets the TLS settings: other roots, a client certificate.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: Arc<rustls::ClientConfig>) -> Self {
        self.tls = Some(tls);
        self
    }
}

/// How to serve.
#[derive(Clone, Debug)]
#[must_use]
pub struct Serve {
    /// Limits, times, compression.
    pub config: Arc<Config>,
    /// Most connections at once, those in their handshake counted; default 16 384. Beyond it: 503 for a few at once, and
    /// a closed socket for the others.
    pub max_connections: usize,
    /// TLS settings; `None` serves `ws://`. See [`super::tls`].
    #[cfg(feature = "tls")]
    pub tls: Option<Arc<rustls::ServerConfig>>,
}

impl Default for Serve {
    fn default() -> Self {
        Self {
            config: Arc::default(),
            max_connections: 16_384,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}

impl Serve {
    /// Sets limits, times and compression.
    pub fn config(mut self, config: impl Into<Arc<Config>>) -> Self {
        self.config = config.into();
        self
    }

    /// Sets how many connections are let in at once.
    pub const fn max_connections(mut self, most: usize) -> Self {
        self.max_connections = most;
        self
    }

    /// Serves `wss://`.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: Arc<rustls::ServerConfig>) -> Self {
        self.tls = Some(tls);
        self
    }
}
