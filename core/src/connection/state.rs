//! The closing handshake, all of it.
//! RFC 6455 sections 5.5.1, 7.1.1 to 7.1.7.
//! Knows neither bytes nor clocks. No other file changes a `State`; a test prints `state.md` from this one.
//!
//! Each of two endpoints sends one Close frame and receives one; then TCP ends, the server's side first. This can be disturbed by a peer
//! that breaks the protocol, vanishes, or does not answer in time.

#![doc = include_str!("state.md")]

use crate::time::Instant;

/// Our end of the connection.
///
/// ```
/// use sansws_core::config::Config;
/// use sansws_core::connection::{Connection, Role};
/// use sansws_core::handshake::Agreement;
/// use sansws_core::time::Instant;
///
/// let config = Config::default().into();
/// let server = Connection::server(config, &Agreement::default(), Instant::ZERO);
/// assert_eq!(server.role(), Role::Server);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// We sent the opening handshake; our frames are masked.
    Client,
    /// We answered it.
    Server,
}

/// The state of the closing handshake.
///
/// ```
/// use core::time::Duration;
/// use sansws_core::close::CloseCode;
/// use sansws_core::config::Config;
/// use sansws_core::connection::{Connection, Expired, State, TransportAction};
/// use sansws_core::handshake::Agreement;
/// use sansws_core::time::Instant;
///
/// let now = Instant::ZERO;
/// let mut server = Connection::server(Config::default().into(), &Agreement::default(), now);
/// server.close(now, Some(CloseCode::AWAY), "closing time")?;
/// let State::CloseSent { deadline } = server.state() else { panic!("closing") };
/// assert_eq!(deadline.since(now), Duration::from_secs(5)); // `Timeouts::close`
///
/// // The peer does not answer.
/// assert_eq!(server.tick(deadline), Some(Expired::Close));
/// server.take_output(Vec::new());
/// assert_eq!(server.state(), State::Closed { clean: false });
/// assert_eq!(server.transport_action(), TransportAction::Drop);
/// # Ok::<(), sansws_core::error::SendError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Messages flow.
    Open,
    /// Our Close is sent; we wait for the peer's.
    CloseSent {
        /// When we stop waiting.
        deadline: Instant,
    },
    /// Nothing more is sent; only the end of TCP is awaited.
    Lingering {
        /// When we stop waiting.
        deadline: Instant,
        /// Whether Close frames were sent in both directions.
        clean: bool,
    },
    /// Over.
    Closed {
        /// Whether Close frames were sent in both directions.
        clean: bool,
    },
}

/// The inputs of the state machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// We close.
    LocalClose,
    /// The peer's Close frame arrived.
    PeerClose,
    /// The peer broke the protocol.
    Failure,
    /// TCP ended: no more input, or no more output.
    EndOfStream,
    /// The deadline of the state passed, or the peer proved dead.
    Deadline,
}

/// The effect of a transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing.
    Nothing,
    /// Send a Close frame, the last frame of all.
    SendClose,
}

/// The action on the transport that is due once all output is written.
///
/// For an example see [`State`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportAction {
    /// Go on reading and writing.
    Keep,
    /// Close the stream: both Close frames were exchanged, all input was received, and a server ends TCP immediately (5.5.1). A TCP or Unix
    /// socket is dropped: its peer then reads all that was written, and the end of it. For another stream this is
    /// [`Shutdown`](Self::Shutdown): a TLS stream that is dropped sends no `close_notify`.
    Close,
    /// Shut down the writing side (TCP: FIN), and go on reading until the end of input: a reset would destroy our Close (7.1.1).
    Shutdown,
    /// Drop it.
    Drop,
}

