//! A message framed once and sent many times.
//! RFC 6455 section 5.2; RFC 7692 section 7.2.1.
//! Knows no connection: octets ready for any server, and for any client after masking.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::frame::{Header, Kind, Opcode};
use crate::message::Payload;

/// A message that was framed, and compressed if asked, once; clones share the octets.
///
/// A server sends the shared octets as they are, without a copy. A client copies them, since each frame has its own mask.
#[derive(Clone, Debug)]
pub struct Prepared {
    kind: Kind,
    header: usize,
    plain: Arc<[u8]>,
    deflated: Option<Deflated>,
}

#[derive(Clone, Debug)]
struct Deflated {
    window_bits: u8,
    header: usize,
    frame: Arc<[u8]>,
}

impl Prepared {
    /// Frames a text or binary message.
    pub fn new<'a>(payload: impl Into<Payload<'a>>) -> Self {
        let payload = payload.into();
        let (header, plain) = frame(payload.kind(), false, payload.as_bytes());
        Self {
            kind: payload.kind(),
            header,
            plain,
            deflated: None,
        }
    }

    /// Compresses it too, for the connections that agreed on permessage-deflate with a window of at least `window_bits`.
    ///
    /// The window starts empty, so the result fits a connection whatever was sent on it before. `level` goes from 1 to 9,
    /// `window_bits` from 9 to 15; both are brought into their range. A result that is not smaller is not kept.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflated(mut self, level: u8, window_bits: u8) -> Self {
        let window_bits = window_bits.clamp(9, 15);
        let mut deflater = crate::extension::deflate::Deflater::new(level, window_bits);
        let mut small = Vec::new();
        deflater.message(self.payload(), &mut small);
        if small.len() < self.payload().len() {
            let (header, frame) = frame(self.kind, true, &small);
            self.deflated = Some(Deflated {
                window_bits,
                header,
                frame,
            });
        }
        self
    }

    /// Whether it is text or binary.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Its octets, without the frame header.
    pub fn payload(&self) -> &[u8] {
        self.plain.get(self.header..).unwrap_or_default()
    }

    pub(crate) const fn frame(&self) -> &Arc<[u8]> {
        &self.plain
    }

    /// The compressed frame and its payload, if it fits a window of `window_bits`.
    pub(crate) fn deflated_frame(&self, window_bits: u8) -> Option<(&Arc<[u8]>, &[u8])> {
        let deflated = self
            .deflated
            .as_ref()
            .filter(|deflated| deflated.window_bits <= window_bits)?;
        Some((&deflated.frame, deflated.frame.get(deflated.header..)?))
    }
}

fn frame(kind: Kind, compressed: bool, payload: &[u8]) -> (usize, Arc<[u8]>) {
    let mut frame = Vec::with_capacity(payload.len() + crate::frame::MAX_HEADER);
    let header = Header {
        fin: true,
        compressed,
        opcode: Opcode::from(kind),
        mask: None,
        length: payload.len() as u64,
    };
    header.write(&mut frame);
    let header = frame.len();
    frame.extend_from_slice(payload);
    (header, frame.into())
}
