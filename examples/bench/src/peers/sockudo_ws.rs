//! sockudo-ws, after its `simple_echo` example.

use std::net::TcpListener;

use futures_util::{SinkExt, StreamExt};
use sockudo_ws::handshake::server_handshake;
use sockudo_ws::{Config, Message, Role, WebSocketStream};
use tokio::net::TcpStream;

use super::{MESSAGE_LIMIT, tuned};
use crate::runtime::{self, ServeResult};
use crate::scenario::Mode;

pub(super) fn serve(listener: TcpListener, _: Mode) -> ServeResult {
    // It calibrates its clock here, before the runtime is built.
    sockudo_ws::init_clock();
    runtime::tokio(listener, echo)
}

pub(super) fn serve_tuned(listener: TcpListener, _: Mode) -> ServeResult {
    sockudo_ws::init_clock();
    runtime::tokio(listener, |stream| async {
        let answer = |message| match message {
            Message::Text(_) | Message::Binary(_) => Some(message),
            Message::Close(_) | Message::Ping(_) | Message::Pong(_) => None,
        };
        tuned::echo(accept(stream).await?, answer).await
    })
}

async fn accept(mut stream: TcpStream) -> anyhow::Result<WebSocketStream<TcpStream>> {
    let config = Config::builder()
        .max_message_size(MESSAGE_LIMIT)
        .max_frame_size(MESSAGE_LIMIT)
        .build();
    let leftover = server_handshake(&mut stream).await?.leftover;
    let role = Role::Server;
    Ok(WebSocketStream::from_raw_with_leftover(
        stream, role, config, leftover,
    ))
}

async fn echo(stream: TcpStream) -> ServeResult {
    let mut ws = accept(stream).await?;
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