impl State {
    /// The transition table; `later` is the deadline of a waiting state.
    #[must_use]
    pub(crate) const fn next(self, input: Input, later: Instant) -> (Self, Effect) {
        match (self, input) {
            // 7.1.2: "An endpoint MUST send a Close control frame"
            (Self::Open, Input::LocalClose) => {
                (Self::CloseSent { deadline: later }, Effect::SendClose)
            }
            // 5.5.1: "the endpoint MUST send a Close frame in response"
            (Self::Open, Input::PeerClose) => (
                Self::Lingering {
                    deadline: later,
                    clean: true,
                },
                Effect::SendClose,
            ),
            // 7.1.7: "the endpoint SHOULD send a Close frame with an appropriate status code"
            (Self::Open, Input::Failure) => (
                Self::Lingering {
                    deadline: later,
                    clean: false,
                },
                Effect::SendClose,
            ),
            (Self::Open, Input::EndOfStream) => (Self::Closed { clean: false }, Effect::Nothing),
            (Self::Open, Input::Deadline) => (Self::Closed { clean: false }, Effect::Nothing),

            (Self::CloseSent { .. }, Input::LocalClose) => (self, Effect::Nothing),
            // 7.1.4: both Close frames were exchanged: the end is clean
            (Self::CloseSent { .. }, Input::PeerClose) => (
                Self::Lingering {
                    deadline: later,
                    clean: true,
                },
                Effect::Nothing,
            ),
            // 5.5.1: nothing is sent after a Close frame, not even a second one
            (Self::CloseSent { .. }, Input::Failure) => (
                Self::Lingering {
                    deadline: later,
                    clean: false,
                },
                Effect::Nothing,
            ),
            (Self::CloseSent { .. }, Input::EndOfStream) => {
                (Self::Closed { clean: false }, Effect::Nothing)
            }
            (Self::CloseSent { .. }, Input::Deadline) => {
                (Self::Closed { clean: false }, Effect::Nothing)
            }

            // 7.1.7: "MUST NOT continue to attempt to process data (including a responding Close frame)"
            (Self::Lingering { .. }, Input::LocalClose) => (self, Effect::Nothing),
            (Self::Lingering { .. }, Input::PeerClose) => (self, Effect::Nothing),
            (Self::Lingering { .. }, Input::Failure) => (self, Effect::Nothing),
            (Self::Lingering { clean, .. }, Input::EndOfStream) => {
                (Self::Closed { clean }, Effect::Nothing)
            }
            (Self::Lingering { clean, .. }, Input::Deadline) => {
                (Self::Closed { clean }, Effect::Nothing)
            }

            (Self::Closed { .. }, Input::LocalClose) => (self, Effect::Nothing),
            (Self::Closed { .. }, Input::PeerClose) => (self, Effect::Nothing),
            (Self::Closed { .. }, Input::Failure) => (self, Effect::Nothing),
            (Self::Closed { .. }, Input::EndOfStream) => (self, Effect::Nothing),
            (Self::Closed { .. }, Input::Deadline) => (self, Effect::Nothing),
        }
    }

    /// Returns what to do with the transport, once all output is written.
    pub const fn transport_action(self, role: Role) -> TransportAction {
        match (self, role) {
            (Self::Open | Self::CloseSent { .. }, _) => TransportAction::Keep,
            // 7.1.1: "the underlying TCP connection [...] SHOULD be closed first by the server"
            (Self::Lingering { clean: true, .. }, Role::Client) => TransportAction::Keep,
            (Self::Lingering { clean: true, .. }, Role::Server) => TransportAction::Close,
            (Self::Lingering { clean: false, .. }, _) => TransportAction::Shutdown,
            (Self::Closed { .. }, _) => TransportAction::Drop,
        }
    }

    /// Returns until when it waits.
    pub const fn deadline(self) -> Option<Instant> {
        match self {
            Self::Open | Self::Closed { .. } => None,
            Self::CloseSent { deadline } | Self::Lingering { deadline, .. } => Some(deadline),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::String;

    const LATER: Instant = Instant::from_micros(7);
    const STATES: [State; 6] = [
        State::Open,
        State::CloseSent { deadline: LATER },
        State::Lingering {
            deadline: LATER,
            clean: true,
        },
        State::Lingering {
            deadline: LATER,
            clean: false,
        },
        State::Closed { clean: true },
        State::Closed { clean: false },
    ];
    const INPUTS: [Input; 5] = [
        Input::LocalClose,
        Input::PeerClose,
        Input::Failure,
        Input::EndOfStream,
        Input::Deadline,
    ];

    fn name(state: State) -> String {
        match state {
            State::Open => "Open".into(),
            State::CloseSent { .. } => "CloseSent".into(),
            State::Lingering { clean, .. } => {
                format!("Lingering, {}", if clean { "clean" } else { "unclean" })
            }
            State::Closed { clean } => {
                format!("Closed, {}", if clean { "clean" } else { "unclean" })
            }
        }
    }

    fn page() -> String {
        let mut page = String::from(
            "\n| state | LocalClose | PeerClose | Failure | EndOfStream | Deadline | transport, server | transport, client |\n",
        );
        page += "| --- | --- | --- | --- | --- | --- | --- | --- |\n";
        for state in STATES {
            page += &format!("| **{}** |", name(state));
            for input in INPUTS {
                let (next, effect) = state.next(input, LATER);
                let arrow = if next == state {
                    String::from("–")
                } else {
                    name(next)
                };
                page += &match effect {
                    Effect::Nothing => format!(" {arrow} |"),
                    Effect::SendClose => format!(" {arrow}; send Close |"),
                };
            }
            page += &format!(
                " {:?} | {:?} |\n",
                state.transport_action(Role::Server),
                state.transport_action(Role::Client)
            );
        }
        page
    }

    #[test]
    fn the_page_is_the_table() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/connection/state.md");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(file, page()).unwrap();
        }
        assert_eq!(
            std::fs::read_to_string(file).unwrap(),
            page(),
            "run the test with UPDATE=1 to print the page anew"
        );
    }

    #[test]
    fn at_most_one_close_is_sent_and_closed_is_the_end() {
        for state in STATES {
            for one in INPUTS {
                let (middle, first) = state.next(one, LATER);
                for two in INPUTS {
                    let (_, second) = middle.next(two, LATER);
                    assert!(
                        first == Effect::Nothing || second == Effect::Nothing,
                        "{state:?} {one:?} {two:?}"
                    );
                }
                if matches!(state, State::Closed { .. }) {
                    assert_eq!((middle, first), (state, Effect::Nothing));
                }
            }
        }
    }
}
