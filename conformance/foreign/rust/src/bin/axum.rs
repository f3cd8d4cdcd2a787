//! axum, over HTTP/2 too; its WebSocket is tungstenite.

use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use sansws_foreign::{LARGEST, Result, listening};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    listening(listener.local_addr()?);
    let answer = async |upgrade: WebSocketUpgrade| {
        upgrade.max_message_size(LARGEST).max_frame_size(LARGEST).on_upgrade(echo_all)
    };
    let app = Router::new().fallback(answer);
    Ok(axum::serve(listener, app).await?)
}

async fn echo_all(mut ws: WebSocket) {
    while let Some(Ok(message)) = ws.recv().await {
        if matches!(message, Message::Text(_) | Message::Binary(_)) && ws.send(message).await.is_err() {
            return;
        }
    }
}
