//! tungstenite, which blocks: on a thread for each connection.

use std::io::{Read, Write};
use std::net;

use sansws_foreign::{LARGEST, Result, dial, run};
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tungstenite::client::client_with_config;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Message, WebSocket, accept_with_config};

#[tokio::main]
async fn main() -> Result<()> {
    run(serve, echo).await
}

fn config() -> Option<WebSocketConfig> {
    let config = WebSocketConfig::default();
    Some(config.max_message_size(Some(LARGEST)).max_frame_size(Some(LARGEST)))
}

fn blocking(tcp: TcpStream) -> Result<net::TcpStream> {
    let tcp = tcp.into_std()?;
    tcp.set_nonblocking(false)?;
    Ok(tcp)
}

async fn serve(tcp: TcpStream) -> Result<()> {
    let tcp = blocking(tcp)?;
    spawn_blocking(move || {
        let mut socket = accept_with_config(tcp, config()).map_err(|error| error.to_string())?;
        echo_all(&mut socket, &mut String::new())
    })
    .await?
}

async fn echo(url: String) -> Result<String> {
    let (tcp, ..) = dial(&url).await?;
    let tcp = blocking(tcp)?;
    spawn_blocking(move || {
        let (mut socket, _) = client_with_config(url, tcp, config()).map_err(|error| error.to_string())?;
        let mut first = String::new();
        let ended = echo_all(&mut socket, &mut first);
        if first.is_empty() { ended.map(|()| first) } else { Ok(first) }
    })
    .await?
}

fn echo_all<S: Read + Write>(socket: &mut WebSocket<S>, first: &mut String) -> Result<()> {
    loop {
        match socket.read()? {
            message @ (Message::Text(_) | Message::Binary(_)) => {
                if first.is_empty() {
                    *first = message.to_text().unwrap_or_default().into();
                }
                socket.send(message)?;
            }
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => {}
        }
    }
}
