//! A connection of a server that is not a WebSocket yet: how far its requests have come.
//! RFC 6455 section 4.2; RFC 9112 section 9.6.
//! Knows its own bytes, and no loop.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use sansws_common::contain::contain;
use sansws_common::error::{Error, HandlerError, Result};
use sansws_common::hub::HubRef;
use sansws_common::metrics::trace::Span;
use sansws_common::{Admission, ConnectInfo, Scope};
use sansws_core::config::Timeouts;
use sansws_core::handshake::ServerHandshake;
use sansws_core::http::Response;
use sansws_core::internal::{Body, Framing};
use sansws_core::message::StreamFormat;
use sansws_core::proxy::ProxyHeader;
use sansws_core::route::Pattern;
use sansws_core::time::Instant;

use super::{HostRef, Served};
use crate::stream::Stream;
use sansws_common::listen::Speaks;

/// The answer of a page, in time.
type Deferred = Pin<Box<dyn Future<Output = Result<Response>>>>;

/// A page whose answer takes time.
pub(crate) type DeferredPage = Rc<dyn Fn(Scope) -> Deferred>;

/// The endpoint of a streamed response, and the format of that.
#[derive(Clone, Debug)]
pub(super) struct StreamHost {
    pub(super) host: HostRef,
    pub(super) format: StreamFormat,
}

pub(super) type ConnectionPolicy = sansws_common::ConnectionPolicy<HubRef>;

/// A request whose page works on the answer.
pub(super) struct Answering {
    pub(super) framing: Framing,
    pub(super) route: Option<Pattern>,
    pub(super) answer: Option<Result<Response, HandlerError>>,
}

impl std::fmt::Debug for Answering {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answering").finish_non_exhaustive()
    }
}

/// A page.
pub(super) enum Page {
    /// It answers at once.
    Now(Arc<dyn Fn(Scope) -> Result<Response> + Send + Sync>),
    Deferred(DeferredPage),
    /// It answers bit by bit.
    Streamed(StreamHost),
}

/// A connection that is not open yet.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) phase: Phase,
    /// Present until the connection is open.
    pub(super) admission: Option<Admission>,
    pub(super) handshake: ServerHandshake,
    pub(super) input: Vec<u8>,
    pub(super) answer: Vec<u8>,
    pub(super) written: usize,
    pub(super) deadline: Option<Instant>,
    pub(super) arrival: ConnectInfo,
    /// Number of the request that is awaited, from 1.
    pub(super) visit: usize,
    pub(super) span: Span,
    /// Input ended.
    pub(super) ended: bool,
    /// It is not admitted, and has a short time for its request.
    pub(super) has_short_deadline: bool,
}

#[derive(Debug)]
pub(super) enum Phase {
    /// The header of a proxy, and then what the listener speaks.
    Proxy(ProxyHeader, Box<Speaks>),
    #[cfg(feature = "tls")]
    Tls,
    Head,
    Body(Box<Reading>),
    /// A page works on its answer.
    Answering(Box<Answering>),
    /// The last answer is written; then the peer ends TCP.
    Ending {
        shut: bool,
    },
}

/// A page whose body arrives.
pub(super) struct Reading {
    pub(super) scope: Scope,
    pub(super) page: Page,
    pub(super) policy: Arc<ConnectionPolicy>,
    pub(super) body: Body,
    pub(super) framing: Framing,
}

impl std::fmt::Debug for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reading").finish_non_exhaustive()
    }
}

/// The result of a step.
pub(super) enum Next {
    Step,
    /// Wait for the socket.
    Wait,
    /// Drop the socket.
    Over,
    /// It is a WebSocket.
    Open,
}

impl Opening {
    pub(super) fn new(served: &Served, admission: Admission, arrival: ConnectInfo) -> Self {
        let config = &served.options.config;
        Self {
            phase: Phase::Head,
            admission: Some(admission),
            handshake: ServerHandshake::new(Arc::clone(config)),
            input: Vec::new(),
            answer: Vec::new(),
            written: 0,
            deadline: config.timeouts.handshake.map(|wait| arrival.begun + wait),
            arrival,
            visit: 1,
            span: contain(|| Span::of(&arrival)).unwrap_or_default(),
            ended: false,
            has_short_deadline: false,
        }
    }

    /// Expects what a listener speaks before HTTP.
    pub(super) fn expect(&mut self, stream: &mut Stream, speaks: &Speaks) -> Result<(), Error> {
        if speaks.proxied {
            self.phase = Phase::Proxy(ProxyHeader::new(), Box::new(speaks.clone()));
            return Ok(());
        }
        self.secure(stream, speaks)
    }

    /// Starts TLS, if the listener speaks it.
    pub(super) fn secure(&mut self, stream: &mut Stream, speaks: &Speaks) -> Result<(), Error> {
        self.phase = Phase::Head;
        #[cfg(feature = "tls")]
        if let Some(tls) = &speaks.tls
            && stream.is_tcp()
        {
            self.phase = Phase::Tls;
            let connection = rustls::ServerConnection::new(Arc::clone(tls));
            stream.secure(connection.map_err(Error::other)?.into());
        }
        #[cfg(not(feature = "tls"))]
        let _ = (speaks, stream);
        Ok(())
    }

    /// Writes the answer; returns whether all of it has left.
    pub(super) fn write(&mut self, stream: &mut Stream) -> io::Result<()> {
        while let Some(rest) = self
            .answer
            .get(self.written..)
            .filter(|rest| !rest.is_empty())
        {
            match stream.write(&[IoSlice::new(rest)]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        stream.flush()?;
        self.answer.clear();
        self.written = 0;
        Ok(())
    }

    pub(super) fn respond(&mut self, bytes: Vec<u8>) {
        if self.answer.is_empty() {
            self.answer = bytes;
        } else {
            self.answer.extend_from_slice(&bytes);
        }
    }

    /// Sends a last answer.
    pub(super) fn end_with(&mut self, bytes: Vec<u8>, now: Instant, timeouts: &Timeouts) -> Next {
        self.deadline = Some(now + timeouts.to_take_whole(bytes.len()));
        self.respond(bytes);
        self.input = Vec::new();
        self.phase = Phase::Ending { shut: false };
        Next::Step
    }

    /// Returns whether nothing can be sent on it yet.
    pub(super) const fn is_before_http(&self) -> bool {
        match self.phase {
            Phase::Proxy(..) => true,
            #[cfg(feature = "tls")]
            Phase::Tls => true,
            Phase::Head | Phase::Body(_) | Phase::Answering(_) | Phase::Ending { .. } => false,
        }
    }

    /// Returns whether the server has no room for it.
    pub(super) const fn is_refused(&self) -> bool {
        matches!(self.admission, Some(Admission::Away(_)))
    }

    /// Returns whether it is between two requests.
    pub(super) fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Head) && self.input.is_empty() && self.answer.is_empty()
    }
}
