//! permessage-deflate for the suite: parameters, and compression by zlib.
//! RFC 7692 section 7.
//! A library compresses; this adds what the RFC requires around it.

pub mod walk;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// The parameters of an offer or an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Params {
    /// `server_no_context_takeover`
    pub server_no_context_takeover: bool,
    /// `client_no_context_takeover`
    pub client_no_context_takeover: bool,
    /// `server_max_window_bits`
    pub server_max_window_bits: Option<u8>,
    /// `client_max_window_bits`; in an offer it may have no value.
    pub client_max_window_bits: Option<Option<u8>>,
}

impl Params {
    /// Formats it for a `Sec-WebSocket-Extensions` field.
    pub fn write(self) -> String {
        let mut text = String::from("permessage-deflate");
        if self.server_no_context_takeover {
            text.push_str("; server_no_context_takeover");
        }
        if self.client_no_context_takeover {
            text.push_str("; client_no_context_takeover");
        }
        if let Some(bits) = self.server_max_window_bits {
            text.push_str(&format!("; server_max_window_bits={bits}"));
        }
        match self.client_max_window_bits {
            Some(Some(bits)) => text.push_str(&format!("; client_max_window_bits={bits}")),
            Some(None) => text.push_str("; client_max_window_bits"),
            None => {}
        }
        text
    }

    /// Parses all extensions of a field. Other extensions are skipped.
    ///
    /// # Errors
    /// A permessage-deflate whose parameters the RFC does not allow.
    pub fn read(value: &str) -> Result<Vec<Self>, String> {
        let mut all = Vec::new();
        for extension in value.split(',') {
            let mut parts = extension.split(';').map(str::trim);
            if parts.next() != Some("permessage-deflate") {
                continue;
            }
            let mut params = Self::default();
            for part in parts {
                let (name, value) = match part.split_once('=') {
                    Some((name, value)) => (name.trim(), Some(value.trim().trim_matches('"'))),
                    None => (part, None),
                };
                let repeated = match (name, value) {
                    ("server_no_context_takeover", None) => {
                        std::mem::replace(&mut params.server_no_context_takeover, true)
                    }
                    ("client_no_context_takeover", None) => {
                        std::mem::replace(&mut params.client_no_context_takeover, true)
                    }
                    ("server_max_window_bits", Some(value)) => params
                        .server_max_window_bits
                        .replace(bits(value)?)
                        .is_some(),
                    ("client_max_window_bits", value) => params
                        .client_max_window_bits
                        .replace(value.map(bits).transpose()?)
                        .is_some(),
                    _ => return Err(format!("the parameter `{part}` is not one of RFC 7692")),
                };
                if repeated {
                    return Err(format!("the parameter `{name}` is repeated"));
                }
            }
            all.push(params);
        }
        Ok(all)
    }
}

fn bits(value: &str) -> Result<u8, String> {
    match value.parse() {
        Ok(bits @ 8..=15) if !value.starts_with(['0', '+']) => Ok(bits),
        _ => Err(format!("`{value}` is no window size")),
    }
}

/// The agreement, from the suite's view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// The suite may refer to its earlier messages.
    pub own_takeover: bool,
    /// The peer may refer to its earlier messages.
    pub peer_takeover: bool,
    /// The suite's window.
    pub own_bits: u8,
    /// The peer's window.
    pub peer_bits: u8,
}

/// Compresses messages.
#[derive(Debug)]
pub struct Deflater {
    compress: Compress,
    takeover: bool,
}

impl Deflater {
    /// Creates one with a window of `bits`, from 9 to 15, kept between messages if `takeover`.
    pub fn new(bits: u8, takeover: bool) -> Self {
        Self {
            compress: Compress::new_with_window_bits(Compression::fast(), false, bits.clamp(9, 15)),
            takeover,
        }
    }

