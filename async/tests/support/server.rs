//! A server's connection on a wire in memory.
//! RFC 6455 section 4.2.

use std::cell::Cell;
use std::future::{Future, Ready, ready};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sansws_async::internal::{ConnectInfo, receive_request, serve};
use sansws_async::server::{ConnectionOutcome, Decision};
use sansws_async::{
    ConnectionPolicy, Result, Scope, ServerHandle, ServerOptions, Service, Transport, Upgrade,
    WebSocket,
};
use sansws_core::config::Config;
use sansws_core::time::Instant;

use super::wire::{Task, Wire};
use super::{Frame, frames};

pub const REQUEST: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
pub const KEY: Option<[u8; 4]> = Some([1, 2, 3, 4]);

pub async fn echo(upgrade: Upgrade<Wire>) -> Result {
    let mut socket = upgrade.accept().await?;
    while let Some(message) = socket.receive().await? {
        socket.send(message).await?;
    }
    Ok(())
}

/// A service of one connection.
#[derive(Debug)]
pub struct Once<H>(Mutex<Option<H>>);

impl<H> Once<H> {
    pub fn new(handler: H) -> Self {
        Self(Mutex::new(Some(handler)))
    }
}

impl<H, F> Service<Wire> for Once<H>
where
    H: FnOnce(Upgrade<Wire>) -> F,
    F: Future<Output = Result<()>>,
{
    type Handler = H;
    type Deciding = Ready<Decision<H>>;
    type Running = F;

    const PLAIN: bool = false;

    fn decide(&self, scope: Scope) -> Self::Deciding {
        ready(Decision::Handle {
            scope,
            handler: self.0.lock().unwrap().take().unwrap(),
            policy: Arc::new(ConnectionPolicy::default()),
        })
    }

    fn run(handler: H, upgrade: Upgrade<Wire>) -> F {
        handler(upgrade)
    }
}

/// The observations of a connection in memory.
pub fn arrival(begun: Instant) -> ConnectInfo {
    ConnectInfo {
        begun,
        peer: None,
        secure: false,
    }
}

/// Options with this configuration.
pub fn options(config: Config) -> Arc<ServerOptions> {
    Arc::new(ServerOptions::default().config(config))
}

/// A server's connection on a wire.
pub fn start<H, F>(
    config: Config,
    handler: H,
) -> (
    Wire,
    Task<impl Future<Output = ConnectionOutcome>>,
    ServerHandle,
)
where
    H: FnOnce(Upgrade<Wire>) -> F,
    F: Future<Output = Result<()>>,
{
    let (wire, handle) = (Wire::default(), ServerHandle::new(8));
    let task = Task::new(serve(
        wire.clone(),
        options(config),
        Once::new(handler),
        handle.enter().unwrap(),
        arrival(wire.now()),
    ));
    (wire, task, handle)
}

/// The same, with the handshake behind it.
pub fn open<H, F>(
    config: Config,
    handler: H,
) -> (
    Wire,
    Task<impl Future<Output = ConnectionOutcome>>,
    ServerHandle,
)
where
    H: FnOnce(Upgrade<Wire>) -> F,
    F: Future<Output = Result<()>>,
{
    let deflate = if config.deflate.is_some() {
        "Sec-WebSocket-Extensions: permessage-deflate\r\n"
    } else {
        ""
    };
    let (wire, mut task, handle) = start(config, handler);
    wire.push(format!("{REQUEST}{deflate}\r\n"));
    task.run();
    let head = wire.take();
    assert!(
        head.starts_with(b"HTTP/1.1 101 ") && head.ends_with(b"\r\n\r\n"),
        "{}",
        head.escape_ascii()
    );
    (wire, task, handle)
}

pub fn output(wire: &Wire) -> Vec<Frame> {
    frames(&wire.take())
}

pub fn close_code(frames: &[Frame]) -> Option<u16> {
    let close = frames.iter().find(|frame| frame.opcode == 8)?;
    Some(u16::from_be_bytes([close.payload[0], close.payload[1]]))
}

pub fn pass(wire: &Wire, task: &mut Task<impl Future>, seconds: u64) {
    for _ in 0..seconds * 10 {
        wire.pass(Duration::from_millis(100));
        task.run();
    }
}

/// An open connection that no server drives.
pub fn direct(wire: &Wire) -> WebSocket<Wire> {
    wire.push(format!("{REQUEST}\r\n"));
    let (place, slot) = (wire.clone(), Rc::new(Cell::new(None)));
    let opened = slot.clone();
    let mut opening = Task::new(async move {
        let upgrade = receive_request(place, Arc::default()).await.unwrap();
        opened.set(Some(upgrade.accept().await.unwrap()));
    });
    opening.run();
    wire.take();
    slot.take().expect("it is open")
}
