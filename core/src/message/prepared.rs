//! A message framed once and sent many times.
//! RFC 6455 section 5.2; RFC 7692 section 7.2.1.
//! Knows no connection: its bytes can be sent by any server, and by any client after masking.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::iter::repeat_n;
use core::mem::take;

use crate::copy::overwrite;
use crate::frame::{Header, MessageKind, Opcode};
use crate::message::{Message, Payload};

/// A message that is framed, and optionally compressed, once. Clones share the bytes and are cheap.
///
/// A server sends the shared bytes unchanged: a large message is not copied. A client copies them, because each frame has its own mask.
///
/// ```
/// use sansws_core::message::PreparedMessage;
///
/// let news = PreparedMessage::new("the same to everybody");
/// # #[cfg(feature = "deflate")]
/// // One variant for connections with a window of 32 KiB, one for those that have less, down to 4 KiB.
/// let news = news.deflated(6, 15).deflated(6, 12);
/// assert_eq!(news.payload(), b"the same to everybody");
/// ```
#[derive(Clone, Debug)]
pub struct PreparedMessage(Arc<Content>);

#[derive(Clone, Debug)]
struct Content {
    kind: MessageKind,
    plain: Frame,
    /// By window size, smallest first; at most seven.
    variants: Vec<Variant>,
}

/// The result of compressing.
#[derive(Clone, Debug)]
struct Variant {
    window_bits: u8,
    /// `None`: it was not smaller than the payload.
    frame: Option<Frame>,
}

/// A whole frame without a mask.
#[derive(Clone, Debug)]
struct Frame {
    /// Length of the header, in bytes.
    header: usize,
    bytes: Arc<[u8]>,
}

impl From<&str> for PreparedMessage {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for PreparedMessage {
    fn from(text: String) -> Self {
        Self::new(text.as_str())
    }
}

impl From<&[u8]> for PreparedMessage {
    fn from(bytes: &[u8]) -> Self {
        Self::new(bytes)
    }
}

impl From<Vec<u8>> for PreparedMessage {
    fn from(bytes: Vec<u8>) -> Self {
        Self::new(bytes.as_slice())
    }
}

impl From<&Message> for PreparedMessage {
    fn from(message: &Message) -> Self {
        match message {
            Message::Text(text) => Self::new(text.as_str()),
            Message::Binary(bytes) => Self::new(bytes.as_slice()),
        }
    }
}

impl From<Message> for PreparedMessage {
    fn from(message: Message) -> Self {
        Self::from(&message)
    }
}

impl PreparedMessage {
    /// Frames a text or binary message. Copies it once, into memory of its length; there are two allocations.
    pub fn new<'a>(payload: impl Into<Payload<'a>>) -> Self {
        let payload = payload.into();
        Self(Arc::new(Content {
            kind: payload.kind(),
            plain: Frame::new(payload.kind(), false, payload.as_bytes()),
            variants: Vec::new(),
        }))
    }

    /// Also compresses it, for connections that negotiated permessage-deflate with a window of at least `window_bits`.
    ///
    /// The window starts empty, so the result fits a connection whatever was sent on it before. `level` goes from 1 to 9, `window_bits`
    /// from 9 to 15; it is the binary logarithm of the window in bytes. Both are clamped to their range.
    ///
    /// Each further window size adds a variant; a connection sends the one with the largest window that it supports. A window size that
    /// was requested before is not compressed again, at whatever level. A result that is not smaller than the payload is not kept.
    /// Clones that were made before do not see the new variant.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflated(mut self, level: u8, window_bits: u8) -> Self {
        use crate::extension::deflate::{Context, Deflater};
        let window_bits = window_bits.clamp(9, 15);
        let variants = &self.0.variants;
        let Err(at) = variants.binary_search_by_key(&window_bits, |variant| variant.window_bits)
        else {
            return self;
        };
        let mut small = Vec::new();
        Deflater::new(level, window_bits, Context::None).message(self.payload(), &mut small);
        let smaller = small.len() < self.len();
        let variant = Variant {
            window_bits,
            frame: smaller.then(|| Frame::new(self.kind(), true, &small)),
        };
        // If clones share it, the list of frames is copied, but not their bytes.
        Arc::make_mut(&mut self.0).variants.insert(at, variant);
        self
    }

    /// Returns whether it is text or binary.
    pub fn kind(&self) -> MessageKind {
        self.0.kind
    }

    /// Returns its bytes, without the frame header.
    pub fn payload(&self) -> &[u8] {
        self.0.plain.payload()
    }

    /// Returns the length of the uncompressed payload in bytes.
    pub fn len(&self) -> usize {
        self.payload().len()
    }

    /// Returns whether the payload is empty.
    pub fn is_empty(&self) -> bool {
        self.payload().is_empty()
    }

    /// Returns how often it was compressed: once per requested window size, whether the result was kept or not. At most seven.
    pub fn deflates(&self) -> usize {
        self.0.variants.len()
    }

    pub(crate) fn frame(&self) -> &Arc<[u8]> {
        &self.0.plain.bytes
    }

    /// Returns the compressed frame and its payload, with the largest window that fits into `window_bits`.
    pub(crate) fn deflated_frame(&self, window_bits: u8) -> Option<(&Arc<[u8]>, &[u8])> {
        let fitting = self.0.variants.iter().rev();
        let frame = fitting
            .filter(|variant| variant.window_bits <= window_bits)
            .find_map(|variant| variant.frame.as_ref())?;
        Some((&frame.bytes, frame.payload()))
    }
}

