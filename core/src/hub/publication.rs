//! Publications, and their positions in their group.
//! RFC 6455 section 5.6: its content is a message.
//! Plain values, shared by all receivers.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use super::id::Name;
use super::{ChannelId, HubError};
use crate::frame::MessageKind;
use crate::message::{Message, Payload, PreparedMessage};
use crate::time::{Duration, Instant};

/// A position in the publications of a group: after the message with this number.
///
/// It is formatted as `epoch-offset`, the epoch in hexadecimal digits, and can be parsed back.
///
/// ```
/// use sansws_core::hub::Position;
///
/// let position = Position { epoch: 0xa1b2, offset: 17 };
/// let text = position.to_string(); // for the client, which returns it when it reconnects
/// assert_eq!(text, "000000000000a1b2-17");
/// assert_eq!(text.parse(), Ok(position));
/// assert!("17".parse::<Position>().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The epoch: a group that was forgotten, or whose history was lost, starts another.
    pub epoch: u64,
    /// The number of a message, starting at 1; 0 is before the first.
    pub offset: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}", self.epoch, self.offset)
    }
}

impl FromStr for Position {
    type Err = HubError;

    fn from_str(text: &str) -> Result<Self, HubError> {
        let (epoch, offset) = text.split_once('-').ok_or(HubError::BadPosition)?;
        Ok(Self {
            epoch: u64::from_str_radix(epoch, 16).map_err(|_| HubError::BadPosition)?,
            offset: offset.parse().map_err(|_| HubError::BadPosition)?,
        })
    }
}

/// The tags of a publication; shared, and without memory if there are none.
pub type Tags = Option<Arc<[(Arc<str>, Arc<str>)]>>;

/// A message that was published to a group.
///
/// ```
/// use sansws_core::hub::Publication;
///
/// /// An envelope, for `GroupOptions::envelope` or `Format::new`.
/// fn line(publication: &Publication) -> String {
///     let number = publication.position.map_or(0, |position| position.offset);
///     let text = publication.as_text().unwrap_or("(binary)");
///     format!("{} #{number}: {text}", publication.group)
/// }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Publication {
    /// The group.
    pub group: Arc<str>,
    /// Its position; for an unsaved one that of the message before it; `None` when it was published while the backplane was down.
    pub position: Option<Position>,
    /// When it was published, by the clock of the backplane.
    pub time: Instant,
    /// The channel that published it, if any.
    pub sender: Option<ChannelId>,
    /// Its key, if it has one.
    pub key: Option<Arc<str>>,
    /// Information that its publisher gave about itself, such as JSON.
    pub info: Option<Arc<str>>,
    /// Its tags: names and values, in order.
    pub tags: Tags,
    /// Whether it is not kept, and has no number of its own.
    pub unsaved: bool,
    /// When it expires.
    pub expires: Option<Instant>,
    /// The message as it was published.
    pub message: PreparedMessage,
    /// The excluded channels and users, if any.
    pub(super) excluded: Option<Arc<Excluded>>,
    /// The message as members receive it.
    pub(super) frame: PreparedMessage,
    /// The envelope failed: members cannot receive it.
    pub(super) failed: bool,
    /// How often it was compressed.
    pub(super) deflates: u32,
    /// How many messages are lost when it is dropped: a notice of a gap stands for all in the gap.
    pub(super) stands_for: u64,
}

/// The excluded channels and users of a publication; all sorted.
#[derive(Debug)]
pub(super) struct Excluded {
    pub(super) channels: Vec<ChannelId>,
    users: Vec<Name>,
    replay: Vec<Name>,
}

impl Excluded {
    fn of(options: &PublishOptions) -> Option<Self> {
        let mut this = Self {
            channels: options.exclude.clone(),
            users: options.exclude_users.clone(),
            replay: options.exclude_replay.clone(),
        };
        this.channels.sort_unstable();
        this.users.sort_unstable();
        this.replay.sort_unstable();
        (!this.channels.is_empty() || !this.users.is_empty() || !this.replay.is_empty())
            .then_some(this)
    }

    fn has(&self, id: ChannelId, user: Option<&Name>) -> bool {
        self.channels.binary_search(&id).is_ok()
            || user.is_some_and(|user| self.users.binary_search(user).is_ok())
    }

    /// Returns whether it is not to be replayed to a channel of this user.
    pub(super) fn has_on_replay(&self, user: &Name) -> bool {
        self.replay.binary_search(user).is_ok()
    }
}

/// The parts of a publication, without its position.
///
/// For an example see [`PublishOptions`].
#[derive(Clone, Debug)]
pub struct PublishRequest {
    /// The group.
    pub group: Arc<str>,
    /// The message.
    pub message: PreparedMessage,
    /// The publisher.
    pub sender: Option<ChannelId>,
    /// The options.
    pub options: PublishOptions,
}

