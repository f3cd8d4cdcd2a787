//! tokio-websockets, after its `echo_server` example.

use std::net::TcpListener;

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::task::unconstrained;
use tokio_websockets::{Config, Limits, ServerBuilder};

use crate::runtime::{self, ServeResult};

pub(super) fn serve(listener: TcpListener) -> ServeResult {
    runtime::tokio(listener, |stream| unconstrained(echo(stream)))
}

async fn echo(stream: TcpStream) -> ServeResult {
    let (_request, mut ws) = ServerBuilder::new()
        .config(Config::default().frame_size(usize::MAX))
        .limits(Limits::unlimited())
        .accept(stream)
        .await?;
    while let Some(message) = ws.next().await {
        let message = message?;
        if message.is_text() || message.is_binary() {
            ws.send(message).await?;
        }
    }
    Ok(())
}
