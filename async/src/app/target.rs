//! The target of a route: a handler or a page, with its layers and policy.

use std::sync::Arc;

use crate::app::handler::{Handler, Page};
use crate::app::layer::Layers;
use crate::server::scope::Attached;
use crate::socket::policy::ConnectionPolicy;
use crate::transport::Transport;

/// The methods of a page.
type Methods = Arc<[String]>;

/// The target of a route, and what it inherits.
#[derive(Clone, Debug)]
pub(super) struct Target<T: Transport> {
    pub(super) goal: Goal<T>,
    pub(super) layers: Layers,
    pub(super) policy: ConnectionPolicy,
    pub(super) states: Attached,
    /// It is served even if a connection is refused.
    pub(super) always: bool,
    pub(super) is_streamed: bool,
}

#[derive(Debug)]
pub(super) enum Goal<T: Transport> {
    WebSocket(Handler<T>),
    /// Restricts it to these methods.
    Page(Page, Methods),
}

impl<T: Transport> Clone for Goal<T> {
    fn clone(&self) -> Self {
        match self {
            Self::WebSocket(handler) => Self::WebSocket(handler.clone()),
            Self::Page(page, methods) => Self::Page(page.clone(), methods.clone()),
        }
    }
}

impl<T: Transport> Target<T> {
    pub(super) fn new(goal: Goal<T>) -> Self {
        Self {
            goal,
            layers: Layers::default(),
            policy: ConnectionPolicy::default(),
            states: Attached::default(),
            always: false,
            is_streamed: false,
        }
    }
}
