//! A slow, obvious echo endpoint of either role, and one fault that can be planted in it. Without a fault it passes all cases.
//! RFC 6455 and RFC 7692.

mod echo;
mod fault;
mod handshake;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use fault::Fault;
use sansws_conformance::Peer;
use sansws_conformance::deflate::{Agreed, Deflater, Inflater};
use sansws_conformance::frame::{self, Coding, Frame, Masking, opcode};
use sansws_conformance::http;
use sansws_conformance::run::memory::Subject;
use sansws_conformance::setting::Random;

/// Longest message that it takes.
const LONGEST: usize = 64 << 20;

/// An endpoint.
pub struct Naive {
    peer: Peer,
    fault: Option<Fault>,
    input: Vec<u8>,
    /// How much of the input was taken.
    at: usize,
    output: Vec<u8>,
    open: bool,
    over: bool,
    input_ended: bool,
    agreed: Option<Agreed>,
    deflater: Option<Deflater>,
    inflater: Option<Inflater>,
    frame: Option<Arriving>,
    message: Option<Message>,
    /// A pong that a mutant holds back.
    held: Option<Vec<u8>>,
    close_sent: bool,
    close_received: bool,
    /// The nonce of a client.
    key: String,
    random: Random,
    sent: u32,
    /// A mutant inflates nothing any more.
    dead: bool,
}

/// A frame whose payload is arriving.
struct Arriving {
    fin: bool,
    rsv: u8,
    opcode: u8,
    key: Option<[u8; 4]>,
    left: u64,
    seen: usize,
    control: Vec<u8>,
}

struct Message {
    text: bool,
    compressed: bool,
    payload: Vec<u8>,
    /// How much of it is known to be UTF-8.
    valid: usize,
    /// The payloads of its frames, and where the last of them ended.
    parts: Vec<Vec<u8>>,
    cut: usize,
}

/// The code to fail with.
type Failure = u16;

