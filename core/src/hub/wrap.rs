//! Publications as they leave: wrapped by the envelope of their group, and compressed.
//! RFC 7692 section 7.2.1: one compressed frame serves all connections of a window.

use super::options::{Compress, HubOptions};
use super::publication::{Position, Publication, PublishRequest, prepare};
use crate::time::Instant;

impl PublishRequest {
    /// Makes the publication: wraps it and compresses it once for each window size of the mask (bit `n`: a window of 2^n bytes). It is
    /// for backplanes; a hub makes its own.
    pub fn publication(
        &self,
        options: &HubOptions,
        position: Option<Position>,
        time: Instant,
        windows: u16,
    ) -> Publication {
        Publication::new(options, self, position, time, windows)
    }
}

impl Publication {
    /// Makes it: wraps the message and compresses it once for each window size of the mask (bit `n`: a window of 2^n bytes).
    pub(super) fn new(
        options: &HubOptions,
        draft: &PublishRequest,
        position: Option<Position>,
        time: Instant,
        windows: u16,
    ) -> Self {
        let group = options.of(&draft.group);
        let mut publication = Self::unwrapped(draft, position, time);
        if let Some(envelope) = &group.envelope {
            match envelope.wrap(&publication) {
                Some(message) => publication.frame = prepare(&message),
                None => publication.failed = true,
            }
        }
        if let Compress::From(length) = group.compress
            && publication.frame.payload().len() >= length
            && !publication.failed
        {
            publication.compress(options.compression_level, windows);
        }
        publication
    }

    #[cfg(feature = "deflate")]
    fn compress(&mut self, level: u8, windows: u16) {
        for bits in (9..16).filter(|bits| windows & (1 << bits) != 0) {
            self.frame = self.frame.clone().deflated(level, bits);
            self.deflates += 1;
        }
    }

    #[cfg(not(feature = "deflate"))]
    const fn compress(&mut self, _: u8, _: u16) {}
}