/// Options of a publication.
///
/// ```
/// use sansws_core::hub::{GroupOptions, HistoryOptions, HubOptions, LocalHub, PublishOptions};
/// use sansws_core::random::Seed;
/// use sansws_core::time::Instant;
///
/// let now = Instant::ZERO;
/// let groups = GroupOptions::default().history(HistoryOptions::default());
/// let options = HubOptions::default().groups(groups);
/// let mut hub = LocalHub::new(Seed::new([7; 32]), options.into());
/// // Two attempts to publish one order: its id makes the second one harmless.
/// for _ in 0..2 {
///     let options = PublishOptions { id: Some("order-17".into()), ..PublishOptions::default() };
///     hub.publish(now, None, "orders", "two teas".into(), options, None)?;
/// }
/// while hub.poll_output(now).is_some() {}
/// assert_eq!(hub.broker().history(now, "orders", 10).len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct PublishOptions {
    /// Channels that do not receive it.
    pub exclude: Vec<ChannelId>,
    /// Users whose channels do not receive it.
    pub exclude_users: Vec<Name>,
    /// Users to whom it is not replayed. The hub adds the users of excluded channels, so that recovery does not deliver a message from
    /// which a client was excluded on its previous connection.
    pub exclude_replay: Vec<Name>,
    /// Not kept in the history, even if the group has one. It has no number of its own, so its loss on the way to another node is not
    /// detected.
    pub without_history: bool,
    /// Information that the publisher gives about itself, such as JSON; kept with the message.
    pub info: Option<Name>,
    /// Tags: names and values; kept with the message.
    pub tags: Tags,
    /// Its key, for [`SlowConsumerPolicy::KeepLatest`](super::SlowConsumerPolicy::KeepLatest).
    pub key: Option<Name>,
    /// An id chosen by the caller: a second publication with it to the group, within 5 minutes, is not published again. See
    /// [`HubOptions::max_ids`](super::HubOptions::max_ids).
    pub id: Option<Name>,
    /// The time after which it expires: it is then neither delivered nor replayed.
    pub expires: Option<Duration>,
}

impl Publication {
    /// Makes it without an envelope, for messages with their own format.
    pub(super) fn unwrapped(
        draft: &PublishRequest,
        position: Option<Position>,
        time: Instant,
    ) -> Self {
        Self {
            group: Arc::clone(&draft.group),
            position,
            time,
            sender: draft.sender,
            key: draft.options.key.clone(),
            info: draft.options.info.clone(),
            tags: draft.options.tags.clone(),
            unsaved: draft.options.without_history,
            expires: draft.options.expires.map(|after| time + after),
            message: draft.message.clone(),
            excluded: Excluded::of(&draft.options).map(Arc::new),
            frame: draft.message.clone(),
            failed: false,
            deflates: 0,
            stands_for: 1,
        }
    }

    /// Returns whether it is text or binary.
    pub fn kind(&self) -> MessageKind {
        self.message.kind()
    }

    /// Returns its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.message.payload()
    }

    /// Returns the text, if it is text.
    pub fn as_text(&self) -> Option<&str> {
        match self.kind() {
            MessageKind::Text => core::str::from_utf8(self.as_bytes()).ok(),
            MessageKind::Binary => None,
        }
    }

    /// Returns how often it was compressed: once for each window size that its receivers negotiated.
    pub const fn deflates(&self) -> u32 {
        self.deflates
    }

    /// Returns a copy of the message.
    pub fn to_message(&self) -> Message {
        match self.as_text() {
            Some(text) => Payload::Text(text),
            None => Payload::Binary(self.as_bytes()),
        }
        .to_message()
    }

    /// Returns whether a channel of a user is to receive it.
    #[inline]
    pub(super) fn is_for(&self, id: ChannelId, user: Option<&Name>) -> bool {
        let excluded = self.excluded.as_deref();
        excluded.is_none_or(|excluded| !excluded.has(id, user))
    }

    pub(super) fn is_expired(&self, now: Instant) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }

    pub(super) fn offset(&self) -> u64 {
        self.position.map_or(0, |position| position.offset)
    }

    pub(super) const fn group(&self) -> &Name {
        &self.group
    }
}

/// Frames a message.
pub(super) fn prepare(message: &Message) -> PreparedMessage {
    match message {
        Message::Text(text) => PreparedMessage::new(Payload::Text(text)),
        Message::Binary(bytes) => PreparedMessage::new(Payload::Binary(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn positions_come_back_from_text_and_nonsense_does_not() {
        let position = Position {
            epoch: 0xfe,
            offset: 12,
        };
        assert_eq!(position.to_string(), "00000000000000fe-12");
        assert_eq!(position.to_string().parse(), Ok(position));
        for text in ["", "1", "x-1", "1-x", "1--1", "1-99999999999999999999"] {
            assert_eq!(text.parse::<Position>(), Err(HubError::BadPosition));
        }
    }
}
