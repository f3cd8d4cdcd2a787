//! The address of a proxy, and our credentials for it.
//! RFC 3986 section 3.2; RFC 1928 and RFC 9110 section 9.3.6 for the protocols.
//! Knows no socket and no environment variable.

use alloc::string::String;
use core::fmt;
use core::net::Ipv6Addr;
use core::str::FromStr;

use super::socks::Socks5;
use super::tunnel::HttpTunnel;
use super::{Credentials, Protocol, ProxyHandshake, TunnelError};
use crate::config::Limits;
use crate::error::InvalidInput;

/// A proxy, given by its URL: `http://` (CONNECT), `https://` (CONNECT over TLS to the proxy) or `socks5://`; `socks5h://` is equivalent,
/// because the proxy always resolves the name of the target. The default ports are 80, 443 and 1080.
///
/// ```
/// use sansws_core::proxy::Proxy;
/// let proxy: Proxy = "socks5://me:p%40ss@[::1]:9050".parse()?;
/// assert_eq!((proxy.host(), proxy.port()), ("::1", 9050));
/// assert_eq!(proxy.to_string(), "socks5://[::1]:9050"); // shown without its credentials
/// # Ok::<(), sansws_core::error::InvalidInput>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    kind: Kind,
    host: String,
    port: u16,
    credentials: Option<Credentials>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Http,
    Https,
    Socks5,
}

impl Kind {
    const fn scheme(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Socks5 => "socks5",
        }
    }

    const fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
            Self::Socks5 => 1080,
        }
    }
}

impl Proxy {
    /// Returns its host: a name, or an address; an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns its port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Returns whether the connection to it uses TLS, which starts before any request.
    pub const fn is_secure(&self) -> bool {
        matches!(self.kind, Kind::Https)
    }

    /// Starts to request a connection to `host`, a name or an address without brackets.
    ///
    /// # Errors
    /// [`TunnelError::Host`] and [`TunnelError::Credentials`] for values that its protocol cannot send.
    pub fn handshake(
        &self,
        host: &str,
        port: u16,
        limits: &Limits,
    ) -> Result<ProxyHandshake, TunnelError> {
        let credentials = self.credentials.as_ref();
        Ok(ProxyHandshake(match self.kind {
            Kind::Http | Kind::Https => {
                Protocol::Http(HttpTunnel::new(host, port, credentials, limits)?)
            }
            Kind::Socks5 => Protocol::Socks5(Socks5::new(host, port, credentials)?),
        }))
    }
}

impl FromStr for Proxy {
    type Err = InvalidInput;

    /// User name and password are percent-decoded. A path, a query or another scheme is [`InvalidInput::BadProxy`].
    fn from_str(url: &str) -> Result<Self, InvalidInput> {
        let (scheme, rest) = url.split_once("://").ok_or(InvalidInput::BadProxy)?;
        let kind = match scheme.to_ascii_lowercase().as_str() {
            "http" => Kind::Http,
            "https" => Kind::Https,
            "socks5" | "socks5h" => Kind::Socks5,
            _ => return Err(InvalidInput::BadProxy),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (user, place) = match rest.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, rest),
        };
        let credentials = match user {
            Some(user) => Some(Credentials::from_userinfo(user).ok_or(InvalidInput::BadProxy)?),
            None => None,
        };
        let (host, port) = place_of(place).ok_or(InvalidInput::BadProxy)?;
        let port = match port {
            "" => kind.port(),
            digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().map_err(|_| InvalidInput::BadProxy)?
            }
            _ => return Err(InvalidInput::BadProxy),
        };
        Ok(Self {
            kind,
            host: host.to_ascii_lowercase(),
            port,
            credentials,
        })
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.kind.scheme();
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{scheme}://{}:{}", self.host, self.port)
        }
    }
}

