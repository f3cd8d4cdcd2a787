//! The options of a client, shared by all adapters.
//! RFC 6455 section 4.1; RFC 7617 (Basic), RFC 6750 (Bearer), RFC 6265 (cookies).
//! Plain data, checked when it is set.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use sansws_core::config::Config;
use sansws_core::dial::Attempts;
use sansws_core::error::InvalidInput;
use sansws_core::handshake::{ClientHandshake, ClientOptions};
use sansws_core::http::field::is_token;
use sansws_core::http::{Credentials, Headers, Url};
use sansws_core::internal::authority;
use sansws_core::proxy::Proxy;
use sansws_core::random::Seed;

use super::proxies::ProxyVariables;
use super::tried::TriedAddresses;
use crate::error::Error;

/// Options for an outgoing connection.
///
/// ```
/// use sansws_common::ConnectOptions;
/// let dial = ConnectOptions::default()
///     .subprotocol("chat.v2")
///     .header("Origin", "https://example.org")
///     .bearer("mF_9.B5f-4.1JqM")?
///     .proxy("socks5://127.0.0.1:9050".parse()?)
///     .redirects(3);
/// assert_eq!(dial.options.subprotocols, ["chat.v2"]);
/// # Ok::<(), sansws_core::error::InvalidInput>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct ConnectOptions {
    /// Limits, timeouts, compression.
    pub config: Arc<Config>,
    /// Subprotocols and header fields of the request.
    pub options: ClientOptions,
    /// The proxy to use; default none.
    pub proxy: Option<Proxy>,
    /// The proxies to use if `proxy` is none. See [`ConnectOptions::proxy_from_env`].
    #[doc(hidden)]
    pub proxy_variables: Option<Arc<ProxyVariables>>,
    /// The addresses that a client has tried in vain, which come last; `None`: it does not reconnect.
    #[doc(hidden)]
    pub tried: Option<Arc<TriedAddresses>>,
    /// Addresses of hosts that are not looked up. See [`ConnectOptions::resolve`].
    pub resolved: Vec<(String, Vec<SocketAddr>)>,
    /// Maximum number of redirects in a row; default 0. See [`ConnectOptions::redirects`].
    pub redirects: u32,
    /// TLS settings for `wss://`; `None` trusts the roots of the system. See [`crate::tls`].
    #[cfg(feature = "tls")]
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// TLS settings for an `https://` proxy; `None` trusts the system's roots. Those for the server are not used for it.
    #[cfg(feature = "tls")]
    pub proxy_tls: Option<Arc<rustls::ClientConfig>>,
}

impl ConnectOptions {
    /// Returns the options for a client that reconnects; reports at once what no attempt could send.
    #[doc(hidden)]
    pub fn for_client(mut self, url: &Url, seed: &Seed) -> Result<Self, Error> {
        ClientHandshake::new(&self.config, url, self.options.clone(), seed.nonce())
            .map_err(|misuse| Error::of_request(misuse, &self.options.fields))?;
        self.tried = Some(Arc::default());
        Ok(self)
    }

    /// Returns the options for a client that shows no control frames, so that the application cannot answer pings.
    #[doc(hidden)]
    pub fn with_auto_pong(mut self) -> Self {
        if !self.config.auto_pong {
            Arc::make_mut(&mut self.config).auto_pong = true;
        }
        self
    }

    /// Sets limits, timeouts and compression.
    pub fn config(mut self, config: impl Into<Arc<Config>>) -> Self {
        self.config = config.into();
        self
    }

    /// Offers a subprotocol, after those offered before.
    pub fn subprotocol(mut self, name: impl Into<String>) -> Self {
        self.options.subprotocols.push(name.into());
        self
    }

