//! A hub of one node in one process, with its broker.
//! Knows how the two are joined, but not how they work.

use alloc::sync::Arc;
use core::ops::{Deref, DerefMut};

use super::{Broker, Hub, HubOptions, NodeId, Output};
use crate::random::Seed;
use crate::time::Instant;

/// A [`Hub`] that is alone, and its [`Broker`]: everything that your own event loop needs for groups, history, recovery and presence.
///
/// Use it like the node to which it derefs, except for [`poll_output`](Self::poll_output), [`deadline`](Self::deadline) and
/// [`tick`](Self::tick), which also drive the broker: it emits no [`Output::Command`].
///
/// ```
/// use std::sync::Arc;
/// use sansws_core::config::Config;
/// use sansws_core::connection::Connection;
/// use sansws_core::handshake::Agreement;
/// use sansws_core::hub::{HubOptions, JoinOptions, LocalHub, ChannelOptions, Output, PublishOptions, Taken};
/// use sansws_core::message::PreparedMessage;
/// use sansws_core::random::Seed;
/// use sansws_core::time::Instant;
///
/// # let now = Instant::ZERO;
/// // 32 bytes of fresh entropy.
/// let seed = Seed::new([7; 32]);
/// let mut hub = LocalHub::new(seed, Arc::new(HubOptions::default()));
/// # let mut connection = Connection::server(Arc::new(Config::default()), &Agreement::default(), now);
/// // A connection gets a channel when it opens, and joins.
/// let ada = hub.open(now, ChannelOptions::default())?;
/// hub.join(now, ada, "lobby", JoinOptions::default())?;
/// hub.publish(now, None, "lobby", PreparedMessage::new("hello"), PublishOptions::default(), None)?;
///
/// // After each of these calls: whose turn is it?
/// while let Some(output) = hub.poll_output(now) {
///     if let Output::Wake(slot) = output {
///         assert_eq!(slot, ada.slot());
///         // Take what there is room for, at once or in that connection's turn.
///         while connection.has_room() {
///             match hub.take(now, ada, |message, _| connection.send_prepared(message)) {
///                 Taken::Message(sent) => sent?,
///                 Taken::Close(code, reason) => connection.close(now, Some(code), &reason)?,
///                 Taken::Nothing => break,
///                 Taken::Skipped { .. } => {}
///             }
///         }
///     }
/// }
/// assert_eq!(connection.take_output(Vec::new()), b"\x81\x05hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct LocalHub {
    hub: Hub,
    broker: Broker,
}

impl LocalHub {
    /// Creates a hub without channels. The seed must be fresh entropy: it distinguishes earlier positions and ids.
    pub fn new(seed: Seed, options: Arc<HubOptions>) -> Self {
        let [a, b, c, d, e, f, g, h, rest @ ..] = seed.nonce();
        let node = NodeId(u64::from_be_bytes([a, b, c, d, e, f, g, h]));
        Self {
            hub: Hub::new(node, Arc::clone(&options)),
            broker: Broker::new(options, u64::from_be_bytes(rest)),
        }
    }

    /// Returns the next output; never an [`Output::Command`].
    pub fn poll_output(&mut self, now: Instant) -> Option<Output> {
        loop {
            match self.hub.poll_output()? {
                Output::Command(command) => {
                    self.broker.handle(now, self.hub.node(), command);
                    self.deliver(now);
                }
                output => return Some(output),
            }
        }
    }

    /// Returns when to call [`tick`](Self::tick).
    pub fn deadline(&self) -> Option<Instant> {
        let both = [self.hub.deadline(), self.broker.deadline()];
        both.into_iter().flatten().min()
    }

    /// Does what is due. It may be called at any time.
    pub fn tick(&mut self, now: Instant) {
        self.hub.tick(now);
        self.broker.tick(now);
        self.deliver(now);
    }

    /// Returns the broker, which keeps histories and presence.
    pub const fn broker(&self) -> &Broker {
        &self.broker
    }

    fn deliver(&mut self, now: Instant) {
        while let Some((_, event)) = self.broker.poll_event() {
            self.hub.receive(now, event);
        }
    }
}

impl Deref for LocalHub {
    type Target = Hub;

    fn deref(&self) -> &Hub {
        &self.hub
    }
}

impl DerefMut for LocalHub {
    fn deref_mut(&mut self) -> &mut Hub {
        &mut self.hub
    }
}