    /// Compresses a message.
    pub fn message(&mut self, mut bytes: &[u8]) -> Vec<u8> {
        if !self.takeover {
            self.compress.reset();
        }
        let mut out = Vec::with_capacity(bytes.len() / 2 + 64);
        loop {
            let before = self.compress.total_in();
            let filled = out.len();
            let _ = self
                .compress
                .compress_vec(bytes, &mut out, FlushCompress::Sync);
            let taken = (self.compress.total_in() - before) as usize;
            bytes = bytes.get(taken..).unwrap_or_default();
            // 7.2.1: the output is complete once there is room left over.
            if bytes.is_empty() && out.len() < out.capacity() {
                break;
            }
            if out.len() == filled || out.len() == out.capacity() {
                out.reserve(out.capacity() / 2 + 64);
            }
        }
        // 7.2.1: "Remove 4 octets (that are 0x00 0x00 0xff 0xff) from the tail end."
        if out.ends_with(&TAIL) {
            out.truncate(out.len() - TAIL.len());
        }
        if out.is_empty() {
            out.push(0);
        }
        out
    }
}

const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// Why a message cannot be inflated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// It is longer than this.
    Long(usize),
    /// It ends in the middle of a block.
    Cut,
    /// It is invalid in this way.
    Bad(String),
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Long(limit) => write!(f, "it inflates to more than {limit} octets"),
            Self::Cut => f.write_str("it ends in the middle of a block"),
            Self::Bad(how) => f.write_str(how),
        }
    }
}

/// Length of the largest window.
const WINDOW: usize = 32 << 10;

/// Inflates messages.
#[derive(Debug)]
pub struct Inflater {
    inflate: Decompress,
    takeover: bool,
    bits: u8,
    /// The end of what was inflated: a new stream starts with it, after a block with BFINAL.
    window: Vec<u8>,
    /// Number of messages still checked for references beyond the window.
    watched: u32,
}

/// Number of messages whose references are checked, because checking is slow.
const WATCHED: u32 = 8;

impl Inflater {
    /// Creates one with a window of `bits`, kept between messages if `takeover`.
    pub fn new(bits: u8, takeover: bool) -> Self {
        Self {
            inflate: Decompress::new(false),
            takeover,
            bits,
            window: Vec::new(),
            watched: if bits < 15 { WATCHED } else { 0 },
        }
    }

    /// Inflates a message.
    ///
    /// # Errors
    /// When the data are invalid, or longer than `limit`.
    pub fn message(&mut self, bytes: &[u8], limit: usize) -> Result<Vec<u8>, Wrong> {
        if !self.takeover {
            self.inflate.reset(false);
            self.window.clear();
        }
        if self.watched > 0 {
            self.watched -= 1;
            let reach = walk::walk(bytes)
                .map_err(|how| Wrong::Bad(how.into()))?
                .reach;
            if reach > 1 << self.bits {
                return Err(Wrong::Bad(format!(
                    "it refers {reach} octets back, beyond the window of {} bits",
                    self.bits
                )));
            }
        }
        let room = 64 << 10;
        let mut out = Vec::with_capacity((bytes.len() * 3).min(limit) + room);
        let mut part = vec![0; room];
        for (is_tail, input) in [(false, bytes), (true, &TAIL)] {
            let (mut input, before) = (input, out.len());
            loop {
                let (read, made) = (self.inflate.total_in(), self.inflate.total_out());
                let status = self
                    .inflate
                    .decompress(input, &mut part, FlushDecompress::Sync)
                    .map_err(|_| Wrong::Bad("it is not deflate data".into()))?;
                let read = (self.inflate.total_in() - read) as usize;
                let made = (self.inflate.total_out() - made) as usize;
                input = input.get(read..).unwrap_or_default();
                out.extend_from_slice(part.get(..made).unwrap_or_default());
                if out.len() > limit {
                    return Err(Wrong::Long(limit));
                }
                if status == Status::StreamEnd {
                    self.start_again(&out)?;
                    continue;
                }
                if made < room && (input.is_empty() || read == 0) {
                    break;
                }
            }
            if is_tail && out.len() > before {
                return Err(Wrong::Cut);
            }
        }
        self.remember(&out);
        Ok(out)
    }

