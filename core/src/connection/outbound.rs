//! Messages to bytes, and their order.
//! RFC 6455 sections 5.2 to 5.5, 6.1 and 7.1.2; RFC 7692 section 7.2.1.
//! Knows no transport: everything goes into the queue.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::compression::Compression;
use super::{Connection, Effect, HeldPong, Input, State, output::LARGE};
use crate::close::{CloseCode, cut_reason};
use crate::copy::{append, copied};
use crate::error::SendError;
use crate::frame::{Header, Opcode};
use crate::mask::Mask;
use crate::message::{Message, Payload, PreparedMessage};
use crate::time::Instant;

/// The longest payload of a control frame (5.5).
const MAX_CONTROL: usize = 125;

/// While less than this is queued, each ping is answered; beyond it only the newest, once there is room.
const PONG_ROOM: usize = 16 << 10;

impl Connection {
    /// Sends a text message. It is queued; see the [module](super) for how it leaves.
    pub fn send_text(&mut self, text: &str) -> Result<(), SendError> {
        self.send_payload(Payload::Text(text))
    }

    /// Sends a binary message.
    pub fn send_binary(&mut self, bytes: &[u8]) -> Result<(), SendError> {
        self.send_payload(Payload::Binary(bytes))
    }

    /// Sends a message, which is copied.
    pub fn send_payload(&mut self, payload: Payload<'_>) -> Result<(), SendError> {
        self.may_begin()?;
        let bytes = payload.as_bytes();
        if self.is_worth_deflating(bytes.len()) {
            let (compressed, bytes) = self.deflated(bytes);
            self.write_owned(payload.kind().into(), compressed, bytes);
        } else {
            self.write_frame(payload.kind().into(), true, false, bytes);
        }
        Ok(())
    }

    /// Sends an owned message: a large one is not copied.
    pub fn send(&mut self, message: impl Into<Message>) -> Result<(), SendError> {
        self.send_from(&mut Some(message.into()))
    }

    /// Sends an owned message, and leaves it to the caller if it was copied.
    #[doc(hidden)]
    #[inline]
    pub fn send_from(&mut self, message: &mut Option<Message>) -> Result<(), SendError> {
        let Some(owned) = message else {
            return Ok(());
        };
        if owned.len() < LARGE || self.is_worth_deflating(owned.len()) {
            return self.send_payload(owned.payload());
        }
        self.may_begin()?;
        if let Some(owned) = message.take() {
            self.write_owned(owned.kind().into(), false, owned.into_bytes());
        }
        Ok(())
    }

    /// Sends a prepared message: by reference on a server, masked into a copy on a client.
    pub fn send_prepared(&mut self, prepared: &PreparedMessage) -> Result<(), SendError> {
        self.may_begin()?;
        let deflated = self
            .deflate
            .and_then(|agreed| prepared.deflated_frame(agreed.own_window_bits));
        let (compressed, frame, payload) = match deflated {
            Some((frame, payload)) => (true, frame, payload),
            None => (false, prepared.frame(), prepared.payload()),
        };
        // It was compressed from an empty window: our window must not refer to data that the peer's no longer has.
        if compressed {
            self.compression.reset();
        }
        match self.keys {
            Some(_) => self.write_frame(prepared.kind().into(), true, compressed, payload),
            None if frame.len() < LARGE => self.output.append(|out| append(out, frame)),
            None => self.output.push_shared(Arc::clone(frame)),
        }
        self.times.sent = true;
        Ok(())
    }

    /// Sends a message in chunks: each chunk is a frame, and the one with `last` ends the message.
    ///
    /// All chunks of a message are of one kind. Other messages wait until it has ended; pings and pongs do not.
    pub fn send_piece(&mut self, payload: Payload<'_>, last: bool) -> Result<(), SendError> {
        self.may_send()?;
        let (kind, bytes) = (payload.kind(), payload.as_bytes());
        let (opcode, compressed) = match self.sending {
            Some((begun, _)) if begun != kind => return Err(SendError::WrongChunkKind),
            Some((_, compressed)) => (Opcode::Continuation, compressed),
            None => (kind.into(), self.is_worth_deflating(usize::MAX)),
        };
        self.sending = (!last).then_some((kind, compressed));
        if !compressed {
            self.write_frame(opcode, last, false, bytes);
            return Ok(());
        }
        let mut out = Vec::new();
        self.deflate_part(bytes, last, &mut out);
        // RFC 7692 6.1: RSV1 is set on the first frame only
        self.write_frame(opcode, last, opcode != Opcode::Continuation, &out);
        Ok(())
    }

    /// Returns whether a message sent in chunks is not finished.
    pub const fn is_sending(&self) -> bool {
        self.sending.is_some()
    }

    /// Sends a ping of at most 125 bytes.
    pub fn ping(&mut self, bytes: &[u8]) -> Result<(), SendError> {
        self.send_control(Opcode::Ping, bytes)?;
        self.times.pinged();
        Ok(())
    }

