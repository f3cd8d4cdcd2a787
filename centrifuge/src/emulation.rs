//! Transports for networks that block WebSocket: a streamed response to the client, and requests with its commands beside it.
//!
//! The stream is one of lines or of length-delimited messages (HTTP streaming), or of server-sent events. Commands that follow the first are
//! posted with the id of the session, and reach it as signals of the hub, from any server.

use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use futures_core::Stream;
use prost::Message as _;
use sansws_async::app::{Route, Router};
use sansws_async::hub::{Hub, HubChannel};
use sansws_async::runtime::Runtime;
use sansws_async::{Error, HubEnv, Result, Scope, StreamedResponse, Transport};
use sansws_core::http::Response;
use sansws_core::hub::{
    ChannelId, ChannelOptions, HubError, JoinOptions, Joined, Published, Signal, Target,
};
use sansws_core::message::{Message, PreparedMessage};
use serde::Deserialize;

use crate::carrier::{Carrier, Incoming};
use crate::codes::Disconnect;
use crate::connection::{Connection, now};
use crate::endpoint::Centrifuge;
use crate::farewell::Farewell;
use crate::format;
use crate::protocol::{Codec, Disconnected, EmulationRequest, Push};
use crate::session::{Control, Session};

/// Number of bytes at which no more is added to a chunk of a stream.
const CHUNK: usize = 32 << 10;

/// The separation of messages in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Lines,
    Delimited,
    Events,
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

