//! Where a redirected client goes.
//! RFC 6455 section 4.1; RFC 9110 sections 10.2.2 and 15.4.
//! Knows no socket: it takes a response, and returns what to dial next.
//!
//! - A 301, 302, 303, 307 or 308 with one `Location` is followed, at most as often as allowed; the request stays a GET.
//! - `http` and `https` in it mean `ws` and `wss`. It never leads from TLS to an unencrypted URL.
//! - For another scheme, host or port, data meant for the first is dropped: `Authorization`, `Cookie`, `Proxy-Authorization`, `Host`, and
//!   the user name and password of the URL, for this hop and all that follow.

use thiserror::Error;

use super::ClientOptions;
use crate::http::{Response, Url, is_secret};

/// Why a redirect is not followed.
///
/// For an example see [`Redirects`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum RedirectError {
    /// There were more in a row than allowed, as in a loop.
    #[error("the server redirected more often than allowed")]
    TooMany,
    /// The `Location` is not a valid WebSocket URL, or there are several.
    #[error("the redirect does not lead to a WebSocket URL")]
    Location,
    /// It leads from `wss` to `ws`.
    #[error("the redirect leads from TLS to an unencrypted URL")]
    Downgrade,
}

/// A request, and how often it may still be redirected.
///
/// ```
/// use sansws_core::handshake::{ClientOptions, Redirects};
/// use sansws_core::http::Response;
///
/// let mut redirects = Redirects::new("ws://a/old".parse()?, ClientOptions::default(), 1);
/// let response = Response::new(302).with("Location", "/new");
/// assert_eq!(redirects.follow(&response), Ok(true));
/// assert_eq!(redirects.url().to_string(), "ws://a/new");
/// # Ok::<(), sansws_core::error::InvalidInput>(())
/// ```
#[derive(Clone, Debug)]
pub struct Redirects {
    url: Url,
    options: ClientOptions,
    most: u32,
    followed: u32,
}

impl Redirects {
    /// Starts with the first request; at most `most` redirects are followed.
    pub const fn new(url: Url, options: ClientOptions, most: u32) -> Self {
        Self {
            url,
            options,
            most,
            followed: 0,
        }
    }

    /// Returns the URL of the next request.
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// Returns the options of the next request.
    pub const fn options(&self) -> &ClientOptions {
        &self.options
    }

    /// Examines an answer other than 101. `true`: make a request with [`url`](Self::url) and [`options`](Self::options), over a new
    /// connection. `false`: it is not a redirect, or none are followed.
    pub fn follow(&mut self, response: &Response) -> Result<bool, RedirectError> {
        let Some(location) = response.location().filter(|_| self.most > 0) else {
            return Ok(false);
        };
        if self.followed >= self.most {
            return Err(RedirectError::TooMany);
        }
        // RFC 9110 5.3: "a sender MUST NOT generate multiple field lines with the same name in a message"
        if response.fields.all("location").count() > 1 {
            return Err(RedirectError::Location);
        }
        let next = self
            .url
            .join(location)
            .map_err(|_| RedirectError::Location)?;
        if self.url.is_secure() && !next.is_secure() {
            return Err(RedirectError::Downgrade);
        }
        if !next.is_same_origin(&self.url) {
            // RFC 9110 15.4: "Consider removing header fields [...] where there are security implications; this includes but
            // is not limited to Authorization and Cookie."
            let fields = self.options.fields.iter();
            // The caller's `Host` names the first origin.
            let public =
                fields.filter(|(name, _)| !is_secret(name) && !name.eq_ignore_ascii_case("host"));
            self.options.fields = public.collect();
        }
        self.followed += 1;
        self.url = next.with_credentials_of(&self.url);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use RedirectError::{Downgrade, Location, TooMany};
    use alloc::string::{String, ToString};
    use alloc::vec::Vec;

    /// Each hop: status, `Location`; then the resulting URL, and whether the credentials are kept.
    type Hop<'a> = (u16, &'a str, Result<Option<(&'a str, bool)>, RedirectError>);

    struct Case<'a> {
        name: &'a str,
        url: &'a str,
        most: u32,
        hops: &'a [Hop<'a>],
    }