impl Frame {
    fn new(kind: MessageKind, compressed: bool, payload: &[u8]) -> Self {
        let header = Header {
            fin: true,
            compressed,
            opcode: Opcode::from(kind),
            mask: None,
            length: payload.len() as u64,
        };
        let mut length = 0;
        header.parts(|part| length += part.len());
        // An iterator of known length makes one allocation; an intermediate `Vec` would cause another, and a second copy.
        let mut bytes: Arc<[u8]> = repeat_n(0, length + payload.len()).collect();
        // It is not shared yet.
        let mut room = Arc::get_mut(&mut bytes).unwrap_or_default();
        let mut put = |part: &[u8]| {
            if let Some((here, rest)) = take(&mut room).split_at_mut_checked(part.len()) {
                overwrite(here, part);
                room = rest;
            }
        };
        header.parts(&mut put);
        put(payload);
        Self {
            header: length,
            bytes,
        }
    }

    fn payload(&self) -> &[u8] {
        self.bytes.get(self.header..).unwrap_or_default()
    }
}

#[cfg(all(test, feature = "deflate"))]
mod tests {
    use super::*;

    /// For each window size, data that repeats at a distance within this window but beyond a smaller one. (zlib refers back by at most
    /// the window minus 262 bytes.) A byte has 6 bits of noise, so that all windows are useful.
    fn distant() -> Vec<u8> {
        let mut state = 1_u32;
        let mut noise = |length: usize| -> Vec<u8> {
            let mut next = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 26) as u8
            };
            (0..length).map(|_| next()).collect()
        };
        (9..=15)
            .flat_map(|bits| noise((1 << bits) - 300).repeat(2))
            .collect()
    }

    fn frame(prepared: &PreparedMessage, window_bits: u8) -> Option<Vec<u8>> {
        let (frame, payload) = prepared.deflated_frame(window_bits)?;
        assert!(frame.ends_with(payload) && frame.len() > payload.len());
        Some(frame.to_vec())
    }

    #[test]
    fn the_largest_window_that_fits_is_chosen() {
        let plain = PreparedMessage::new(distant().as_slice());
        let alone: Vec<_> = (9..=15)
            .map(|bits| frame(&plain.clone().deflated(6, bits), 15))
            .collect();
        // Each is smaller than the one before, so that they can be told apart.
        assert!(
            alone.is_sorted_by(
                |one, other| one.as_ref().map(Vec::len) > other.as_ref().map(Vec::len)
            )
        );
        for asked in [
            &[][..],
            &[9],
            &[15],
            &[10, 15, 12],
            &[12, 10, 15],
            &[9, 10, 11, 12, 13, 14, 15],
        ] {
            let prepared = asked
                .iter()
                .fold(plain.clone(), |prepared, bits| prepared.deflated(6, *bits));
            assert_eq!(prepared.deflates(), asked.len());
            for bits in 8..=15 {
                let best = asked.iter().filter(|asked| **asked <= bits).max();
                let want =
                    best.and_then(|best| alone.get(usize::from(best - 9)).cloned().flatten());
                assert_eq!(frame(&prepared, bits), want, "{asked:?} for {bits}");
            }
            assert_eq!(prepared.payload(), distant());
        }
    }

    #[test]
    fn a_window_is_compressed_for_once() {
        let once = PreparedMessage::new("Hello ".repeat(100).as_str()).deflated(1, 12);
        let twice = once.clone().deflated(9, 12);
        assert!(Arc::ptr_eq(&once.0, &twice.0) && once.deflates() == 1);
        // Both ends of the range.
        let thrice = twice
            .deflated(0, 0)
            .deflated(9, 9)
            .deflated(99, 99)
            .deflated(9, 15);
        assert_eq!((once.deflates(), thrice.deflates()), (1, 3));
        assert_eq!(
            (frame(&once, 11), frame(&once, 15)),
            (None, frame(&thrice, 14))
        );
        // A result that is not smaller is not kept, but remembered.
        for payload in ["", "x", "Hello"] {
            let useless = PreparedMessage::new(payload).deflated(6, 15);
            assert_eq!((useless.deflates(), frame(&useless, 15)), (1, None));
            let again = useless.clone().deflated(9, 15);
            assert!(Arc::ptr_eq(&useless.0, &again.0));
        }
    }

    #[test]
    fn clones_share_everything() {
        assert_eq!(size_of::<PreparedMessage>(), size_of::<usize>());
        let prepared = PreparedMessage::new("Hello ".repeat(100).as_str());
        let clone = prepared.clone();
        assert!(Arc::ptr_eq(&prepared.0, &clone.0));
        // A variant is added beside the existing bytes.
        let deflated = clone.deflated(6, 15);
        assert!(Arc::ptr_eq(prepared.frame(), deflated.frame()));
        assert_eq!((prepared.deflates(), deflated.deflates()), (0, 1));
        let more = deflated.clone().deflated(6, 9);
        let (one, _) = deflated.deflated_frame(15).unwrap();
        let (other, _) = more.deflated_frame(15).unwrap();
        assert!(Arc::ptr_eq(one, other));
    }

    #[test]
    fn each_length_of_a_header() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            let bytes = alloc::vec![7_u8; length];
            let prepared = PreparedMessage::new(bytes.as_slice());
            assert_eq!((prepared.len(), prepared.is_empty()), (length, length == 0));
            assert_eq!(
                (prepared.payload(), prepared.kind()),
                (bytes.as_slice(), MessageKind::Binary)
            );
            let mut want = Vec::new();
            Header {
                fin: true,
                compressed: false,
                opcode: Opcode::Binary,
                mask: None,
                length: length as u64,
            }
            .write(&mut want);
            want.extend_from_slice(&bytes);
            assert_eq!(**prepared.frame(), *want);
        }
    }
}
