//! Reads the head of a request: path, query, cookies, origin, offers.
//! RFC 9110 section 7.1 (target), RFC 6265 section 5.4 (cookies), RFC 6455 sections 4.1 and 10.2.
//! Knows no connection, and checks nothing.

use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::RequestHead;
use super::field::{Cursor, Malformed, has_token};

impl RequestHead {
    /// Returns the path, as sent: still percent-encoded.
    pub fn path(&self) -> &str {
        let target = self.target.as_str();
        let target = path_of_url(target).unwrap_or(target);
        target.split(['?', '#']).next().unwrap_or_default()
    }

    /// Returns the part after the `?`, as sent.
    pub fn query(&self) -> Option<&str> {
        self.target
            .split('#')
            .next()
            .and_then(|target| target.split_once('?'))
            .map(|(_, query)| query)
    }

    /// Iterates over names and values of the query, decoded like those of a form: `+` is a space, `%` an escape.
    ///
    /// ```
    /// use sansws_core::http::RequestHead;
    /// let head = RequestHead { method: "GET".into(), target: "/?name=Ada+L&x=%26".into(), fields: Default::default() };
    /// assert_eq!(head.query_value("name").as_deref(), Some("Ada L"));
    /// assert_eq!(head.query_values().count(), 2);
    /// ```
    pub fn query_values(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        form_urlencoded::parse(self.query().unwrap_or_default().as_bytes())
    }

    /// Returns the first value of the query called `name`.
    pub fn query_value(&self, name: &str) -> Option<Cow<'_, str>> {
        self.query_values()
            .find(|(own, _)| own == name)
            .map(|(_, value)| value)
    }

    /// Returns the first field called `name`, in any case, if it is UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.fields.get_str(name)
    }

    /// Returns `Host`, or `:authority`.
    pub fn host(&self) -> &str {
        self.header("host").unwrap_or_default()
    }

    /// Returns `Origin`, which tells the page that wants the connection (10.2). Browsers send it; a server for browsers should check
    /// it.
    pub fn origin(&self) -> Option<&str> {
        self.header("origin")
    }

    /// Iterates over the cookies, as name and value (RFC 6265 section 5.4).
    pub fn cookies(&self) -> impl Iterator<Item = (&str, &str)> {
        let fields = self
            .fields
            .all("cookie")
            .filter_map(|field| core::str::from_utf8(field).ok());
        fields
            .flat_map(|field| field.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
    }

    /// Returns the first cookie called `name`.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies()
            .find(|(own, _)| *own == name)
            .map(|(_, value)| value)
    }

    /// Iterates over the subprotocols that the client offers, in its order of preference.
    pub fn subprotocols(&self) -> Vec<&str> {
        self.offered().unwrap_or_default()
    }

    /// Returns the first of `ours`, in the server's order of preference, that the client offers.
    pub fn select_subprotocol<'a>(
        &self,
        ours: impl IntoIterator<Item = &'a str>,
    ) -> Option<String> {
        let theirs = self.subprotocols();
        ours.into_iter()
            .find(|name| theirs.contains(name))
            .map(ToString::to_string)
    }

    /// RFC 6455 4.1: "one or more comma-separated subprotocol [...] MUST all be unique strings"
    pub(crate) fn offered(&self) -> Result<Vec<&str>, Malformed> {
        let mut all = Vec::new();
        for field in self.fields.all("sec-websocket-protocol") {
            let mut cursor = Cursor::new(field);
            while !cursor.skip_commas() {
                let name = cursor.token()?;
                if all.contains(&name) {
                    return Err(Malformed);
                }
                all.push(name);
                cursor.end_of_element()?;
            }
        }
        Ok(all)
    }

    /// Returns whether the target is valid for a server: a path, or an HTTP URL with a host (RFC 9112 section 3.2).
    pub(crate) fn has_target(&self) -> bool {
        self.target.starts_with('/') || path_of_url(&self.target).is_some()
    }

    /// Returns whether the client may send another request on this connection (RFC 9112 section 9.3).
    pub fn keeps_alive(&self) -> bool {
        !has_token(self.fields.all("connection"), "close")
    }

    /// Returns whether a body follows the head (RFC 9112 section 6.3).
    pub fn has_body(&self) -> bool {
        self.fields.get("transfer-encoding").is_some()
            || self
                .fields
                .all("content-length")
                .any(|length| length != b"0")
    }
}

/// Returns the path of an absolute URL; `/` if it has none.
fn path_of_url(target: &str) -> Option<&str> {
    let (scheme, rest) = target.split_once("://")?;
    if !["http", "https", "ws", "wss"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known))
    {
        return None;
    }
    let (authority, path) = rest
        .find(['/', '?', '#'])
        .map_or((rest, ""), |at| rest.split_at(at));
    (!authority.is_empty()).then_some(if path.starts_with('/') { path } else { "/" })
}