    const CASES: &[Case<'_>] = &[
        Case {
            name: "none are followed unless allowed",
            url: "ws://a/",
            most: 0,
            hops: &[(302, "/b", Ok(None))],
        },
        Case {
            name: "every status that has a Location, relative to the hop before",
            url: "ws://a/x/y",
            most: 5,
            hops: &[
                (301, "z", Ok(Some(("ws://a/x/z", true)))),
                (302, "w/", Ok(Some(("ws://a/x/w/", true)))),
                (303, "v", Ok(Some(("ws://a/x/w/v", true)))),
                (307, "/?q", Ok(Some(("ws://a/?q", true)))),
                (308, "http://a:80/#f", Ok(Some(("ws://a/", true)))),
            ],
        },
        Case {
            name: "other statuses are no redirects",
            url: "ws://a/",
            most: 5,
            hops: &[
                (200, "/b", Ok(None)),
                (300, "/b", Ok(None)),
                (304, "/b", Ok(None)),
                (305, "/b", Ok(None)),
                (401, "/b", Ok(None)),
            ],
        },
        Case {
            name: "a loop ends at the limit",
            url: "ws://a/",
            most: 2,
            hops: &[
                (302, "/", Ok(Some(("ws://a/", true)))),
                (302, "/", Ok(Some(("ws://a/", true)))),
                (302, "/", Err(TooMany)),
                (302, "/", Err(TooMany)),
            ],
        },
        Case {
            name: "another host gets no credentials, nor does the first when it comes back to it",
            url: "wss://a/",
            most: 5,
            hops: &[
                (302, "/x", Ok(Some(("wss://a/x", true)))),
                (302, "https://b/x", Ok(Some(("wss://b/x", false)))),
                (302, "https://a/x", Ok(Some(("wss://a/x", false)))),
            ],
        },
        Case {
            name: "nor does another port",
            url: "wss://a/",
            most: 5,
            hops: &[(302, "//a:444/", Ok(Some(("wss://a:444/", false))))],
        },
        Case {
            name: "nor another scheme; up to TLS it goes",
            url: "ws://a:1/",
            most: 5,
            hops: &[(302, "wss://a:1/", Ok(Some(("wss://a:1/", false))))],
        },
        Case {
            name: "never down from TLS, not to the same host either, and the refusal changes nothing",
            url: "wss://a/",
            most: 5,
            hops: &[
                (302, "http://a/", Err(Downgrade)),
                (302, "ws://a:443/", Err(Downgrade)),
                (302, "/b", Ok(Some(("wss://a/b", true)))),
            ],
        },
        Case {
            name: "what is no WebSocket URL",
            url: "ws://a/",
            most: 5,
            hops: &[
                (302, "ftp://a/", Err(Location)),
                (302, "http://me:pw@b/", Err(Location)),
                (302, "/a b", Err(Location)),
            ],
        },
    ];

    fn options() -> ClientOptions {
        let fields = [
            ("AUTHORIZATION", "Bearer x"),
            ("Origin", "https://o"),
            ("cookie", "a=b"),
            ("Proxy-Authorization", "Basic x"),
            ("Host", "h"),
        ];
        ClientOptions {
            fields: fields.into_iter().collect(),
            subprotocols: Vec::from([String::from("chat")]),
        }
    }

    #[test]
    fn hop_by_hop() {
        for case in CASES {
            let first = case.url.parse().unwrap();
            let mut redirects = Redirects::new(first, options(), case.most);
            for (status, location, want) in case.hops {
                let response = Response::new(*status).with("Location", location);
                let got = redirects.follow(&response).map(|followed| {
                    followed.then(|| {
                        let count = redirects.options().fields.len();
                        assert!([1, 5].contains(&count));
                        (redirects.url().to_string(), count == 5)
                    })
                });
                let got = match &got {
                    Ok(Some((url, kept))) => Ok(Some((url.as_str(), *kept))),
                    Ok(None) => Ok(None),
                    Err(error) => Err(*error),
                };
                assert_eq!(got, *want, "{}: {location}", case.name);
                let kept = redirects.options();
                assert_eq!(kept.fields.get_str("origin"), Some("https://o"));
                assert_eq!(kept.subprotocols, ["chat"]);
            }
        }
    }

    #[test]
    fn the_password_of_a_url_goes_along_within_its_origin_only() {
        let url = "ws://me:pw@a/x".parse().unwrap();
        let mut redirects = Redirects::new(url, options(), 5);
        for (location, want) in [
            ("/y", true),
            ("http://a:80/z", true),
            ("ws://b/", false),
            ("ws://a/", false),
        ] {
            let response = Response::new(302).with("Location", location);
            assert_eq!(redirects.follow(&response), Ok(true));
            assert_eq!(redirects.url().has_credentials(), want, "{location}");
        }
    }

    #[test]
    fn two_locations_are_none() {
        let mut redirects = Redirects::new("ws://a/".parse().unwrap(), options(), 1);
        let two = Response::new(302)
            .with("Location", "/b")
            .with("Location", "/c");
        assert_eq!(redirects.follow(&two), Err(Location));
        assert_eq!(redirects.follow(&Response::new(302)), Ok(false));
    }
}
