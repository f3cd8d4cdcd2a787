//! async-tungstenite, on tokio.

use async_tungstenite::tokio::{accept_async_with_config, client_async_with_config};
use async_tungstenite::WebSocketStream;
use async_tungstenite::tungstenite::protocol::WebSocketConfig;
use futures_util::io::{AsyncRead, AsyncWrite};
use futures_util::StreamExt;
use sansws_foreign::{LARGEST, Result, dial, run};
use tokio::net::TcpStream;

#[tokio::main]
async fn main() -> Result<()> {
    run(serve, echo).await
}

fn config() -> Option<WebSocketConfig> {
    let config = WebSocketConfig::default();
    Some(config.max_message_size(Some(LARGEST)).max_frame_size(Some(LARGEST)))
}

async fn serve(tcp: TcpStream) -> Result<()> {
    echo_all(accept_async_with_config(tcp, config()).await?).await.map(|_| ())
}

async fn echo(url: String) -> Result<String> {
    let (tcp, ..) = dial(&url).await?;
    echo_all(client_async_with_config(url, tcp, config()).await?.0).await
}

async fn echo_all<S: AsyncRead + AsyncWrite + Unpin>(mut ws: WebSocketStream<S>) -> Result<String> {
    let mut first = String::new();
    while let Some(Ok(message)) = ws.next().await {
        if message.is_text() || message.is_binary() {
            if first.is_empty() {
                first = message.to_text().unwrap_or_default().into();
            }
            ws.send(message).await?;
        }
    }
    Ok(first)
}
