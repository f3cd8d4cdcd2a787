//! tokio-tungstenite with `tokio::sync::broadcast`: a task for each connection
//! that selects between the channel and the socket, as chat servers on tokio
//! are mostly written.

use std::net::TcpListener;

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::sync::broadcast::{self, Sender, error::RecvError};
use tokio_tungstenite::{accept_async, tungstenite::Message};

use crate::runtime::{self, ServeResult};
use crate::scenario::Mode;

/// As in the `chat` example of axum.
const CAPACITY: usize = 100;

pub(super) fn serve(listener: TcpListener, _: Mode) -> ServeResult {
    let (publish, _) = broadcast::channel(CAPACITY);
    runtime::tokio(listener, move |stream| connection(stream, publish.clone()))
}

async fn connection(stream: TcpStream, publish: Sender<Message>) -> ServeResult {
    let mut socket = accept_async(stream).await?;
    let mut published = publish.subscribe();
    loop {
        tokio::select! {
            message = published.recv() => match message {
                Ok(message) => socket.send(message).await?,
                // It was too slow, and goes on with the oldest that is left.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return Ok(()),
            },
            message = socket.next() => match message.transpose()? {
                Some(message) if message.is_text() || message.is_binary() => {
                    publish.send(message)?;
                }
                Some(_) => {}
                None => return Ok(()),
            },
        }
    }
}
