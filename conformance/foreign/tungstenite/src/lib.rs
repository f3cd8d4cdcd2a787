//! What both peers have in common: the limits, and the echo.

use std::io::{Read, Write};

use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Message, Result, WebSocket};

const LARGEST: usize = 64 << 20;

/// Messages of up to 64 MiB, in one frame or many.
pub fn config() -> Option<WebSocketConfig> {
    let config = WebSocketConfig::default();
    Some(
        config
            .max_message_size(Some(LARGEST))
            .max_frame_size(Some(LARGEST)),
    )
}

/// Sends back each message until the connection ends.
pub fn echo<S: Read + Write>(socket: &mut WebSocket<S>) -> Result<()> {
    loop {
        match socket.read()? {
            message @ (Message::Text(_) | Message::Binary(_)) => socket.send(message)?,
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => {}
        }
    }
}
