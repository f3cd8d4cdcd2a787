//! How a session handles the frames that it receives, and the rules for them that hold in every case.
//! RFC 9113 sections 3.4 to 6 and 8; RFC 8441 section 3.

use std::time::Duration;

use super::heads::{self, Fields};
use super::session::{CONNECTION_WINDOW, Carried, Incident, MOST_FRAME, Session, lines};
use super::windows::MOST_WINDOW;
use super::wire::{self, Frame, PREFACE, error, flag, frame, kind, pairs, setting};
use crate::inbox::End;
use crate::record::{Record, Who};
use crate::script::Peer;

/// Maximum length of a field block from a peer, in octets.
const MOST_BLOCK: usize = 64 << 10;

/// The largest SETTINGS_MAX_FRAME_SIZE of a peer that the suite makes use of.
const LARGEST: usize = 256 << 10;

impl Session {
    /// Takes bytes from the front of `input` until something is there.
    pub fn next(
        &mut self,
        now: Duration,
        input: &mut &[u8],
        record: &mut Record,
    ) -> Option<Carried> {
        loop {
            if let Some(carried) = self.ready.pop_front() {
                self.deaf |= matches!(carried, Carried::Breach(_));
                return Some(carried);
            }
            if self.deaf {
                *input = &[];
                return None;
            }
            if let Err(breach) = self.greeting(input) {
                self.ready.push_back(Carried::Breach(breach));
                continue;
            }
            match self.reader.next(input, MOST_FRAME) {
                Ok(None) => return None,
                Ok(Some(frame)) => {
                    if frame.kind != kind::DATA || frame.has(flag::END_STREAM) {
                        record.http2(now, Who::Peer, frame.says());
                    }
                    if let Err(breach) = self.frame(frame, now, record) {
                        self.ready.push_back(Carried::Breach(breach));
                    }
                }
                Err(long) => self.ready.push_back(Carried::Breach(format!(
                    "it sent an HTTP/2 frame of {} octets, more than SETTINGS_MAX_FRAME_SIZE (RFC 9113 4.2)",
                    long.0
                ))),
            }
        }
    }

    /// Takes the client's preface.
    fn greeting(&mut self, input: &mut &[u8]) -> Result<(), String> {
        let want = PREFACE.get(self.preface..).unwrap_or_default();
        let count = want.len().min(input.len());
        let (got, rest) = input.split_at(count);
        if !want.starts_with(got) {
            return Err("it did not start with the preface of HTTP/2 (RFC 9113 3.4)".into());
        }
        self.preface += count;
        *input = rest;
        Ok(())
    }

    fn frame(&mut self, frame: Frame, now: Duration, record: &mut Record) -> Result<(), String> {
        let first = !std::mem::replace(&mut self.settled, true);
        if first && (frame.kind != kind::SETTINGS || frame.has(flag::ACK)) {
            return Err("its first frame is not SETTINGS (RFC 9113 3.4)".into());
        }
        if let Some((stream, ..)) = self.block
            && (frame.kind, frame.stream) != (kind::CONTINUATION, stream)
        {
            return Err("it interrupted a field block (RFC 9113 6.10)".into());
        }
        match frame.kind {
            kind::DATA => self.take_data(frame),
            kind::HEADERS => self.take_headers(frame, now, record),
            kind::CONTINUATION => self.take_continuation(&frame, now, record),
            kind::RST_STREAM => self.take_reset(&frame),
            kind::SETTINGS => self.take_settings(&frame),
            kind::PING => self.take_ping(&frame),
            kind::GOAWAY => {
                self.take_goaway(&frame);
                Ok(())
            }
            kind::WINDOW_UPDATE => self.take_update(&frame),
            // It was disabled, and clients may not push.
            kind::PUSH_PROMISE => Err("it pushed (RFC 9113 8.4)".into()),
            _ => Ok(()),
        }
    }

    fn take_settings(&mut self, frame: &Frame) -> Result<(), String> {
        if frame.stream != 0 || !frame.payload.len().is_multiple_of(6) {
            return Err("its SETTINGS are malformed (RFC 9113 6.5)".into());
        }
        if frame.has(flag::ACK) {
            if let Some(Some(initial)) = self.unsettled.pop_front() {
                self.receives.set_initial(initial);
            }
            return Ok(());
        }
        for (id, value) in pairs(&frame.payload) {
            self.set(id, value)?;
        }
        self.send(&[frame_ack(kind::SETTINGS, &[])]);
        Ok(())
    }

