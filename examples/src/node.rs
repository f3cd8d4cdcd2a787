//! A server of the demo: chat, echo, numbers, and what tells how it is. Several of them, whose hubs are linked, are one chat.

use std::time::Duration;

use futures_lite::future::or;
use sansws_async::app::Router;
use sansws_async::hub::Hub;
use sansws_async::{Error, HubEnv, Result, ServerHandle, Transport, Upgrade};
use sansws_core::hub::{FilterError, HubOptions};
use sansws_redis::Status;

use crate::board::{self, Board};
use crate::monitor::{self, Monitor};
use crate::{chat, pages};

/// What a node serves and reports.
#[derive(Debug)]
pub struct Node<O> {
    /// What members of a chat are told, where there are other nodes.
    name: Option<String>,
    hub: Hub<O>,
    board: Board<O>,
    monitor: Monitor<O>,
}

/// How the hub of a node behaves: on all linked nodes the same.
///
/// # Errors
/// Never: the filters are such.
pub fn options() -> Result<HubOptions, FilterError> {
    monitor::rule(board::rule(chat::options()?)?)
}

impl<O: HubEnv + 'static> Node<O> {
    /// The node called `name`, a name that no other has: the server behind `handle`, whose connections use `hub`.
    pub fn new(name: &str, handle: &ServerHandle, hub: &Hub<O>) -> Self {
        Self {
            name: None,
            hub: hub.clone(),
            board: Board::new(name, handle.clone(), hub),
            monitor: Monitor::new(name, handle.clone(), hub),
        }
    }

    /// One of several, linked with the others.
    #[must_use]
    pub fn linked(self, name: &str, link: Status) -> Self {
        Self {
            name: Some(name.into()),
            monitor: self.monitor.linked(link),
            ..self
        }
    }

    /// All its routes.
    pub fn router<T: Transport + Send + 'static>(&self) -> Router<T> {
        pages::router(true)
            .merge(self.monitor.router())
            .add(chat::route(&self.hub, self.name.as_deref()))
            .add(self.board.route("/dashboard"))
            .route("/echo", echo)
    }

    /// Reports for ever; to be polled beside the server.
    ///
    /// # Errors
    /// When the hub does not take what is reported.
    pub async fn run(&self, sleep: impl AsyncFn(Duration) + Copy) -> Result<(), Error> {
        or(self.board.run(sleep), self.monitor.run(sleep)).await
    }
}

async fn echo<T: Transport>(upgrade: Upgrade<T>) -> Result {
    let mut socket = upgrade.accept().await?;
    while let Some(message) = socket.receive().await? {
        socket.send(message).await?;
    }
    Ok(())
}