/// Host and port; the port may be empty.
fn place_of(place: &str) -> Option<(&str, &str)> {
    if let Some(rest) = place.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        let port = match port {
            "" => "",
            port => port.strip_prefix(':')?,
        };
        return host.parse::<Ipv6Addr>().ok().map(|_| (host, port));
    }
    let (host, port) = place.split_once(':').unwrap_or((place, ""));
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    (!host.is_empty() && host.bytes().all(plain)).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString;

    #[test]
    fn urls_of_proxies() {
        let cases: &[(&str, Result<(&str, Option<(&str, &str)>), InvalidInput>)] = &[
            ("http://a", Ok(("http://a:80", None))),
            ("HTTP://A:3128/", Ok(("http://a:3128", None))),
            ("socks5://127.0.0.1", Ok(("socks5://127.0.0.1:1080", None))),
            ("socks5h://a:9050", Ok(("socks5://a:9050", None))),
            ("http://[::1]:8080", Ok(("http://[::1]:8080", None))),
            ("http://[::1]", Ok(("http://[::1]:80", None))),
            ("http://me:pw@a:1", Ok(("http://a:1", Some(("me", "pw"))))),
            ("socks5://me@a:1", Ok(("socks5://a:1", Some(("me", ""))))),
            (
                "http://m%65:p%3a%40%C3%A4%25@a:1",
                Ok(("http://a:1", Some(("me", "p:@\u{e4}%")))),
            ),
            ("http://me:p@w@a:1", Ok(("http://a:1", Some(("me", "p@w"))))),
            ("a:3128", Err(InvalidInput::BadProxy)),
            ("https://me:pw@a", Ok(("https://a:443", Some(("me", "pw"))))),
            ("HTTPS://A:80/", Ok(("https://a:80", None))),
            ("wss://a", Err(InvalidInput::BadProxy)),
            ("socks4://a", Err(InvalidInput::BadProxy)),
            ("http://", Err(InvalidInput::BadProxy)),
            ("http://me:pw@", Err(InvalidInput::BadProxy)),
            ("http://a:99999", Err(InvalidInput::BadProxy)),
            ("http://a:+1", Err(InvalidInput::BadProxy)),
            ("http://a:1:2", Err(InvalidInput::BadProxy)),
            ("http://a/path", Err(InvalidInput::BadProxy)),
            ("http://a?x", Err(InvalidInput::BadProxy)),
            ("http://a b", Err(InvalidInput::BadProxy)),
            ("http://[a]", Err(InvalidInput::BadProxy)),
            ("http://[::1]x", Err(InvalidInput::BadProxy)),
            ("http://m%6:pw@a", Err(InvalidInput::BadProxy)),
            ("http://m%zz:pw@a", Err(InvalidInput::BadProxy)),
            ("http://m%ff:pw@a", Err(InvalidInput::BadProxy)),
            ("http://a\r\nX: y", Err(InvalidInput::BadProxy)),
        ];
        for (url, want) in cases {
            let got = url.parse::<Proxy>();
            let shown = got.as_ref().map(|proxy| {
                let login = proxy.credentials.as_ref();
                (
                    proxy.to_string(),
                    login.map(|login| (login.user.as_str(), login.password.as_str())),
                )
            });
            let shown = match &shown {
                Ok((url, login)) => Ok((url.as_str(), *login)),
                Err(error) => Err(**error),
            };
            assert_eq!(shown, *want, "{url}");
            assert!(!format!("{got:?}").contains("pw"), "{url}");
        }
    }

    #[test]
    fn each_speaks_its_own() {
        let asked = |url: &str| {
            let proxy: Proxy = url.parse().unwrap();
            let handshake = proxy.handshake("b", 443, &Limits::default());
            handshake.map(|handshake| handshake.output().to_vec())
        };
        let http = asked("http://me:pw@a").unwrap();
        assert_eq!(asked("https://me:pw@a").as_ref(), Ok(&http));
        assert!(http.starts_with(b"CONNECT b:443 HTTP/1.1\r\n"));
        assert!(http.ends_with(b"Proxy-Authorization: Basic bWU6cHc=\r\n\r\n"));
        assert_eq!(asked("socks5://a").unwrap(), [5, 1, 0]);
        assert_eq!(asked("socks5://me@a"), Err(TunnelError::Credentials));
        assert_eq!(asked("http://m%3ae:pw@a"), Err(TunnelError::Credentials));
    }
}
