//! A slow, obvious HTTP/2 endpoint, and one fault that can be planted in it. On each stream it runs an endpoint of HTTP/1.1, for which it
//! translates the heads. Without a fault it passes all cases.
//! RFC 9113; RFC 8441.

mod fault;
mod heads;

use std::collections::BTreeMap;
use std::time::Duration;

pub use fault::Fault;
use sansws_conformance::Peer;
use sansws_conformance::http::Head;
use sansws_conformance::http2::Fields;
use sansws_conformance::http2::heads::{Decoder, encode};
use sansws_conformance::http2::wire::{
    Frame, PREFACE, Reader, data, error, flag, frame, goaway, kind, pairs, reset, setting,
    settings, window_update,
};
use sansws_conformance::run::memory::Subject;

/// Makes the endpoint of a stream.
pub type Make = Box<dyn Fn(Peer) -> Box<dyn Subject>>;

/// See the [module](self).
pub struct NaiveHttp2 {
    peer: Peer,
    fault: Option<Fault>,
    make: Make,
    greeting: usize,
    reader: Reader,
    decoder: Decoder,
    block: Option<(u32, Vec<u8>)>,
    streams: BTreeMap<u32, Stream>,
    output: Vec<u8>,
    window: i64,
    initial: i64,
    last: u32,
    enabled: bool,
    over: bool,
    /// It forwards what is malformed, so that the endpoint of the stream decides.
    pub lax: bool,
}

struct Stream {
    inner: Box<dyn Subject>,
    /// The output of the inner endpoint before its head was complete.
    head: Vec<u8>,
    open: bool,
    out: Vec<u8>,
    window: i64,
    sent: i64,
    ended: bool,
    /// The request of a client, as over HTTP/1.1.
    request: Option<Head>,
}

/// A broken rule: the code of the error, for the stream or for the connection.
enum Failure {
    Stream(u32, u32),
    Connection(u32),
}

