//! tokio-websockets, which has no compression.

use futures_util::{SinkExt, StreamExt};
use sansws_foreign::{LARGEST, Result, dial, run};
use tokio::net::TcpStream;
use tokio_websockets::{ClientBuilder, Limits, ServerBuilder, WebSocketStream};

#[tokio::main]
async fn main() -> Result<()> {
    run(serve, echo).await
}

fn limits() -> Limits {
    Limits::default().max_payload_len(Some(LARGEST))
}

async fn serve(tcp: TcpStream) -> Result<()> {
    let (_, ws) = ServerBuilder::new().limits(limits()).accept(tcp).await?;
    echo_all(ws).await.map(|_| ())
}

async fn echo(url: String) -> Result<String> {
    let (tcp, ..) = dial(&url).await?;
    let builder = ClientBuilder::new().uri(&url)?.limits(limits());
    echo_all(builder.connect_on(tcp).await?.0).await
}

async fn echo_all(mut ws: WebSocketStream<TcpStream>) -> Result<String> {
    let mut first = String::new();
    while let Some(Ok(message)) = ws.next().await {
        if message.is_text() || message.is_binary() {
            if first.is_empty() {
                first = message.as_text().unwrap_or_default().into();
            }
            ws.send(message).await?;
        }
    }
    Ok(first)
}
