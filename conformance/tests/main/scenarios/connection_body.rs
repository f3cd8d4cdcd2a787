// Included for each runtime: `ws` is its adapter, `runtime` what else is asked of it.

use crate::runtimes::Door;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use ws::core::handshake::accept_key;
use ws::tls::rustls::{ServerConfig, ServerConnection, StreamOwned};
use ws::{Client, ConnectOptions, Error, Result, Router, Server, Upgrade, WebSocket};

/// A peer without a library: what it does with its socket is what the test says.
struct Raw {
    address: SocketAddr,
    /// Told when it has done that.
    done: Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

trait Duplex: Read + Write {}
impl<S: Read + Write> Duplex for S {}

impl Raw {
    /// Serves one connection in a thread, the handshake done.
    fn serve(
        tls: Option<Arc<ServerConfig>>,
        work: impl FnOnce(&mut dyn Duplex) + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, done) = channel();
        let thread = std::thread::spawn(move || {
            let (tcp, _) = listener.accept().unwrap();
            tcp.set_nodelay(true).unwrap();
            let mut stream: Box<dyn Duplex> = match tls {
                Some(tls) => Box::new(StreamOwned::new(ServerConnection::new(tls).unwrap(), tcp)),
                None => Box::new(tcp),
            };
            shake(&mut stream);
            work(&mut stream);
            drop(stream);
            let _ = tell.send(());
        });
        Self {
            address,
            done,
            thread: Some(thread),
        }
    }

    /// Waits until it has done its work.
    fn finished(&mut self) {
        self.done.recv_timeout(Duration::from_secs(20)).unwrap();
        self.thread.take().unwrap().join().unwrap();
    }
}

/// The server's end of the opening handshake.
fn shake(stream: &mut dyn Duplex) {
    let head = head(stream);
    let key = head
        .lines()
        .find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
    let accept = accept_key(key.unwrap().trim().as_bytes());
    write!(
        stream,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    )
    .unwrap();
    stream.flush().unwrap();
}

