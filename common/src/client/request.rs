//! The values that name a server to connect to.
//! RFC 6455 section 4.1.

use sansws_core::http::Url;

use crate::client::options::ConnectOptions;
use crate::error::{Error, Result};

/// A value that names the server to connect to: a URL as text, a [`Url`], with the feature `http` an [`http::Uri`], or an
/// [`http::Request`] whose header fields are sent too.
///
/// ```
/// use sansws_common::{ConnectOptions, IntoRequest};
///
/// let request = http::Request::get("wss://example.org/chat")
///     .header("Authorization", "Bearer s3cret")
///     .header("Sec-WebSocket-Protocol", "chat.v2")
///     .body(())?;
/// let (url, options) = request.into_request(ConnectOptions::default())?;
/// assert_eq!((url.host(), url.target()), ("example.org", "/chat"));
/// assert_eq!(options.options.fields.get_str("authorization"), Some("Bearer s3cret"));
/// assert_eq!(options.options.subprotocols, ["chat.v2"]);
/// assert!("example.org/chat".into_request(ConnectOptions::default()).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not name a server",
    label = "not a URL or a request",
    note = "text, a `sansws_core::http::Url`, or with the feature `http` an `http::Uri` or an `http::Request<()>`; of a URL of another \
            crate, take the text: `url.as_str()`"
)]
pub trait IntoRequest {
    /// Returns the URL, and `options` with what else the value says.
    ///
    /// # Errors
    /// [`Error::BadUrl`]; for a request also [`Error::InvalidInput`], unless its method is GET.
    fn into_request(self, options: ConnectOptions) -> Result<(Url, ConnectOptions), Error>;
}

impl IntoRequest for &str {
    fn into_request(self, options: ConnectOptions) -> Result<(Url, ConnectOptions), Error> {
        Ok((Error::parse_url(self)?, options))
    }
}

impl IntoRequest for String {
    fn into_request(self, options: ConnectOptions) -> Result<(Url, ConnectOptions), Error> {
        self.as_str().into_request(options)
    }
}

impl IntoRequest for Url {
    fn into_request(self, options: ConnectOptions) -> Result<(Url, ConnectOptions), Error> {
        Ok((self, options))
    }
}

impl<R: IntoRequest + Clone> IntoRequest for &R {
    fn into_request(self, options: ConnectOptions) -> Result<(Url, ConnectOptions), Error> {
        self.clone().into_request(options)
    }
}

#[cfg(feature = "http")]
mod of_http {
    use super::{ConnectOptions, Error, IntoRequest, Result, Url};
    use sansws_core::error::InvalidInput;

    /// Fields that the opening handshake writes by itself, with values of its own.
    const OWN: [&str; 5] = [
        "upgrade",
        "connection",
        "sec-websocket-key",
        "sec-websocket-version",
        "sec-websocket-extensions",
    ];

    impl IntoRequest for http::Uri {
        fn into_request(self, options: ConnectOptions) -> Result<(Url, ConnectOptions), Error> {
            self.to_string().into_request(options)
        }
    }

    /// Its fields are sent, but for those that the handshake writes by itself; `Sec-WebSocket-Protocol` adds to the subprotocols.
    impl IntoRequest for http::Request<()> {
        fn into_request(self, mut options: ConnectOptions) -> Result<(Url, ConnectOptions), Error> {
            // 4.1: "The method of the request MUST be GET"
            if self.method() != http::Method::GET {
                return Err(InvalidInput::NotGet.into());
            }
            for (name, value) in self.headers() {
                if name == http::header::SEC_WEBSOCKET_PROTOCOL {
                    let names = value.to_str().map_err(|_| InvalidInput::BadHeader)?;
                    for one in names.split(',').map(str::trim) {
                        options = options.subprotocol(one);
                    }
                } else if !OWN.contains(&name.as_str()) {
                    options = options.header(name.as_str(), value.as_bytes());
                }
            }
            self.uri().into_request(options)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_urls_name_a_server() {
        let url: Url = "ws://example.org:81/a?b".parse().unwrap();
        let text = "ws://example.org:81/a?b";
        let named = [
            text.into_request(ConnectOptions::default()),
            (&text).into_request(ConnectOptions::default()),
            String::from(text).into_request(ConnectOptions::default()),
            (&String::from(text)).into_request(ConnectOptions::default()),
            (&url).into_request(ConnectOptions::default()),
        ];
        for one in named {
            assert_eq!(one.unwrap().0, url);
        }
        let wrong = "example.org".into_request(ConnectOptions::default());
        assert!(matches!(wrong, Err(Error::BadUrl { .. })), "{wrong:?}");
    }

    #[cfg(feature = "http")]
    #[test]
    fn a_request_brings_its_fields_but_those_of_the_handshake() {
        let request = http::Request::get("wss://example.org/chat")
            .header("Host", "chat.example.org")
            .header("Upgrade", "websocket")
            .header("Connection", "Upgrade")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Protocol", "one, two")
            .header("Authorization", "Bearer s3cret")
            .body(())
            .unwrap();
        let (url, options) = (&request).into_request(ConnectOptions::default()).unwrap();
        assert_eq!((url.host(), url.is_secure()), ("example.org", true));
        assert_eq!(options.options.subprotocols, ["one", "two"]);
        let fields: Vec<_> = options.options.fields.iter().collect();
        assert_eq!(
            fields,
            [
                ("host", b"chat.example.org".as_slice()),
                ("authorization", b"Bearer s3cret")
            ]
        );
        let post = http::Request::post("ws://example.org/").body(()).unwrap();
        assert!(post.into_request(ConnectOptions::default()).is_err());
        let relative = http::Request::get("/chat").body(()).unwrap();
        assert!(relative.into_request(ConnectOptions::default()).is_err());
    }
}