impl Naive {
    /// The peer of that role, with a fault.
    pub fn new(peer: Peer, fault: Option<Fault>) -> Self {
        static CONNECTIONS: AtomicU64 = AtomicU64::new(0);
        let mut random = Random(CONNECTIONS.fetch_add(1, Ordering::Relaxed) << 32);
        let halves = (u128::from(random.next()) << 64) | u128::from(random.next());
        let key = match fault {
            Some(Fault::RepeatsItsNonce) => http::key([7; 16]),
            _ => http::key(halves.to_be_bytes()),
        };
        if fault == Some(Fault::StartsItsKeysAlike) {
            random = Random(7);
        }
        let mut naive = Self {
            peer,
            fault,
            input: Vec::new(),
            at: 0,
            output: Vec::new(),
            open: false,
            over: false,
            input_ended: false,
            agreed: None,
            deflater: None,
            inflater: None,
            frame: None,
            message: None,
            held: None,
            close_sent: false,
            close_received: false,
            key,
            random,
            sent: 0,
            dead: false,
        };
        if peer == Peer::Client {
            let host = match naive.has(Fault::HidesThePort) {
                true => "memory",
                false => "memory:9001",
            };
            naive.output = handshake::request(&naive.key, host);
        }
        naive
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    fn masks(&self) -> bool {
        (self.peer == Peer::Client) != self.has(Fault::MasksAgainstRole)
    }

    fn send(&mut self, frame: Frame) {
        let mut frame = frame.masking(Masking::ByRole);
        if self.has(Fault::WritesLongLengths) {
            frame.coding = Coding::SixtyFour;
        }
        self.sent += 1;
        let [a, b, c, d, ..] = self.random.next().to_be_bytes();
        let key = match self.fault {
            Some(Fault::RepeatsItsKey) => [1, 2, 3, 4],
            Some(Fault::CountsItsKeys) => self.sent.wrapping_mul(2_654_435_761).to_be_bytes(),
            Some(Fault::RepeatsAnOctet) => [a; 4],
            Some(Fault::FixesAnOctet) => [a, b, 0, d],
            _ => [a, b, c, d],
        };
        frame.write(self.masks().then_some(key), &mut self.output);
    }

    fn go_on(&mut self) {
        while !self.over {
            let moved = match self.open {
                false => handshake::go_on(self),
                true => self.frames(),
            };
            if !moved {
                break;
            }
        }
        self.input.drain(..self.at.min(self.input.len()));
        self.at = 0;
    }

    /// Agreed; frames follow.
    fn opened(&mut self, agreed: Option<Agreed>) {
        self.open = true;
        self.agreed = agreed;
        self.deflater = agreed.map(|agreed| {
            let bits = match self.fault {
                Some(Fault::IgnoresWindowBits) => 15,
                Some(Fault::AcknowledgesEightBits) => 10,
                _ => agreed.own_bits,
            };
            Deflater::new(bits, agreed.own_takeover || self.has(Fault::KeepsItsWindow))
        });
        self.inflater = agreed.map(|agreed| {
            Inflater::new(
                15.max(agreed.peer_bits),
                agreed.peer_takeover && !self.has(Fault::ForgetsThePeersWindow),
            )
        });
        if self.has(Fault::LosesWhatIsGlued) {
            self.input.clear();
        }
    }

    /// Takes a header or a part of a payload; says whether it took anything.
    fn frames(&mut self) -> bool {
        if self.close_received
            && !self.has(Fault::EchoesAfterClose)
            && !self.has(Fault::AnswersEachClose)
        {
            self.input.clear();
            return false;
        }
        let step = match self.frame.take() {
            Some(frame) => self.payload(frame),
            None => self.header(),
        };
        match step {
            Ok(moved) => moved,
            Err(_) if self.has(Fault::NeverFails) => {
                self.input.clear();
                self.frame = None;
                false
            }
            Err(code) => {
                self.fail(code);
                false
            }
        }
    }

    fn fail(&mut self, code: Failure) {
        if !self.close_sent {
            self.close_sent = true;
            self.send(frame::close(code, ""));
        }
        self.close_received = true;
        self.input.clear();
    }

    fn header(&mut self) -> Result<bool, Failure> {
        let Some((header, length)) = self.parse() else {
            return Ok(false);
        };
        self.at += length;
        self.check(&header)?;
        if header.opcode < 8 {
            self.begin(&header)?;
        }
        self.frame = Some(header);
        Ok(true)
    }

    /// A header and how long it is; the length that it claims stands in `left`.
    fn parse(&self) -> Option<(Arriving, usize)> {
        let rest = self.input.get(self.at..)?;
        let [b0, b1, ..] = *rest else { return None };
        let wide = match b1 & 127 {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let digits = rest.get(2..2 + wide)?;
        let mut left = match wide {
            0 => u64::from(b1 & 127),
            _ => digits
                .iter()
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
        };
        let wasted = match wide {
            2 => left < 126,
            8 => left < 65536,
            _ => false,
        };
        if wasted && !self.has(Fault::AcceptsLongLengths) {
            // Told by a length that no frame has.
            left = u64::MAX;
        }
        if self.has(Fault::TruncatesLengths) {
            left &= 0xffff_ffff;
        }
        let mut key = None;
        let mut length = 2 + wide;
        if b1 & 128 != 0 {
            let bytes = rest.get(length..length + 4)?;
            key = Some([bytes[0], bytes[1], bytes[2], bytes[3]]);
            length += 4;
        }
        let header = Arriving {
            fin: b0 & 128 != 0,
            rsv: b0 >> 4 & 7,
            opcode: b0 & 15,
            key,
            left,
            seen: 0,
            control: Vec::new(),
        };
        Some((header, length))
    }

    fn check(&self, header: &Arriving) -> Result<(), Failure> {
        if header.left == u64::MAX || header.left >> 63 != 0 {
            return Err(1002);
        }
        let masked = self.peer == Peer::Server;
        if header.key.is_some() != masked && !self.has(Fault::AcceptsWrongMasks) {
            return Err(1002);
        }
        let compressed = header.rsv == 4 && self.agreed.is_some();
        let may = match header.opcode {
            1 | 2 => compressed,
            0 => compressed && self.has(Fault::AcceptsCompressedContinuations),
            _ => compressed && self.has(Fault::AcceptsCompressedControls),
        };
        if header.rsv != 0 && !may && !self.has(Fault::AcceptsReservedBits) {
            return Err(1002);
        }
        if matches!(header.opcode, 3..=7 | 11..) && !self.has(Fault::AcceptsReservedOpcodes) {
            return Err(1002);
        }
        if header.opcode >= 8 {
            let long = match header.opcode {
                opcode::CLOSE => !self.has(Fault::AcceptsLongCloses),
                _ => !self.has(Fault::AcceptsLongPings),
            };
            if header.left > 125 && long {
                return Err(1002);
            }
            let pong = header.opcode == opcode::PONG && self.has(Fault::AcceptsFragmentedPongs);
            if !header.fin && !pong && !self.has(Fault::AcceptsFragmentedPings) {
                return Err(1002);
            }
        }
        Ok(())
    }

    /// A data frame begins or continues a message.
    fn begin(&mut self, header: &Arriving) -> Result<(), Failure> {
        let inside = self.message.is_some();
        if header.opcode == opcode::CONTINUATION
            && !inside
            && !self.has(Fault::AcceptsStrayContinuations)
        {
            return Err(1002);
        }
        if header.opcode != opcode::CONTINUATION
            && inside
            && !self.has(Fault::AcceptsNestedMessages)
        {
            return Err(1002);
        }
        let held = self
            .message
            .as_ref()
            .map_or(0, |message| message.payload.len() as u64);
        if held + header.left > LONGEST as u64 && !self.has(Fault::WaitsForHugePayloads) {
            return Err(1009);
        }
        if header.opcode != opcode::CONTINUATION || !inside {
            self.message = Some(Message {
                text: header.opcode == opcode::TEXT,
                compressed: header.rsv == 4 && self.agreed.is_some(),
                payload: Vec::new(),
                valid: 0,
                parts: Vec::new(),
                cut: 0,
            });
        } else if self.has(Fault::ForgetsFirstPart)
            && let Some(message) = &mut self.message
        {
            message.payload.clear();
            message.valid = 0;
        }
        Ok(())
    }

    fn payload(&mut self, mut frame: Arriving) -> Result<bool, Failure> {
        let rest = self.input.get(self.at..).unwrap_or_default();
        let count = (rest.len() as u64).min(frame.left) as usize;
        let mut part = rest[..count].to_vec();
        self.at += count;
        if let Some(key) = frame.key {
            let mut turned = key;
            if !self.has(Fault::RestartsTheMask) {
                turned.rotate_left(frame.seen % 4);
            }
            frame::mask(turned, &mut part);
        }
        frame.seen += count;
        frame.left -= count as u64;
        let whole = frame.left == 0;
        if frame.opcode >= 8 {
            frame.control.extend(part);
            match whole {
                true => self.control(frame)?,
                false => self.frame = Some(frame),
            }
            return Ok(whole);
        }
        let fin = frame.fin && whole;
        self.text(&part, whole, fin)?;
        if !whole {
            self.frame = Some(frame);
            return Ok(count > 0);
        }
        if let Some(message) = &mut self.message {
            let fresh = message
                .payload
                .get(message.cut..)
                .unwrap_or_default()
                .to_vec();
            message.cut = message.payload.len();
            message.parts.push(fresh);
        }
        let dropped =
            self.has(Fault::DropsEmptyLastFragment) && frame.opcode == 0 && frame.seen == 0;
        if fin && !dropped {
            self.finish()?;
        }
        Ok(true)
    }

    /// Adds to the message, and checks what is text as far as it can be.
    fn text(&mut self, part: &[u8], frame_ends: bool, fin: bool) -> Result<(), Failure> {
        let fault = self.fault;
        let has = |other: Fault| fault == Some(other);
        let Some(message) = &mut self.message else {
            return Ok(());
        };
        let empty_end = fin && part.is_empty();
        message.payload.extend_from_slice(part);
        if !message.text || message.compressed || has(Fault::ChecksNoUtf8) {
            return Ok(());
        }
        if has(Fault::ChecksUtf8AtTheEnd) && !fin
            || has(Fault::ChecksUtf8AtFrameEnds) && !frame_ends
        {
            return Ok(());
        }
        let rest = message.payload.get(message.valid..).unwrap_or_default();
        let code = if has(Fault::ClosesBadTextWith1002) {
            1002
        } else {
            1007
        };
        let Err(error) = std::str::from_utf8(rest) else {
            message.valid = message.payload.len();
            return Ok(());
        };
        let surrogate =
            rest.get(error.valid_up_to()) == Some(&0xed) && has(Fault::AcceptsSurrogates);
        if surrogate {
            message.valid = message.payload.len();
            return Ok(());
        }
        message.valid += error.valid_up_to();
        let strict = has(Fault::ChecksUtf8OfEachFragment) && frame_ends;
        let unfinished = fin
            && !has(Fault::AcceptsUnfinishedCharacters)
            && !(empty_end && has(Fault::AcceptsUnfinishedBeforeEmptyEnd));
        if error.error_len().is_some() || strict || unfinished {
            return Err(code);
        }
        Ok(())
    }

    fn control(&mut self, frame: Arriving) -> Result<(), Failure> {
        match frame.opcode {
            opcode::CLOSE => self.closed(&frame.control),
            opcode::PING if self.close_received => Ok(()),
            opcode::PING => {
                if self.has(Fault::SendsNoPongs) {
                    return Ok(());
                }
                let payload = if self.has(Fault::SendsEmptyPongs) {
                    Vec::new()
                } else {
                    frame.control
                };
                if self.has(Fault::DelaysPongs) && self.message.is_some() {
                    self.held = Some(payload);
                } else {
                    let payload = payload.get(..125).unwrap_or(&payload).to_vec();
                    self.send(frame::pong(payload));
                }
                Ok(())
            }
            opcode::PONG => {
                if self.has(Fault::AnswersPongs) {
                    self.send(frame::pong(""));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn closed(&mut self, body: &[u8]) -> Result<(), Failure> {
        let again = self.close_received;
        self.close_received = true;
        let mut code = None;
        match body {
            [] => {}
            [_] if self.has(Fault::AcceptsHalfACode) => {}
            [_] => return Err(1002),
            [high, low, reason @ ..] => {
                let number = u16::from_be_bytes([*high, *low]);
                let legal = matches!(number, 1000..=1003 | 1007..=1011 | 3000..=4999)
                    || matches!(number, 1012..=1014) && !self.has(Fault::RefusesNewCodes);
                if !legal && !self.has(Fault::AcceptsReservedCodes) {
                    return Err(1002);
                }
                if std::str::from_utf8(reason).is_err() && !self.has(Fault::AcceptsBadReasons) {
                    return Err(1007);
                }
                code = Some(if legal { number } else { 1000 });
            }
        }
        if self.has(Fault::AnswersNoClose) {
            return Ok(());
        }
        if self.has(Fault::DropsOnClose) {
            self.over = true;
            return Ok(());
        }
        if !self.close_sent || again && self.has(Fault::AnswersEachClose) {
            self.close_sent = true;
            match code {
                Some(_) if self.has(Fault::AnswersWithAnotherCode) => {
                    self.send(frame::close(4321, ""))
                }
                Some(code) => self.send(frame::close(code, "")),
                None if self.has(Fault::SendsReservedCodes) => self.send(frame::close(1005, "")),
                None => self.send(frame::frame(opcode::CLOSE, "")),
            }
            if self.has(Fault::SendsAfterClose) {
                self.output.push(0x81);
            }
        }
        Ok(())
    }
}

impl Subject for Naive {
    fn receive(&mut self, _: Duration, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        self.go_on();
    }

    fn end_of_input(&mut self, _: Duration) {
        self.input_ended = true;
        self.go_on();
        if !self.has(Fault::IgnoresTheEndOfTcp) {
            self.over = true;
        }
    }

    fn output(&mut self, _: Duration) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    fn has_ended(&self) -> bool {
        // 7.1.1: the server ends TCP first.
        let closed = self.close_sent && self.close_received && self.peer == Peer::Server;
        self.over || closed && !self.has(Fault::NeverEndsTcp)
    }
}
