//! Callbacks of an application: envelopes, notices, formats.
//! Knows no queue: they turn values into messages.

use alloc::sync::Arc;
use core::fmt;

use super::{Notice, Publication};
use crate::close::CloseCode;
use crate::message::Message;

/// A function from publications to the messages that members receive.
///
/// Made by [`GroupOptions::envelope`](super::GroupOptions::envelope); for an example see [`GroupOptions`](super::GroupOptions).
#[derive(Clone)]
pub struct Envelope(pub(super) Arc<Wrap>);

pub(super) type Wrap = dyn Fn(&Publication) -> Option<Message> + Send + Sync;

impl Envelope {
    /// Returns `None` when the function failed.
    pub(super) fn wrap(&self, publication: &Publication) -> Option<Message> {
        (self.0)(publication)
    }

    pub(super) fn guarded(&self, guard: &Guard) -> Self {
        let (inner, guard) = (Arc::clone(&self.0), Arc::clone(guard));
        Self(Arc::new(move |publication| {
            let mut message = None;
            let mut call = || message = inner(publication);
            guard(Callback::Envelope, &publication.group, &mut call);
            message
        }))
    }
}

/// A callback of a group.
///
/// ```
/// use sansws_core::hub::Callback;
///
/// assert_eq!(Callback::Envelope.as_str(), "envelope"); // as a log names one that panicked
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Callback {
    /// [`GroupOptions::envelope`](super::GroupOptions).
    Envelope,
    /// [`GroupOptions::notices`](super::GroupOptions).
    Notices,
    /// [`HubOptions::formats`](super::HubOptions).
    Format,
    /// [`JoinOptions::reply`](super::JoinOptions).
    Reply,
}

impl Callback {
    /// Returns its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Envelope => "envelope",
            Self::Notices => "notices",
            Self::Format => "format",
            Self::Reply => "reply",
        }
    }
}

/// Runs a callback of a group, or prevents it.
pub(super) type Guard = Arc<dyn Fn(Callback, &str, &mut dyn FnMut()) + Send + Sync>;

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Envelope(..)")
    }
}

/// A function from notices to the messages that members receive.
///
/// ```
/// use sansws_core::hub::{GroupOptions, Notice};
/// use sansws_core::message::Message;
///
/// // Members learn that messages were skipped, and nothing else.
/// let options = GroupOptions::default().notices(|notice| match notice {
///     Notice::Skipped { group, count } => Some(Message::Text(format!("{count} skipped in {group}"))),
///     _ => None,
/// });
/// assert!(options.notices.is_some());
/// ```
#[derive(Clone)]
pub struct Notices(pub(super) Arc<Word>);

pub(super) type Word = dyn Fn(&Notice) -> Option<Message> + Send + Sync;

impl Notices {
    pub(super) fn word(&self, notice: &Notice) -> Option<Message> {
        (self.0)(notice)
    }

    pub(super) fn guarded(&self, guard: &Guard) -> Self {
        let (inner, guard) = (Arc::clone(&self.0), Arc::clone(guard));
        Self(Arc::new(move |notice| {
            let mut message = None;
            let mut call = || message = inner(notice);
            guard(Callback::Notices, notice.group(), &mut call);
            message
        }))
    }
}

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Notices(..)")
    }
}

/// How publications and notices look to channels with [`Encoding::Format`](super::Encoding). A message is formatted once on each node, for
/// all its channels with this format, and only if there are any.
///
/// ```
/// use sansws_core::hub::{ChannelOptions, Encoding, Format, HubOptions, Notice};
/// use sansws_core::message::Message;
///
/// // Clients of one protocol get numbers with the messages, and learn of gaps.
/// let format = Format::new(
///     |publication| {
///         let position = publication.position?;
///         Some(format!("{} {}", position.offset, publication.as_text()?).into())
///     },
///     |notice| match notice {
///         Notice::Gap { group, .. } => Some(Message::Text(format!("gap in {group}"))),
///         _ => None,
///     },
/// );
/// let options = HubOptions::default().format(format);
/// let channel = ChannelOptions { encoding: Encoding::Format(0), ..ChannelOptions::default() };
/// # let _ = (options, channel);
/// ```
#[derive(Clone)]
pub struct Format {
    wrap: Arc<Wrap>,
    notice: Arc<Word>,
    slow: Option<(CloseCode, Arc<str>)>,
    delta: Option<Arc<Difference>>,
}

