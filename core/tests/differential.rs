//! The same octets through this crate and through tungstenite: the same messages, and the same failure, or ours stricter
//! with the sentence of the RFC beside it.

mod support;

use std::io::{self, Read, Write};

use proptest::collection::vec;
use proptest::prelude::*;
use sansws_core::config::Config;
use sansws_core::error::Violation;
use support::{End, Got, frame, frames};
use tungstenite::protocol::{Role, WebSocket};
use tungstenite::{Error, Message};

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

fn compare(server: bool, octets: &[u8]) -> Result<(), TestCaseError> {
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
    prop_assert!(same, "ours {:?}\ntheirs {:?}", ours, theirs);
    match (our_fault, &their_fault) {
        (None, None) => prop_assert_eq!(ours.len(), theirs.len()),
        (Some(_), Some(_)) => prop_assert_eq!(ours.len(), theirs.len()),
        (Some(violation), None) => prop_assert!(
            !stricter(violation).is_empty(),
            "{:?} is ours alone; theirs {:?}",
            violation,
            theirs
        ),
        // tungstenite knows neither 1014 nor that a code of 5000 is nobody's: a Close is where we may be milder.
        (None, Some(fault)) => prop_assert!(
            matches!(ours.last(), Some(Got::Close(Some(1014), _))),
            "theirs alone: {:?}; ours {:?}",
            fault,
            ours
        ),
    }
    Ok(())
}

fn valid(server: bool) -> impl Strategy<Value = Vec<u8>> {
    let key = any::<[u8; 4]>();
    let message = prop_oneof![
        (".{0,60}", key).prop_map(|(text, key)| vec![(0x81, text.into_bytes(), key)]),
        (vec(any::<u8>(), 0..300), key).prop_map(|(octets, key)| vec![(0x82, octets, key)]),
        (".{0,60}", key, 0..60usize, vec(any::<u8>(), 0..20)).prop_map(|(text, key, at, ping)| {
            let octets = text.into_bytes();
            let (one, two) = octets.split_at(at.min(octets.len()));
            vec![
                (0x01, one.to_vec(), key),
                (0x89, ping, key),
                (0x80, two.to_vec(), key),
            ]
        }),
        (vec(any::<u8>(), 0..125), key).prop_map(|(octets, key)| vec![(0x8a, octets, key)]),
    ];
    vec(message, 0..8).prop_map(move |messages| {
        messages
            .into_iter()
            .flatten()
            .flat_map(|(first, payload, key)| frame(first, &payload, server.then_some(key)))
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn valid_streams(server in any::<bool>(), octets in valid(true), plain in valid(false)) {
        let octets = if server { octets } else { plain };
        compare(server, &octets)?;
        prop_assert!(frames(&End::new(server, Config::default(), None).output()).is_empty());
    }

    #[test]
    fn mutated_streams(server in any::<bool>(), octets in valid(true), plain in valid(false), at in any::<prop::sample::Index>(), bit in 0..8u8, cut in any::<bool>()) {
        let mut octets = if server { octets } else { plain };
        if octets.is_empty() {
            return Ok(());
        }
        let at = at.index(octets.len());
        octets[at] ^= 1 << bit;
        if cut {
            octets.truncate(at + 1 + octets.len() / 2);
        }
        compare(server, &octets)?;
    }
}
