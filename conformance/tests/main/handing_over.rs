//! A stream goes on with another protocol when its WebSocket is taken apart: on all adapters, over TLS and without.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;

use sansws_async::tls;
use sansws_async::tls::rustls::{ClientConfig, ServerConfig, ServerConnection, StreamOwned};

use crate::support::certs::Certs;

/// Length of what each side sends: more than the buffers of the system take.
const MUCH: usize = 16 << 20;

/// The bytes that the server sends behind its last message: the client may read both at once.
const BEHIND: &[u8] = b"behind it";

trait Duplex: Read + Write + Send {}
impl<S: Read + Write + Send> Duplex for S {}

/// Serves one connection: a message, and then bytes without frames.
fn serve(tls: Option<Arc<ServerConfig>>) -> (u16, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let (tcp, _) = listener.accept().unwrap();
        let stream: Box<dyn Duplex> = match tls {
            Some(tls) => Box::new(StreamOwned::new(ServerConnection::new(tls).unwrap(), tcp)),
            None => Box::new(tcp),
        };
        let upgrade = sansws_std::accept(stream, Arc::default()).unwrap();
        let mut socket = upgrade.accept().unwrap();
        assert_eq!(socket.receive_text().unwrap().unwrap(), "bytes, please");
        socket.send_text("as you like").unwrap();
        let Ok((mut stream, mut received)) = socket.into_inner() else {
            panic!("nobody else has it");
        };
        stream.write_all(BEHIND).unwrap();
        stream.flush().unwrap();
        let left = MUCH - received.len();
        { &mut stream }
            .take(left as u64)
            .read_to_end(&mut received)
            .unwrap();
        assert!(received == vec![b'c'; MUCH]);
        stream.write_all(&vec![b's'; MUCH]).unwrap();
        stream.flush().unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "the client ends");
    });
    (port, thread)
}

/// Checks all that a client has received.
fn check(received: &[u8]) {
    assert_eq!(&received[..BEHIND.len()], BEHIND);
    assert!(received[BEHIND.len()..] == vec![b's'; MUCH]);
}

/// Runs a client against a server, without TLS and with it.
fn both(client: impl Fn(String, Option<Arc<ClientConfig>>)) {
    let certs = Certs::new();
    for secure in [false, true] {
        let of_server = secure.then(|| tls::server(certs.identity("server"), None).unwrap());
        let of_client = secure.then(|| tls::client(certs.roots(), None).unwrap());
        let (port, thread) = serve(of_server);
        let scheme = if secure { "wss" } else { "ws" };
        client(format!("{scheme}://localhost:{port}/"), of_client);
        thread.join().unwrap();
    }
}

macro_rules! options {
    ($adapter:ident, $tls:ident) => {
        $tls.into_iter().fold(
            $adapter::ConnectOptions::default(),
            $adapter::ConnectOptions::tls,
        )
    };
}

/// A client of an async adapter: how its runtime runs, and what ends the output of a stream there.
macro_rules! client {
    ($adapter:ident, $block_on:expr, $end:ident) => {
        both(|url, tls| {
            $block_on(async {
                let options = options!($adapter, tls);
                let mut socket = $adapter::connect(&*url, options).await.unwrap();
                socket.send_text("bytes, please").await.unwrap();
                socket.receive_text().await.unwrap().unwrap();
                let (io, unread) = socket.into_inner().unwrap();
                let mut stream = $adapter::Compat(io.into_inner());
                stream.write_all(&vec![b'c'; MUCH]).await.unwrap();
                stream.flush().await.unwrap();
                let mut received = vec![0; BEHIND.len() + MUCH];
                received[..unread.len()].copy_from_slice(&unread);
                let rest = &mut received[unread.len()..];
                stream.read_exact(rest).await.unwrap();
                stream.$end().await.unwrap();
                check(&received);
            });
        });
    };
}

#[test]
fn a_stream_of_tokio_goes_on_without_its_websocket() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    client!(sansws_tokio, |work| runtime.block_on(work), shutdown);
}

#[test]
fn a_stream_of_smol_goes_on_without_its_websocket() {
    use smol::io::{AsyncReadExt as _, AsyncWriteExt as _};
    client!(sansws_smol, smol::block_on, close);
}

#[test]
fn a_blocking_stream_goes_on_without_its_websocket() {
    both(|url, tls| {
        let options = options!(sansws_std, tls);
        let mut socket = sansws_std::connect(&*url, options).unwrap();
        socket.send_text("bytes, please").unwrap();
        socket.receive_text().unwrap().unwrap();
        let (stream, mut received) = socket.into_inner().unwrap();
        let mut stream = stream.into_blocking();
        stream.write_all(&vec![b'c'; MUCH]).unwrap();
        stream.flush().unwrap();
        let left = BEHIND.len() + MUCH - received.len();
        { &mut stream }
            .take(left as u64)
            .read_to_end(&mut received)
            .unwrap();
        stream.shutdown_write().unwrap();
        check(&received);
    });
}
