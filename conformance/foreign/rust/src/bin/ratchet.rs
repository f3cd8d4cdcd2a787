//! ratchet, with its deflate.

use ratchet_rs::deflate::{Deflate, DeflateExtProvider};
use ratchet_rs::{Message, PayloadType, SubprotocolRegistry, WebSocket, WebSocketConfig};
use sansws_foreign::{LARGEST, Result, dial, run};
use tokio::io::{BufReader, BufWriter};
use tokio::net::TcpStream;
use tokio_util::bytes::BytesMut;

type Io = BufReader<BufWriter<TcpStream>>;

#[tokio::main]
async fn main() -> Result<()> {
    run(serve, echo).await
}

fn config() -> WebSocketConfig {
    WebSocketConfig { max_message_size: LARGEST }
}

async fn serve(tcp: TcpStream) -> Result<()> {
    let io = BufReader::new(BufWriter::new(tcp));
    let upgrader =
        ratchet_rs::accept_with(io, config(), DeflateExtProvider::default(), SubprotocolRegistry::default());
    echo_all(upgrader.await?.upgrade().await?.websocket).await.map(|_| ())
}

async fn echo(url: String) -> Result<String> {
    let (tcp, ..) = dial(&url).await?;
    let io = BufReader::new(BufWriter::new(tcp));
    let provider = DeflateExtProvider::default();
    let upgraded =
        ratchet_rs::subscribe_with(config(), io, &url, &provider, SubprotocolRegistry::default());
    echo_all(upgraded.await?.websocket).await
}

async fn echo_all(mut ws: WebSocket<Io, Deflate>) -> Result<String> {
    let mut first = String::new();
    let mut buf = BytesMut::new();
    while let Ok(message) = ws.read(&mut buf).await {
        let kind = match message {
            Message::Text => PayloadType::Text,
            Message::Binary => PayloadType::Binary,
            Message::Ping(_) | Message::Pong(_) => continue,
            Message::Close(_) => break,
        };
        if first.is_empty() {
            first = String::from_utf8_lossy(&buf).into_owned();
        }
        ws.write(&mut buf, kind).await?;
        ws.flush().await?;
        buf.clear();
    }
    Ok(first)
}