    /// Sends a pong of at most 125 bytes. Pings are answered automatically, unless [`Config::auto_pong`](crate::config::Config::auto_pong) is off.
    pub fn pong(&mut self, bytes: &[u8]) -> Result<(), SendError> {
        self.send_control(Opcode::Pong, bytes)
    }

    /// Starts the closing handshake: the Close frame is queued after earlier output, and nothing follows it.
    ///
    /// Without a code the frame is empty, and the reason is not sent. A reason longer than 123 bytes is cut between characters.
    pub fn close(
        &mut self,
        now: Instant,
        code: Option<CloseCode>,
        reason: &str,
    ) -> Result<(), SendError> {
        if !self.is_open() {
            return Err(SendError::Closing);
        }
        if self.turn(now, Input::LocalClose) == Effect::SendClose {
            self.write_close(code, reason);
        }
        Ok(())
    }

    /// Returns whether the write queue is below its limit: an open connection then accepts a message.
    pub fn has_room(&self) -> bool {
        self.output.queued() < self.config.limits.queue_bound()
    }

    pub(super) fn write_close(&mut self, code: Option<CloseCode>, reason: &str) {
        let mut payload = Vec::new();
        if let Some(code) = code {
            payload.extend_from_slice(&code.get().to_be_bytes());
            payload.extend_from_slice(cut_reason(reason).as_bytes());
        }
        self.pong = None;
        self.sending = None;
        self.write_frame(Opcode::Close, true, false, &payload);
    }

    /// Answers a ping, now or when there is room.
    pub(super) fn pinged(&mut self, payload: &[u8]) {
        if !self.config.auto_pong {
            return;
        }
        if self.pong.is_none() && self.output.queued() < PONG_ROOM {
            self.write_frame(Opcode::Pong, true, false, payload);
        } else {
            // 5.5.3: "MAY elect to send a Pong frame for only the most recently processed Ping frame"
            self.pong = Some(HeldPong::of(payload));
        }
    }

    pub(super) fn flush_pong(&mut self) {
        if self.pong.is_some()
            && self.output.queued() < PONG_ROOM
            && self.state == State::Open
            && let Some(pong) = self.pong.take()
        {
            self.write_frame(Opcode::Pong, true, false, pong.payload());
        }
    }

    fn may_send(&self) -> Result<(), SendError> {
        if !self.is_open() {
            Err(SendError::Closing)
        } else if !self.has_room() {
            Err(SendError::QueueFull)
        } else {
            Ok(())
        }
    }

    fn may_begin(&self) -> Result<(), SendError> {
        self.may_send()?;
        if self.sending.is_some() {
            Err(SendError::UnfinishedMessage)
        } else {
            Ok(())
        }
    }

    fn send_control(&mut self, opcode: Opcode, bytes: &[u8]) -> Result<(), SendError> {
        self.may_send()?;
        if bytes.len() > MAX_CONTROL {
            return Err(SendError::ControlTooLong);
        }
        self.write_frame(opcode, true, false, bytes);
        Ok(())
    }

    /// Returns the next header; a client's has a fresh key (5.3).
    fn header(&mut self, opcode: Opcode, fin: bool, compressed: bool, length: usize) -> Header {
        if !opcode.is_control() {
            self.times.sent = true;
        }
        let mask = self.keys.as_mut().map(|keys| keys.next_key());
        Header {
            fin,
            compressed,
            opcode,
            mask,
            length: length as u64,
        }
    }

    #[inline]
    pub(super) fn write_frame(
        &mut self,
        opcode: Opcode,
        fin: bool,
        compressed: bool,
        bytes: &[u8],
    ) {
        let header = self.header(opcode, fin, compressed, bytes.len());
        self.output.append(|out| {
            header.write(out);
            match header.mask {
                Some(key) => Mask::new(key).append(bytes, out),
                None => append(out, bytes),
            }
        });
    }

    fn write_owned(&mut self, opcode: Opcode, compressed: bool, mut bytes: Vec<u8>) {
        if bytes.len() < LARGE {
            return self.write_frame(opcode, true, compressed, &bytes);
        }
        let header = self.header(opcode, true, compressed, bytes.len());
        self.output.append(|out| header.write(out));
        if let Some(key) = header.mask {
            Mask::new(key).apply(&mut bytes);
        }
        self.output.push_owned(bytes);
    }

    fn is_worth_deflating(&self, length: usize) -> bool {
        Compression::is_worth_it(&self.config, self.deflate, length)
    }

    fn deflate_part(&mut self, bytes: &[u8], last: bool, out: &mut Vec<u8>) {
        self.compression
            .deflate_part(&self.config, self.deflate, bytes, last, out);
    }

    /// Returns the message, and whether it is compressed.
    fn deflated(&mut self, bytes: &[u8]) -> (bool, Vec<u8>) {
        match self.compression.deflate(&self.config, self.deflate, bytes) {
            Some(out) => (true, out),
            None => (false, copied(bytes)),
        }
    }
}