    /// Adds a header field to the request, such as `Origin`. It is checked when the request is made. A `Host` replaces that of the URL,
    /// for a gateway or a test; the address and the TLS server name (SNI) still come from the URL.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.options.fields.push(name, value.as_ref());
        self
    }

    /// Authenticates by name and password (RFC 7617), which replace an earlier `Authorization` and the credentials of the URL. Anyone
    /// on the path can read them unless the URL is `wss://`.
    ///
    /// # Errors
    /// [`InvalidInput::Credentials`] for a name with a colon, or control characters in either.
    pub fn basic(self, user: &str, password: &str) -> Result<Self, InvalidInput> {
        let credentials = Credentials {
            user: user.into(),
            password: password.into(),
        };
        let basic = credentials.basic().ok_or(InvalidInput::Credentials)?;
        Ok(self.replace("Authorization", basic))
    }

    /// Authenticates by a token (RFC 6750), which replaces an earlier `Authorization`.
    ///
    /// # Errors
    /// [`InvalidInput::Credentials`] if it is not a `b64token`: letters, digits, `-._~+/`, optionally followed by `=`.
    pub fn bearer(self, token: &str) -> Result<Self, InvalidInput> {
        // RFC 6750 2.1: b64token = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="
        let bare = token.trim_end_matches('=');
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
        if bare.is_empty() || !bare.bytes().all(fits) {
            return Err(InvalidInput::Credentials);
        }
        Ok(self.replace("Authorization", format!("Bearer {token}")))
    }

    /// Adds a cookie. All cookies are sent in one `Cookie` field, in this order.
    ///
    /// # Errors
    /// [`InvalidInput::Credentials`] for a name that is not a token, or a value with bytes that are not allowed in a cookie.
    pub fn cookie(self, name: &str, value: &str) -> Result<Self, InvalidInput> {
        // RFC 6265 4.1.1: cookie-value = *cookie-octet / ( DQUOTE *cookie-octet DQUOTE )
        let bare = value
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
            .unwrap_or(value);
        let fits =
            |byte: u8| matches!(byte, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e);
        if !is_token(name) || !bare.bytes().all(fits) {
            return Err(InvalidInput::Credentials);
        }
        // 5.4: "the user agent MUST NOT attach more than one Cookie header field"
        let mut all: Vec<u8> = Vec::new();
        for before in self.options.fields.all("cookie") {
            all.extend_from_slice(before);
            all.extend_from_slice(b"; ");
        }
        all.extend_from_slice(format!("{name}={value}").as_bytes());
        Ok(self.replace("Cookie", &all))
    }

    /// Connects through a proxy, to `ws://` and `wss://` servers alike. Once connected, the proxy has as long as a TCP connection
    /// ([`Timeouts::connect`](sansws_core::config::Timeouts::connect)) to reach the server.
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.proxy = Some(proxy);
        self
    }

    /// Connects through the proxies that the environment names now, as curl does: `https_proxy` or `HTTPS_PROXY` for `wss://`, `http_proxy`
    /// for `ws://`, `all_proxy` or `ALL_PROXY` for either. `no_proxy` or `NO_PROXY` lists the servers to connect to directly, separated by
    /// commas: `*`, names with all their subdomains, addresses, networks such as `10.0.0.0/8`, each optionally with a port. A proxy without a
    /// scheme is an HTTP proxy. [`proxy`](Self::proxy) has precedence. Each redirect is judged by its own URL.
    ///
    /// # Errors
    /// [`InvalidInput::ProxyVariable`] for a variable that is not the URL of a proxy.
    pub fn proxy_from_env(mut self) -> Result<Self, InvalidInput> {
        let variables = ProxyVariables::read(|name| std::env::var(name).ok())?;
        self.proxy_variables = Some(Arc::new(variables));
        Ok(self)
    }

    /// Returns the proxy that leads to the server of `url`.
    pub fn proxy_for(&self, url: &Url) -> Option<&Proxy> {
        let variables = self.proxy_variables.as_ref();
        let by_environment = || variables.and_then(|variables| variables.proxy_for(url));
        self.proxy.as_ref().or_else(by_environment)
    }

    /// Sets the addresses of `host`, a host in a URL or the proxy's, instead of looking it up; replaces those set for it before. They
    /// are tried like those of a lookup: families alternate, the next one is tried after 250 ms or at a failure (RFC 8305). Port 0
    /// stands for the port of the URL. `Host`, TLS and cookies are not affected, and a proxy still looks up the server by itself.
    ///
    /// ```
    /// use sansws_common::ConnectOptions;
    /// let dial = ConnectOptions::default().resolve("example.org", ["127.0.0.1:0".parse()?, "[::1]:8080".parse()?]);
    /// let addresses = dial.addresses(&"wss://example.org/".parse()?).unwrap();
    /// assert_eq!(addresses, ["127.0.0.1:443".parse()?, "[::1]:8080".parse()?]);
    /// assert_eq!(dial.addresses(&"wss://example.com/".parse()?), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn resolve(
        mut self,
        host: impl Into<String>,
        addresses: impl IntoIterator<Item = SocketAddr>,
    ) -> Self {
        let host = host.into();
        self.resolved
            .retain(|(other, _)| !other.eq_ignore_ascii_case(&host));
        self.resolved.push((host, addresses.into_iter().collect()));
        self
    }

    /// Sets the maximum number of redirects in a row; default 0: a redirect is then [`Error::Refused`], with its
    /// [`location`](sansws_core::http::Response::location), because only a caller who expects redirects knows which hosts may receive
    /// the request.
    ///
    /// `http` and `https` lead to `ws` and `wss`, never from `wss` to `ws`; another scheme, host or port gets no `Authorization`,
    /// `Cookie`, `Proxy-Authorization` or `Host`, and not the name and password of the URL. All other fields, the proxy and a TLS
    /// client certificate are kept. Each hop has its full timeouts.
    pub const fn redirects(mut self, most: u32) -> Self {
        self.redirects = most;
        self
    }

    /// Sets the TLS settings: other roots, a client certificate.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: Arc<rustls::ClientConfig>) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Sets the TLS settings for an `https://` proxy.
    #[cfg(feature = "tls")]
    pub fn proxy_tls(mut self, tls: Arc<rustls::ClientConfig>) -> Self {
        self.proxy_tls = Some(tls);
        self
    }

    /// Returns the addresses of the [first hop](Self::first_hop) to `url`, if they are set.
    pub fn addresses(&self, url: &Url) -> Option<Vec<SocketAddr>> {
        let (host, port) = self.first_hop(url);
        let known = |(name, _): &&(String, _)| name.eq_ignore_ascii_case(host);
        let (_, addresses) = self.resolved.iter().find(known)?;
        let with_port = |address: &SocketAddr| match address.port() {
            0 => SocketAddr::new(address.ip(), port),
            _ => *address,
        };
        Some(addresses.iter().map(with_port).collect())
    }

    /// Returns the host and port to connect to: the proxy's, or those of `url`.
    pub fn first_hop<'a>(&'a self, url: &'a Url) -> (&'a str, u16) {
        match self.proxy_for(url) {
            Some(proxy) => (proxy.host(), proxy.port()),
            None => (url.host(), url.port()),
        }
    }

    /// Returns the attempts at addresses of a lookup, in the order in which they are made.
    #[doc(hidden)]
    pub fn attempts(&self, addresses: Vec<SocketAddr>) -> Attempts {
        match &self.tried {
            Some(tried) => tried.attempts(addresses),
            None => Attempts::new(addresses),
        }
    }

    /// Records that an attempt goes on over a connection to this address.
    #[doc(hidden)]
    pub fn reached(&self, address: SocketAddr) {
        if let Some(tried) = &self.tried {
            tried.reached(address);
        }
    }

    /// Records that a connection is open: addresses that were tried in vain are forgotten.
    #[doc(hidden)]
    pub fn opened(&self) {
        if let Some(tried) = &self.tried {
            tried.clear();
        }
    }

    /// Returns the error of a lookup of the [first hop](Self::first_hop) to `url` that failed.
    #[doc(hidden)]
    pub fn lookup_failed(&self, url: &Url, error: io::Error) -> Error {
        Error::io(format_args!("look up {}", self.first_hop(url).0), error)
    }

    /// Returns the error when the [first hop](Self::first_hop) to `url` has no address that accepts a connection; `error` is that of the
    /// last attempt.
    #[doc(hidden)]
    pub fn dial_failed(&self, url: &Url, error: io::Error) -> Error {
        let (host, port) = self.first_hop(url);
        Error::io(format_args!("connect to {}", authority(host, port)), error)
    }

    /// Names the server, and the proxy if there is one, in a connect timeout.
    #[doc(hidden)]
    pub fn name_timeout(&self, url: &Url, error: Error) -> Error {
        let Error::ConnectTimeout(None) = error else {
            return error;
        };
        let server = authority(url.host(), url.port());
        let target = match self.proxy_for(url) {
            Some(_) => {
                let (host, port) = self.first_hop(url);
                format!("{server} through the proxy {}", authority(host, port))
            }
            None => server,
        };
        Error::ConnectTimeout(Some(target.into()))
    }

    /// Sets a field that may occur only once.
    fn replace(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let fields = &self.options.fields;
        let mut kept: Headers = fields
            .iter()
            .filter(|(other, _)| !other.eq_ignore_ascii_case(name))
            .collect();
        kept.push(name, value.as_ref());
        self.options.fields = kept;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(
        dial: Result<ConnectOptions, InvalidInput>,
        name: &str,
    ) -> Result<String, InvalidInput> {
        let dial = dial?;
        assert_eq!(dial.options.fields.all(name).count(), 1);
        Ok(dial.options.fields.get_str(name).unwrap().into())
    }

    #[test]
    fn names_and_passwords() {
        let cases: &[(&str, &str, Result<&str, InvalidInput>)] = &[
            (
                "Aladdin",
                "open sesame",
                Ok("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            ),
            ("", "a:b", Ok("Basic OmE6Yg==")),
            ("test", "123\u{a3}", Ok("Basic dGVzdDoxMjPCow==")),
            ("a:b", "c", Err(InvalidInput::Credentials)),
            ("a\r\nX: y", "c", Err(InvalidInput::Credentials)),
            ("a", "c\n", Err(InvalidInput::Credentials)),
            ("a", "\u{85}", Err(InvalidInput::Credentials)),
        ];
        for (user, password, want) in cases {
            let got = field(
                ConnectOptions::default().basic(user, password),
                "authorization",
            );
            assert_eq!(got.as_deref(), want.as_deref(), "{user}:{password}");
        }
    }

    #[test]
    fn tokens() {
        for good in ["mF_9.B5f-4.1JqM", "a", "a+/~==", "YQ=="] {
            let got = field(ConnectOptions::default().bearer(good), "authorization");
            assert_eq!(got, Ok(format!("Bearer {good}")));
        }
        for bad in ["", "=", "a b", "a=b", "a\r\nX: y", "a,b", "\u{e4}", "a:b"] {
            assert_eq!(
                ConnectOptions::default().bearer(bad).err(),
                Some(InvalidInput::Credentials),
                "{bad}"
            );
        }
        let both = ConnectOptions::default()
            .header("authorization", "old")
            .basic("a", "b");
        let both = both.and_then(|dial| dial.bearer("new"));
        assert_eq!(field(both, "authorization").as_deref(), Ok("Bearer new"));
    }

    #[test]
    fn failures_name_the_first_hop() {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let direct = ConnectOptions::default();
        let proxied =
            ConnectOptions::default().proxy("socks5://me:secret@gate:9050".parse().unwrap());
        let cases = [
            (
                &direct,
                "wss://example.org/?token=s3cret",
                "example.org:443",
            ),
            (&direct, "ws://[::1]:8080/", "[::1]:8080"),
            (&proxied, "ws://example.org/", "gate:9050"),
        ];
        for (dial, url, want) in cases {
            let error = dial.dial_failed(&url.parse().unwrap(), refused());
            assert_eq!(
                error.to_string(),
                format!("cannot connect to {want}: connection refused")
            );
            assert!(
                matches!(error, Error::Io(io) if io.kind() == io::ErrorKind::ConnectionRefused)
            );
        }
        let late = |dial: &ConnectOptions, url: &str| {
            let late = dial.name_timeout(&url.parse().unwrap(), Error::ConnectTimeout(None));
            assert!(late.is_timeout());
            late.to_string()
        };
        assert_eq!(
            late(&direct, "wss://example.org/"),
            "connecting to example.org:443 timed out"
        );
        assert_eq!(
            late(&direct, "ws://[::1]:8080/"),
            "connecting to [::1]:8080 timed out"
        );
        assert_eq!(
            late(&proxied, "ws://example.org/"),
            "connecting to example.org:80 through the proxy gate:9050 timed out"
        );
        let unknown = io::Error::new(io::ErrorKind::NotFound, "no such name");
        let error = direct.lookup_failed(&"ws://example.org/".parse().unwrap(), unknown);
        assert_eq!(
            error.to_string(),
            "cannot look up example.org: no such name"
        );
    }

    #[test]
    fn cookies_share_a_field() {
        let mut dial = Ok(ConnectOptions::default().header("COOKIE", "z=0"));
        for (name, value) in [("a", "1"), ("b", ""), ("c", "\"x=y\"")] {
            dial = dial.and_then(|dial| dial.cookie(name, value));
        }
        assert_eq!(
            field(dial, "cookie").as_deref(),
            Ok("z=0; a=1; b=; c=\"x=y\"")
        );
        for (name, value) in [
            ("", "a"),
            ("a b", "c"),
            ("a=b", "c"),
            ("a", "b;c"),
            ("a", "b c"),
            ("a", "b,c"),
            ("a", "\""),
            ("a", "b\"c"),
            ("a", "b\\"),
            ("a", "b\r\nX: y"),
            ("a", "\u{e4}"),
        ] {
            let got = ConnectOptions::default().cookie(name, value);
            assert_eq!(got.err(), Some(InvalidInput::Credentials), "{name}={value}");
        }
    }

    #[test]
    fn the_first_hop() {
        let url: Url = "wss://a:444/".parse().unwrap();
        let dial = ConnectOptions::default();
        assert_eq!(dial.first_hop(&url), ("a", 444));
        let dial = dial.proxy("http://b:1".parse().unwrap());
        assert_eq!(dial.first_hop(&url), ("b", 1));
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let dial = dial
            .resolve("B", [at("1.0.0.1:0")])
            .resolve("a", [at("1.0.0.2:0")]);
        assert_eq!(dial.addresses(&url), Some(Vec::from([at("1.0.0.1:1")])));
        let dial = dial.resolve("b", [at("[::1]:7"), at("1.0.0.1:0")]);
        let both = Vec::from([at("[::1]:7"), at("1.0.0.1:1")]);
        assert_eq!(dial.addresses(&url), Some(both));
    }
}
