//! The transports for networks that block WebSocket, on event loops: streamed responses whose endpoint has the sessions.

use sansws_core::close::Closed;
use sansws_core::handshake::AcceptOptions;
use sansws_core::hub::{HubError, Joined, Signal};
use sansws_core::message::StreamFormat;
use sansws_mio::hub::Clock;
use sansws_mio::{Endpoint, Result, Router, Scope, Socket, app};

use super::client::{self, LoopClient};
use crate::endpoint::Centrifuge;
use crate::fallback::{EMULATION, EVENTS, HTTP_STREAM, StreamRequest};

impl Centrifuge<Clock> {
    /// Returns a router with the transports for networks that block WebSocket, for an event loop, at the paths where client libraries look for
    /// them: `/connection/http_stream`, `/connection/sse` and `/emulation`. Merge it into the router of the endpoint.
    pub fn loop_fallbacks(&self) -> Router {
        let stream = |read| Stream {
            centrifuge: self.clone(),
            read,
        };
        let (lines, events) = (StreamFormat::Lines, StreamFormat::Events);
        let http_stream = stream(StreamRequest::http_stream);
        let server_sent = stream(StreamRequest::events);
        let this = self.clone();
        Router::new()
            .add(app::streamed(["POST"], HTTP_STREAM, lines, http_stream))
            .add(app::streamed(["GET"], EVENTS, events, server_sent))
            .post(EMULATION, move |scope| Ok(this.emulate(&scope)))
    }
}

/// The endpoint of one kind of stream.
struct Stream {
    centrifuge: Centrifuge<Clock>,
    read: fn(&Scope) -> Result<StreamRequest>,
}

impl Endpoint for Stream {
    type Data = LoopClient;

    fn upgrade(&mut self, request: &mut Scope, accept: &mut AcceptOptions) -> Result<LoopClient> {
        let request = (self.read)(request)?;
        accept.fields = request.fields();
        Ok(LoopClient::streamed(self.centrifuge.clone(), request))
    }

    fn open(&mut self, socket: &mut Socket<'_, LoopClient>) -> Result {
        self.centrifuge.open(socket)
    }

    fn drained(&mut self, socket: &mut Socket<'_, LoopClient>) -> Result {
        self.centrifuge.drained(socket)
    }

    fn joined(
        &mut self,
        socket: &mut Socket<'_, LoopClient>,
        group: &str,
        joined: Joined,
    ) -> Result {
        self.centrifuge.joined(socket, group, joined)
    }

    fn join_failed(
        &mut self,
        socket: &mut Socket<'_, LoopClient>,
        group: &str,
        error: HubError,
    ) -> Result {
        self.centrifuge.join_failed(socket, group, error)
    }

    fn signal(&mut self, socket: &mut Socket<'_, LoopClient>, signal: Signal) -> Result {
        self.centrifuge.signal(socket, signal)
    }

    fn closing(&mut self, socket: &mut Socket<'_, LoopClient>, closed: &Closed) -> Result {
        client::say_end(socket, closed);
        Ok(())
    }

    fn close(&mut self, socket: &mut Socket<'_, LoopClient>, closed: &Closed) {
        self.centrifuge.close(socket, closed);
    }
}
