//! Transports for networks that block WebSocket, on runtimes: a streamed response to the client, whose body runs the session.

use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};

use futures_core::Stream;
use sansws_async::app::{Route, Router};
use sansws_async::hub::{Hub, HubChannel};
use sansws_async::runtime::Runtime;
use sansws_async::{Error, HubEnv, Result, Scope, StreamedResponse, Transport};
use sansws_core::hub::{
    ChannelId, ChannelOptions, HubError, JoinOptions, Joined, Published, Signal,
};
use sansws_core::message::{Message, PreparedMessage, StreamFormat};

use crate::carrier::{Carrier, Incoming};
use crate::codes::Disconnect;
use crate::connection::Connection;
use crate::endpoint::Centrifuge;
use crate::fallback::{EMULATION, EVENTS, HTTP_STREAM, StreamRequest, last_message};
use crate::farewell::Farewell;
use crate::protocol::Codec;

/// Number of bytes at which no more is added to a chunk of a stream.
const CHUNK: usize = 32 << 10;

impl<R: Runtime + HubEnv> Centrifuge<R> {
    /// Returns a router with the transports for networks that block WebSocket, at the paths where client libraries look for them:
    /// `/connection/http_stream`, `/connection/sse` and `/emulation`. Merge it into the router of the endpoint.
    pub fn fallbacks<T: Transport + Send + 'static>(&self) -> Router<T> {
        let (streams, events, rest) = (self.clone(), self.clone(), self.clone());
        Router::new()
            .add(Route::streamed(["POST"], HTTP_STREAM, move |scope| {
                let this = streams.clone();
                async move { this.stream(StreamRequest::http_stream(&scope)?, scope) }
            }))
            .add(Route::streamed(["GET"], EVENTS, move |scope| {
                let this = events.clone();
                async move { this.stream(StreamRequest::events(&scope)?, scope) }
            }))
            .post(EMULATION, move |scope: Scope| {
                let this = rest.clone();
                async move { this.emulate(&scope) }
            })
    }

    fn stream(self, request: StreamRequest, scope: Scope) -> Result<StreamedResponse> {
        let head = request.format.head(&request.fields());
        let outbox = Arc::new(Outbox {
            bytes: Mutex::default(),
            format: request.format,
        });
        let running = run(self, request.first, request.codec, Arc::clone(&outbox));
        let body = Streaming {
            // The guards of layers end with the connection.
            running: Some(Box::pin(async move {
                running.await;
                drop(scope);
            })),
            outbox,
        };
        Ok(StreamedResponse::new(head, body))
    }
}

/// Runs a session to its end.
async fn run<R: Runtime + HubEnv>(
    centrifuge: Centrifuge<R>,
    first: Message,
    codec: Codec,
    outbox: Arc<Outbox>,
) {
    let mut farewell = Farewell::new(centrifuge.application.on_disconnect.clone());
    let session = centrifuge.streamed_session(codec);
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
    outbox.put(&PreparedMessage::from(last_message(codec, &end)));
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
    format: StreamFormat,
}

impl Outbox {
    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a message, which may hold several replies.
    fn put(&self, message: &PreparedMessage) {
        let mut bytes = self.bytes();
        self.format
            .write(message.kind(), message.payload(), &mut bytes);
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
