//! `tungstenite` as an echo endpoint of either role: the independent reference.

use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tungstenite::handshake::MidHandshake;
use tungstenite::handshake::client::ClientHandshake;
use tungstenite::handshake::server::{NoCallback, ServerHandshake};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Error, HandshakeError, Message, WebSocket};

use crate::run::memory::Subject;
use crate::script::Peer;

/// Both directions, shared with the endpoint that reads and writes them.
#[derive(Clone, Debug, Default)]
pub struct Pipe(Arc<Mutex<Bytes>>);

#[derive(Debug, Default)]
struct Bytes {
    input: Vec<u8>,
    taken: usize,
    input_ended: bool,
    output: Vec<u8>,
}

impl Pipe {
    fn with<R>(&self, use_it: impl FnOnce(&mut Bytes) -> R) -> R {
        use_it(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Read for Pipe {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.with(|bytes| {
            let rest = bytes.input.get(bytes.taken..).unwrap_or_default();
            let count = rest.len().min(into.len());
            if count == 0 && !bytes.input_ended {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            for (to, from) in into.iter_mut().zip(rest) {
                *to = *from;
            }
            bytes.taken += count;
            if bytes.taken == bytes.input.len() {
                bytes.input.clear();
                bytes.taken = 0;
            }
            Ok(count)
        })
    }
}

impl Write for Pipe {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.with(|bytes| bytes.output.extend_from_slice(from));
        Ok(from.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

enum State {
    Server(MidHandshake<ServerHandshake<Pipe, NoCallback>>),
    Client(MidHandshake<ClientHandshake<Pipe>>),
    Open(Box<WebSocket<Pipe>>),
    Ended,
}

/// An echo endpoint of tungstenite.
pub struct Tungstenite {
    pipe: Pipe,
    state: State,
}

/// Limits as of the others.
pub fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .max_message_size(Some(64 << 20))
        .max_frame_size(Some(64 << 20))
}

impl Tungstenite {
    /// The peer of that role. A client has sent its request.
    pub fn new(peer: Peer) -> Self {
        let pipe = Pipe::default();
        let state = match peer {
            Peer::Server => server(tungstenite::accept_with_config(
                pipe.clone(),
                Some(config()),
            )),
            Peer::Client => client(tungstenite::client::client_with_config(
                "ws://memory:9001/",
                pipe.clone(),
                Some(config()),
            )),
        };
        Self { pipe, state }
    }

    fn go_on(&mut self) {
        let mut state = std::mem::replace(&mut self.state, State::Ended);
        state = match state {
            State::Server(handshake) => server(handshake.handshake()),
            State::Client(handshake) => client(handshake.handshake()),
            open => open,
        };
        if let State::Open(mut socket) = state {
            state = match echo(&mut socket) {
                true => State::Open(socket),
                false => State::Ended,
            };
        }
        self.state = state;
    }
}

fn server(
    result: Result<WebSocket<Pipe>, HandshakeError<ServerHandshake<Pipe, NoCallback>>>,
) -> State {
    match result {
        Ok(socket) => State::Open(Box::new(socket)),
        Err(HandshakeError::Interrupted(handshake)) => State::Server(handshake),
        Err(HandshakeError::Failure(_)) => State::Ended,
    }
}

fn client<R>(result: Result<(WebSocket<Pipe>, R), HandshakeError<ClientHandshake<Pipe>>>) -> State {
    match result {
        Ok((socket, _)) => State::Open(Box::new(socket)),
        Err(HandshakeError::Interrupted(handshake)) => State::Client(handshake),
        Err(HandshakeError::Failure(_)) => State::Ended,
    }
}

/// Echoes available messages; returns whether the connection goes on.
fn echo(socket: &mut WebSocket<Pipe>) -> bool {
    loop {
        match socket.read() {
            Ok(message @ (Message::Text(_) | Message::Binary(_))) => {
                if socket.send(message).is_err() {
                    return false;
                }
            }
            Ok(_) => {}
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                return socket.flush().is_ok();
            }
            Err(_) => {
                let _ = socket.flush();
                return false;
            }
        }
    }
}

impl Subject for Tungstenite {
    fn receive(&mut self, _: Duration, bytes: &[u8]) {
        self.pipe.with(|pipe| pipe.input.extend_from_slice(bytes));
        self.go_on();
    }

    fn end_of_input(&mut self, _: Duration) {
        self.pipe.with(|pipe| pipe.input_ended = true);
        self.go_on();
    }

    fn output(&mut self, _: Duration) -> Vec<u8> {
        self.pipe.with(|pipe| std::mem::take(&mut pipe.output))
    }

    fn has_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }
}

impl std::fmt::Debug for Tungstenite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tungstenite").finish_non_exhaustive()
    }
}
