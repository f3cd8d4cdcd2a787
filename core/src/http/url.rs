//! WebSocket URLs.
//! RFC 6455 section 3; RFC 3986 section 3.
//! Knows no name resolution: it splits a URL, and checks that the parts are valid in a request.

use alloc::format;
use alloc::string::{String, ToString};
use core::fmt;
use core::str::FromStr;

use super::Credentials;
use crate::error::InvalidInput;

/// A `ws://` or `wss://` URL.
///
/// ```
/// let url: sansws_core::http::Url = "wss://example.org/chat?room=1#part".parse().unwrap();
/// assert!(url.is_secure());
/// assert_eq!((url.host(), url.port()), ("example.org", 443));
/// assert_eq!(url.target(), "/chat?room=1"); // the fragment is never sent
/// assert_eq!(url.authority(), "example.org");
/// ```
///
/// A user name and a password, `wss://user:p%40ss@example.org/`, are percent-decoded, and sent to the server by Basic authentication (RFC
/// 7617), unless the request has its own `Authorization`. Neither `Display` nor `Debug` shows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    secure: bool,
    host: String,
    port: u16,
    target: String,
    credentials: Option<Credentials>,
}

impl Url {
    /// Returns whether it is `wss`.
    pub const fn is_secure(&self) -> bool {
        self.secure
    }

    /// Returns the host: a name, or an address; an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the port; 80 or 443 if it has none.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Returns the path and query, as in the request line.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Returns the value of `Authorization` for its user name and password, if it has any.
    pub(crate) fn authorization(&self) -> Option<String> {
        self.credentials.as_ref().and_then(Credentials::basic)
    }

    /// Returns whether it contains a user name or a password.
    pub(crate) const fn has_credentials(&self) -> bool {
        self.credentials.is_some()
    }

    /// Returns this URL with the credentials of `before`, if both have one origin.
    pub(crate) fn with_credentials_of(self, before: &Self) -> Self {
        let credentials = before.credentials.clone();
        Self {
            credentials: credentials.filter(|_| self.is_same_origin(before)),
            ..self
        }
    }

    /// Returns whether scheme, host and port are equal (RFC 6454 section 5).
    pub fn is_same_origin(&self, other: &Self) -> bool {
        (self.secure, self.port) == (other.secure, other.port) && self.host == other.host
    }

    /// Returns the value of `Host`: with the port if it is not the default (section 4.1, 4).
    pub fn authority(&self) -> String {
        let default = if self.secure { 443 } else { 80 };
        if self.port != default {
            authority(&self.host, self.port)
        } else if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        }
    }
}

/// Returns a host, an IPv6 address without brackets, and a port as in a URL.
pub fn authority(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

impl FromStr for Url {
    type Err = InvalidInput;

    fn from_str(url: &str) -> Result<Self, InvalidInput> {
        let (scheme, rest) = url.split_once("://").ok_or(InvalidInput::BadUrl)?;
        // Redirects name http and https (RFC 6455 section 4.1 leaves following them to us).
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "ws" | "http" => false,
            "wss" | "https" => true,
            _ => return Err(InvalidInput::BadUrl),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, target) = rest
            .find(['/', '?'])
            .map_or((rest, ""), |at| rest.split_at(at));
        if !target.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InvalidInput::BadUrl);
        }
        let target = match target.bytes().next() {
            Some(b'/') => target.to_string(),
            _ => format!("/{target}"),
        };
        let (userinfo, authority) = match authority.rsplit_once('@') {
            Some((userinfo, authority)) => (userinfo, authority),
            None => ("", authority),
        };
        let credentials = credentials(userinfo).ok_or(InvalidInput::BadUrl)?;
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']').ok_or(InvalidInput::BadUrl)?;
                let fine = host.parse::<core::net::Ipv6Addr>().is_ok();
                (
                    host,
                    if fine {
                        port
                    } else {
                        return Err(InvalidInput::BadUrl);
                    },
                )
            }
            None => {
                let (host, port) = authority
                    .find(':')
                    .map_or((authority, ""), |at| authority.split_at(at));
                let fine = !host.is_empty()
                    && host
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
                (
                    host,
                    if fine {
                        port
                    } else {
                        return Err(InvalidInput::BadUrl);
                    },
                )
            }
        };
        let default = if secure { 443 } else { 80 };
        let port = match port.strip_prefix(':') {
            Some("") => default,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().map_err(|_| InvalidInput::BadUrl)?
            }
            None if port.is_empty() => default,
            Some(_) | None => return Err(InvalidInput::BadUrl),
        };
        Ok(Self {
            secure,
            host: host.to_ascii_lowercase(),
            port,
            target,
            credentials,
        })
    }
}

/// Parses the user information of a URL; the outer `None` if Basic authentication cannot send it.
fn credentials(userinfo: &str) -> Option<Option<Credentials>> {
    if matches!(userinfo, "" | ":") {
        return Some(None);
    }
    let credentials = Credentials::from_userinfo(userinfo)?;
    credentials.basic().map(|_| Some(credentials))
}

