//! tokio-tungstenite, after its `echo-server` example.

use std::future::ready;
use std::net::TcpListener;

use futures_util::{StreamExt, TryStreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::{accept_async_with_config, tungstenite::protocol::WebSocketConfig};

use super::MESSAGE_LIMIT;
use crate::runtime::{self, ServeResult};
use crate::scenario::Mode;

pub(super) fn serve(listener: TcpListener, mode: Mode) -> ServeResult {
    match mode {
        Mode::Tls => runtime::tokio_tls(listener, echo),
        _ => runtime::tokio(listener, echo),
    }
}

async fn echo(stream: impl AsyncRead + AsyncWrite + Unpin) -> ServeResult {
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_LIMIT))
        .max_frame_size(Some(MESSAGE_LIMIT));
    let (write, read) = accept_async_with_config(stream, Some(config))
        .await?
        .split();
    read.try_filter(|message| ready(message.is_text() || message.is_binary()))
        .forward(write)
        .await?;
    Ok(())
}
