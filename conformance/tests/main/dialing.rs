//! How a client comes to a connection, over real sockets and on both runtimes: names and passwords, refusals, `https://` proxies,
//! addresses that do not answer.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::support::certs::Certs;
use sansws_async::tls::rustls::{ServerConfig, ServerConnection, StreamOwned};
use sansws_core::handshake::accept_key;
use smol::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// A server without a library: what it answers is what the test says.
struct Peer {
    port: u16,
    thread: Option<JoinHandle<()>>,
}

/// The request of a client.
struct RequestKind {
    head: String,
    /// The name that TLS asked for.
    name: Option<String>,
}

trait Duplex: Read + Write {}
impl<S: Read + Write> Duplex for S {}

impl Peer {
    /// Serves one connection in a thread.
    fn serve(
        tls: Option<Arc<ServerConfig>>,
        answer: impl FnOnce(&mut dyn Duplex, &RequestKind) + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let thread = std::thread::spawn(move || {
            let (mut tcp, _) = listener.accept().unwrap();
            tcp.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            match tls {
                None => {
                    let head = head(&mut tcp);
                    answer(&mut tcp, &RequestKind { head, name: None });
                }
                Some(tls) => {
                    let mut tls = StreamOwned::new(ServerConnection::new(tls).unwrap(), tcp);
                    let head = head(&mut tls);
                    let name = tls.conn.server_name().map(Into::into);
                    answer(&mut tls, &RequestKind { head, name });
                }
            }
        });
        Self {
            port,
            thread: Some(thread),
        }
    }

    /// Serves one connection: sends these last bytes, and with them a record that nobody can decrypt.
    fn breaks_off(tls: Arc<ServerConfig>, last: &'static [u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let thread = std::thread::spawn(move || {
            let (tcp, _) = listener.accept().unwrap();
            let stream = StreamOwned::new(ServerConnection::new(tls).unwrap(), tcp);
            let upgrade = sansws_std::accept(stream, Arc::default()).unwrap();
            let mut stream = upgrade.accept().unwrap().into_inner().unwrap().0;
            stream.conn.writer().write_all(last).unwrap();
            let mut records = Vec::new();
            while stream.conn.wants_write() {
                stream.conn.write_tls(&mut records).unwrap();
            }
            records.extend([23, 3, 3, 0, 32]);
            records.extend([0; 32]);
            stream.sock.write_all(&records).unwrap();
            // The client ends TCP.
            let _ = stream.sock.read_to_end(&mut Vec::new());
        });
        Self {
            port,
            thread: Some(thread),
        }
    }

    /// Serves one connection, and says what it was asked for in a message.
    fn tells(tls: Option<Arc<ServerConfig>>) -> Self {
        Self::serve(tls, |stream, asked| {
            let mut lines = asked.head.lines();
            let key = lines.find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
            let accept = accept_key(key.unwrap().as_bytes());
            let name = asked.name.as_deref().unwrap_or("no name");
            let text = format!("{}TLS: {name}\r\n", asked.head);
            let length = u16::try_from(text.len()).unwrap();
            let mut all = format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
            )
            .into_bytes();
            all.extend([0x81, 126]);
            all.extend(length.to_be_bytes());
            all.extend(text.as_bytes());
            stream.write_all(&all).unwrap();
            stream.flush().unwrap();
            until_end(stream);
        })
    }

    /// Answers one request so, and waits for the client to leave.
    fn says(tls: Option<Arc<ServerConfig>>, answer: String) -> Self {
        Self::serve(tls, move |stream, _| {
            stream.write_all(answer.as_bytes()).unwrap();
            stream.flush().unwrap();
            until_end(stream);
        })
    }

    /// Waits until the client has left.
    fn finish(mut self) {
        self.thread.take().unwrap().join().unwrap();
    }
}

fn until_end(stream: &mut dyn Duplex) {
    let mut some = [0; 1_000];
    while let Ok(1..) = stream.read(&mut some) {}
}

fn head(stream: &mut dyn Duplex) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// A proxy that is asked by CONNECT, over TLS or not, and leads one connection to its target.
struct Proxy {
    port: u16,
    /// The request that it received.
    asked: Receiver<String>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    fn start(tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tell, asked) = channel();
        let thread = std::thread::spawn(move || {
            let (tcp, _) = listener.accept().unwrap();
            smol::block_on(async {
                let tcp = smol::Async::new(tcp).unwrap();
                match tls {
                    None => lead(tcp, &tell).await,
                    Some(tls) => {
                        let acceptor = futures_rustls::TlsAcceptor::from(tls);
                        // A client that does not trust us leaves.
                        if let Ok(tls) = acceptor.accept(tcp).await {
                            lead(tls, &tell).await;
                        }
                    }
                }
            });
        });
        Self {
            port,
            asked,
            thread: Some(thread),
        }
    }

    /// Waits until the connection is over; returns what was asked.
    fn finish(mut self) -> Option<String> {
        self.thread.take().unwrap().join().unwrap();
        self.asked.try_recv().ok()
    }
}

async fn lead<S: AsyncRead + AsyncWrite + Unpin>(mut client: S, tell: &Sender<String>) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte).await.unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let target = head.split(' ').nth(1).unwrap();
    let server = smol::net::TcpStream::connect(target).await.unwrap();
    tell.send(head.clone()).unwrap();
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    client.flush().await.unwrap();
    let (read, write) = smol::io::split(client);
    let up = smol::io::copy(read, server.clone());
    let down = smol::io::copy(server.clone(), write);
    // The end of one direction is the end of the connection.
    let _ = smol::future::or(up, down).await;
}

/// An address that does not answer: its backlog is full, so that the kernel drops each further request to connect.
struct BlackHole {
    address: SocketAddr,
    _listener: socket2::Socket,
    _waiting: Vec<TcpStream>,
}

impl BlackHole {
    fn new() -> Self {
        let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let listener = listener.unwrap();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        listener.bind(&any.into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let mut waiting = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
            waiting.push(stream);
        }
        Self {
            address,
            _listener: listener,
            _waiting: waiting,
        }
    }
}

mod on_tokio {
    use super::*;
    use crate::runtimes::on_tokio as runtime;
    use sansws_tokio as ws;

    include!("scenarios/dialing_body.rs");
}

mod on_smol {
    use super::*;
    use crate::runtimes::on_smol as runtime;
    use sansws_smol as ws;

    include!("scenarios/dialing_body.rs");
}
