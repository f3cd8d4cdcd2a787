//! sockudo-ws, after its `simple_echo` example.

use std::net::TcpListener;

use futures_util::{SinkExt, StreamExt};
use sockudo_ws::handshake::server_handshake;
use sockudo_ws::{Config, Message, Role, WebSocketStream};
use tokio::net::TcpStream;

use super::MESSAGE_LIMIT;
use crate::runtime::{self, ServeResult};
use crate::scenario::Mode;

pub(super) fn serve(listener: TcpListener, _: Mode) -> ServeResult {
    // It calibrates its clock here, before the runtime is built.
    sockudo_ws::init_clock();
    runtime::tokio(listener, echo)
}

async fn echo(mut stream: TcpStream) -> ServeResult {
    let config = Config::builder()
        .max_message_size(MESSAGE_LIMIT)
        .max_frame_size(MESSAGE_LIMIT)
        .build();
    let leftover = server_handshake(&mut stream).await?.leftover;
    let mut ws = WebSocketStream::from_raw_with_leftover(stream, Role::Server, config, leftover);
    while let Some(message) = ws.next().await {
        match message? {
            Message::Text(text) => ws.send(Message::Text(text)).await?,
            Message::Binary(data) => ws.send(Message::Binary(data)).await?,
            Message::Close(_) => break,
            Message::Ping(_) | Message::Pong(_) => {}
        }
    }
    Ok(())
}
