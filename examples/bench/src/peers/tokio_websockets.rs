//! tokio-websockets, after its `echo_server` example.

use std::net::TcpListener;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::unconstrained;
use tokio_websockets::{Config, Limits, Message, ServerBuilder, WebSocketStream};

use super::tuned;
use crate::runtime::{self, ServeResult};
use crate::scenario::Mode;

pub(super) fn serve(listener: TcpListener, mode: Mode) -> ServeResult {
    match mode {
        Mode::Tls => runtime::tokio_tls(listener, |stream| unconstrained(echo(stream))),
        _ => runtime::tokio(listener, |stream| unconstrained(echo(stream))),
    }
}

pub(super) fn serve_tuned(listener: TcpListener, _: Mode) -> ServeResult {
    runtime::tokio(listener, |stream| {
        unconstrained(async {
            let data = |message: &Message| message.is_text() || message.is_binary();
            tuned::echo(accept(stream).await?, |message| {
                data(&message).then_some(message)
            })
            .await
        })
    })
}

async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
) -> Result<WebSocketStream<S>, tokio_websockets::Error> {
    let (_request, ws) = ServerBuilder::new()
        .config(Config::default().frame_size(usize::MAX))
        .limits(Limits::unlimited())
        .accept(stream)
        .await?;
    Ok(ws)
}

async fn echo(stream: impl AsyncRead + AsyncWrite + Unpin) -> ServeResult {
    let mut ws = accept(stream).await?;
    while let Some(message) = ws.next().await {
        let message = message?;
        if message.is_text() || message.is_binary() {
            ws.send(message).await?;
        }
    }
    Ok(())
}
