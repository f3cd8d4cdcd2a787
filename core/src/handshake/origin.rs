//! Decides which pages may connect: checks `Origin` against a policy.
//! RFC 6455 section 10.2; RFC 6454 sections 4, 6 and 7.
//! Knows no request: it takes the values of `Origin` and `Host`, and compares them as a whole, never by suffix.
//!
//! A browser sends the origin of the page with each handshake, and lets no page change it. Without a check, any page on the web may
//! connect, with the cookies that its visitor has for us.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::Ipv6Addr;
use core::str::FromStr;

use thiserror::Error;

/// Why an origin is refused. Answer with 403.
///
/// For an example see [`OriginPolicy`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum OriginError {
    /// There is none, but the policy requires one.
    #[error("there is no Origin header")]
    Missing,
    /// There is more than one `Origin` header.
    #[error("there is more than one Origin header")]
    Several,
    /// It is not the scheme, host and port of one page. `null` is not accepted: any sandboxed page and any file sends it.
    #[error("the Origin header does not name an origin")]
    Malformed,
    /// It is not one of those that may connect.
    #[error("the origin is not allowed to connect")]
    Foreign,
}

/// The origin of a page: scheme, host and port (RFC 6454 section 4).
///
/// ```
/// use sansws_core::handshake::Origin;
///
/// let origin: Origin = "https://Example.org:443".parse()?;
/// assert_eq!(origin, "https://example.org".parse()?);
/// assert_ne!(origin, "http://example.org".parse()?);
/// assert!("https://example.org/path".parse::<Origin>().is_err());
/// # Ok::<(), sansws_core::handshake::OriginError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    scheme: String,
    host: String,
    /// `None` if it is the default of the scheme, or if the scheme has no default and none is given.
    port: Option<u16>,
}

