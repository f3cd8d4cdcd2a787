//! A message in the formats of the hub, each made when the first channel needs it.
//! Knows no channel.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::notice::Notice;
use super::options::{Compress, HubOptions};
use super::publication::{Publication, prepare};
use super::queue::{Content, Store};
use crate::message::PreparedMessage;
use crate::time::Instant;

/// A message in all formats. For a message to one channel there are none: it is sent as it is.
#[derive(Default)]
pub(super) struct Formatted<'a> {
    source: Option<Source<'a>>,
    /// The entries by format, in full and as a difference; an inner `None`: the format has no form for it.
    made: Vec<Option<Option<u32>>>,
    /// The entry that was returned last: most receivers need the same one.
    recent: Option<((u8, bool), u32)>,
    /// The publication that members with differences received before.
    base: Option<Arc<Publication>>,
}

struct Source<'a> {
    options: &'a HubOptions,
    publication: &'a Arc<Publication>,
    notice: Option<&'a Notice>,
    windows: u16,
}

impl<'a> Formatted<'a> {
    pub(super) const fn of(
        options: &'a HubOptions,
        publication: &'a Arc<Publication>,
        notice: Option<&'a Notice>,
        windows: u16,
    ) -> Self {
        Self {
            source: Some(Source {
                options,
                publication,
                notice,
                windows,
            }),
            made: Vec::new(),
            recent: None,
            base: None,
        }
    }

    /// Lets it be expressed by its difference from this publication.
    pub(super) fn set_base(&mut self, base: Option<Arc<Publication>>) {
        self.base = base;
    }

    /// Returns the entry in a format; `as_sent` for a message to one channel. A receiver that has the base can take the difference.
    #[inline]
    pub(super) fn entry(
        &mut self,
        now: Instant,
        store: &mut Store,
        as_sent: u32,
        form: (u8, bool),
    ) -> Option<u32> {
        if let Some((recent, entry)) = self.recent
            && recent == form
        {
            return Some(entry);
        }
        let entry = self.find(now, store, as_sent, form)?;
        self.recent = Some((form, entry));
        Some(entry)
    }

    fn find(
        &mut self,
        now: Instant,
        store: &mut Store,
        as_sent: u32,
        (format, has_base): (u8, bool),
    ) -> Option<u32> {
        let Some(source) = &self.source else {
            return Some(as_sent);
        };
        let base = self.base.as_ref().filter(|_| has_base);
        let format = usize::from(format);
        let at = format * 2 + usize::from(base.is_some());
        if self.made.len() <= at {
            self.made.resize(at + 1, None);
        }
        let made = self.made.get_mut(at)?;
        *made.get_or_insert_with(|| {
            let frame = source.frame(format, base)?;
            let content = Content::Message {
                frame,
                publication: Some(Arc::clone(source.publication)),
            };
            let group = Some(Arc::clone(source.publication.group()));
            Some(store.enter(now, content, group, source.publication.expires))
        })
    }

    /// Returns whether it is a notice.
    pub(super) fn is_notice(&self) -> bool {
        let source = self.source.as_ref();
        source.is_some_and(|source| source.notice.is_some())
    }

    /// The number of formats that were made.
    pub(super) fn count(&self) -> u64 {
        self.made.iter().flatten().flatten().count() as u64
    }

    /// Removes entries without references.
    pub(super) fn settle(self, store: &mut Store) {
        for entry in self.made.into_iter().flatten().flatten() {
            store.settle(entry);
        }
    }
}

impl Source<'_> {
    fn frame(&self, format: usize, base: Option<&Arc<Publication>>) -> Option<PreparedMessage> {
        let format = self.options.formats.get(format)?;
        let message = match self.notice {
            Some(notice) => format.word(notice)?,
            None => {
                let delta = base.and_then(|base| format.difference(base, self.publication));
                delta.or_else(|| format.wrap(self.publication))?
            }
        };
        let mut frame = prepare(&message);
        let compress = self.options.of(self.publication.group()).compress;
        if let Compress::From(length) = compress
            && frame.payload().len() >= length
        {
            frame = self.compressed(frame);
        }
        Some(frame)
    }

    #[cfg(feature = "deflate")]
    fn compressed(&self, mut frame: PreparedMessage) -> PreparedMessage {
        for bits in (9..16).filter(|bits| self.windows & (1 << bits) != 0) {
            frame = frame.deflated(self.options.compression_level, bits);
        }
        frame
    }

    #[cfg(not(feature = "deflate"))]
    const fn compressed(&self, frame: PreparedMessage) -> PreparedMessage {
        let _ = self.windows;
        frame
    }
}
