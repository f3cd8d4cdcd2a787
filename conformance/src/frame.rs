//! The suite's own frame codec: slow and obvious.
//! RFC 6455 section 5.2.
//! It can write frames that no endpoint may send. It shares no code with `sansws-core`, and thus no mistake.

/// Opcodes, by their names in RFC 6455 section 11.8.
pub mod opcode {
    /// Continuation of a message.
    pub const CONTINUATION: u8 = 0;
    /// First frame of a text message.
    pub const TEXT: u8 = 1;
    /// First frame of a binary message.
    pub const BINARY: u8 = 2;
    /// Close.
    pub const CLOSE: u8 = 8;
    /// Ping.
    pub const PING: u8 = 9;
    /// Pong.
    pub const PONG: u8 = 10;
}

/// How a frame is masked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Masking {
    /// As the sender's role requires, with a fresh key.
    #[default]
    ByRole,
    /// Contrary to its role: a client does not mask, a server does.
    AgainstRole,
    /// With this key, if the role masks at all.
    Key([u8; 4]),
}

/// How a length is encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Coding {
    /// In as few bytes as possible, as section 5.2 requires.
    #[default]
    Minimal,
    /// In 2 bytes.
    Sixteen,
    /// In 8 bytes.
    SixtyFour,
}

/// A frame to send, valid or invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The FIN bit.
    pub fin: bool,
    /// RSV1 to RSV3, as a number from 0 to 7; RSV1 is 4.
    pub rsv: u8,
    /// The opcode, from 0 to 15.
    pub opcode: u8,
    /// The unmasked payload.
    pub payload: Vec<u8>,
    /// How it is masked.
    pub masking: Masking,
    /// How its length is encoded.
    pub coding: Coding,
    /// The length in the header, if it differs from the payload's.
    pub claim: Option<u64>,
}

/// Creates a frame of any opcode.
pub fn frame(opcode: u8, payload: impl Into<Vec<u8>>) -> Frame {
    Frame {
        fin: true,
        rsv: 0,
        opcode,
        payload: payload.into(),
        masking: Masking::ByRole,
        coding: Coding::Minimal,
        claim: None,
    }
}

/// Creates a whole text message.
pub fn text(payload: impl Into<Vec<u8>>) -> Frame {
    frame(opcode::TEXT, payload)
}

/// Creates a whole binary message.
pub fn binary(payload: impl Into<Vec<u8>>) -> Frame {
    frame(opcode::BINARY, payload)
}

/// Creates the last frame of a fragmented message.
pub fn continuation(payload: impl Into<Vec<u8>>) -> Frame {
    frame(opcode::CONTINUATION, payload)
}

/// Creates a ping.
pub fn ping(payload: impl Into<Vec<u8>>) -> Frame {
    frame(opcode::PING, payload)
}

/// Creates a pong.
pub fn pong(payload: impl Into<Vec<u8>>) -> Frame {
    frame(opcode::PONG, payload)
}

/// Creates a Close frame with a code and a reason.
pub fn close(code: u16, reason: &str) -> Frame {
    let mut payload = code.to_be_bytes().to_vec();
    payload.extend_from_slice(reason.as_bytes());
    frame(opcode::CLOSE, payload)
}

impl Frame {
    /// Clears FIN.
    pub fn more(mut self) -> Self {
        self.fin = false;
        self
    }

    /// Sets RSV bits.
    pub fn rsv(mut self, rsv: u8) -> Self {
        self.rsv = rsv;
        self
    }

    /// Sets how it is masked.
    pub fn masking(mut self, masking: Masking) -> Self {
        self.masking = masking;
        self
    }

    /// Sets how its length is encoded.
    pub fn coding(mut self, coding: Coding) -> Self {
        self.coding = coding;
        self
    }

    /// Sets the length in its header.
    pub fn claim(mut self, length: u64) -> Self {
        self.claim = Some(length);
        self
    }

    /// Appends its bytes; `key` is the fresh key of a sender that masks.
    pub fn write(&self, key: Option<[u8; 4]>, out: &mut Vec<u8>) {
        let key = match self.masking {
            Masking::ByRole => key,
            Masking::AgainstRole if key.is_some() => None,
            Masking::AgainstRole => Some([0x37, 0xfa, 0x21, 0x3d]),
            Masking::Key(chosen) => key.map(|_| chosen),
        };
        write_header(self, key, out);
        let start = out.len();
        out.extend_from_slice(&self.payload);
        if let Some(key) = key {
            mask(key, out.get_mut(start..).unwrap_or_default());
        }
    }
}