/// Why a text is not a [`Url`].
#[doc(hidden)]
pub fn why_not_a_url(text: &str) -> &'static str {
    if text.trim().is_empty() {
        return "it is blank";
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return "it begins with neither ws:// nor wss://";
    };
    if !["ws", "wss", "http", "https"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(scheme))
    {
        return "its scheme is neither ws nor wss";
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let is_graphic = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    let (userinfo, authority) = authority.rsplit_once('@').unwrap_or(("", authority));
    if credentials(userinfo).is_none() {
        "its user name or password is not percent-encoded, or can't be said by Basic authentication"
    } else if authority.is_empty() || authority.starts_with(':') {
        "it names no host"
    } else if !is_graphic(rest.split('#').next().unwrap_or_default()) {
        "it holds blanks or characters that must be escaped"
    } else if authority
        .rsplit_once(':')
        .is_some_and(|(_, port)| !port.contains(']') && port.parse::<u16>().is_err())
    {
        "its port is none"
    } else {
        "its host is none"
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}://{}{}",
            if self.secure { "wss" } else { "ws" },
            self.authority(),
            self.target
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_parts() {
        let cases: &[(&str, Result<&str, InvalidInput>)] = &[
            ("ws://a", Ok("ws://a/")),
            ("WS://A:80/x", Ok("ws://a/x")),
            ("wss://a:80?q=1#f", Ok("wss://a:80/?q=1")),
            ("ws://[::1]:9001/", Ok("ws://[::1]:9001/")),
            ("https://a/b", Ok("wss://a/b")),
            ("ws://a:/", Ok("ws://a/")),
            ("ftp://a", Err(InvalidInput::BadUrl)),
            ("ws:/a", Err(InvalidInput::BadUrl)),
            ("ws://", Err(InvalidInput::BadUrl)),
            ("ws://a:99999", Err(InvalidInput::BadUrl)),
            ("ws://a:+1", Err(InvalidInput::BadUrl)),
            ("ws://me:pw@A:80/x", Ok("ws://a/x")),
            ("ws://me@[::1]:1", Ok("ws://[::1]:1/")),
            ("ws://:@a", Ok("ws://a/")),
            ("ws://me:pw@", Err(InvalidInput::BadUrl)),
            ("ws://m%3ae:pw@a", Err(InvalidInput::BadUrl)),
            ("ws://me:%0d%0apw@a", Err(InvalidInput::BadUrl)),
            ("ws://me:pw%@a", Err(InvalidInput::BadUrl)),
            ("ws://me:%ff@a", Err(InvalidInput::BadUrl)),
            ("ws://a/b c", Err(InvalidInput::BadUrl)),
            ("ws://a/\r\nX: y", Err(InvalidInput::BadUrl)),
            ("ws://a b/", Err(InvalidInput::BadUrl)),
            ("ws://[::1/", Err(InvalidInput::BadUrl)),
            ("ws://[::1]x", Err(InvalidInput::BadUrl)),
        ];
        for (url, want) in cases {
            let got = url.parse::<Url>().map(|url| url.to_string());
            assert_eq!(got.as_deref(), want.as_deref(), "{url}");
        }
    }

    #[test]
    fn a_user_name_and_a_password_are_decoded_and_never_shown() {
        let cases = [
            ("ws://a", None),
            ("ws://@a", None),
            // The example of RFC 7617 section 2.
            (
                "ws://Aladdin:open%20sesame@a",
                Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            ),
            ("wss://test:123%C2%A3@a/", Some("Basic dGVzdDoxMjPCow==")),
            ("ws://me@a", Some("Basic bWU6")),
            ("ws://:pw@a", Some("Basic OnB3")),
            ("ws://me:p:w@a", Some("Basic bWU6cDp3")),
            ("ws://me:p@w@a", Some("Basic bWU6cEB3")),
            ("ws://me:p%40w%2f@a", Some("Basic bWU6cEB3Lw==")),
        ];
        for (text, want) in cases {
            let url: Url = text.parse().unwrap();
            assert_eq!(url.authorization().as_deref(), want, "{text}");
            let shown = format!("{url} {url:?}");
            assert!(
                !shown.contains("sesame") && !shown.contains("pw"),
                "{shown}"
            );
        }
    }

    #[test]
    fn invalid_urls_have_reasons() {
        for (url, want) in [
            (" ", "it is blank"),
            ("a.example/x", "it begins with neither ws:// nor wss://"),
            ("ftp://a", "its scheme is neither ws nor wss"),
            ("ws:///x", "it names no host"),
            ("ws://:80/", "it names no host"),
            ("ws://me:pw@", "it names no host"),
            (
                "ws://me:p%w@a",
                "its user name or password is not percent-encoded, or can't be said by Basic authentication",
            ),
            (
                "ws://a b",
                "it holds blanks or characters that must be escaped",
            ),
            (
                "ws://a/b c",
                "it holds blanks or characters that must be escaped",
            ),
            ("ws://a:99999", "its port is none"),
            ("ws://[::1/", "its host is none"),
            ("ws://a&b", "its host is none"),
        ] {
            assert!(url.parse::<Url>().is_err(), "{url}");
            assert_eq!(why_not_a_url(url), want, "{url}");
        }
    }
}
