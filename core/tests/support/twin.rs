//! tungstenite's results for the same octets, and the comparison.
//! RFC 6455 sections 5 to 8.
#![allow(dead_code, reason = "each crate uses its own part")]

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
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// tungstenite's results: messages, and whether it failed.
fn theirs(server: bool, bytes: &[u8]) -> (Vec<Got>, Option<Error>) {
    let wire = Wire {
        input: io::Cursor::new(bytes.to_vec()),
        output: Vec::new(),
    };
    let mut socket =
        WebSocket::from_raw_socket(wire, if server { Role::Server } else { Role::Client }, None);
    let mut all = Vec::new();
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => all.push(Got::Text(text.as_str().into())),
            Ok(Message::Binary(bytes)) => all.push(Got::Binary(bytes.to_vec())),
            Ok(Message::Ping(bytes)) => all.push(Got::Ping(bytes.to_vec())),
            Ok(Message::Pong(bytes)) => all.push(Got::Pong(bytes.to_vec())),
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

/// A frame, as far as it is there, by a reader that shares nothing with the crate's.
#[derive(Default)]
struct Part<'a> {
    b0: u8,
    b1: Option<u8>,
    /// The least and the greatest length that the octets so far may become.
    low: u64,
    high: u64,
    /// All of the header is there.
    headed: bool,
    /// Returns the arrived part of the payload, unmasked.
    payload: Vec<u8>,
    whole: bool,
    rest: &'a [u8],
}

fn part(bytes: &[u8]) -> Option<Part<'_>> {
    let mut part = Part {
        b0: *bytes.first()?,
        b1: bytes.get(1).copied(),
        ..Part::default()
    };
    let Some(b1) = part.b1 else { return Some(part) };
    let extra = match b1 & 127 {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let mut at = 2 + extra;
    let filled = |fill: u8| {
        let long = (2..at).map(|at| bytes.get(at).copied().unwrap_or(fill));
        long.fold(0, |n, byte| n << 8 | u64::from(byte))
    };
    (part.low, part.high) = match extra {
        0 => (u64::from(b1 & 127), u64::from(b1 & 127)),
        _ => (filled(0), filled(0xff)),
    };
    let mut key = [0; 4];
    if b1 & 128 != 0 {
        let Some(masked) = bytes.get(at..at + 4) else {
            return Some(part);
        };
        key.copy_from_slice(masked);
        at += 4;
    }
    let Some(here) = bytes.get(at..) else {
        return Some(part);
    };
    part.headed = true;
    let taken = usize::try_from(part.low)
        .unwrap_or(usize::MAX)
        .min(here.len());
    part.payload = here[..taken]
        .iter()
        .enumerate()
        .map(|(i, byte)| byte ^ key[i % 4])
        .collect();
    part.whole = taken as u64 == part.low;
    part.rest = &here[taken..];
    Some(part)
}

/// Whether text is bad as far as it goes, or, when it is `whole`, as a whole.
fn is_bad_text(bytes: &[u8], whole: bool) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| whole || error.error_len().is_some())
}

