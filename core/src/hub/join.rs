//! Joins: their options, replies and results.
//! Plain values, and the function that makes a reply.

use alloc::sync::Arc;
use core::fmt;

use super::backplane::RecoveryFailure;
use super::{Position, Publication};
use crate::message::Message;

/// Options of a join.
///
/// ```
/// use sansws_core::hub::{ChannelOptions, GroupOptions, HistoryOptions, HubOptions, JoinOptions, LocalHub};
/// use sansws_core::hub::{Output, PublishOptions, Recovered, Reply};
/// use sansws_core::random::Seed;
/// use sansws_core::time::Instant;
///
/// let now = Instant::ZERO;
/// let groups = GroupOptions::default().history(HistoryOptions::default());
/// let options = HubOptions::default().groups(groups);
/// let mut hub = LocalHub::new(Seed::new([7; 32]), options.into());
/// for text in ["one", "two", "three"] {
///     hub.publish(now, None, "news", text.into(), PublishOptions::default(), None)?;
/// }
/// while hub.poll_output(now).is_some() {}
/// let first = hub.broker().history(now, "news", 10)[0].position;
///
/// // A client that saw the first message returns.
/// let ada = hub.open(now, ChannelOptions::default())?;
/// hub.join(now, ada, "news", JoinOptions::recover(first))?;
/// while let Some(output) = hub.poll_output(now) {
///     if let Output::Joined(_, _, Ok(joined)) = output {
///         assert_eq!(joined.recovered, Recovered::Complete(2));
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct JoinOptions {
    /// The last position that the member saw: later messages are replayed.
    pub since: Option<Position>,
    /// Metadata that others see of this membership in groups with [`PresenceMode::Connections`](super::PresenceMode); `None`: that of the channel.
    pub metadata: Option<Arc<str>>,
    /// The number of the format of the group's publications for this member, among [`HubOptions::formats`](super::HubOptions::formats); a
    /// member whose number has no format receives none of them. `None`: the encoding of the channel.
    pub format: Option<u8>,
    /// Whether the member is not told of changes of presence.
    pub without_presence: bool,
    /// Makes the reply to the member, which is queued before any message of the group. The missed messages are passed to it and not
    /// replayed.
    pub reply: Option<JoinReply>,
}

impl JoinOptions {
    /// Recovers the messages since a position, if there is one.
    pub fn recover(since: Option<Position>) -> Self {
        Self {
            since,
            ..Self::default()
        }
    }
}

/// The result of a join.
///
/// For an example see [`JoinOptions`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Joined {
    /// Whether the channel was not a member before.
    pub added: bool,
    /// Whether it is the first member on this node.
    pub opened: bool,
    /// The position of the group when it joined, including replayed messages: later messages are received. To recover, a reconnecting
    /// client passes this position, or that of the last message it received. Send it to the peer through its channel
    /// ([`Hub::send_to`](super::Hub::send_to)): a message that a handler sends directly may overtake replayed ones.
    pub position: Option<Position>,
    /// Whether missed messages were recovered.
    pub recovered: Recovered,
    /// Whether the [`JoinReply`] refused it: the channel is not a member.
    pub refused: bool,
}

/// The result of a recovery.
///
/// For an example see [`JoinOptions`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Recovered {
    /// No recovery was requested.
    Fresh,
    /// All missed messages were replayed: their number.
    Complete(usize),
    /// Some are missing.
    Incomplete {
        /// The number of replayed messages.
        replayed: usize,
        /// Why others were not replayed.
        reason: RecoveryFailure,
    },
}

/// A function that makes the reply to a member which joins: of the result, and the messages that it missed.
///
/// ```
/// use sansws_core::hub::{JoinDecision, JoinOptions, JoinReply};
/// use sansws_core::message::Message;
///
/// // The client gets one message with its position and all that it missed.
/// let reply = JoinReply::new(|joined, missed| {
///     let Some(position) = joined.position else {
///         return JoinDecision::Leave(Some(Message::from("no history")));
///     };
///     let missed: Vec<_> = missed.iter().filter_map(|one| one.as_text()).collect();
///     JoinDecision::Stay(Some(format!("{position}\n{}", missed.join("\n")).into()))
/// });
/// let options = JoinOptions { reply: Some(reply), ..JoinOptions::default() };
/// # let _ = options;
/// ```
#[derive(Clone)]
pub struct JoinReply(Arc<Decide>);

type Decide = dyn Fn(&Joined, &[Arc<Publication>]) -> JoinDecision + Send + Sync;

/// The result of a [`JoinReply`]: the message to the member, if any, and whether it stays.
///
/// For an example see [`JoinReply`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JoinDecision {
    /// It is a member.
    Stay(Option<Message>),
    /// It is not: it leaves the group at once, and [`Joined::refused`] is set.
    Leave(Option<Message>),
}

impl JoinReply {
    /// Wraps a function.
    pub fn new(
        decide: impl Fn(&Joined, &[Arc<Publication>]) -> JoinDecision + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(decide))
    }

    pub(super) fn decide(&self, joined: &Joined, missed: &[Arc<Publication>]) -> JoinDecision {
        (self.0)(joined, missed)
    }

    /// Runs it in `guard` from now on, which is passed the call. If that does not complete, the member leaves without a message.
    #[must_use]
    pub fn guarded(self, guard: impl Fn(&mut dyn FnMut()) + Send + Sync + 'static) -> Self {
        Self::new(move |joined, missed| {
            let mut decision = JoinDecision::Leave(None);
            guard(&mut || decision = self.decide(joined, missed));
            decision
        })
    }
}

impl fmt::Debug for JoinReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinReply(..)")
    }
}