type Difference = dyn Fn(&Publication, &Publication) -> Option<Message> + Send + Sync;

impl Format {
    /// Creates a format of two functions; where they return `None`, the channel receives nothing.
    pub fn new(
        wrap: impl Fn(&Publication) -> Option<Message> + Send + Sync + 'static,
        notice: impl Fn(&Notice) -> Option<Message> + Send + Sync + 'static,
    ) -> Self {
        Self {
            wrap: Arc::new(wrap),
            notice: Arc::new(notice),
            slow: None,
            delta: None,
        }
    }

    /// Closes channels that read too slowly with this code and reason, instead of 1013.
    #[must_use]
    pub fn close_slow(mut self, code: CloseCode, reason: &str) -> Self {
        self.slow = Some((code, reason.into()));
        self
    }

    /// Sets a function from the previous publication and this one to their difference, which is sent instead of the publication to members
    /// with this format, by [`JoinOptions::format`](super::JoinOptions) or by their channel, that received the previous one. Nothing may be
    /// dropped on the way: groups with other policies than [`SlowConsumerPolicy::Close`](super::SlowConsumerPolicy) and `Wait` have no
    /// differences. Where it returns `None`, and for all others, the publication is formatted in full. Only the first 63 formats may have one.
    #[must_use]
    pub fn delta(
        mut self,
        delta: impl Fn(&Publication, &Publication) -> Option<Message> + Send + Sync + 'static,
    ) -> Self {
        self.delta = Some(Arc::new(delta));
        self
    }

    pub(super) const fn has_delta(&self) -> bool {
        self.delta.is_some()
    }

    pub(super) fn difference(&self, base: &Publication, of: &Publication) -> Option<Message> {
        (self.delta.as_ref()?)(base, of)
    }

    pub(super) fn slow(&self) -> Option<(CloseCode, &str)> {
        let (code, reason) = self.slow.as_ref()?;
        Some((*code, reason))
    }

    pub(super) fn wrap(&self, publication: &Publication) -> Option<Message> {
        (self.wrap)(publication)
    }

    pub(super) fn word(&self, notice: &Notice) -> Option<Message> {
        (self.notice)(notice)
    }

    pub(super) fn guarded(&self, guard: &Guard) -> Self {
        let (wrap, guard_wrap) = (Arc::clone(&self.wrap), Arc::clone(guard));
        let (notice, guard_notice) = (Arc::clone(&self.notice), Arc::clone(guard));
        let guarded = Self::new(
            move |publication| {
                let mut message = None;
                let mut call = || message = wrap(publication);
                guard_wrap(Callback::Format, &publication.group, &mut call);
                message
            },
            move |of| {
                let mut message = None;
                let mut call = || message = notice(of);
                guard_notice(Callback::Format, of.group(), &mut call);
                message
            },
        );
        let delta = self.delta.as_ref().map(|delta| {
            let (delta, guard) = (Arc::clone(delta), Arc::clone(guard));
            let guarded = move |base: &Publication, of: &Publication| {
                let mut message = None;
                let mut call = || message = delta(base, of);
                guard(Callback::Format, &of.group, &mut call);
                message
            };
            Arc::new(guarded) as Arc<Difference>
        });
        Self {
            slow: self.slow.clone(),
            delta,
            ..guarded
        }
    }
}

impl fmt::Debug for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Format(..)")
    }
}
