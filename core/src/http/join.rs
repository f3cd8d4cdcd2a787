//! Resolves a reference against a URL, as for `Location`.
//! RFC 3986 sections 4.2 and 5.2; RFC 9110 section 10.2.2.
//! Knows no redirect: it only returns the target of a reference.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::Url;
use crate::error::InvalidInput;

impl Url {
    /// Resolves a reference: a whole URL, or one that omits the parts it shares with this one. `http` and `https` become `ws` and
    /// `wss`; a fragment is dropped. The user name and password are kept for a reference without a host.
    ///
    /// ```
    /// use sansws_core::http::Url;
    /// let url: Url = "ws://a/rooms/1?x".parse()?;
    /// assert_eq!(url.join("../lobby")?.to_string(), "ws://a/lobby");
    /// assert_eq!(url.join("https://b/")?.to_string(), "wss://b/");
    /// # Ok::<(), sansws_core::error::InvalidInput>(())
    /// ```
    ///
    /// # Errors
    /// [`InvalidInput::BadUrl`] for another scheme, user information, or bytes that are not allowed in a URL.
    pub fn join(&self, reference: &str) -> Result<Self, InvalidInput> {
        let reference = reference.split('#').next().unwrap_or_default();
        if has_scheme(reference) {
            return foreign(reference);
        }
        let scheme = if self.is_secure() { "wss" } else { "ws" };
        if let Some(rest) = reference.strip_prefix("//") {
            return foreign(&format!("{scheme}://{rest}"));
        }
        let (base, base_query) = cut(self.target());
        let (path, query) = cut(reference);
        // 5.2.2: an empty path takes the path of the base, and its query if it has none.
        let (path, query) = match path {
            "" if query.is_empty() => (String::from(base), base_query),
            "" => (String::from(base), query),
            _ if path.starts_with('/') => (without_dots(path), query),
            _ => {
                // 5.2.3: "all but the last segment of the base URI's path"
                let folder = base.rfind('/').map_or("/", |at| base.split_at(at + 1).0);
                (without_dots(&format!("{folder}{path}")), query)
            }
        };
        let joined: Self = format!("{scheme}://{}{path}{query}", self.authority()).parse()?;
        Ok(joined.with_credentials_of(self))
    }
}

/// Parses a URL from another party, which must not contain credentials.
fn foreign(url: &str) -> Result<Url, InvalidInput> {
    let url: Url = url.parse()?;
    if url.has_credentials() {
        return Err(InvalidInput::BadUrl);
    }
    Ok(url)
}

/// Returns the path, and the query with its mark.
fn cut(target: &str) -> (&str, &str) {
    target
        .find('?')
        .map_or((target, ""), |at| target.split_at(at))
}

/// 3.1: `scheme = ALPHA *( ALPHA / DIGIT / "+" / "-" / "." )`, before any other part.
fn has_scheme(reference: &str) -> bool {
    let Some((scheme, _)) = reference.split_once(':') else {
        return false;
    };
    scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// 5.2.4. Section 3.3: 'The path segments "." and "..", also known as dot-segments, are defined for relative reference within
/// the path name hierarchy.'
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            _ => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn the_examples_of_rfc_3986_section_5_4() {
        let base: Url = "ws://a/b/c/d;p?q".parse().unwrap();
        let cases: &[(&str, &str)] = &[
            ("g", "ws://a/b/c/g"),
            ("./g", "ws://a/b/c/g"),
            ("g/", "ws://a/b/c/g/"),
            ("/g", "ws://a/g"),
            ("//g", "ws://g/"),
            ("?y", "ws://a/b/c/d;p?y"),
            ("g?y", "ws://a/b/c/g?y"),
            ("#s", "ws://a/b/c/d;p?q"),
            ("g#s", "ws://a/b/c/g"),
            ("g?y#s", "ws://a/b/c/g?y"),
            (";x", "ws://a/b/c/;x"),
            ("g;x?y#s", "ws://a/b/c/g;x?y"),
            ("", "ws://a/b/c/d;p?q"),
            (".", "ws://a/b/c/"),
            ("./", "ws://a/b/c/"),
            ("..", "ws://a/b/"),
            ("../", "ws://a/b/"),
            ("../g", "ws://a/b/g"),
            ("../..", "ws://a/"),
            ("../../g", "ws://a/g"),
            ("../../../g", "ws://a/g"),
            ("/./g", "ws://a/g"),
            ("/../g", "ws://a/g"),
            ("g.", "ws://a/b/c/g."),
            ("..g", "ws://a/b/c/..g"),
            ("./../g", "ws://a/b/g"),
            ("./g/.", "ws://a/b/c/g/"),
            ("g/./h", "ws://a/b/c/g/h"),
            ("g/../h", "ws://a/b/c/h"),
            ("g;x=1/../y", "ws://a/b/c/y"),
            ("g?y/../x", "ws://a/b/c/g?y/../x"),
        ];
        for (reference, want) in cases {
            let got = base.join(reference).map(|url| url.to_string());
            assert_eq!(got.as_deref(), Ok(*want), "{reference}");
        }
    }

    #[test]
    fn schemes_hosts_and_what_is_none() {
        let base: Url = "wss://a:444/b?q".parse().unwrap();
        let cases: &[(&str, Result<&str, InvalidInput>)] = &[
            ("http://b/x", Ok("ws://b/x")),
            ("HTTPS://b:8443/x", Ok("wss://b:8443/x")),
            ("ws://b", Ok("ws://b/")),
            ("//b:1/x", Ok("wss://b:1/x")),
            ("/x:y", Ok("wss://a:444/x:y")),
            ("./x:y", Ok("wss://a:444/x:y")),
            ("x:y", Err(InvalidInput::BadUrl)),
            ("ftp://b/", Err(InvalidInput::BadUrl)),
            ("mailto:me@b", Err(InvalidInput::BadUrl)),
            ("https:x", Err(InvalidInput::BadUrl)),
            ("https://me:pw@b/", Err(InvalidInput::BadUrl)),
            ("//me@b/", Err(InvalidInput::BadUrl)),
            ("//", Err(InvalidInput::BadUrl)),
            ("/a b", Err(InvalidInput::BadUrl)),
            ("/a\r\nX: y", Err(InvalidInput::BadUrl)),
            ("/ä", Err(InvalidInput::BadUrl)),
        ];
        for (reference, want) in cases {
            let got = base.join(reference).map(|url| url.to_string());
            assert_eq!(got.as_deref(), want.as_deref(), "{reference}");
        }
    }
}
