//! The address of a server under test, and connections to it: TCP, or TLS by rustls.
//! RFC 6455 section 3.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_rustls::{TlsAcceptor, TlsConnector};
use rustls::{ClientConfig, ServerConfig};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{PrivateKeyDer, ServerName};
use smol::future::FutureExt;
use smol::io::{AsyncRead, AsyncWrite};
use smol::net::TcpStream;

pub use crate::trust::client_tls;
use crate::trust::{certificates, in_file};

/// Any stream that a case can run over.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A `ws://` or `wss://` URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Whether it is `wss://`.
    pub secure: bool,
    /// The host, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The path and query.
    pub path: String,
    /// The host and port, as in a `Host` field.
    pub authority: String,
}

/// The URL is not a WebSocket URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadUrl {
    url: String,
    /// The user name that it begins with is not sent.
    has_user: bool,
}

impl fmt::Display for BadUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = &self.url;
        if self.has_user {
            return write!(
                f,
                "the user name and the password in `{url}` are not sent: leave them out, and give the header field instead, \
                 `Authorization: Basic …`"
            );
        }
        write!(
            f,
            "`{url}` is no URL like ws://host:port/path or wss://host:port/path"
        )
    }
}

impl std::error::Error for BadUrl {}

impl std::str::FromStr for Target {
    type Err = BadUrl;

    fn from_str(url: &str) -> Result<Self, BadUrl> {
        // Logs are to have no password.
        let shown = || match url.rsplit_once('@') {
            Some((_, rest)) => format!("…@{rest}"),
            None => url.into(),
        };
        let bad = || BadUrl {
            url: shown(),
            has_user: false,
        };
        let (secure, rest) = match url.split_once("://") {
            Some(("ws" | "http", rest)) => (false, rest),
            Some(("wss" | "https", rest)) => (true, rest),
            _ => return Err(bad()),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let cut = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(cut);
        if let Some((_, host)) = authority.rsplit_once('@') {
            let scheme = if secure { "wss" } else { "ws" };
            return Err(BadUrl {
                url: format!("{scheme}://…@{host}{path}"),
                has_user: true,
            });
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| bad())?),
            _ => (authority, if secure { 443 } else { 80 }),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() || authority.contains(' ') {
            return Err(bad());
        }
        Ok(Self {
            secure,
            host: host.into(),
            port,
            path: if path.starts_with('/') {
                path.into()
            } else {
                format!("/{path}")
            },
            authority: authority.into(),
        })
    }
}

/// Returns TLS settings of a server, from PEM files.
pub fn server_tls(chain: &Path, key: &Path) -> io::Result<Arc<ServerConfig>> {
    let certificates = certificates(chain)?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| match error {
        pem::Error::NoItemsFound => in_file(key, &"no private key in it"),
        error => in_file(key, &error),
    })?;
    let mut config =
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(certificates, private)
            .map_err(|error| {
                let why = format!("{}, {}: {error}", chain.display(), key.display());
                io::Error::other(why)
            })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

impl Target {
    /// Connects, within a timeout.
    pub async fn connect(
        &self,
        tls: Option<&Arc<ClientConfig>>,
        patience: Duration,
    ) -> io::Result<Box<dyn Stream>> {
        let connect = async {
            let tcp = TcpStream::connect((self.host.as_str(), self.port)).await?;
            tcp.set_nodelay(true)?;
            let stream: Box<dyn Stream> = match (self.secure, tls) {
                (false, _) => Box::new(tcp),
                (true, None) => return Err(io::Error::other("wss:// needs TLS settings")),
                (true, Some(config)) => {
                    let name = ServerName::try_from(self.host.clone()).map_err(io::Error::other)?;
                    Box::new(
                        TlsConnector::from(Arc::clone(config))
                            .connect(name, tcp)
                            .await?,
                    )
                }
            };
            Ok(stream)
        };
        connect.or(late(patience)).await
    }
}

/// Returns TLS settings of a client that speaks HTTP/2 alone (RFC 9113 section 3.2).
pub(crate) fn http2_only(config: &ClientConfig) -> Arc<ClientConfig> {
    let mut config = config.clone();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}

/// Performs the server's TLS handshake.
pub async fn accepted(
    tcp: TcpStream,
    tls: Option<&Arc<ServerConfig>>,
    patience: Duration,
) -> io::Result<Box<dyn Stream>> {
    tcp.set_nodelay(true)?;
    let accept = async {
        let stream: Box<dyn Stream> = match tls {
            None => Box::new(tcp),
            Some(config) => Box::new(TlsAcceptor::from(Arc::clone(config)).accept(tcp).await?),
        };
        Ok(stream)
    };
    accept.or(late(patience)).await
}

async fn late<T>(patience: Duration) -> io::Result<T> {
    smol::Timer::after(patience).await;
    Err(io::ErrorKind::TimedOut.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let target = |url: &str| {
            url.parse::<Target>()
                .map(|t| (t.secure, t.host, t.port, t.path, t.authority))
        };
        let found = |secure, host: &str, port, path: &str, authority: &str| {
            Ok((secure, host.into(), port, path.into(), authority.into()))
        };
        assert_eq!(
            target("ws://a:9001"),
            found(false, "a", 9001, "/", "a:9001")
        );
        assert_eq!(
            target("wss://a.b/c?d=e#f"),
            found(true, "a.b", 443, "/c?d=e", "a.b")
        );
        assert_eq!(
            target("ws://[::1]:80?x"),
            found(false, "::1", 80, "/?x", "[::1]:80")
        );
        assert_eq!(target("ws://[::1]/"), found(false, "::1", 80, "/", "[::1]"));
        for bad in [
            "a:9001", "ftp://a", "ws://", "ws://a:b", "ws://u@a", "ws://:80",
        ] {
            assert!(target(bad).is_err(), "{bad}");
        }
        let why = |url| target(url).unwrap_err().to_string();
        let user = why("wss://ada:s3cret@a:1/b");
        assert!(user.contains("`wss://…@a:1/b`"), "{user}");
        assert!(user.contains("Authorization") && !user.contains("s3cret"));
        assert!(!why("ws://a:b").contains("Authorization"));
    }
}
