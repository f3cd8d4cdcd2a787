//! The endpoint on event loops: callbacks of `sansws-mio` drive the sessions, and the application's futures run on the loop's thread.
//! RFC 6455 section 4.2.2: the codec by the subprotocol.

mod client;
mod fallbacks;

pub use client::LoopClient;

use std::sync::Arc;

use sansws_core::close::Closed;
use sansws_core::handshake::AcceptOptions;
use sansws_core::hub::{HubError, Joined, Signal};
use sansws_mio::hub::Clock;
use sansws_mio::{Endpoint, Incoming, Result, Router, Scope, Socket, app};

use crate::endpoint::Centrifuge;
use crate::protocol::Codec;
use crate::session::HubResult;

impl Centrifuge<Clock> {
    /// Returns a router with the methods of the HTTP API for an event loop, for requests with this key:
    /// `.mount("/api", centrifuge.loop_api("key"))`.
    pub fn loop_api(&self, key: &str) -> Router {
        let (this, key): (_, Arc<str>) = (self.clone(), key.into());
        Router::new().add(app::deferred(["POST"], "/{method}", move |scope: Scope| {
            let (this, key) = (this.clone(), Arc::clone(&key));
            async move { Ok(this.answer(&key, &scope).await) }
        }))
    }
}

/// Clones share handlers, limits and the hub: give each loop its own.
impl Endpoint for Centrifuge<Clock> {
    type Data = LoopClient;

    fn upgrade(&mut self, request: &mut Scope, accept: &mut AcceptOptions) -> Result<LoopClient> {
        let offers = request.header("sec-websocket-protocol").unwrap_or_default();
        let codec = Codec::of_offers(offers);
        accept.subprotocol = codec.subprotocol();
        Ok(LoopClient::new(self.clone(), codec))
    }

    fn open(&mut self, socket: &mut Socket<'_, LoopClient>) -> Result {
        socket.use_hub(&self.hub);
        client::go_on(socket)
    }

    fn message(&mut self, socket: &mut Socket<'_, LoopClient>, message: Incoming<'_>) -> Result {
        socket.data().receive(message.into_message());
        client::go_on(socket)
    }

    fn drained(&mut self, socket: &mut Socket<'_, LoopClient>) -> Result {
        client::go_on(socket)
    }

    fn joined(
        &mut self,
        socket: &mut Socket<'_, LoopClient>,
        group: &str,
        joined: Joined,
    ) -> Result {
        socket.data().joined(group, HubResult::Joined(joined));
        client::go_on(socket)
    }

    fn join_failed(
        &mut self,
        socket: &mut Socket<'_, LoopClient>,
        group: &str,
        error: HubError,
    ) -> Result {
        socket.data().joined(group, HubResult::Failed(error));
        client::go_on(socket)
    }

    fn signal(&mut self, socket: &mut Socket<'_, LoopClient>, signal: Signal) -> Result {
        socket.data().signal(&signal);
        client::go_on(socket)
    }

    fn close(&mut self, socket: &mut Socket<'_, LoopClient>, closed: &Closed) {
        client::end(socket, closed);
    }
}
