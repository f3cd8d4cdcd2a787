//! Heads of requests and responses: found once, parsed once.
//! RFC 9112 sections 2 to 6; bounds by RFC 6455 section 10.4.
//! Knows no field by name. The search for the end keeps its place, so a head that arrives slowly costs no more than one that arrives whole.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::config::Limits;

/// Why a head cannot be parsed.
///
/// ```
/// use sansws_core::config::Limits;
/// use sansws_core::http::{HeadError, parse_request};
///
/// let limits = Limits { headers: 1, ..Limits::default() };
/// let head = b"GET / HTTP/1.1\r\nHost: example.org\r\nAccept: */*\r\n\r\n";
/// assert_eq!(parse_request(head, &limits).unwrap_err(), HeadError::TooManyFields);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// It breaks the grammar of HTTP.
    #[error("the head breaks the grammar of HTTP")]
    Malformed,
    /// It is longer than [`Limits::head`].
    #[error("the head is longer than the limit")]
    TooLarge,
    /// It has more fields than [`Limits::headers`].
    #[error("the head has more header fields than the limit")]
    TooManyFields,
    /// Its version is not HTTP/1.1.
    #[error("the version is not HTTP/1.1")]
    Version,
}

/// The search for the end of a head.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scan {
    seen: usize,
}

impl Scan {
    /// Examines the bytes that arrived since the last call; `input` holds all of them, from the first.
    ///
    /// Returns the length of the head once its empty line is there. A line that ends without CR, and a first byte that starts no HTTP
    /// message, are found at once.
    pub fn find(&mut self, input: &[u8], limits: &Limits) -> Result<Option<usize>, HeadError> {
        if input
            .first()
            .is_some_and(|byte| !byte.is_ascii_alphabetic() && !matches!(byte, b'\r' | b'\n'))
        {
            return Err(HeadError::Malformed);
        }
        // Bytes beyond the longest head must not decide what is wrong with it: they may not have arrived yet.
        let input = input.get(..=limits.head).unwrap_or(input);
        while let Some(next) = input
            .get(self.seen..)
            .and_then(|rest| memchr::memchr(b'\n', rest))
        {
            let at = self.seen + next;
            let before = input.get(..at).unwrap_or_default();
            if before.last() != Some(&b'\r') {
                return Err(HeadError::Malformed);
            }
            self.seen = at + 1;
            if before.ends_with(b"\r\n\r") {
                return if self.seen > limits.head {
                    Err(HeadError::TooLarge)
                } else {
                    Ok(Some(self.seen))
                };
            }
        }
        self.seen = input.len();
        if input.len() > limits.head {
            Err(HeadError::TooLarge)
        } else {
            Ok(None)
        }
    }
}

/// Header fields in order, in one block of memory.
///
/// ```
/// use sansws_core::http::Headers;
///
/// let mut fields: Headers = [("Host", "example.org")].into_iter().collect();
/// fields.push("Set-Cookie", b"a=1");
/// fields.push("Set-Cookie", b"b=2");
/// assert_eq!(fields.get_str("host"), Some("example.org"));
/// assert_eq!(fields.all("set-cookie").count(), 2);
/// assert_eq!(fields.len(), 3);
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers {
    bytes: Vec<u8>,
    /// Where the name and the value of each field end.
    ends: Vec<(u32, u32)>,
}

impl Headers {
    /// Returns the first field called `name`, in any case.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.all(name).next()
    }

    /// Returns the first field called `name`, in any case, if it is UTF-8.
    pub fn get_str(&self, name: &str) -> Option<&str> {
        self.get(name)
            .and_then(|value| core::str::from_utf8(value).ok())
    }

    /// Iterates over all fields called `name`, in any case.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.raw()
            .filter(move |(other, _)| other.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }

    /// Iterates over all fields.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.raw()
            .map(|(name, value)| (core::str::from_utf8(name).unwrap_or(""), value))
    }

    /// Iterates over all fields, with names as bytes.
    fn raw(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let starts = core::iter::once(0).chain(self.ends.iter().map(|(_, end)| *end));
        starts.zip(&self.ends).map(|(start, (middle, end))| {
            let slice = |from: u32, to: u32| {
                self.bytes
                    .get(from as usize..to as usize)
                    .unwrap_or_default()
            };
            (slice(start, *middle), slice(*middle, *end))
        })
    }

    /// Returns the number of fields.
    pub const fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Makes room for `fields` more fields whose names and values have `bytes` bytes together.
    pub(crate) fn reserve(&mut self, fields: usize, bytes: usize) {
        self.ends.reserve(fields);
        self.bytes.reserve(bytes);
    }

    /// Returns the number of bytes of all names and values.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Adds a field unchecked: the parser checks received fields, the writer those that are sent.
    pub fn push(&mut self, name: &str, value: &[u8]) {
        self.bytes.extend_from_slice(name.as_bytes());
        let middle = self.bytes.len();
        self.bytes.extend_from_slice(value.trim_ascii());
        let (Ok(middle), Ok(end)) = (u32::try_from(middle), u32::try_from(self.bytes.len())) else {
            return;
        };
        self.ends.push((middle, end));
    }
}

