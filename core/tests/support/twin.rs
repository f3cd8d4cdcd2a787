//! What tungstenite makes of the same octets, and the comparison.
//! RFC 6455 sections 5 to 8.

use std::io::{self, Read, Write};

use sansws_core::config::Config;
use sansws_core::error::Violation;
use tungstenite::protocol::{Role, WebSocket};
use tungstenite::{Error, Message};

use crate::support::{End, Got};

/// A stream that holds what the peer sent, and takes what is answered.
struct Wire {
    input: io::Cursor<Vec<u8>>,
    output: Vec<u8>,
}

impl Read for Wire {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.input.read(into)
    }
}

impl Write for Wire {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.output.write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What tungstenite makes of the octets: messages, and whether it failed.
fn theirs(server: bool, octets: &[u8]) -> (Vec<Got>, Option<Error>) {
    let wire = Wire {
        input: io::Cursor::new(octets.to_vec()),
        output: Vec::new(),
    };
    let mut socket =
        WebSocket::from_raw_socket(wire, if server { Role::Server } else { Role::Client }, None);
    let mut all = Vec::new();
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => all.push(Got::Text(text.as_str().into())),
            Ok(Message::Binary(octets)) => all.push(Got::Binary(octets.to_vec())),
            Ok(Message::Ping(octets)) => all.push(Got::Ping(octets.to_vec())),
            Ok(Message::Pong(octets)) => all.push(Got::Pong(octets.to_vec())),
            Ok(Message::Close(close)) => {
                all.push(Got::Close(
                    close.as_ref().map(|close| close.code.into()),
                    close
                        .map(|close| close.reason.as_str().into())
                        .unwrap_or_default(),
                ));
                return (all, None);
            }
            Ok(Message::Frame(_)) => unreachable!(),
            // The input ended: no failure of the peer's frames.
            Err(
                Error::Io(_)
                | Error::ConnectionClosed
                | Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake),
            ) => return (all, None),
            Err(error) => return (all, Some(error)),
        }
    }
}

/// Where we are stricter, and why.
fn stricter(violation: Violation) -> &'static str {
    match violation {
        Violation::LengthNotMinimal => {
            "5.2: the minimal number of bytes MUST be used to encode the length"
        }
        Violation::MaskUnexpected => {
            "5.1: A client MUST close a connection if it detects a masked frame"
        }
        Violation::InvalidUtf8 => "8.1: found before the frame is whole",
        Violation::ControlTooLong => "5.5: found before the frame is whole",
        Violation::CloseCodeInvalid => "7.4: 1014 and others differ; see the codes below",
        Violation::FrameTooLarge | Violation::MessageTooLarge | Violation::LengthTooLarge => {
            "10.4: found before the frame is whole"
        }
        Violation::ContinuationExpected => {
            "5.4: The fragments of one message MUST NOT be interleaved, whatever FIN says"
        }
        Violation::ReservedBit | Violation::ReservedOpcode | Violation::MaskMissing => {
            "5.2: found before the frame is whole"
        }
        Violation::ControlFragmented | Violation::ContinuationUnexpected => {
            "5.4, 5.5: found before the frame is whole"
        }
        _ => "",
    }
}

/// Compares; says what differs and may not.
pub fn compare(server: bool, octets: &[u8]) -> Result<(), String> {
    let (theirs, their_fault) = theirs(server, octets);
    let mut end = End::new(server, Config::default(), None);
    let mut ours = end.feed(octets);
    let our_fault = match ours.last() {
        Some(Got::Wrong(violation)) => Some(*violation),
        _ => None,
    };
    if our_fault.is_some() {
        ours.pop();
    }
    // tungstenite refuses 1014 and reports codes it does not know; the code alone may differ.
    let same = ours.iter().zip(&theirs).all(|(ours, theirs)| {
        ours == theirs || matches!((ours, theirs), (Got::Close(..), Got::Close(..)))
    });
    let fine = match (our_fault, &their_fault) {
        (None, None) => ours.len() == theirs.len(),
        (Some(_), Some(_)) if ours.len() == theirs.len() => true,
        (Some(violation), _) => ours.len() <= theirs.len() && !stricter(violation).is_empty(),
        // tungstenite knows neither 1014 nor that a code of 5000 is nobody's: a Close is where we may be milder.
        (None, Some(_)) => matches!(ours.last(), Some(Got::Close(Some(1014), _))),
    };
    if same && fine {
        return Ok(());
    }
    Err(format!(
        "ours {ours:?} {our_fault:?}\ntheirs {theirs:?} {their_fault:?}"
    ))
}
