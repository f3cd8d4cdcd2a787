//! Why a connection was lost.
//! RFC 6455 section 7.1.5: 1006, whatever happened.
//! Knows no transport: its caller reports how that ended.

use core::fmt;

use crate::error::Violation;

/// Why a connection was lost, which is 1006 whatever happened.
///
/// ```
/// use sansws_core::close::{Closed, LossCause};
///
/// fn advise(closed: &Closed) -> &'static str {
///     match closed.cause {
///         Some(LossCause::EndOfStream | LossCause::Reset) => "the other process ended, or a proxy cut the connection off",
///         Some(LossCause::Unresponsive | LossCause::TcpTimeout) => "the network is down, or the peer hangs",
///         _ => "see the text",
///     }
/// }
///
/// let lost = Closed { code: None, reason: String::new(), clean: false, cause: Some(LossCause::EndOfStream) };
/// assert!(advise(&lost).starts_with("the other process"));
/// assert_eq!(lost.to_string(), "the connection was lost (1006): the peer ended the stream without a Close frame");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LossCause {
    /// The peer ended TCP, in order, but without a Close frame: its process ended, or a proxy closed the connection.
    EndOfStream,
    /// TCP was reset, by the peer or on the way to it. A peer that ends TCP while we send often looks like this too.
    Reset,
    /// The operating system gave the peer up, because it acknowledged nothing.
    TcpTimeout,
    /// The network leads to the peer no more.
    Unreachable,
    /// The transport failed in another way.
    Transport,
    /// Nothing arrived within [`Timeouts::pong`](crate::config::Timeouts::pong) after a ping; or the peer took none of its output for that
    /// time.
    Unresponsive,
    /// The peer did not answer our Close frame within [`Timeouts::close`](crate::config::Timeouts::close).
    CloseTimeout,
    /// A message took longer than [`Timeouts::message`](crate::config::Timeouts::message). The peer was told, with 1008.
    MessageTimeout,
    /// The peer broke the protocol. It was told, with [`Violation::close_code`].
    Violation(Violation),
    /// This side ended the connection without a Close frame: it was aborted or dropped, or its server was.
    Aborted,
}

/// Describes what happened, as a clause.
impl fmt::Display for LossCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EndOfStream => "the peer ended the stream without a Close frame",
            Self::Reset => "TCP was reset",
            Self::TcpTimeout => "TCP timed out",
            Self::Unreachable => "the peer became unreachable",
            Self::Transport => "the transport failed",
            Self::Unresponsive => "the peer answered no ping, or took no data, in time",
            Self::CloseTimeout => "the peer did not answer our Close frame in time",
            Self::MessageTimeout => "a message took too long to arrive",
            Self::Violation(violation) => {
                return write!(f, "the peer broke the protocol: {violation}");
            }
            Self::Aborted => "this side cut it off",
        })
    }
}