/// Returns whether a field contains credentials, which are sent to no other host and never logged.
pub(crate) fn is_secret(name: &str) -> bool {
    [
        "authorization",
        "proxy-authorization",
        "cookie",
        "set-cookie",
    ]
    .iter()
    .any(|secret| name.eq_ignore_ascii_case(secret))
}

impl fmt::Debug for Headers {
    /// Hides the values of `Authorization`, `Cookie` and similar fields.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.iter().map(|(name, value)| {
            if is_secret(name) {
                (name, "(..)".into())
            } else {
                (name, String::from_utf8_lossy(value))
            }
        });
        f.debug_map().entries(shown).finish()
    }
}

impl<N: AsRef<str>, V: AsRef<[u8]>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(fields: I) -> Self {
        let mut all = Self::default();
        for (name, value) in fields {
            all.push(name.as_ref(), value.as_ref());
        }
        all
    }
}

/// The head of a request.
///
/// ```
/// use sansws_core::config::Limits;
/// use sansws_core::http::parse_request;
///
/// let head = b"GET /chat?room=caf%C3%A9 HTTP/1.1\r\nHost: example.org\r\nCookie: user=ada\r\n\r\n";
/// let head = parse_request(head, &Limits::default())?;
/// assert_eq!((head.path(), head.query_value("room").as_deref()), ("/chat", Some("café")));
/// assert_eq!((head.host(), head.cookie("user")), ("example.org", Some("ada")));
/// assert!(head.keeps_alive() && !head.has_body());
/// # Ok::<(), sansws_core::http::HeadError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHead {
    /// The method, such as `GET`.
    pub method: String,
    /// The target, as in the request line.
    pub target: String,
    /// Its fields.
    pub fields: Headers,
}

/// The head of a response.
///
/// ```
/// use sansws_core::config::Limits;
/// use sansws_core::internal::parse_response;
///
/// let head = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 30\r\n\r\n";
/// let head = parse_response(head, &Limits::default())?;
/// assert_eq!((head.status, head.fields.get_str("retry-after")), (503, Some("30")));
/// # Ok::<(), sansws_core::http::HeadError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    /// The status code.
    pub status: u16,
    /// Its fields.
    pub fields: Headers,
}

/// Parses a whole request head. A version other than HTTP/1.1 has its own error.
pub fn parse_request(head: &[u8], limits: &Limits) -> Result<RequestHead, HeadError> {
    with_slots(head, limits, |slots| {
        let mut request = httparse::Request::new(slots);
        match request.parse(head) {
            Ok(httparse::Status::Complete(_)) => {}
            Ok(httparse::Status::Partial) => return Err(HeadError::Malformed),
            // RFC 9112 3: more than three words are no version, but no request line either.
            Err(httparse::Error::Version) if !has_version(head) => {
                return Err(HeadError::Malformed);
            }
            Err(error) => return Err(kind(error)),
        }
        // 4.2.1: "An HTTP/1.1 or higher GET request"
        if request.version != Some(1) {
            return Err(HeadError::Version);
        }
        Ok(RequestHead {
            method: request.method.unwrap_or_default().into(),
            target: request.path.unwrap_or_default().into(),
            fields: collect(request.headers),
        })
    })
}

/// Returns whether the first line has three words, the last of which is an HTTP version.
fn has_version(head: &[u8]) -> bool {
    let line = head
        .split(|byte| *byte == b'\r' || *byte == b'\n')
        .find(|line| !line.is_empty());
    let mut words = line.unwrap_or_default().split(|byte| *byte == b' ').skip(2);
    let version = words.next().unwrap_or_default();
    version.starts_with(b"HTTP/") && words.next().is_none()
}

/// Parses a whole response head.
pub fn parse_response(head: &[u8], limits: &Limits) -> Result<ResponseHead, HeadError> {
    with_slots(head, limits, |slots| {
        let mut response = httparse::Response::new(slots);
        match response.parse(head) {
            Ok(httparse::Status::Complete(_)) => {}
            Ok(httparse::Status::Partial) => return Err(HeadError::Malformed),
            Err(error) => return Err(kind(error)),
        }
        if response.version != Some(1) {
            return Err(HeadError::Version);
        }
        Ok(ResponseHead {
            status: response.code.unwrap_or_default(),
            fields: collect(response.headers),
        })
    })
}

