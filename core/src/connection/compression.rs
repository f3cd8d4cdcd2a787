//! permessage-deflate on one connection: what each side's next message may refer to.
//! RFC 7692 sections 7.2.1 and 7.2.2.
//! Everything that depends on the feature `deflate` is here; without it nothing is compressed, and nothing compressed is accepted.

use alloc::vec::Vec;

use crate::config::Config;
use crate::error::Violation;
use crate::extension::deflate::Agreed;
#[cfg(feature = "deflate")]
use {
    crate::config::Deflate,
    crate::extension::deflate::{Context, Deflater, Inflater},
    alloc::boxed::Box,
};

/// The codecs of a connection, once a message has needed one; without the feature, nothing.
#[derive(Debug, Default)]
pub(super) struct Compression {
    #[cfg(feature = "deflate")]
    codecs: Option<Box<Codecs>>,
}

/// Each is created by the first message that needs it.
#[cfg(feature = "deflate")]
#[derive(Debug, Default)]
struct Codecs {
    deflater: Option<Box<Deflater>>,
    inflater: Option<Box<Inflater>>,
}

impl Compression {
    /// Returns whether a message of `length` bytes is compressed.
    pub(super) fn is_worth_it(config: &Config, agreed: Option<Agreed>, length: usize) -> bool {
        cfg!(feature = "deflate")
            && agreed.is_some_and(|agreed| agreed.own_window_bits >= 9)
            && (config.deflate.as_ref()).is_some_and(|deflate| length >= deflate.threshold)
    }

    /// Returns a compressed message; or `None` if it is shorter as it is and the peer's window does not depend on it.
    pub(super) fn deflate(
        &mut self,
        config: &Config,
        agreed: Option<Agreed>,
        bytes: &[u8],
    ) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        self.deflate_part(config, agreed, bytes, true, &mut out);
        let takeover = agreed.is_some_and(|agreed| agreed.own_takeover);
        (takeover || out.len() < bytes.len()).then_some(out)
    }

    /// Compresses a part of a message.
    #[cfg(feature = "deflate")]
    pub(super) fn deflate_part(
        &mut self,
        config: &Config,
        agreed: Option<Agreed>,
        bytes: &[u8],
        last: bool,
        out: &mut Vec<u8>,
    ) {
        let Some(agreed) = agreed else { return };
        let codecs = self.codecs.get_or_insert_default();
        let deflater = codecs.deflater.get_or_insert_with(|| {
            let default = Deflate::default();
            let options = config.deflate.as_ref().unwrap_or(&default);
            let context = match options.own_history {
                _ if !agreed.own_takeover => Context::None,
                Some(bytes) => Context::Bytes(bytes),
                None => Context::Stream,
            };
            Box::new(Deflater::new(
                options.level,
                agreed.own_window_bits,
                context,
            ))
        });
        deflater.part(bytes, last, out);
    }

    #[cfg(not(feature = "deflate"))]
    pub(super) fn deflate_part(
        &mut self,
        _: &Config,
        _: Option<Agreed>,
        _: &[u8],
        _: bool,
        _: &mut Vec<u8>,
    ) {
    }

    /// Forgets our window: the peer's holds a message that was compressed from an empty one.
    pub(super) fn reset(&mut self) {
        #[cfg(feature = "deflate")]
        if let Some(deflater) = self.codecs.as_mut().and_then(|all| all.deflater.as_mut()) {
            deflater.reset();
        }
    }

    /// Inflates a part of a message, and hands the data to `each` as it comes.
    ///
    /// # Errors
    /// The peer's data is invalid, or compression was not negotiated, or `each` fails.
    #[cfg(feature = "deflate")]
    pub(super) fn inflate(
        &mut self,
        agreed: Option<Agreed>,
        part: &[u8],
        last: bool,
        each: impl FnMut(&[u8]) -> Result<(), Violation>,
    ) -> Result<(), Violation> {
        let Some(agreed) = agreed else {
            return Err(Violation::ReservedBit);
        };
        let codecs = self.codecs.get_or_insert_default();
        let inflater = codecs.inflater.get_or_insert_with(|| {
            Box::new(Inflater::new(agreed.peer_window_bits, agreed.peer_takeover))
        });
        inflater.part(part, last, each)
    }

    #[cfg(not(feature = "deflate"))]
    pub(super) fn inflate(
        &mut self,
        _: Option<Agreed>,
        _: &[u8],
        _: bool,
        _: impl FnMut(&[u8]) -> Result<(), Violation>,
    ) -> Result<(), Violation> {
        Err(Violation::ReservedBit)
    }

    /// Frees windows that only the next message would need again. `sending` and `receiving`: a message is under way.
    pub(super) fn release(&mut self, agreed: Option<Agreed>, sending: bool, receiving: bool) {
        #[cfg(feature = "deflate")]
        if let Some(agreed) = agreed
            && let Some(codecs) = &mut self.codecs
        {
            if !sending && !agreed.own_takeover {
                codecs.deflater = None;
            }
            if !receiving && !agreed.peer_takeover {
                codecs.inflater = None;
            }
            if codecs.deflater.is_none() && codecs.inflater.is_none() {
                self.codecs = None;
            }
        }
        #[cfg(not(feature = "deflate"))]
        let _ = (agreed, sending, receiving);
    }
}
