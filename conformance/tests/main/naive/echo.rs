//! How the naive endpoint handles a whole message.
//! RFC 7692 section 7.2.

use sansws_conformance::deflate::{Inflater, Wrong};
use sansws_conformance::frame;

use super::{Failure, Fault, LONGEST, Message, Naive};

/// Longest message that a mutant sends plain.
const SMALL: usize = 64;

impl Naive {
    /// A message is whole: it is echoed.
    pub(super) fn finish(&mut self) -> Result<(), Failure> {
        let Some(mut message) = self.message.take() else {
            return Ok(());
        };
        if message.compressed {
            message.payload = self.inflate(&message)?;
            if message.text
                && std::str::from_utf8(&message.payload).is_err()
                && !self.has(Fault::ChecksNoUtf8)
            {
                return Err(1007);
            }
        } else if self.has(Fault::JoinsInReverse) {
            message.parts.reverse();
            message.payload = message.parts.concat();
        }
        if !message.compressed && self.has(Fault::PlainEntersTheWindow) {
            self.enter(&message.payload);
        }
        self.echo(&message);
        if let Some(pong) = self.held.take() {
            self.send(frame::pong(pong));
        }
        if self.has(Fault::IgnoresAllButTheFirst) {
            self.input.clear();
        }
        Ok(())
    }

    /// Puts a plain message into the window, by a block without compression.
    fn enter(&mut self, payload: &[u8]) {
        let Some(inflater) = &mut self.inflater else {
            return;
        };
        for part in payload.chunks(60_000) {
            let [low, high] = (part.len() as u16).to_le_bytes();
            let block = [&[0, low, high, !low, !high], part, &[0]].concat();
            inflater.message(&block, LONGEST).unwrap();
        }
    }

    fn echo(&mut self, message: &Message) {
        if self.close_sent && !self.has(Fault::EchoesAfterClose) {
            return;
        }
        let text = message.text || self.has(Fault::EchoesBinaryAsText);
        let payload = self.changed(message);
        let frame = |payload| match text {
            true => frame::text(payload),
            false => frame::binary(payload),
        };
        let Some(deflater) = &mut self.deflater else {
            self.send(frame(payload));
            return;
        };
        let small = payload.len() < SMALL;
        match self.fault {
            Some(Fault::MarksPlainMessages) => self.send(frame(payload).rsv(4)),
            Some(Fault::SendsSmallPlain) if small => {
                // It went into the window all the same.
                let _ = deflater.message(&payload);
                self.send(frame(payload));
            }
            Some(Fault::ForgetsRsv1) if payload.len() == 1 => {
                let packed = deflater.message(&payload);
                self.send(frame(packed));
            }
            _ => {
                let packed = deflater.message(&payload);
                self.send(frame(packed).rsv(4));
            }
        }
    }

    /// The payload, as a mutant changes it.
    fn changed(&self, message: &Message) -> Vec<u8> {
        let mut payload = message.payload.clone();
        match self.fault {
            Some(Fault::CutsLongEchoes) => payload.truncate(65535),
            Some(Fault::CutsAtABorder) if payload.len() == 4097 && !message.compressed => {
                payload.truncate(4096);
            }
            Some(Fault::CutsCompressedAtABorder) if payload.len() == 4097 && message.compressed => {
                payload.truncate(4096);
            }
            _ => {}
        }
        let Ok(text) = std::str::from_utf8(&payload) else {
            return payload;
        };
        let text = match self.fault {
            _ if !message.text => return payload,
            Some(Fault::ChangesLineEnds) => text.replace("\r\n", "\n"),
            Some(Fault::TrimsTheEnd) => text.strip_suffix('\n').unwrap_or(text).into(),
            Some(Fault::SplitsAtSeparators) => text.replace('\u{2028}', "\n"),
            Some(Fault::EndsAtNul) => text.split_inclusive('\0').next().unwrap_or(text).into(),
            Some(Fault::DropsMarks) => text.trim_end_matches('\u{feff}').into(),
            Some(Fault::DecodesEscapes) => text.replace("\\ud83d", "\u{fffd}"),
            Some(Fault::ComposesAccents) => text.replace("e\u{301}", "\u{e9}"),
            _ => return payload,
        };
        text.into()
    }

    fn inflate(&mut self, message: &Message) -> Result<Vec<u8>, Failure> {
        let limit = if self.has(Fault::InflatesWithoutBound) {
            usize::MAX
        } else {
            LONGEST
        };
        let (fault, bits) = (
            self.fault,
            self.agreed.map_or(15, |agreed| agreed.peer_bits),
        );
        let Some(inflater) = &mut self.inflater else {
            return Err(1002);
        };
        let first = message.payload.first().copied().unwrap_or_default();
        if fault == Some(Fault::StopsAtFinalBlocks) && first & 1 == 1 {
            return Err(1007);
        }
        if fault == Some(Fault::InflatesEachFragment) {
            let parts = message
                .parts
                .iter()
                .map(|part| inflater.message(part, limit));
            let parts: Result<Vec<_>, _> = parts.collect();
            return parts.map(|parts| parts.concat()).map_err(|_| 1007);
        }
        if self.dead {
            return Err(1007);
        }
        let half = fault == Some(Fault::AcceptsHalfBlocks);
        let inflated = inflater
            .message(&message.payload, limit)
            .or_else(|wrong| match wrong {
                Wrong::Long(_) => Err(1009_u16),
                Wrong::Cut if half => Ok(b"Heh".to_vec()),
                Wrong::Cut | Wrong::Bad(_) => Err(1007),
            })?;
        let forgets = match fault {
            Some(Fault::ForgetsAtEmptyMessages) => inflated.is_empty(),
            Some(Fault::ForgetsAtStoredBlocks) => first & 7 == 0 && !inflated.is_empty(),
            _ => false,
        };
        if forgets {
            *inflater = Inflater::new(bits, true);
        }
        self.dead = fault == Some(Fault::DiesAfterFinalBlocks) && first & 1 == 1;
        Ok(inflated)
    }
}
