//! The codes of errors, disconnects and ended subscriptions.
//! The numbers, and what client libraries do on each, are those of the Centrifuge client protocol.

use crate::protocol::{Ended, Error};

/// Why a command failed. The connection stays.
///
/// ```
/// use sansws_centrifuge::{ClientError, Refusal};
///
/// /// Decides whether a user may join a room; for `on_subscribe`.
/// fn check(user: &str, room: &str) -> Result<(), Refusal> {
///     match (user, room) {
///         ("", _) => Err(ClientError::permission_denied().into()),
///         (_, "full") => Err(ClientError::new(1001, "the room is full").into()),
///         _ => Ok(()),
///     }
/// }
///
/// assert!(check("ada", "lobby").is_ok());
/// let Err(Refusal::Error(error)) = check("", "lobby") else { panic!("it is granted") };
/// assert_eq!((error.code, error.temporary), (103, false));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientError {
    /// The code: below 400 of the protocol, from 400 to 1999 your own.
    pub code: u32,
    /// A text for people.
    pub message: String,
    /// Whether client libraries try again by themselves.
    pub temporary: bool,
}

macro_rules! errors {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal, $temporary:literal;)*) => {
        impl ClientError {
            $($(#[$doc])*
            pub fn $name() -> Self {
                Self { code: $code, message: $text.into(), temporary: $temporary }
            })*
        }
    };
}

errors! {
    /// 100: the server failed; clients try again.
    internal = 100, "internal server error", true;
    /// 101: the connection has no valid credentials.
    unauthorized = 101, "unauthorized", false;
    /// 102: there is no namespace of this name.
    unknown_channel = 102, "unknown channel", false;
    /// 103: it was not granted.
    permission_denied = 103, "permission denied", false;
    /// 104: there is no such method.
    method_not_found = 104, "method not found", false;
    /// 105: the client is subscribed already.
    already_subscribed = 105, "already subscribed", false;
    /// 106: a limit is reached.
    limit_exceeded = 106, "limit exceeded", false;
    /// 107: the command is invalid.
    bad_request = 107, "bad request", false;
    /// 108: the namespace does not offer it, or nobody handles it.
    not_available = 108, "not available", false;
    /// 109: the token has expired; clients get another one.
    token_expired = 109, "token expired", false;
    /// 110: the connection or subscription has expired.
    expired = 110, "expired", false;
    /// 111: the client exceeds its rate; clients try again.
    too_many_requests = 111, "too many requests", true;
    /// 112: messages since the position are lost.
    unrecoverable_position = 112, "unrecoverable position", false;
}

impl ClientError {
    /// Creates an error of your own, with a code from 400 to 1999.
    pub fn new(code: u32, message: &str) -> Self {
        Self {
            code,
            message: message.into(),
            temporary: false,
        }
    }
}

impl From<ClientError> for Error {
    fn from(error: ClientError) -> Self {
        Self {
            code: error.code,
            message: error.message,
            temporary: error.temporary,
        }
    }
}

/// Why the server ends a connection. Client libraries reconnect, except for 3500 to 3999 and 4500 to 4999.
///
/// ```
/// use sansws_centrifuge::{Disconnect, Refusal};
///
/// // Clients of a version that is too old should not reconnect.
/// let refusal: Refusal = Disconnect::new(4500, "update the application").into();
/// assert!(matches!(refusal, Refusal::Disconnect(end) if end.code == 4500));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disconnect {
    /// The close code: from 3000 to 3999 of the protocol, from 4000 to 4999 your own.
    pub code: u16,
    /// A text for people, of at most 123 bytes. It must not be JSON, which old client libraries obey.
    pub reason: String,
}

macro_rules! disconnects {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal;)*) => {
        impl Disconnect {
            $($(#[$doc])*
            pub fn $name() -> Self {
                Self { code: $code, reason: $text.into() }
            })*
        }
    };
}

disconnects! {
    /// 3001: the server shuts down; clients reconnect.
    shutdown = 3001, "shutdown";
    /// 3004: the server failed; clients reconnect.
    server_error = 3004, "internal server error";
    /// 3005: the connection has expired; clients reconnect.
    expired = 3005, "connection expired";
    /// 3008: the client reads too slowly; it may reconnect, and recovers.
    slow = 3008, "slow";
    /// 3010: the session lost track of its subscriptions; clients reconnect and recover.
    insufficient_state = 3010, "insufficient state";
    /// 3011: clients are to reconnect.
    force_reconnect = 3011, "force reconnect";
    /// 3012: the client did not answer a ping; it may reconnect.
    no_pong = 3012, "no pong";
    /// 3013: the client exceeds its rate; it may reconnect.
    too_many_requests = 3013, "too many requests";
    /// 3500: the token is invalid; final.
    invalid_token = 3500, "invalid token";
    /// 3501: the client breaks the protocol; final.
    bad_request = 3501, "bad request";
    /// 3502: the client did not authenticate in time; final.
    stale = 3502, "stale";
    /// 3503: final.
    force_no_reconnect = 3503, "force disconnect";
    /// 3504: the user has too many connections; final.
    connection_limit = 3504, "connection limit";
    /// 3505: the server subscribes the client to too many channels; final.
    channel_limit = 3505, "channel limit";
    /// 3507: the client may not connect; final.
    permission_denied = 3507, "permission denied";
    /// 3508: nobody handles what the client sent; final.
    not_available = 3508, "not available";
}

impl Disconnect {
    /// Creates one of your own, with a code from 4000 to 4999; clients do not reconnect from 4500 on.
    pub fn new(code: u16, reason: &str) -> Self {
        Self {
            code,
            reason: reason.into(),
        }
    }
}

/// Why the server ends a subscription. Client libraries subscribe again from 2500 on.
///
/// ```
/// use sansws_centrifuge::Unsubscribe;
///
/// assert_eq!(Unsubscribe::by_server().code, 2000); // final
/// assert_eq!(Unsubscribe::expired().code, 2501); // clients get a new token, and subscribe again
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsubscribe {
    /// The code.
    pub code: u32,
    /// A text for people.
    pub reason: String,
}

impl Unsubscribe {
    /// 2000: final.
    pub fn by_server() -> Self {
        Self {
            code: 2000,
            reason: "server unsubscribe".into(),
        }
    }

    /// 2500: publications were lost on the way; clients subscribe again, and recover.
    pub fn insufficient_state() -> Self {
        Self {
            code: 2500,
            reason: "insufficient state".into(),
        }
    }

    /// 2501: the subscription has expired; clients subscribe again with a new token.
    pub fn expired() -> Self {
        Self {
            code: 2501,
            reason: "subscription expired".into(),
        }
    }
}

impl From<Unsubscribe> for Ended {
    fn from(unsubscribe: Unsubscribe) -> Self {
        Self {
            code: unsubscribe.code,
            reason: unsubscribe.reason,
        }
    }
}

/// A handler's refusal.
///
/// For examples see [`ClientError`] and [`Disconnect`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The command fails.
    Error(ClientError),
    /// The connection ends.
    Disconnect(Disconnect),
}

impl From<ClientError> for Refusal {
    fn from(error: ClientError) -> Self {
        Self::Error(error)
    }
}

impl From<Disconnect> for Refusal {
    fn from(disconnect: Disconnect) -> Self {
        Self::Disconnect(disconnect)
    }
}