impl NaiveHttp2 {
    /// The endpoint of that role, with a fault.
    pub fn new(peer: Peer, fault: Option<Fault>, make: Make) -> Self {
        let mut naive = Self {
            peer,
            fault,
            make,
            greeting: if peer == Peer::Server {
                0
            } else {
                PREFACE.len()
            },
            reader: Reader::default(),
            decoder: Decoder::default(),
            block: None,
            streams: BTreeMap::new(),
            output: Vec::new(),
            window: 65_535,
            initial: 65_535,
            last: 0,
            enabled: false,
            over: false,
            lax: false,
        };
        match peer {
            Peer::Server => {
                let value = if naive.has(Fault::EnablesTwice) { 2 } else { 1 };
                naive.send(settings(&[(setting::ENABLE_CONNECT_PROTOCOL, value)]));
            }
            Peer::Client => {
                naive.output.extend_from_slice(PREFACE);
                naive.send(settings(&[(setting::ENABLE_PUSH, 0)]));
            }
        }
        naive
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    fn send(&mut self, frame: Frame) {
        frame.write(&mut self.output);
    }

    fn take(&mut self, frame: Frame) -> Result<(), Failure> {
        let interrupted = self
            .block
            .as_ref()
            .is_some_and(|(stream, _)| (frame.kind, frame.stream) != (kind::CONTINUATION, *stream));
        if interrupted && !self.has(Fault::TakesInterruptions) {
            return Err(Failure::Connection(error::PROTOCOL_ERROR));
        }
        match frame.kind {
            kind::DATA => self.data(frame),
            kind::HEADERS | kind::CONTINUATION => self.headers(frame),
            kind::RST_STREAM => {
                let own = self.streams.contains_key(&frame.stream) || frame.stream <= self.last;
                if !own {
                    return Err(Failure::Connection(error::PROTOCOL_ERROR));
                }
                match self.fault {
                    Some(Fault::EchoesAfterReset) => {}
                    Some(Fault::EndsAllAtReset) => self.streams.clear(),
                    _ => drop(self.streams.remove(&frame.stream)),
                }
                if self.has(Fault::EchoesAfterReset)
                    && let Some(stream) = self.streams.get_mut(&frame.stream)
                {
                    stream.out.extend_from_slice(b"\x81\x01x");
                }
                self.over |= self.peer == Peer::Client;
                Ok(())
            }
            kind::SETTINGS => self.settings(&frame),
            kind::PING if frame.payload.len() != 8 => Err(Failure::Connection(6)),
            kind::PING => {
                if !frame.has(flag::ACK) && !self.has(Fault::DropsPings) {
                    self.send(frame.flags(flag::ACK));
                }
                Ok(())
            }
            kind::WINDOW_UPDATE => self.update(&frame),
            kind::GOAWAY | kind::PRIORITY => Ok(()),
            _ if self.has(Fault::DiesAtUnknownFrames) => {
                Err(Failure::Connection(error::PROTOCOL_ERROR))
            }
            _ => Ok(()),
        }
    }

    fn settings(&mut self, frame: &Frame) -> Result<(), Failure> {
        let bad = match frame.has(flag::ACK) {
            true => !frame.payload.is_empty(),
            false => !frame.payload.len().is_multiple_of(6),
        };
        if bad && !self.has(Fault::TakesBadSettings) {
            return Err(Failure::Connection(6));
        }
        if frame.has(flag::ACK) {
            return Ok(());
        }
        for (id, value) in pairs(&frame.payload) {
            match id {
                setting::INITIAL_WINDOW_SIZE => self.resize(value.into()),
                setting::ENABLE_CONNECT_PROTOCOL => self.enabled = value == 1,
                1..=6 => {}
                _ if self.has(Fault::DiesAtUnknownSettings) => {
                    return Err(Failure::Connection(error::PROTOCOL_ERROR));
                }
                _ => {}
            }
        }
        if self.has(Fault::TakesItBack) && !self.streams.is_empty() {
            self.send(settings(&[(setting::ENABLE_CONNECT_PROTOCOL, 0)]));
        }
        if !self.has(Fault::AcknowledgesNothing) {
            self.send(frame_ack());
        }
        if self.peer == Peer::Client && self.enabled && self.last == 0 {
            self.ask();
        }
        Ok(())
    }

    fn resize(&mut self, initial: i64) {
        let difference = initial - self.initial;
        self.initial = initial;
        for stream in self.streams.values_mut() {
            match self.fault {
                Some(Fault::IgnoresNewWindows) => {}
                // As if nothing had been sent since.
                Some(Fault::ForgetsWhatItSent) => stream.window = initial,
                _ => stream.window += difference,
            }
        }
    }

    fn update(&mut self, frame: &Frame) -> Result<(), Failure> {
        let [a, b, c, d] = *frame.payload.as_slice() else {
            return Err(Failure::Connection(6));
        };
        let count = i64::from(u32::from_be_bytes([a, b, c, d]));
        if count == 0 && !self.has(Fault::TakesEmptyUpdates) {
            return Err(Failure::Stream(frame.stream, error::PROTOCOL_ERROR));
        }
        if count < 100 && self.has(Fault::WantsMuchRoom) {
            return Ok(());
        }
        let window = match frame.stream {
            0 => Some(&mut self.window),
            stream => self
                .streams
                .get_mut(&stream)
                .map(|stream| &mut stream.window),
        };
        let Some(window) = window else { return Ok(()) };
        *window += count;
        let huge = *window > 0x7fff_ffff;
        if huge && !self.has(Fault::TakesHugeWindows) {
            return Err(Failure::Stream(frame.stream, 3));
        }
        Ok(())
    }

    fn data(&mut self, mut frame: Frame) -> Result<(), Failure> {
        if frame.stream == 0 && !self.has(Fault::TakesStreamZero) {
            return Err(Failure::Connection(error::PROTOCOL_ERROR));
        }
        let count = u32::try_from(frame.payload.len()).unwrap();
        if frame.has(flag::PADDED) && !self.has(Fault::EchoesPadding) {
            self.unpad(&mut frame)?;
        }
        let end = frame.has(flag::END_STREAM)
            || self.has(Fault::EndsAtEmptyData) && frame.payload.is_empty();
        let whole = self.has(Fault::WantsWholeFrames);
        let id = match self.fault {
            Some(Fault::MixesStreams) => self.streams.keys().next().copied().unwrap_or(1),
            _ => frame.stream,
        };
        if let Some(stream) = self.streams.get_mut(&id) {
            if stream.ended && frame.stream == id {
                return Ok(());
            }
            // It expects a whole frame of WebSocket in each frame of HTTP/2.
            if !whole || frame.payload.len() > 5 {
                stream.inner.receive(Duration::ZERO, &frame.payload);
            }
            if end {
                stream.inner.end_of_input(Duration::ZERO);
            }
        }
        if count > 0 && !self.has(Fault::GivesNoRoom) {
            self.send(window_update(0, count));
            self.send(window_update(frame.stream, count));
        }
        Ok(())
    }

    fn unpad(&self, frame: &mut Frame) -> Result<(), Failure> {
        let (count, rest) = frame.payload.split_first().unwrap();
        match rest.len().checked_sub((*count).into()) {
            Some(length) => frame.payload = rest[..length].to_vec(),
            None if self.has(Fault::TakesLongPadding) => frame.payload.clear(),
            None => return Err(Failure::Connection(error::PROTOCOL_ERROR)),
        }
        Ok(())
    }

    fn headers(&mut self, mut frame: Frame) -> Result<(), Failure> {
        if frame.has(flag::PADDED) && frame.kind == kind::HEADERS {
            self.unpad(&mut frame)?;
        }
        if frame.kind == kind::HEADERS && frame.has(flag::PRIORITY) {
            if self.has(Fault::RefusesPriority) {
                return Err(Failure::Stream(frame.stream, error::PROTOCOL_ERROR));
            }
            frame.payload.drain(..5);
        }
        let (stream, mut block) = self.block.take().unwrap_or((frame.stream, Vec::new()));
        if frame.kind == kind::HEADERS || !self.has(Fault::IgnoresContinuation) {
            block.extend(frame.payload);
        }
        if frame.flags & flag::END_HEADERS == 0 {
            self.block = Some((stream, block));
            return Ok(());
        }
        let fields = match self.decoder.decode(&block) {
            Ok(fields) => fields,
            Err(_) if self.has(Fault::TakesBadBlocks) => return Ok(()),
            Err(_) => return Err(Failure::Connection(9)),
        };
        match self.peer {
            Peer::Server => self.request(stream, fields),
            Peer::Client => self.answer(stream, fields),
        }
    }

    /// Gives up a stream, or the connection.
    fn fail(&mut self, failure: Failure) {
        match failure {
            Failure::Stream(stream @ 1.., code) => {
                self.streams.remove(&stream);
                self.last = self.last.max(stream);
                self.send(reset(stream, code));
                self.over |= self.peer == Peer::Client;
            }
            Failure::Stream(0, code) | Failure::Connection(code) => {
                self.send(goaway(self.last, code));
                self.over = true;
            }
        }
    }

    /// Moves what the endpoints of the streams write.
    fn pump(&mut self, now: Duration) {
        let ids: Vec<u32> = self.streams.keys().copied().collect();
        for id in ids {
            let Some(mut stream) = self.streams.remove(&id) else {
                continue;
            };
            let out = stream.inner.output(now);
            match stream.open {
                true => stream.out.extend(out),
                false if self.peer == Peer::Server => self.respond(id, &mut stream, &out),
                false => stream.head.extend(out),
            }
            self.drain(id, &mut stream);
            if stream.inner.has_ended()
                && stream.out.is_empty()
                && !stream.ended
                && !self.has(Fault::NeverEndsTheStream)
            {
                stream.ended = true;
                self.send(data(id, "").flags(flag::END_STREAM));
                self.over |= self.peer == Peer::Client;
                if self.peer == Peer::Server {
                    // RFC 9113 8.1: more of the request is not needed. Some servers say so.
                    self.send(reset(id, error::NO_ERROR));
                }
            }
            self.streams.insert(id, stream);
        }
    }

    fn drain(&mut self, id: u32, stream: &mut Stream) {
        while !stream.out.is_empty() {
            let room = match self.fault {
                Some(Fault::IgnoresTheWindow) => i64::MAX,
                // One window for all of them.
                Some(Fault::SharesAWindow) => {
                    self.initial - self.streams.values().map(|s| s.sent).sum::<i64>() - stream.sent
                }
                _ => stream.window.min(self.window),
            };
            let count = usize::try_from(room)
                .unwrap_or(0)
                .min(stream.out.len())
                .min(16_384);
            if count == 0 {
                return;
            }
            let rest = stream.out.split_off(count);
            let part = std::mem::replace(&mut stream.out, rest);
            let taken = i64::try_from(count).unwrap();
            stream.window -= taken;
            stream.sent += taken;
            self.window -= taken;
            self.send(data(id, part));
        }
    }

    fn write_head(&mut self, stream: u32, fields: &Fields, end: bool) {
        let flags = flag::END_HEADERS | if end { flag::END_STREAM } else { 0 };
        self.send(frame(kind::HEADERS, flags, stream, encode(fields)));
    }
}

fn frame_ack() -> Frame {
    settings(&[]).flags(flag::ACK)
}

impl Subject for NaiveHttp2 {
    fn receive(&mut self, now: Duration, bytes: &[u8]) {
        let mut input = bytes;
        if self.peer == Peer::Server {
            let left = PREFACE.len() - self.greeting;
            let count = left.min(input.len());
            self.greeting += count;
            input = &input[count..];
        }
        while !self.over {
            let most = if self.has(Fault::TakesLongFrames) {
                1 << 20
            } else {
                16_384
            };
            let taken = match self.reader.next(&mut input, most) {
                Ok(Some(frame)) => self.take(frame),
                Ok(None) => break,
                Err(_) => Err(Failure::Connection(6)),
            };
            if let Err(failure) = taken {
                self.fail(failure);
            }
        }
        self.pump(now);
    }

    fn end_of_input(&mut self, _: Duration) {
        self.over = true;
    }

    fn output(&mut self, now: Duration) -> Vec<u8> {
        self.pump(now);
        std::mem::take(&mut self.output)
    }

    fn has_ended(&self) -> bool {
        self.over && self.output.is_empty()
    }
}