    fn set(&mut self, id: u16, value: u32) -> Result<(), String> {
        match (id, value) {
            (setting::ENABLE_PUSH, 1..) if self.peer == Peer::Server => {
                Err("its SETTINGS_ENABLE_PUSH is not 0 (RFC 9113 6.5.2)".into())
            }
            (setting::INITIAL_WINDOW_SIZE, _) => {
                let fits = i64::from(value) <= MOST_WINDOW && self.sends.set_initial(value);
                fits.then_some(()).ok_or_else(|| {
                    "its SETTINGS_INITIAL_WINDOW_SIZE is too large (RFC 9113 6.5.2)".into()
                })
            }
            (setting::MAX_FRAME_SIZE, 16_384..=16_777_215) => {
                self.most_frame = usize::try_from(value).unwrap_or(MOST_FRAME).min(LARGEST);
                Ok(())
            }
            (setting::MAX_FRAME_SIZE, _) => {
                Err("its SETTINGS_MAX_FRAME_SIZE is out of range (RFC 9113 6.5.2)".into())
            }
            (setting::ENABLE_CONNECT_PROTOCOL, 2..) => Err(format!(
                "its SETTINGS_ENABLE_CONNECT_PROTOCOL is {value}, neither 0 nor 1 (RFC 8441 3)"
            )),
            (setting::ENABLE_CONNECT_PROTOCOL, 0) if self.connect_protocol == Some(1) => {
                Err("it took SETTINGS_ENABLE_CONNECT_PROTOCOL back (RFC 8441 3)".into())
            }
            (setting::ENABLE_CONNECT_PROTOCOL, _) => {
                self.connect_protocol = Some(value);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn take_ping(&mut self, frame: &Frame) -> Result<(), String> {
        if frame.stream != 0 || frame.payload.len() != 8 {
            return Err("its PING is malformed (RFC 9113 6.7)".into());
        }
        match frame.has(flag::ACK) {
            true => self.pings += 1,
            false => self.send(&[frame_ack(kind::PING, &frame.payload)]),
        }
        Ok(())
    }

    fn take_goaway(&mut self, frame: &Frame) {
        let code = match frame.payload.as_slice() {
            [_, _, _, _, a, b, c, d, ..] => u32::from_be_bytes([*a, *b, *c, *d]),
            _ => error::PROTOCOL_ERROR,
        };
        if code != error::NO_ERROR && !std::mem::replace(&mut self.over, true) {
            self.ready.push_back(Carried::End(End::GoAway(code)));
        }
    }

    fn take_update(&mut self, frame: &Frame) -> Result<(), String> {
        let [a, b, c, d] = *frame.payload.as_slice() else {
            return Err("its WINDOW_UPDATE is malformed (RFC 9113 6.9)".into());
        };
        let count = u32::from_be_bytes([a, b, c, d]) & 0x7fff_ffff;
        if count == 0 || !self.sends.add(frame.stream, i64::from(count)) {
            return Err("its WINDOW_UPDATE adds nothing, or too much (RFC 9113 6.9)".into());
        }
        Ok(())
    }

    fn take_reset(&mut self, frame: &Frame) -> Result<(), String> {
        let [a, b, c, d] = *frame.payload.as_slice() else {
            return Err("its RST_STREAM is malformed (RFC 9113 6.4)".into());
        };
        let code = u32::from_be_bytes([a, b, c, d]);
        // RFC 9113 8.1: after a complete response, a server may ask in this way that the rest of the request is not sent.
        let asks = self.peer == Peer::Server && code == error::NO_ERROR;
        if !(asks && self.complete.contains(&frame.stream)) {
            self.finish(frame.stream, Some(code));
        }
        Ok(())
    }

    /// The peer's side of a stream ended.
    fn finish(&mut self, stream: u32, code: Option<u32>) {
        if code.is_none() {
            self.complete.insert(stream);
        }
        if self.main != Some(stream) {
            let incident = Incident::End { stream, code };
            self.beside(incident);
            return;
        }
        self.over |= code.is_some();
        let end = code.map_or(End::Fin, End::Stream);
        self.ready.push_back(Carried::End(end));
    }

    /// Reports an incident of a stream that we opened; a client's other streams are refused.
    fn beside(&mut self, incident: Incident) {
        if self.peer == Peer::Server {
            self.ready.push_back(Carried::Beside(incident));
        }
    }

    fn take_data(&mut self, mut frame: Frame) -> Result<(), String> {
        let length = frame.payload.len();
        if self.receives.room(frame.stream) < i64::try_from(length).unwrap_or(i64::MAX) {
            return Err("it sent more DATA than the window allows (RFC 9113 6.9.1)".into());
        }
        if !self.receives.streams.contains_key(&frame.stream) {
            return Err("it sent DATA on a stream that is not open (RFC 9113 6.1)".into());
        }
        self.receives.take(frame.stream, length);
        unpad(&mut frame, 0)?;
        self.make_room(frame.stream);
        let (stream, end) = (frame.stream, frame.has(flag::END_STREAM));
        if self.main == Some(stream) {
            self.frames += 1;
            self.received += length;
            self.ready.push_back(Carried::Bytes(frame.payload));
        } else if !frame.payload.is_empty() {
            let bytes = frame.payload;
            self.beside(Incident::Data { stream, bytes });
        }
        if end {
            self.finish(stream, None);
        }
        Ok(())
    }

    /// Gives the peer new room for the octets that have arrived.
    fn make_room(&mut self, stream: u32) {
        if !self.refills {
            return;
        }
        let initial = self.receives.initial;
        let own = self.receives.streams.get(&stream).copied();
        let missing = own.map_or(0, |own| initial - own);
        if missing * 2 >= initial && missing > 0 {
            self.give(stream, missing);
        }
        let missing = i64::from(CONNECTION_WINDOW) - self.receives.connection;
        if missing * 2 >= i64::from(CONNECTION_WINDOW) {
            self.give(0, missing);
        }
    }

    fn give(&mut self, stream: u32, count: i64) {
        if let Ok(count) = u32::try_from(count) {
            self.send(&[wire::window_update(stream, count)]);
        }
    }

    fn take_headers(
        &mut self,
        mut frame: Frame,
        now: Duration,
        record: &mut Record,
    ) -> Result<(), String> {
        let priority = if frame.has(flag::PRIORITY) { 5 } else { 0 };
        unpad(&mut frame, priority)?;
        let end = frame.has(flag::END_STREAM);
        if frame.has(flag::END_HEADERS) {
            return self.take_block(frame.stream, end, &frame.payload, now, record);
        }
        self.block = Some((frame.stream, end, frame.payload));
        Ok(())
    }

    fn take_continuation(
        &mut self,
        frame: &Frame,
        now: Duration,
        record: &mut Record,
    ) -> Result<(), String> {
        let Some((stream, end, mut block)) = self.block.take() else {
            return Err("it sent a CONTINUATION of nothing (RFC 9113 6.10)".into());
        };
        block.extend_from_slice(&frame.payload);
        if block.len() > MOST_BLOCK {
            return Err(format!("its HTTP head is longer than {MOST_BLOCK} octets"));
        }
        if frame.has(flag::END_HEADERS) {
            return self.take_block(stream, end, &block, now, record);
        }
        self.block = Some((stream, end, block));
        Ok(())
    }

    /// A head is whole.
    fn take_block(
        &mut self,
        stream: u32,
        end: bool,
        block: &[u8],
        now: Duration,
        record: &mut Record,
    ) -> Result<(), String> {
        let fields = self.decoder.decode(block)?;
        record.http2(now, Who::Peer, lines(&fields));
        match self.peer {
            Peer::Server => self.take_answer(stream, fields)?,
            Peer::Client => self.take_request(stream, fields)?,
        }
        if end {
            self.finish(stream, None);
        }
        Ok(())
    }

    fn take_answer(&mut self, stream: u32, fields: Fields) -> Result<(), String> {
        if !self.receives.streams.contains_key(&stream) {
            return Err("it sent a head on a stream that we did not open (RFC 9113 5.1.1)".into());
        }
        let main = self.main == Some(stream);
        if main && self.tunnel {
            return Err("it sent HEADERS in a tunnel (RFC 9113 8.5)".into());
        }
        // Trailers have no status.
        if heads::value(&fields, ":status").is_none() {
            return match main {
                true => Err("its response has no :status (RFC 9113 8.3.2)".into()),
                false => Ok(()),
            };
        }
        heads::check(&fields, false)?;
        let head = heads::head(fields);
        let status = head.status().unwrap_or_default();
        if status == 101 {
            return Err("it answered with 101, which HTTP/2 does not have (RFC 9113 8.6)".into());
        }
        // Interim responses precede the answer.
        if (100..200).contains(&status) {
            return Ok(());
        }
        if main {
            self.tunnel = (200..300).contains(&status);
            self.ready.push_back(Carried::Head(head));
        } else {
            self.beside(Incident::Head { stream, head });
        }
        Ok(())
    }

    fn take_request(&mut self, stream: u32, fields: Fields) -> Result<(), String> {
        if self.main == Some(stream) {
            return Err("it sent HEADERS in a tunnel (RFC 9113 8.5)".into());
        }
        if stream.is_multiple_of(2) || stream <= self.last {
            return Err("it opened a stream out of order (RFC 9113 5.1.1)".into());
        }
        self.last = stream;
        if self.main.is_some() {
            self.send(&[wire::reset(stream, error::REFUSED_STREAM)]);
            return Ok(());
        }
        heads::check(&fields, true)?;
        self.early = self.silent;
        self.main = Some(stream);
        self.open(stream);
        self.ready.push_back(Carried::Head(heads::head(fields)));
        Ok(())
    }
}

fn frame_ack(kind: u8, payload: &[u8]) -> Frame {
    frame(kind, flag::ACK, 0, payload)
}

/// Removes the padding of a frame, and so many octets of priority.
fn unpad(frame: &mut Frame, priority: usize) -> Result<(), String> {
    let bad = || "the padding of its frame is longer than the frame (RFC 9113 6.1)".to_owned();
    if frame.has(flag::PADDED) {
        let (count, rest) = frame.payload.split_first().ok_or_else(bad)?;
        let length = rest
            .len()
            .checked_sub(usize::from(*count))
            .ok_or_else(bad)?;
        frame.payload = rest.get(..length).unwrap_or_default().to_vec();
    }
    if priority > 0 {
        frame.payload = frame.payload.get(priority..).ok_or_else(bad)?.to_vec();
    }
    Ok(())
}