    /// Starts a new stream after a block with BFINAL, in the middle of a message (7.2.3.4). The window is that of the messages, not of the
    /// stream: 7.2.2 "MUST decompress each new message using the LZ77 sliding window used to process the last compressed message".
    fn start_again(&mut self, out: &[u8]) -> Result<(), Wrong> {
        let kept = self.window.len();
        self.window.extend_from_slice(out);
        let from = self.window.len().saturating_sub(WINDOW);
        self.inflate.reset(false);
        let window = self.window.get(from..).unwrap_or_default();
        if !window.is_empty() {
            self.inflate
                .set_dictionary(window)
                .map_err(|error| Wrong::Bad(error.to_string()))?;
        }
        self.window.truncate(kept);
        Ok(())
    }

    fn remember(&mut self, out: &[u8]) {
        let fresh = out.len().saturating_sub(WINDOW);
        self.window
            .extend_from_slice(out.get(fresh..).unwrap_or_default());
        let old = self.window.len().saturating_sub(WINDOW);
        self.window.drain(..old);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_as_they_were_written() {
        let all = [
            Params::default(),
            Params {
                server_no_context_takeover: true,
                client_no_context_takeover: true,
                server_max_window_bits: Some(9),
                client_max_window_bits: Some(None),
            },
            Params {
                client_max_window_bits: Some(Some(15)),
                ..Params::default()
            },
        ];
        let field = all.map(Params::write).join(", x-other; y=1, ");
        assert_eq!(Params::read(&field).unwrap(), all);
        for bad in [
            "foo",
            "server_max_window_bits",
            "server_max_window_bits=08",
            "server_max_window_bits=16",
            "server_no_context_takeover=1",
            "server_max_window_bits=9; server_max_window_bits=9",
        ] {
            assert!(
                Params::read(&format!("permessage-deflate; {bad}")).is_err(),
                "{bad}"
            );
        }
    }

    #[test]
    fn messages_survive_at_each_window() {
        let text: Vec<u8> = (0..9000_u32)
            .flat_map(|n| (n * n % 977).to_string().into_bytes())
            .collect();
        for bits in 9..=15 {
            for takeover in [false, true] {
                let (mut deflater, mut inflater) =
                    (Deflater::new(bits, takeover), Inflater::new(bits, takeover));
                for length in [0, 1, 100, 9000, text.len()] {
                    let packed = deflater.message(&text[..length]);
                    assert_eq!(inflater.message(&packed, 1 << 20).unwrap(), &text[..length]);
                }
            }
        }
    }

    #[test]
    fn the_window_outlives_a_final_block() {
        let mut inflater = Inflater::new(15, true);
        let hello = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
        assert_eq!(inflater.message(&hello, 100).unwrap(), b"Hello");
        // 7.2.3.2: a reference to the Hello before it.
        let again = [0xf2, 0x00, 0x11, 0x00, 0x00];
        assert_eq!(inflater.message(&again, 100).unwrap(), b"Hello");
        let mut forgets = Inflater::new(15, false);
        assert_eq!(forgets.message(&hello, 100).unwrap(), b"Hello");
        assert!(forgets.message(&again, 100).is_err());
    }

    #[test]
    fn a_message_that_ends_in_a_block_is_seen() {
        for bytes in [&[0xf2, 0x48, 0xcd][..], &[0, 5, 0, 0xfa, 0xff, 0x48]] {
            assert!(
                Inflater::new(15, true).message(bytes, 100).is_err(),
                "{bytes:?}"
            );
        }
    }

    #[test]
    fn a_reference_beyond_the_window_is_seen() {
        // 1 KiB that does not repeat in itself, twice: the second refers 1024 bytes back.
        let mut seed = 1_u32;
        let once: Vec<u8> = std::iter::repeat_with(|| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 24) as u8
        })
        .take(1024)
        .collect();
        let twice = [once.clone(), once].concat();
        let packed = Deflater::new(15, false).message(&twice);
        assert!(packed.len() < 1500);
        assert!(Inflater::new(9, false).message(&packed, 1 << 20).is_err());
        assert_eq!(
            Inflater::new(11, false).message(&packed, 1 << 20).unwrap(),
            twice
        );
        assert!(
            Inflater::new(15, false).message(&packed, 1000).is_err(),
            "the limit"
        );
    }
}