impl<R: Runtime + HubEnv> Centrifuge<R> {
    /// Returns a router with the transports for networks that block WebSocket, at the paths where client libraries look for them:
    /// `/connection/http_stream`, `/connection/sse` and `/emulation`. Merge it into the router of the endpoint.
    pub fn fallbacks<T: Transport + Send + 'static>(&self) -> Router<T> {
        let (lines, events, rest) = (self.clone(), self.clone(), self.clone());
        Router::new()
            .add(Route::streamed(
                ["POST"],
                "/connection/http_stream",
                move |scope| {
                    let this = lines.clone();
                    async move { this.http_stream(scope) }
                },
            ))
            .add(Route::streamed(
                ["GET"],
                "/connection/sse",
                move |scope: Scope| {
                    let this = events.clone();
                    async move {
                        let first: First = scope.query()?;
                        let command = first.cf_connect.trim();
                        // Any page can make a browser request this, with its cookies: a connection is all that it gets.
                        if command.contains(['\n', '\r']) {
                            let response = Response::text(400, "cf_connect is one command\n");
                            return Err(Error::reject(response));
                        }
                        let first = Message::Text(command.to_owned());
                        Ok(this.stream(scope, first, Codec::Json, Framing::Events))
                    }
                },
            ))
            .post("/emulation", move |scope: Scope| {
                let this = rest.clone();
                async move { this.emulate(&scope) }
            })
    }

    fn http_stream(self, scope: Scope) -> Result<StreamedResponse> {
        let body = scope.body().to_vec();
        if is_binary(&scope) {
            let first = Message::Binary(body);
            return Ok(self.stream(scope, first, Codec::Protobuf, Framing::Delimited));
        }
        let Ok(text) = String::from_utf8(body) else {
            let response = Response::text(400, "the body is not text\n");
            return Err(Error::reject(response));
        };
        Ok(self.stream(scope, Message::Text(text), Codec::Json, Framing::Lines))
    }

    fn stream(
        self,
        scope: Scope,
        first: Message,
        codec: Codec,
        framing: Framing,
    ) -> StreamedResponse {
        let outbox = Arc::new(Outbox {
            bytes: Mutex::default(),
            framing,
        });
        let running = run(self, first, codec, Arc::clone(&outbox));
        let kind = match framing {
            Framing::Lines => "application/json",
            Framing::Delimited => "application/octet-stream",
            Framing::Events => "text/event-stream",
        };
        let head = Response::new(200)
            .with("Content-Type", kind)
            .with("Cache-Control", "no-store")
            // nginx would hold the stream back.
            .with("X-Accel-Buffering", "no");
        let body = Streaming {
            // What layers hold for the connection ends with it.
            running: Some(Box::pin(async move {
                running.await;
                drop(scope);
            })),
            outbox,
        };
        StreamedResponse::new(head, body)
    }

    /// Passes commands on to their session.
    fn emulate(&self, scope: &Scope) -> Response {
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

/// Runs a session to its end.
async fn run<R: Runtime + HubEnv>(
    centrifuge: Centrifuge<R>,
    first: Message,
    codec: Codec,
    outbox: Arc<Outbox>,
) {
    let mut farewell = Farewell::new(centrifuge.application.on_disconnect.clone());
    let secret = URL_SAFE_NO_PAD.encode(R::seed().nonce().0);
    let session = Session::new(Arc::clone(&centrifuge.options), codec, now::<R>());
    let session = session.with_secret(secret, centrifuge.tickets.clone());
    let channel = Arc::new(OnceLock::new());
    let carrier = StreamCarrier {
        hub: centrifuge.hub.clone(),
        outbox: Arc::clone(&outbox),
        channel: Arc::clone(&channel),
    };
    let mut connection = Connection::new(centrifuge, codec, carrier);
    let mut incoming = FirstMessage(Some(first));
    let end = {
        let mut serving = pin!(connection.serve(session, &mut incoming, &mut farewell));
        let mut taking = pin!(take(&channel, &outbox));
        poll_fn(|cx| match serving.as_mut().poll(cx) {
            Poll::Ready(Ok(Some(end))) => Poll::Ready(end),
            // It may have failed because the hub has closed the channel, for a reason of its own.
            Poll::Ready(Ok(None) | Err(_)) => match taking.as_mut().poll(cx) {
                Poll::Ready(end) => Poll::Ready(end),
                Poll::Pending => Poll::Ready(Disconnect::server_error()),
            },
            // Its channel may be open now.
            Poll::Pending => taking.as_mut().poll(cx),
        })
        .await
    };
    let push = Push {
        disconnect: Some(Disconnected {
            code: end.code.into(),
            reason: end.reason.clone(),
        }),
        ..Push::default()
    };
    outbox.put(&PreparedMessage::from(format::push(codec, push)));
    farewell.note_end(&end);
}

/// Moves what the hub has for the client into the stream; returns how the hub ends the connection.
async fn take(channel: &OnceLock<HubChannel>, outbox: &Outbox) -> Disconnect {
    // The session is polled first, and opens it.
    let channel = poll_fn(|_| channel.get().map_or(Poll::Pending, Poll::Ready)).await;
    loop {
        outbox.room().await;
        let taken = channel.take(CHUNK).await;
        for message in &taken.messages {
            outbox.put(message);
        }
        if let Some((code, reason)) = taken.close {
            let code = code.into();
            return Disconnect { code, reason };
        }
    }
}

/// Bytes on their way into the stream.
#[derive(Debug)]
struct Outbox {
    bytes: Mutex<Vec<u8>>,
    framing: Framing,
}

impl Outbox {
    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a message, which may hold several replies.
    fn put(&self, message: &PreparedMessage) {
        let payload = message.payload();
        let mut bytes = self.bytes();
        match self.framing {
            Framing::Delimited => bytes.extend_from_slice(payload),
            Framing::Lines => {
                bytes.extend_from_slice(payload);
                bytes.push(b'\n');
            }
            Framing::Events => {
                for line in payload.split(|byte| *byte == b'\n') {
                    for part in [b"data: ", line, b"\n\n"] {
                        bytes.extend_from_slice(part);
                    }
                }
            }
        }
    }

    /// Waits until there is room. Nobody is woken: the session is polled again when its bytes have been written.
    async fn room(&self) {
        poll_fn(|_| {
            if self.bytes().len() < CHUNK {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }
}

/// The body of the response: it runs the session, and yields what that sends.
struct Streaming {
    running: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    outbox: Arc<Outbox>,
}

impl Stream for Streaming {
    type Item = Vec<u8>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Vec<u8>>> {
        if let Some(running) = &mut self.running
            && running.as_mut().poll(cx).is_ready()
        {
            self.running = None;
        }
        let bytes = std::mem::take(&mut *self.outbox.bytes());
        match (bytes.is_empty(), &self.running) {
            (false, _) => Poll::Ready(Some(bytes)),
            (true, Some(_)) => Poll::Pending,
            (true, None) => Poll::Ready(None),
        }
    }
}

/// The first commands, which came with the request; others come as signals.
struct FirstMessage(Option<Message>);

impl Incoming for FirstMessage {
    async fn receive(&mut self) -> Result<Option<Message>> {
        match self.0.take() {
            Some(first) => Ok(Some(first)),
            None => pending().await,
        }
    }
}

/// A stream to the client, and its channel.
struct StreamCarrier<R> {
    hub: Hub<R>,
    outbox: Arc<Outbox>,
    channel: Arc<OnceLock<HubChannel>>,
}

impl<R> StreamCarrier<R> {
    fn channel(&self) -> Result<&HubChannel, Error> {
        Ok(self.channel.get().ok_or(HubError::NoHub)?)
    }
}

impl<R: Runtime + HubEnv> Carrier for StreamCarrier<R> {
    async fn send(&mut self, message: Message) -> Result<(), Error> {
        self.outbox.room().await;
        self.outbox.put(&message.into());
        Ok(())
    }

    async fn send_in_order(&self, message: &Message) -> Result<(), Error> {
        Ok(self.channel()?.send_in_order(message).await?)
    }

    fn open_channel(&self, options: ChannelOptions) -> Result<ChannelId, Error> {
        let channel = self.hub.open_channel(options)?;
        Ok(self.channel.get_or_init(|| channel).id())
    }

    async fn join(&self, group: &str, join: JoinOptions) -> Result<Joined, Error> {
        Ok(self.channel()?.join_with(group, join).await?)
    }

    fn leave(&self, group: &str) -> Result<(), Error> {
        Ok(self.channel()?.leave(group).map(drop)?)
    }

    fn hold_queue(&self, held: bool) -> Result<(), Error> {
        Ok(self.channel()?.hold_queue(held)?)
    }

    async fn publish(&self, group: &str, message: Message, info: &str) -> Result<Published, Error> {
        self.channel()?.publish(group, message).info(info).await
    }

    async fn signal(&self) -> Result<Signal, Error> {
        Ok(self.channel()?.signal().await)
    }
}
