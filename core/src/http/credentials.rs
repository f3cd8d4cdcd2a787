//! A user name and a password, in a URL and in Basic authentication.
//! RFC 3986 sections 2.1 and 3.2.1; RFC 7617 section 2.
//! Knows no URL and no header field.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A user name and a password. Its `Debug` shows neither.
///
/// ```
/// use sansws_core::http::Credentials;
///
/// let credentials = Credentials { user: "ada".into(), password: "secret".into() };
/// assert_eq!(format!("{credentials:?}"), "Credentials(..)");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user name; for HTTP without a colon.
    pub user: String,
    /// The password.
    pub password: String,
}

impl Credentials {
    /// Parses and decodes the user information of a URL, `user:password`; `None` for invalid escapes or UTF-8.
    pub(crate) fn from_userinfo(userinfo: &str) -> Option<Self> {
        let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
        Some(Self {
            user: decode(user)?,
            password: decode(password)?,
        })
    }

    /// Returns the value of the `Authorization` field; `None` if RFC 7617 does not allow it.
    #[doc(hidden)]
    pub fn basic(&self) -> Option<String> {
        let Self { user, password } = self;
        // 2: "a user-id containing a colon character is invalid"; "MUST NOT contain any control characters"
        let mut all = user.chars().chain(password.chars());
        if user.contains(':') || all.any(char::is_control) {
            return None;
        }
        let pair = STANDARD.encode(format!("{user}:{password}"));
        Some(format!("Basic {pair}"))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

/// RFC 3986 section 2.1.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, more @ ..] = rest {
        rest = more;
        match (byte, more) {
            (b'%', [high, low, behind @ ..]) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                let byte = digit(high)? << 4 | digit(low)?;
                bytes.push(u8::try_from(byte).ok()?);
                rest = behind;
            }
            (b'%', _) => return None,
            (byte, _) => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).ok()
}
