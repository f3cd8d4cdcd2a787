//! The extensions of a request that another stack has received: an application finds them, and the client's address is among them.

use std::net::SocketAddr;

use http::Extensions;
use sansws_async::app::App;
use sansws_async::{HubRef, Scope, Service, Upgrade};
use sansws_core::http::RequestHead;

use crate::Wire;

/// Returns the address of the client, if the stack reports it.
pub(super) fn peer(extensions: &Extensions) -> Option<SocketAddr> {
    #[cfg(feature = "axum")]
    if let Some(peer) = extensions.get::<axum::extract::ConnectInfo<SocketAddr>>() {
        return Some(peer.0);
    }
    extensions.get::<SocketAddr>().copied()
}

/// An application, for one request.
#[derive(Debug)]
pub(super) struct WithExtensions {
    app: App<Wire>,
    extensions: Extensions,
}

impl WithExtensions {
    pub(super) const fn new(app: App<Wire>, extensions: Extensions) -> Self {
        Self { app, extensions }
    }
}

impl Service<Wire> for WithExtensions {
    type Handler = <App<Wire> as Service<Wire>>::Handler;
    type Deciding = <App<Wire> as Service<Wire>>::Deciding;
    type Running = <App<Wire> as Service<Wire>>::Running;

    const PLAIN: bool = <App<Wire> as Service<Wire>>::PLAIN;

    fn hubs(&self) -> Vec<HubRef> {
        self.app.hubs()
    }

    fn has_always(&self) -> bool {
        self.app.has_always()
    }

    fn is_always(&self, head: &RequestHead) -> bool {
        self.app.is_always(head)
    }

    fn decide(&self, mut scope: Scope) -> Self::Deciding {
        scope.attach(self.extensions.clone());
        self.app.decide(scope)
    }

    fn run(handler: Self::Handler, upgrade: Upgrade<Wire>) -> Self::Running {
        App::run(handler, upgrade)
    }
}
