//! Close codes that may stand in a Close frame.
//! RFC 6455 section 7.4, and the registry of IANA.

use core::fmt;

/// A close code that is allowed in a Close frame (RFC 6455 section 7.4 and the IANA registry).
///
/// A value needs no further check: 1004, 1005, 1006, 1015 and all unassigned codes cannot be constructed.
///
/// ```
/// use sansws_core::close::CloseCode;
///
/// const KICKED: CloseCode = CloseCode::new(4001).unwrap(); // 4000 to 4999: the application's own
/// assert_eq!(KICKED.get(), 4001);
/// assert_eq!(CloseCode::new(1001), Some(CloseCode::AWAY));
/// assert_eq!(CloseCode::new(1006), None); // never stands in a frame
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: the purpose of the connection is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// 1001: the endpoint is going away, such as a server that shuts down.
    pub const AWAY: Self = Self(1001);
    /// 1002: the peer broke the protocol.
    pub const PROTOCOL: Self = Self(1002);
    /// 1003: this kind of data cannot be accepted.
    pub const UNSUPPORTED: Self = Self(1003);
    /// 1007: the data does not fit the type of the message, such as text that is not UTF-8.
    pub const INVALID: Self = Self(1007);
    /// 1008: the message violates a policy.
    pub const POLICY: Self = Self(1008);
    /// 1009: the message is too big to process.
    pub const TOO_BIG: Self = Self(1009);
    /// 1010: the client expected an extension that the server did not agree to.
    pub const EXTENSION: Self = Self(1010);
    /// 1011: the server met a condition that prevents it from going on.
    pub const INTERNAL: Self = Self(1011);
    /// 1012: the service restarts (IANA).
    pub const RESTART: Self = Self(1012);
    /// 1013: try again later (IANA).
    pub const AGAIN: Self = Self(1013);
    /// 1014: a gateway got an invalid response from upstream (IANA).
    pub const BAD_GATEWAY: Self = Self(1014);

    /// Returns the code, if it may be sent: 1000 to 1003, 1007 to 1014, 3000 to 4999.
    pub const fn new(code: u16) -> Option<Self> {
        match code {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Some(Self(code)),
            _ => None,
        }
    }

    /// Returns the number.
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Debug for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CloseCode({})", self.0)
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> Self {
        code.0
    }
}