fn write_header(frame: &Frame, key: Option<[u8; 4]>, out: &mut Vec<u8>) {
    let length = frame.claim.unwrap_or(frame.payload.len() as u64);
    let bit = if key.is_some() { 0x80 } else { 0 };
    out.push(u8::from(frame.fin) << 7 | (frame.rsv & 7) << 4 | frame.opcode & 15);
    match (frame.coding, length) {
        (Coding::Minimal, 0..=125) => out.push(bit | length as u8),
        (Coding::Minimal, 126..=65535) | (Coding::Sixteen, _) => {
            out.push(bit | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        (Coding::Minimal, _) | (Coding::SixtyFour, _) => {
            out.push(bit | 127);
            out.extend_from_slice(&length.to_be_bytes());
        }
    }
    out.extend(key.into_iter().flatten());
}

/// Masks or unmasks, from the first byte of a payload.
pub fn mask(key: [u8; 4], bytes: &mut [u8]) {
    let wide = u64::from_ne_bytes([
        key[0], key[1], key[2], key[3], key[0], key[1], key[2], key[3],
    ]);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

/// A parsed frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// The FIN bit.
    pub fin: bool,
    /// RSV1 to RSV3, as a number; RSV1 is 4.
    pub rsv: u8,
    /// The opcode.
    pub opcode: u8,
    /// The masking key, if the frame was masked.
    pub key: Option<[u8; 4]>,
    /// Whether its length was encoded in as few bytes as possible.
    pub minimal: bool,
    /// The payload, unmasked.
    pub payload: Vec<u8>,
    /// The bytes of its header.
    pub header: Vec<u8>,
}

/// Why parsing cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TooLong {
    /// The length in the header.
    pub length: u64,
}

/// Parses frames from bytes that arrive in any chunks. It holds received bytes, and never allocates by an announced length.
#[derive(Debug, Default)]
pub struct Reader {
    header: Vec<u8>,
    /// The frame whose payload is arriving, and the number of missing bytes.
    begun: Option<(Read, usize)>,
}

impl Reader {
    /// Takes bytes from the front of `input` until a frame is complete; returns `None` if all were taken first.
    ///
    /// # Errors
    /// A frame longer than `limit`, as soon as its header says so.
    pub fn next(&mut self, input: &mut &[u8], limit: u64) -> Result<Option<Read>, TooLong> {
        loop {
            if let Some((frame, missing)) = &mut self.begun {
                let (now, later) = input.split_at((*missing).min(input.len()));
                frame.payload.extend_from_slice(now);
                (*input, *missing) = (later, *missing - now.len());
                if *missing > 0 {
                    return Ok(None);
                }
                let done = self.begun.take().map(|(mut frame, _)| {
                    if let Some(key) = frame.key {
                        mask(key, &mut frame.payload);
                    }
                    frame
                });
                return Ok(done);
            }
            let Some((first, rest)) = input.split_first() else {
                return Ok(None);
            };
            self.header.push(*first);
            *input = rest;
            self.begin(limit)?;
        }
    }

    /// Returns whether a frame has started but not ended.
    pub fn is_inside(&self) -> bool {
        self.begun.is_some() || !self.header.is_empty()
    }

    fn begin(&mut self, limit: u64) -> Result<(), TooLong> {
        let [b0, b1, rest @ ..] = self.header.as_slice() else {
            return Ok(());
        };
        let wide = match b1 & 127 {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let (Some(length), Some(after)) = (rest.get(..wide), rest.get(wide..)) else {
            return Ok(());
        };
        let length = match wide {
            0 => u64::from(b1 & 127),
            _ => length
                .iter()
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
        };
        let key = match (b1 & 128, after) {
            (0, _) => None,
            (_, [a, b, c, d]) => Some([*a, *b, *c, *d]),
            _ => return Ok(()),
        };
        if length > limit {
            return Err(TooLong { length });
        }
        let frame = Read {
            fin: b0 & 128 != 0,
            rsv: b0 >> 4 & 7,
            opcode: b0 & 15,
            key,
            minimal: match wide {
                0 => true,
                2 => length > 125,
                _ => length > 65535,
            },
            payload: Vec::new(),
            header: std::mem::take(&mut self.header),
        };
        self.begun = Some((frame, length as usize));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_frames_are_read_in_any_pieces() {
        let frames = [
            text("Hello"),
            binary(vec![7; 126]).more(),
            continuation(vec![8; 65536]).rsv(3),
            ping("").masking(Masking::AgainstRole),
            close(1000, "bye").coding(Coding::SixtyFour),
            frame(15, "x").coding(Coding::Sixteen),
        ];
        for key in [None, Some([1, 2, 3, 4])] {
            let mut bytes = Vec::new();
            for frame in &frames {
                frame.write(key, &mut bytes);
            }
            for size in [1, 2, 7, 1000, bytes.len()] {
                let (mut reader, mut got) = (Reader::default(), Vec::new());
                for mut piece in bytes.chunks(size) {
                    while let Some(frame) = reader.next(&mut piece, 1 << 20).unwrap() {
                        got.push(frame);
                    }
                }
                assert!(!reader.is_inside());
                assert_eq!(got.len(), frames.len());
                for (got, sent) in got.iter().zip(&frames) {
                    assert_eq!(
                        (got.fin, got.rsv, got.opcode, &got.payload),
                        (sent.fin, sent.rsv, sent.opcode, &sent.payload)
                    );
                    assert_eq!(got.minimal, sent.coding == Coding::Minimal);
                    assert_eq!(
                        got.key.is_some(),
                        key.is_some() != (sent.masking == Masking::AgainstRole)
                    );
                }
            }
        }
    }

    #[test]
    fn a_claim_beyond_the_limit_ends_at_its_header() {
        let mut bytes = Vec::new();
        binary("")
            .claim(1 << 40)
            .coding(Coding::SixtyFour)
            .write(None, &mut bytes);
        assert_eq!(
            Reader::default().next(&mut bytes.as_slice(), 100),
            Err(TooLong { length: 1 << 40 })
        );
    }
}
