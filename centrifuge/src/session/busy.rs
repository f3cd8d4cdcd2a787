//! The answers and results that a session awaits, one at a time.

use std::sync::Arc;

use sansws_core::time::Instant;

use super::connect::Connecting;
use super::subscribe::Told;
use super::values::Subscribe;
use crate::protocol::{ConnectRequest, HistoryRequest, SubscribeRequest};

/// Work of the application or the hub.
#[derive(Debug)]
pub(super) enum Busy {
    Connect(u32, ConnectRequest),
    Connecting(Box<Connecting>),
    Subscribe(u32, SubscribeRequest),
    Epoch(u32, SubscribeRequest, Subscribe),
    Join {
        /// 0: the server subscribes the client.
        id: u32,
        channel: Arc<str>,
        expires: Option<Instant>,
        told: Told,
    },
    MayPublish(u32, Arc<str>),
    Publish(u32),
    Presence(u32),
    PresenceStats(u32),
    History(u32, Arc<str>),
    /// The epoch of a channel is requested first.
    HistoryEpoch(u32, HistoryRequest),
    Rpc(u32),
    Message,
    Refresh(u32),
    SubRefresh(u32, Arc<str>),
}

impl Busy {
    pub(super) const fn id(&self) -> u32 {
        match self {
            Self::Connect(id, _)
            | Self::Subscribe(id, _)
            | Self::Epoch(id, ..)
            | Self::Join { id, .. }
            | Self::MayPublish(id, _)
            | Self::Publish(id)
            | Self::Presence(id)
            | Self::PresenceStats(id)
            | Self::History(id, _)
            | Self::HistoryEpoch(id, _)
            | Self::Rpc(id)
            | Self::Refresh(id)
            | Self::SubRefresh(id, _) => *id,
            Self::Connecting(connecting) => connecting.id,
            Self::Message => 0,
        }
    }
}