/// Calls `parse` with room for the allowed number of fields, as far as they can be in `head`; the usual number needs no heap.
pub(crate) fn with_slots<'h, T>(
    head: &[u8],
    limits: &Limits,
    parse: impl FnOnce(&mut [httparse::Header<'h>]) -> T,
) -> T {
    // A field is a name, a colon and the end of a line.
    let most = limits.headers.min(head.len() / 3);
    let mut few = [httparse::EMPTY_HEADER; 100];
    match few.get_mut(..most) {
        Some(slots) => parse(slots),
        None => parse(&mut alloc::vec![httparse::EMPTY_HEADER; most]),
    }
}

const fn kind(error: httparse::Error) -> HeadError {
    match error {
        httparse::Error::TooManyHeaders => HeadError::TooManyFields,
        httparse::Error::Version => HeadError::Version,
        httparse::Error::HeaderName
        | httparse::Error::HeaderValue
        | httparse::Error::NewLine
        | httparse::Error::Status
        | httparse::Error::Token => HeadError::Malformed,
    }
}

fn collect(headers: &[httparse::Header<'_>]) -> Headers {
    let mut all = Headers::default();
    let bytes = headers
        .iter()
        .map(|header| header.name.len() + header.value.len());
    all.reserve(headers.len(), bytes.sum());
    for header in headers {
        all.push(header.name, header.value);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    const HEAD: &[u8] = b"GET /chat HTTP/1.1\r\nHost: a\r\nX: 1\r\nx:  2 \r\n\r\nrest";

    #[test]
    fn the_end_is_found_whatever_the_parts() {
        for step in 1..HEAD.len() {
            let (mut scan, mut found) = (Scan::default(), None);
            for end in (step..HEAD.len()).step_by(step).chain([HEAD.len()]) {
                found = scan.find(&HEAD[..end], &Limits::default()).unwrap();
                if found.is_some() {
                    break;
                }
            }
            assert_eq!(found, Some(HEAD.len() - 4), "step {step}");
        }
    }

    #[test]
    fn the_error_of_a_long_head_does_not_depend_on_its_splits() {
        let limits = Limits {
            head: 20,
            ..Limits::default()
        };
        // A line without CR: within the longest head, at its end, and after it.
        for at in [5, 20, 21, 30] {
            let mut head = [b'a'; 50];
            head[at] = b'\n';
            let mut scan = Scan::default();
            let mut parts = (1..=head.len()).map(|end| scan.find(&head[..end], &limits));
            let dripped = parts.find(|found| *found != Ok(None));
            assert_eq!(dripped, Some(Scan::default().find(&head, &limits)), "{at}");
        }
    }

    #[test]
    fn fields_keep_order_and_ignore_case() {
        let request = parse_request(HEAD, &Limits::default()).unwrap();
        assert_eq!(
            (request.method.as_str(), request.target.as_str()),
            ("GET", "/chat")
        );
        assert_eq!(request.fields.all("X").collect::<Vec<_>>(), [b"1", b"2"]);
        assert_eq!(request.fields.get_str("host"), Some("a"));
        assert_eq!(
            format!("{:?}", request.fields),
            r#"{"Host": "a", "X": "1", "x": "2"}"#
        );
    }

    #[test]
    fn room_for_fields_is_no_larger_than_the_head() {
        for count in [0, 99, 100, 101, 5_000] {
            let fields = "a:\r\n".repeat(count);
            let limits = |headers| Limits {
                headers,
                ..Limits::default()
            };
            let request = format!("GET / HTTP/1.1\r\n{fields}\r\n");
            let response = format!("HTTP/1.1 200 \r\n{fields}\r\n");
            let parse = |headers| {
                let limits = limits(headers);
                let request = parse_request(request.as_bytes(), &limits).map(|head| head.fields);
                let response = parse_response(response.as_bytes(), &limits).map(|head| head.fields);
                assert_eq!(request, response);
                request.map(|fields| fields.iter().count())
            };
            for enough in [count, 1 << 40, usize::MAX] {
                assert_eq!(parse(enough), Ok(count));
            }
            if let Some(less) = count.checked_sub(1) {
                assert_eq!(parse(less), Err(HeadError::TooManyFields));
            }
        }
    }

    #[test]
    fn bounds_and_grammar() {
        let limits = Limits {
            head: 64,
            headers: 2,
            ..Limits::default()
        };
        let cases: &[(&str, &[u8], HeadError)] = &[
            ("binary", b"\x16\x03\x01", HeadError::Malformed),
            (
                "LF alone",
                b"GET / HTTP/1.1\nHost: a\n\n",
                HeadError::Malformed,
            ),
            (
                "folded",
                b"GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
                HeadError::Malformed,
            ),
            (
                "NUL",
                b"GET / HTTP/1.1\r\nA: \0\r\n\r\n",
                HeadError::Malformed,
            ),
            (
                "blank before the colon",
                b"GET / HTTP/1.1\r\nA : b\r\n\r\n",
                HeadError::Malformed,
            ),
            ("HTTP/1.0", b"GET / HTTP/1.0\r\n\r\n", HeadError::Version),
            ("HTTP/2.0", b"GET / HTTP/2.0\r\n\r\n", HeadError::Version),
            (
                "three fields",
                b"GET / HTTP/1.1\r\na:b\r\nc:d\r\ne:f\r\n\r\n",
                HeadError::TooManyFields,
            ),
            ("long", &[b'A'; 65], HeadError::TooLarge),
            (
                "long and whole",
                b"GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa HTTP/1.1\r\n\r\n",
                HeadError::TooLarge,
            ),
        ];
        for (name, input, want) in cases {
            let got = match Scan::default().find(input, &limits) {
                Ok(Some(end)) => parse_request(&input[..end], &limits).map(drop),
                Ok(None) => panic!("{name}: wants more"),
                Err(error) => Err(error),
            };
            assert_eq!(got, Err(*want), "{name}");
        }
    }
}
