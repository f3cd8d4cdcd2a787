//! Our own server in this process, on a thread of its own. It knows the path commands of the foreign servers.

use core::time::Duration;
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};

use sansws_async::{Error, Result, ServerHandle, Transport, Upgrade, WebSocket};
use sansws_core::frame::MessageKind;
use sansws_core::handshake::AcceptOptions;
use sansws_core::http::{RequestHead, Response};
use sansws_core::message::{Message, PreparedMessage};
use serde_json::{Map, Value};

use super::LIMIT;
use super::runtime::{Runtime, Setup};

/// A running server. It ends with this value, through its handle, also when the test panics.
#[derive(Debug)]
pub struct OurServer {
    pub port: u16,
    pub handle: ServerHandle,
    ended: Receiver<Result<(), Error>>,
    thread: Option<JoinHandle<()>>,
}

impl OurServer {
    pub fn start<R: Runtime>(setup: Setup) -> Self {
        let (tell, told) = channel();
        let (end, ended) = channel();
        let thread = thread::spawn(move || {
            let _ = end.send(R::serve(setup, &tell));
        });
        let Ok((handle, port)) = told.recv_timeout(LIMIT) else {
            panic!("the server does not start: {:?}", ended.try_recv());
        };
        Self {
            port,
            handle,
            ended,
            thread: Some(thread),
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("ws://127.0.0.1:{}{path}", self.port)
    }

    /// Closes the handle, and waits for `serve` to return.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let Some(thread) = self.thread.take() else {
            return;
        };
        self.handle.close();
        let ended = self.ended.recv_timeout(Duration::from_secs(15));
        let open = self.handle.open();
        let joined = ended.is_ok().then(|| thread.join());
        if !thread::panicking() {
            assert!(matches!(ended, Ok(Ok(()))), "serve: {ended:?}");
            assert!(matches!(joined, Some(Ok(()))), "{joined:?}");
            assert_eq!(open, 0, "connections that outlive the server");
        }
    }
}

impl Drop for OurServer {
    fn drop(&mut self) {
        self.end();
    }
}

/// Does what the path asks for, then echoes.
pub async fn answer<T: Transport>(upgrade: Upgrade<T>, subprotocols: &[String]) -> Result {
    let path = upgrade.path().to_string();
    let words: Vec<&str> = path.split('/').skip(1).collect();
    match words.as_slice() {
        ["reject"] => {
            let response = Response::text(403, "no entry").with("X-Why", "test");
            return Ok(upgrade.reject(response).await?);
        }
        ["redirect"] => {
            let location = upgrade.raw_query().unwrap_or("/elsewhere").to_string();
            let response = Response::new(302).with("Location", location);
            return Ok(upgrade.reject(response).await?);
        }
        _ => {}
    }
    let subprotocol = upgrade.select_subprotocol(subprotocols.iter().map(String::as_str));
    let headers = headers(&upgrade);
    let accept = AcceptOptions {
        subprotocol,
        ..AcceptOptions::default()
    };
    let mut socket = upgrade.accept_with(accept).await?;
    match words.as_slice() {
        ["close", code, reason] => {
            let code = code.parse().map_err(Error::other)?;
            socket.close(code, reason).await?;
        }
        ["ping"] => {
            socket.ping("hello").await?;
            // The handle does not show pongs; the foreign servers wait for theirs.
            socket.send_text("pong ok").await?;
        }
        ["fragments"] => {
            let mut writer = socket.send_stream(MessageKind::Text);
            for piece in ["one ", "two ", "three"] {
                writer.write(piece).await?;
            }
            writer.finish().await?;
        }
        ["headers"] => socket.send_json(&headers).await?,
        ["shared"] => return echo_shared(socket).await,
        _ => {}
    }
    echo(socket).await
}

async fn echo<T: Transport>(mut socket: WebSocket<T>) -> Result {
    while let Some(message) = socket.receive().await? {
        socket.send(message).await?;
    }
    Ok(())
}

/// Echoes by turns as a message of its own, as one that is shared by many connections, compressed or not, and in pieces.
///
/// Shared messages are compressed without the connection's earlier ones, and come between messages that are not shared.
async fn echo_shared<T: Transport>(mut socket: WebSocket<T>) -> Result {
    for turn in 0.. {
        let Some(message) = socket.receive().await? else {
            break;
        };
        let prepared = match &message {
            Message::Text(text) => PreparedMessage::new(text.as_str()),
            Message::Binary(bytes) => PreparedMessage::new(bytes.as_slice()),
        };
        match turn % 8 {
            1 | 5 | 6 => {
                let windows = 9..=15;
                let prepared = windows.fold(prepared, |prepared, bits| prepared.deflated(6, bits));
                socket.send_prepared(&prepared).await?;
            }
            3 => socket.send_prepared(&prepared).await?,
            7 => {
                let mut writer = socket.send_stream(message.kind());
                let third = message.len() / 3;
                match &message {
                    Message::Text(text) => {
                        let (one, two) = text.split_at(text.floor_char_boundary(third));
                        writer.write(one).await?;
                        writer.write(two).await?;
                    }
                    Message::Binary(bytes) => {
                        let (one, two) = bytes.split_at(third);
                        writer.write(one).await?;
                        writer.write(two).await?;
                    }
                }
                writer.finish().await?;
            }
            _ => socket.send(message).await?,
        }
    }
    Ok(())
}

/// The header fields as the foreign servers tell them: names in lower case, repeated ones joined.
fn headers(request: &RequestHead) -> Value {
    let mut all = Map::new();
    for (name, value) in request.fields.iter() {
        let value = String::from_utf8_lossy(value);
        let value = match all.get(&name.to_ascii_lowercase()).and_then(Value::as_str) {
            Some(first) => format!("{first}, {value}"),
            None => value.into_owned(),
        };
        all.insert(name.to_ascii_lowercase(), value.into());
    }
    Value::Object(all)
}
