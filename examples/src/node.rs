//! A server of the demos: echo, metrics, health, and a chat, which several of them form together if their hubs are linked.

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

/// The routes and reports of a node.
#[derive(Debug)]
pub struct Node<O> {
    /// The name that members of a chat see if there are other nodes.
    name: Option<String>,
    hub: Hub<O>,
    board: Board<O>,
    monitor: Monitor<O>,
}

/// Returns the options of a node's hub, which must be equal on all linked nodes.
///
/// # Errors
/// Never: the filters are valid.
pub fn options() -> Result<HubOptions, FilterError> {
    monitor::rule(board::rule(chat::options()?)?)
}

impl<O: HubEnv + 'static> Node<O> {
    /// Creates the node `name`: the server behind `handle`, whose connections use `hub`. Names must be unique.
    pub fn new(name: &str, handle: &ServerHandle, hub: &Hub<O>) -> Self {
        Self {
            name: None,
            hub: hub.clone(),
            board: Board::new(name, handle.clone(), hub),
            monitor: Monitor::new(name, handle.clone(), hub),
        }
    }

    /// Creates one of several linked nodes.
    #[must_use]
    pub fn linked(self, name: &str, link: Status) -> Self {
        Self {
            name: Some(name.into()),
            monitor: self.monitor.linked(link),
            ..self
        }
    }

    /// Returns its routes to numbers, health and echo.
    pub fn router<T: Transport + Send + 'static>(&self) -> Router<T> {
        Router::new()
            .merge(self.monitor.router())
            .add(self.board.route("/dashboard"))
            .route("/echo", echo)
    }

    /// Returns its routes to the chat, and its page.
    pub fn chat<T: Transport + Send + 'static>(&self) -> Router<T> {
        pages::router(true).add(chat::route(&self.hub, self.name.as_deref()))
    }

    /// Reports forever; poll it beside the server.
    ///
    /// # Errors
    /// When the hub refuses the reports.
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
