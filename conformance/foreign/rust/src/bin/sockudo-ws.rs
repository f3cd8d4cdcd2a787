//! sockudo-ws. Its handshake over TCP has no extensions.

use futures_util::{SinkExt, StreamExt};
use sansws_foreign::{LARGEST, Result, run};
use sockudo_ws::client::WebSocketClient;
use sockudo_ws::{Config, Http1, Message, WebSocketServer, WebSocketStream};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

#[tokio::main]
async fn main() -> Result<()> {
    run(serve, echo).await
}

fn config() -> Config {
    Config::builder().max_message_size(LARGEST).max_frame_size(LARGEST).build()
}

async fn serve(tcp: TcpStream) -> Result<()> {
    let (ws, _) = WebSocketServer::<Http1>::new(config()).accept_raw(tcp).await?;
    echo_all(ws).await.map(|_| ())
}

async fn echo(url: String) -> Result<String> {
    echo_all(WebSocketClient::<Http1>::new(config()).connect_to_url(&url, None).await?.0).await
}

async fn echo_all<S: AsyncRead + AsyncWrite + Unpin>(mut ws: WebSocketStream<S>) -> Result<String> {
    let mut first = String::new();
    while let Some(Ok(message)) = ws.next().await {
        if let Message::Text(data) | Message::Binary(data) = &message {
            if first.is_empty() {
                first = String::from_utf8_lossy(data).into_owned();
            }
            ws.send(message).await?;
        } else if let Message::Close(_) = message {
            break;
        }
    }
    Ok(first)
}