fn head(stream: &mut dyn Duplex) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// A frame of a server, or, masked by zeros, of a client.
fn frame(first: u8, masked: bool, payload: &[u8]) -> Vec<u8> {
    let mask = if masked { 0x80 } else { 0 };
    let mut out = vec![first];
    match payload.len() {
        length @ 0..126 => out.push(mask | u8::try_from(length).unwrap()),
        length => {
            out.push(mask | 126);
            out.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
    }
    if masked {
        out.extend([0; 4]);
    }
    out.extend(payload);
    out
}

fn code(end: &Result<impl Sized, Error>) -> u16 {
    match end {
        Err(Error::Disconnect(closed)) => closed.code(),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it did not end"),
    }
}

/// Says a hundred messages and Close, and is gone. All of it fits what a kernel receives unasked: what still lies in the sender's is
/// destroyed by the reset that answers our write.
fn says_all_and_leaves(close: u16) -> impl FnOnce(&mut dyn Duplex) + Send {
    move |stream| {
        let mut all = frame(0x82, false, &[1; 400]).repeat(100);
        all.extend(frame(0x88, false, &close.to_be_bytes()));
        stream.write_all(&all).unwrap();
        stream.flush().unwrap();
    }
}

#[test]
fn a_client_that_writes_receives_all_that_the_server_sent_before_it_left() {
    runtime::block_on(async {
        for (tls, split) in [(false, false), (false, true), (true, false), (true, true)] {
            let certs = Certs::new();
            let server = tls.then(|| ws::tls::server(certs.identity("server"), None).unwrap());
            let mut raw = Raw::serve(server, says_all_and_leaves(4001));
            let scheme = if tls { "wss" } else { "ws" };
            let url = format!("{scheme}://localhost:{}/", raw.address.port());
            let dial = ConnectOptions::default().tls(ws::tls::client(certs.roots(), None).unwrap());
            let mut socket = ws::connect(&url, dial).await.unwrap();
            raw.finished();
            let mut received = 0;
            if split {
                let (mut read, mut write) = socket.split();
                // The first is answered by a reset; sooner or later that is seen.
                let refused = loop {
                    if let Err(error) = write.send("into the void").await {
                        break error;
                    }
                };
                assert!(refused.is_disconnect(), "{refused:?}");
                while let Ok(Some(_)) = read.receive().await {
                    received += 1;
                }
                assert_eq!(code(&read.receive().await), 4001);
            } else {
                while let Ok(Some(message)) = socket.receive().await {
                    received += 1;
                    socket.send(message).await.unwrap();
                }
                assert_eq!(code(&socket.receive().await), 4001);
                assert_eq!(code(&socket.send("late").await), 4001);
            }
            assert_eq!(received, 100, "TLS: {tls}, halves: {split}");
        }
    });
}

#[test]
fn a_client_that_comes_back_receives_all_that_the_server_sent_before_it_left() {
    runtime::block_on(async {
        let mut raw = Raw::serve(None, |stream| {
            stream.read_exact(&mut [0; 8]).unwrap();
            says_all_and_leaves(1000)(stream);
        });
        let url = format!("ws://{}/", raw.address);
        let mut client = Client::new(&url, ConnectOptions::default()).unwrap();
        client.ready().await.unwrap();
        client.send("go").await.unwrap();
        raw.finished();
        let mut received = 0;
        while client.receive().await.unwrap().is_some() {
            received += 1;
            let _ = client.send("answer").await;
        }
        assert_eq!(received, 100, "{:?}", client.state());
        let stopped = format!("{:?}", client.state());
        assert!(
            stopped.contains("Done") && stopped.contains("1000"),
            "{stopped}"
        );
    });
}

/// Opens a connection to a server, with nothing but a socket.
fn open(address: SocketAddr) -> TcpStream {
    let mut tcp = TcpStream::connect(address).unwrap();
    write!(
        tcp,
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    .unwrap();
    assert!(head(&mut tcp).starts_with("HTTP/1.1 101 "));
    tcp
}

#[test]
fn a_handler_that_answers_receives_all_that_was_sent_before_the_client_left() {
    runtime::block_on(async {
        let (free, gone) = channel::<()>();
        let gone = Arc::new(Mutex::new(gone));
        let (tell, told) = channel();
        let mut server = Server::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap();
        let _door = Door(server.handle());
        let handler = move |upgrade: Upgrade| {
            let (gone, tell) = (Arc::clone(&gone), tell.clone());
            async move {
                let mut socket = upgrade.accept().await?;
                // Until the client is gone nothing is received; what it sent fits the kernel's buffer.
                while gone.lock().unwrap().try_recv().is_err() {
                    ws::sleep(Duration::from_millis(1)).await;
                }
                let mut received = 0;
                let end = loop {
                    match socket.receive().await {
                        Ok(Some(message)) => {
                            received += 1;
                            socket.send(message).await?;
                            socket.send_text("and another").await?;
                        }
                        end => break end.map(|_| ()),
                    }
                };
                tell.send((received, code(&end))).unwrap();
                Ok(end?)
            }
        };
        runtime::spawn(async move {
            server
                .serve(Router::new().route("/", handler))
                .await
                .unwrap()
        });
        for (count, size) in [(40, 1_000), (40, 10)] {
            let client = std::thread::spawn(move || {
                let mut tcp = open(address);
                let mut all = frame(0x82, true, &vec![1; size]).repeat(count);
                all.extend(frame(0x88, true, &4001u16.to_be_bytes()));
                tcp.write_all(&all).unwrap();
            });
            while !client.is_finished() {
                ws::sleep(Duration::from_millis(1)).await;
            }
            free.send(()).unwrap();
            let outcome = loop {
                match told.try_recv() {
                    Ok(outcome) => break outcome,
                    Err(_) => ws::sleep(Duration::from_millis(1)).await,
                }
            };
            assert_eq!(outcome, (count, 4001), "messages of {size}");
        }
    });
}

/// Sends until that fails.
async fn send_on(socket: &mut WebSocket, size: usize) -> Error {
    loop {
        if let Err(error) = socket.send(vec![0; size]).await {
            return error;
        }
        ws::sleep(Duration::from_millis(2)).await;
    }
}

#[test]
fn a_client_that_only_sends_answers_pings_and_notices_a_close() {
    runtime::block_on(async {
        let (tell, ponged) = channel();
        let mut raw = Raw::serve(None, move |stream| {
            stream.write_all(&frame(0x89, false, b"there?")).unwrap();
            stream.write_all(&frame(0x81, false, b"a text")).unwrap();
            // It closes once it has the pong.
            let mut bytes = Vec::new();
            while !bytes.windows(2).any(|pair| pair == [0x8a, 0x86]) {
                let mut some = [0; 1_000];
                let count = stream.read(&mut some).unwrap();
                bytes.extend_from_slice(&some[..count]);
            }
            tell.send(()).unwrap();
            stream
                .write_all(&frame(0x88, false, b"\x03\xf0enough"))
                .unwrap();
            // The client answers the Close, and then waits for us to end TCP.
            let mut some = [0; 1_000];
            while !some.windows(2).any(|pair| pair == [0x88, 0x82]) {
                if stream.read(&mut some).unwrap() == 0 {
                    break;
                }
            }
        });
        let url = format!("ws://{}/", raw.address);
        let mut socket = ws::connect(&url, ConnectOptions::default()).await.unwrap();
        let refused = send_on(&mut socket, 1).await;
        ponged.try_recv().unwrap();
        let Error::Disconnect(closed) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!((closed.code(), closed.reason.as_str()), (1008, "enough"));
        assert_eq!(socket.receive_text().await.unwrap().unwrap(), "a text");
        assert_eq!(code(&socket.receive().await), 1008);
        raw.finished();
    });
}

#[test]
fn a_send_that_is_blocked_notices_a_close() {
    runtime::block_on(async {
        for split in [false, true] {
            let (end, ended) = channel::<()>();
            let mut raw = Raw::serve(None, move |stream| {
                // It reads nothing, and says why once the client must be stuck.
                std::thread::sleep(Duration::from_millis(300));
                stream.write_all(&frame(0x81, false, b"a text")).unwrap();
                stream
                    .write_all(&frame(0x88, false, b"\x03\xf0enough"))
                    .unwrap();
                let _ = ended.recv_timeout(Duration::from_secs(20));
            });
            let url = format!("ws://{}/", raw.address);
            let mut socket = ws::connect(&url, ConnectOptions::default()).await.unwrap();
            if split {
                let (read, mut write) = socket.split();
                let refused = loop {
                    if let Err(error) = write.send(vec![0; 1 << 20]).await {
                        break Err::<(), _>(error);
                    }
                };
                assert_eq!(code(&refused), 1008);
                socket = read.reunite(write).unwrap();
            } else {
                let refused = loop {
                    if let Err(error) = socket.send(vec![0; 1 << 20]).await {
                        break Err::<(), _>(error);
                    }
                };
                assert_eq!(code(&refused), 1008);
            }
            end.send(()).unwrap();
            assert_eq!(socket.receive_text().await.unwrap().unwrap(), "a text");
            assert_eq!(code(&socket.receive().await), 1008);
            raw.finished();
        }
    });
}

/// Answers "go" with so many octets in one message, and then answers what it receives.
async fn owes(upgrade: Upgrade, bytes: usize) -> Result {
    let mut socket = upgrade.accept().await?;
    socket.receive().await?;
    socket.send_bytes(vec![7; bytes]).await?;
    while let Some(message) = socket.receive().await? {
        socket.send(message).await?;
    }
    Ok(())
}

#[test]
fn a_slow_reader_lives_and_one_that_reads_nothing_is_dropped() {
    const OWED: usize = 6 << 20;
    runtime::block_on(async {
        let config = ws::Config {
            timeouts: ws::Timeouts {
                ping: Some(Duration::from_millis(500)),
                pong: Some(Duration::from_secs(1)),
                ..ws::Timeouts::default()
            },
            ..ws::Config::default()
        };
        let server = Server::bind("127.0.0.1:0").await.unwrap();
        let mut server = server.options(ws::ServerOptions::default().config(config));
        let address = server.local_addr().unwrap();
        let handle = server.handle();
        let _door = Door(handle.clone());
        let handler = |upgrade: Upgrade| owes(upgrade, OWED);
        runtime::spawn(async move {
            server
                .serve(Router::new().route("/", handler))
                .await
                .unwrap()
        });

        // It takes all the time that a ping and its pong have, several times over, and is silent.
        let slow = std::thread::spawn(move || {
            let mut tcp = open(address);
            tcp.write_all(&frame(0x81, true, b"go")).unwrap();
            let mut left = 10 + OWED;
            let mut some = vec![0; 64 << 10];
            while left > 0 {
                let most = some.len().min(left);
                let count = tcp.read(&mut some[..most]).unwrap();
                assert!(count > 0, "dropped with {left} octets left");
                left -= count;
                if count == 64 << 10 || left < 64 << 10 {
                    std::thread::sleep(Duration::from_millis(40));
                }
            }
            tcp.write_all(&frame(0x81, true, b"still here")).unwrap();
            let mut bytes = [0; 2];
            loop {
                tcp.read_exact(&mut bytes).unwrap();
                match bytes {
                    [0x89, 0] => tcp.write_all(&frame(0x8a, true, b"")).unwrap(),
                    [0x81, 10] => break,
                    other => panic!("{other:?}"),
                }
            }
        });
        while !slow.is_finished() {
            ws::sleep(Duration::from_millis(10)).await;
        }
        slow.join().unwrap();

        let opening = std::thread::spawn(move || {
            let mut tcp = open(address);
            tcp.write_all(&frame(0x81, true, b"go")).unwrap();
            tcp
        });
        while !opening.is_finished() {
            ws::sleep(Duration::from_millis(10)).await;
        }
        let stuck = opening.join().unwrap();
        // The test as a whole is bounded by its runner; a server that waits for ever would not get on from here.
        while handle.open() > 0 {
            ws::sleep(Duration::from_millis(10)).await;
        }
        drop(stuck);
    });
}

/// Answers pings itself, and says which pongs it was sent.
async fn attentive(upgrade: Upgrade) -> Result {
    let mut socket = upgrade.accept().await?;
    while let Some(event) = socket.receive_event().await? {
        match event {
            ws::SocketEvent::Ping(bytes) => socket.pong(bytes).await?,
            ws::SocketEvent::Pong(bytes) => socket.send_bytes(bytes).await?,
            ws::SocketEvent::Message(message) => socket.send(message).await?,
        }
    }
    Ok(())
}

#[test]
fn control_frames_are_shown_on_request_and_the_round_trip_is_known() {
    use ws::SocketEvent::{Message, Pong};
    runtime::block_on(async {
        let off = ws::Config {
            auto_pong: false,
            ..ws::Config::default()
        };
        let server = Server::bind("127.0.0.1:0").await.unwrap();
        let mut server = server.options(ws::ServerOptions::default().config(off.clone()));
        let url = format!("ws://{}/", server.local_addr().unwrap());
        let _door = Door(server.handle());
        runtime::spawn(async move {
            server
                .serve(Router::new().route("/", attentive))
                .await
                .unwrap()
        });

        let mut config = ws::Config {
            control_frames: true,
            ..ws::Config::default()
        };
        config.timeouts.ping = Some(Duration::from_millis(50));
        let socket = ws::connect(&url, ConnectOptions::default().config(config))
            .await
            .unwrap();
        assert_eq!(socket.round_trip(), None);
        let (mut read, mut write) = socket.split();
        write.send_text("one").await.unwrap();
        write.ping("mine").await.unwrap();
        write.pong("unasked").await.unwrap();
        let wants = [
            Message("one".into()),
            Pong(b"mine".into()),
            Message(b"unasked".as_slice().into()),
        ];
        for want in wants {
            // The pongs of keepalive come when they come.
            let event = loop {
                match read.receive_event().await.unwrap() {
                    Some(Pong(bytes)) if bytes.is_empty() => {}
                    event => break event,
                }
            };
            assert_eq!(event, Some(want));
        }
        while read.round_trip().is_none() {
            let event = read.receive_event().await.unwrap();
            assert_eq!(event, Some(Pong(Vec::new())));
        }
        write.close(1000, "").await.unwrap();

        // A client that comes back by itself has nobody else to answer for it.
        let mut raw = Raw::serve(None, |stream| {
            stream.write_all(&frame(0x89, false, b"there?")).unwrap();
            let (mut bytes, mut some) = (Vec::new(), [0; 100]);
            while !bytes.windows(2).any(|pair| pair == [0x8a, 0x86]) {
                let count = stream.read(&mut some).unwrap();
                assert!(count > 0);
                bytes.extend_from_slice(&some[..count]);
            }
            stream.write_all(&frame(0x81, false, b"thanks")).unwrap();
        });
        let url = format!("ws://{}/", raw.address);
        let mut client = Client::new(&url, ConnectOptions::default().config(off)).unwrap();
        assert_eq!(
            client.receive_text().await.unwrap().as_deref(),
            Some("thanks")
        );
        raw.finished();
    });
}