impl Origin {
    /// Returns the scheme, in lower case: `http`, `https`, or that of an application, such as `tauri`.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// Returns the host, in lower case; an IPv6 address in its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the port, if it is known: by default 80 for `http` and 443 for `https`.
    pub fn port(&self) -> Option<u16> {
        self.port.or_else(|| default_port(&self.scheme))
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(origin: &str) -> Result<Self, OriginError> {
        // RFC 6454 6.2: the scheme, "://", the host, and ":" with the port if it is not the default.
        let (scheme, authority) = origin.split_once("://").ok_or(OriginError::Malformed)?;
        let byte = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        if !scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            || !scheme.bytes().all(byte)
        {
            return Err(OriginError::Malformed);
        }
        let scheme = scheme.to_ascii_lowercase();
        let (host, port) = host_and_port(authority).ok_or(OriginError::Malformed)?;
        let port = match port {
            Port::Given(port) => Some(port).filter(|port| default_port(&scheme) != Some(*port)),
            Port::Absent => None,
            Port::Empty => return Err(OriginError::Malformed),
        };
        Ok(Self { scheme, host, port })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// The pages that may connect.
///
/// ```
/// use sansws_core::handshake::{OriginError, OriginPolicy};
///
/// let check = |policy: &OriginPolicy, origin: &str| {
///     policy.check([origin.as_bytes()], "example.org", Some(true))
/// };
/// let own = OriginPolicy::same_host();
/// assert_eq!(check(&own, "https://example.org"), Ok(()));
/// assert_eq!(check(&own, "https://example.org.evil.example"), Err(OriginError::Foreign));
/// let list = OriginPolicy::list(["https://app.example.org"])?.require();
/// assert_eq!(check(&list, "https://app.example.org"), Ok(()));
/// assert_eq!(list.check([], "example.org", None), Err(OriginError::Missing));
/// # Ok::<(), OriginError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginPolicy {
    allowed: Allowed,
    missing_allowed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Allowed {
    SameHost,
    List(Vec<Origin>),
    Any,
}

impl Default for OriginPolicy {
    fn default() -> Self {
        Self::same_host()
    }
}

impl OriginPolicy {
    /// Allows pages of the host and port that the request names in `Host`, and programs that send no origin. The default.
    pub const fn same_host() -> Self {
        Self::new(Allowed::SameHost)
    }

    /// Allows pages of these origins, such as `https://example.org`, and of no others; also programs that send no origin.
    pub fn list<O: AsRef<str>>(origins: impl IntoIterator<Item = O>) -> Result<Self, OriginError> {
        let origins = origins.into_iter().map(|origin| origin.as_ref().parse());
        origins
            .collect::<Result<_, _>>()
            .map(Allowed::List)
            .map(Self::new)
    }

    /// Allows everything, without a check. Use it only if no cookie and no network decides what a visitor may do.
    pub const fn any() -> Self {
        Self::new(Allowed::Any)
    }

    /// Refuses requests without `Origin` too: only browsers may connect.
    #[must_use]
    pub const fn require(mut self) -> Self {
        self.missing_allowed = false;
        self
    }

    const fn new(allowed: Allowed) -> Self {
        Self {
            allowed,
            missing_allowed: true,
        }
    }

    /// Checks a request by all its values of `Origin`, its `Host`, and whether it arrived over TLS.
    ///
    /// `None` or `Some(false)` also admits pages of `https`, because TLS may end in front of us.
    pub fn check<'a>(
        &self,
        origins: impl IntoIterator<Item = &'a [u8]>,
        host: &str,
        secure: Option<bool>,
    ) -> Result<(), OriginError> {
        let mut origins = origins.into_iter();
        let Some(origin) = origins.next() else {
            // 10.2: a client that is not a browser need not send it, and could send any.
            return if self.missing_allowed {
                Ok(())
            } else {
                Err(OriginError::Missing)
            };
        };
        if self.allowed == Allowed::Any {
            return Ok(());
        }
        // RFC 6454 7.3: "MUST NOT include more than one Origin header field in any HTTP request"
        if origins.next().is_some() {
            return Err(OriginError::Several);
        }
        let origin = core::str::from_utf8(origin).map_err(|_| OriginError::Malformed)?;
        let origin: Origin = origin.parse()?;
        // 10.2: "If the origin indicated is unacceptable to the server, then it SHOULD respond to the WebSocket handshake
        // with a reply containing HTTP 403 Forbidden status code."
        let fine = match &self.allowed {
            Allowed::SameHost => is_same_host(&origin, host, secure),
            Allowed::List(origins) => origins.contains(&origin),
            Allowed::Any => true,
        };
        if fine {
            Ok(())
        } else {
            Err(OriginError::Foreign)
        }
    }
}

fn is_same_host(origin: &Origin, host: &str, secure: Option<bool>) -> bool {
    let scheme_fits = match origin.scheme.as_str() {
        "https" => true,
        "http" => secure != Some(true),
        _ => false,
    };
    let Some((name, port)) = host_and_port(host) else {
        return false;
    };
    // RFC 9110 4.2.1: "If the port subcomponent is empty or not given, TCP port 80 [...] is the default."
    let port = match port {
        Port::Given(port) => Some(port),
        Port::Absent | Port::Empty => default_port(&origin.scheme),
    };
    scheme_fits && name == origin.host && port == origin.port()
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

enum Port {
    Absent,
    /// A colon with nothing after it.
    Empty,
    Given(u16),
}

/// Splits `host[:port]`; the host becomes lower case. `None` for anything else, such as a path or a user.
fn host_and_port(authority: &str) -> Option<(String, Port)> {
    let (host, rest) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, rest) = rest.split_once(']')?;
            let address: Ipv6Addr = address.parse().ok()?;
            (format!("[{address}]"), rest)
        }
        None => {
            let end = authority.find(':').unwrap_or(authority.len());
            let (host, rest) = authority.split_at(end);
            let byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            if host.is_empty() || !host.bytes().all(byte) {
                return None;
            }
            (host.to_ascii_lowercase(), rest)
        }
    };
    let port = match rest.strip_prefix(':') {
        None if rest.is_empty() => Port::Absent,
        None => return None,
        Some("") => Port::Empty,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Port::Given(digits.parse().ok()?)
        }
        Some(_) => return None,
    };
    Some((host, port))
}