/// 7.4: the codes that stand on the wire.
fn is_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// The sentences that the first bad frame breaks.
fn broken(server: bool, mut bytes: &[u8]) -> Vec<Violation> {
    let limits = Config::default().limits;
    // The opcode of a message that has begun, and its octets.
    let mut message: Option<(u8, Vec<u8>)> = None;
    while let Some(part) = part(bytes) {
        let mut found = Vec::new();
        let mut check = |breaks: bool, violation| {
            if breaks {
                found.push(violation);
            }
        };
        let (fin, opcode) = (part.b0 & 128 != 0, part.b0 & 15);
        let control = opcode >= 8;
        check(part.b0 & 0x70 != 0, Violation::ReservedBit);
        check(matches!(opcode, 3..=7 | 11..), Violation::ReservedOpcode);
        check(control && !fin, Violation::ControlFragmented);
        check(
            opcode == 0 && message.is_none(),
            Violation::ContinuationUnexpected,
        );
        check(
            matches!(opcode, 1..=7) && message.is_some(),
            Violation::ContinuationExpected,
        );
        if let Some(b1) = part.b1 {
            check(server && b1 & 128 == 0, Violation::MaskMissing);
            check(!server && b1 & 128 != 0, Violation::MaskUnexpected);
            check(control && b1 & 127 > 125, Violation::ControlTooLong);
            let short = match b1 & 127 {
                126 => 126,
                127 => 65_536,
                _ => 0,
            };
            check(part.high < short, Violation::LengthNotMinimal);
            check(part.low >> 63 != 0, Violation::LengthTooLarge);
            let held = message.as_ref().map_or(0, |(_, bytes)| bytes.len() as u64);
            let large = part.headed && part.low > limits.frame;
            check(large, Violation::FrameTooLarge);
            let large = part.headed && held.saturating_add(part.low) > limits.message;
            check(large, Violation::MessageTooLarge);
        }
        if opcode == 8 && part.whole {
            match part.payload.as_slice() {
                [] => {}
                [_] => check(true, Violation::CloseTooShort),
                [one, two, reason @ ..] => {
                    let code = u16::from_be_bytes([*one, *two]);
                    check(!is_code(code), Violation::CloseCodeInvalid);
                    check(is_bad_text(reason, true), Violation::CloseReasonInvalid);
                }
            }
        }
        if !control {
            let (kind, mut all) = message.take().unwrap_or((opcode, Vec::new()));
            all.extend_from_slice(&part.payload);
            let ends = fin && part.whole;
            check(kind == 1 && is_bad_text(&all, ends), Violation::InvalidUtf8);
            message = (!ends).then_some((kind, all));
        }
        if !found.is_empty() || opcode == 8 || !part.whole {
            return found;
        }
        bytes = part.rest;
    }
    Vec::new()
}

/// Our results: messages, and the violation.
fn ours(server: bool, bytes: &[u8]) -> (Vec<Got>, Option<Violation>) {
    let mut all = End::new(server, Config::default(), None).feed(bytes);
    match all.last() {
        Some(Got::Wrong(violation)) => {
            let violation = *violation;
            all.pop();
            (all, Some(violation))
        }
        _ => (all, None),
    }
}

/// Compares what breaks no rule: both say the same, and find no fault.
pub fn compare_valid(server: bool, bytes: &[u8]) -> Result<(), String> {
    let ((ours, our_fault), (theirs, their_fault)) = (ours(server, bytes), theirs(server, bytes));
    if ours == theirs && our_fault.is_none() && their_fault.is_none() {
        return Ok(());
    }
    Err(format!(
        "ours {ours:?} {our_fault:?}\ntheirs {theirs:?} {their_fault:?}"
    ))
}

/// Compares anything; says what differs and may not.
///
/// Where we find a fault, its sentence must be broken, by a third reading. We find it as soon as it is there; tungstenite may
/// still wait for the rest of the frame, and lets some sentences pass (5.1 and 5.2: a masked frame of a server, a length that
/// is not minimal; 5.4: a message that begins inside another; 7.4: codes).
pub fn compare(server: bool, bytes: &[u8]) -> Result<(), String> {
    let ((ours, our_fault), (theirs, their_fault)) = (ours(server, bytes), theirs(server, bytes));
    // tungstenite refuses 1014 and reports codes it does not know; the code alone may differ.
    let same = ours.iter().zip(&theirs).all(|(ours, theirs)| {
        ours == theirs || matches!((ours, theirs), (Got::Close(..), Got::Close(..)))
    });
    let broken = broken(server, bytes);
    let fine = match (our_fault, &their_fault) {
        (None, None) => ours.len() == theirs.len(),
        (Some(violation), _) => ours.len() <= theirs.len() && broken.contains(&violation),
        // tungstenite knows neither 1014 nor that a code of 5000 is nobody's: a Close is where we may be milder.
        (None, Some(_)) => matches!(ours.last(), Some(Got::Close(Some(1014), _))),
    };
    // Frames that break a sentence do not pass either.
    let told = our_fault.is_some() || broken.is_empty();
    if same && fine && told {
        return Ok(());
    }
    Err(format!(
        "ours {ours:?} {our_fault:?}\ntheirs {theirs:?} {their_fault:?}\nbroken {broken:?}"
    ))
}
