//! Servers of a test, and what ends them.

use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sansws_std::app::IntoService;
use sansws_std::tls::{self, rustls};
use sansws_std::{
    ConnectOptions, Error, Result, Server, ServerHandle, ServerOptions, Upgrade, WebSocket, accept,
    connect, connect_over,
};

/// A server on a thread, which ends with it.
pub struct Running {
    pub address: SocketAddr,
    pub handle: ServerHandle,
    thread: Option<JoinHandle<Result<(), Error>>>,
}

impl Running {
    /// Serves on a port of the system's choice.
    pub fn new(service: impl IntoService + Send + 'static) -> Self {
        Self::with(service, ServerOptions::default().max_connections(64))
    }

    pub fn with(service: impl IntoService + Send + 'static, options: ServerOptions) -> Self {
        Self::of(
            Server::bind("127.0.0.1:0").unwrap().options(options),
            service,
        )
    }

    pub fn of(mut server: Server, service: impl IntoService + Send + 'static) -> Self {
        let address = server
            .local_addr()
            .unwrap_or_else(|_| "127.0.0.1:0".parse().unwrap());
        let handle = server.handle();
        let thread = Some(thread::spawn(move || server.serve(service)));
        Self {
            address,
            handle,
            thread,
        }
    }

    pub fn url(&self) -> String {
        format!("ws://{}/", self.address)
    }

    /// Closes it, and waits until all its connections have ended.
    pub fn close(mut self) {
        self.handle.close();
        self.join();
    }

    pub fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap().unwrap();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.drop_all();
        if !thread::panicking() {
            self.join();
        }
    }
}

/// Echoes until the end.
pub fn echo(upgrade: Upgrade) -> Result {
    let mut socket = upgrade.accept()?;
    while let Some(message) = socket.receive()? {
        socket.send(message)?;
    }
    Ok(())
}

/// Connects to a path of a server.
pub fn dial(address: SocketAddr, path: &str) -> Result<WebSocket, Error> {
    let url = format!("ws://{address}{path}");
    connect(url, ConnectOptions::default())
}

/// Returns the status of the answer to a request for a WebSocket.
pub fn status<T>(result: Result<T, Error>) -> u16 {
    match result {
        Err(Error::Refused(response)) => response.status,
        Err(error) => panic!("{error}"),
        Ok(_) => 101,
    }
}

/// A raw server's end of a connection: the handshake is done, frames are the test's.
pub fn raw_server(listener: &TcpListener) -> TcpStream {
    let (stream, _) = listener.accept().unwrap();
    let socket = accept(stream, Arc::default()).unwrap().accept().unwrap();
    patient(socket.into_inner().unwrap().0)
}

/// A raw client's end of a connection.
pub fn raw_client(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    let url = format!("ws://{address}/");
    let socket = connect_over(stream, url, ConnectOptions::default()).unwrap();
    patient(socket.into_inner().unwrap().0)
}

/// A test whose peer says nothing fails rather than waits.
fn patient(stream: TcpStream) -> TcpStream {
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    stream
}

/// An unmasked frame with FIN, as a server sends it.
pub fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap();
    let mut frame = vec![0x80 | opcode];
    match u8::try_from(length) {
        Ok(short @ ..126) => frame.push(short),
        _ => {
            frame.push(126);
            frame.extend_from_slice(&length.to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    frame
}

/// Returns a frame masked with zeros, as a client sends it.
pub fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = frame(opcode, payload);
    frame[1] |= 0x80;
    let head = frame.len() - payload.len();
    frame.splice(head..head, [0; 4]);
    frame
}

/// Reads one short frame: its opcode and payload, unmasked.
pub fn read_frame(stream: &mut impl Read) -> (u8, Vec<u8>) {
    let mut head = [0; 2];
    stream.read_exact(&mut head).unwrap();
    let mut key = [0; 4];
    if head[1] & 0x80 != 0 {
        stream.read_exact(&mut key).unwrap();
    }
    let mut payload = vec![0; usize::from(head[1] & 0x7f)];
    stream.read_exact(&mut payload).unwrap();
    for (byte, key) in payload.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
    (head[0] & 0xf, payload)
}

/// Certificates of an authority of its own for `localhost`.
pub struct Certs {
    chain: String,
    key: String,
}

impl Certs {
    pub fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        Self {
            chain: made.cert.pem(),
            key: made.signing_key.serialize_pem(),
        }
    }

    pub fn server(&self) -> Arc<rustls::ServerConfig> {
        let identity = tls::Identity::from_pem(self.chain.as_bytes(), self.key.as_bytes());
        tls::server(identity.unwrap(), None).unwrap()
    }

    pub fn client(&self) -> Arc<rustls::ClientConfig> {
        tls::client(tls::certificates(self.chain.as_bytes()).unwrap(), None).unwrap()
    }
}
