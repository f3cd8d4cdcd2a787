//! The common part of the transports for networks that block WebSocket, on runtimes and event loops: requests for streams, and the commands
//! beside them.
//!
//! The stream is one of lines or of length-delimited messages (HTTP streaming), or of server-sent events. Commands that follow the first are
//! posted with the id of the session, and reach it as signals of the hub, from any server.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use prost::Message as _;
use sansws_async::{Error, HubEnv, Result, Scope};
use sansws_core::http::{Headers, Response};
use sansws_core::hub::{HubError, Target};
use sansws_core::message::{Message, StreamFormat};
use serde::Deserialize;

use crate::codes::Disconnect;
use crate::endpoint::Centrifuge;
use crate::format;
use crate::protocol::{Codec, Disconnected, EmulationRequest, Push};
use crate::session::{Control, Session};

/// Where client libraries look for the transports.
pub(crate) const HTTP_STREAM: &str = "/connection/http_stream";
pub(crate) const EVENTS: &str = "/connection/sse";
pub(crate) const EMULATION: &str = "/emulation";

/// A request for a stream, with its first commands.
#[derive(Debug)]
pub(crate) struct StreamRequest {
    pub(crate) first: Message,
    pub(crate) codec: Codec,
    pub(crate) format: StreamFormat,
}

/// Commands in JSON that follow the first.
#[derive(Deserialize)]
struct Emulated {
    session: String,
    data: String,
}

#[derive(Deserialize)]
struct First {
    cf_connect: String,
}

impl StreamRequest {
    /// Reads a request for an HTTP stream.
    pub(crate) fn http_stream(scope: &Scope) -> Result<Self> {
        let body = scope.body().to_vec();
        let (first, codec) = if is_binary(scope) {
            (Message::Binary(body), Codec::Protobuf)
        } else {
            let Ok(text) = String::from_utf8(body) else {
                return Err(Error::reject(Response::text(400, "the body is not text\n")));
            };
            (Message::Text(text), Codec::Json)
        };
        Ok(Self {
            first,
            codec,
            // Messages in protobuf begin with their lengths.
            format: StreamFormat::Lines,
        })
    }

    /// Reads a request for server-sent events.
    pub(crate) fn events(scope: &Scope) -> Result<Self> {
        let first: First = scope.query()?;
        let command = first.cf_connect.trim();
        // Any page can make a browser request this, with its cookies: a connection is all that it gets.
        if command.contains(['\n', '\r']) {
            let response = Response::text(400, "cf_connect is one command\n");
            return Err(Error::reject(response));
        }
        Ok(Self {
            first: Message::Text(command.to_owned()),
            codec: Codec::Json,
            format: StreamFormat::Events,
        })
    }

    /// Returns the fields of the response, beside those of its format.
    pub(crate) fn fields(&self) -> Headers {
        let mut fields = Headers::default();
        // Events have the type of their format.
        if self.format != StreamFormat::Events {
            let kind: &[u8] = match self.codec {
                Codec::Json => b"application/json",
                Codec::Protobuf => b"application/octet-stream",
            };
            fields.push("Content-Type", kind);
        }
        fields
    }
}

impl<R: HubEnv> Centrifuge<R> {
    /// Returns the session of a client whose commands come beside its stream.
    pub(crate) fn streamed_session(&self, codec: Codec) -> Session {
        let secret = URL_SAFE_NO_PAD.encode(R::seed().nonce());
        let session = Session::new(Arc::clone(&self.options), codec, R::now());
        session.with_secret(secret, self.tickets.clone())
    }

    /// Passes commands on to their session.
    pub(crate) fn emulate(&self, scope: &Scope) -> Response {
        let (session, data) = if is_binary(scope) {
            match EmulationRequest::decode(scope.body()) {
                Ok(request) => (request.session, STANDARD.encode(request.data)),
                Err(_) => return Response::text(400, "the body is not a request\n"),
            }
        } else {
            match scope.json::<Emulated>() {
                Ok(request) => (request.session, request.data),
                Err(_) => return Response::text(400, "the body is not a request\n"),
            }
        };
        let Some((id, secret)) = self.tickets.open(&session) else {
            // Of a server with another key, perhaps: the client connects anew.
            return Response::text(404, "there is no such session\n");
        };
        let control = Control::Commands {
            secret: secret.to_owned(),
            data,
        };
        let text = serde_json::to_string(&control).unwrap_or_default();
        match self.hub.signal(Target::Channel(id), &text) {
            Ok(()) => Response::new(204),
            // The client connects anew.
            Err(HubError::Gone) => Response::text(404, "there is no such session\n"),
            Err(_) => Response::text(503, "the session cannot be reached\n"),
        }
    }
}

fn is_binary(scope: &Scope) -> bool {
    scope
        .header("content-type")
        .is_some_and(|kind| kind.starts_with("application/octet-stream"))
}

/// Returns the last message of a stream: why it ends.
pub(crate) fn last_message(codec: Codec, end: &Disconnect) -> Message {
    let push = Push {
        disconnect: Some(Disconnected {
            code: end.code.into(),
            reason: end.reason.clone(),
        }),
        ..Push::default()
    };
    format::push(codec, push)
}
