//! A client of each adapter, and what it tells of a connection; a server or a proxy that says what it likes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};

use sansws_async::ConnectOptions;
use sansws_async::tls::rustls::{ServerConfig, ServerConnection, StreamOwned};
use sansws_core::handshake::accept_key;
use sansws_core::message::Message;

use super::Adapter;
use super::servers::PATIENCE;

/// A client's report of a connection.
#[derive(Debug, PartialEq)]
pub enum Told {
    /// It was not opened, by this error.
    Failed(String),
    /// Its messages, and the code that it ended with.
    Ended(Vec<Message>, u16),
}

/// Connects, and receives to the end.
pub fn dial(adapter: Adapter, url: &str, options: ConnectOptions) -> Told {
    macro_rules! on_runtime {
        ($ws:ident) => {
            async {
                let mut socket = match $ws::connect(url, options).await {
                    Ok(socket) => socket,
                    Err(error) => return Told::Failed(format!("{error:?}")),
                };
                let mut messages = Vec::new();
                while let Ok(Some(message)) = socket.receive().await {
                    messages.push(message);
                }
                Told::Ended(messages, socket.closed().unwrap().code())
            }
        };
    }
    match adapter {
        Adapter::Tokio => crate::runtimes::on_tokio::block_on(on_runtime!(sansws_tokio)),
        Adapter::Smol => smol::block_on(on_runtime!(sansws_smol)),
        Adapter::Std => {
            let mut socket = match sansws_std::connect(url, options) {
                Ok(socket) => socket,
                Err(error) => return Told::Failed(format!("{error:?}")),
            };
            let mut messages = Vec::new();
            while let Ok(Some(message)) = socket.receive() {
                messages.push(message);
            }
            Told::Ended(messages, socket.closed().unwrap().code())
        }
        Adapter::Mio => on_mio(url, options),
    }
}

fn on_mio(url: &str, options: ConnectOptions) -> Told {
    use sansws_mio::{Closed, Dialer, Endpoint, Error, EventLoop, Incoming, Loop, Result, Socket};
    use std::sync::mpsc::Sender;

    struct Tell(Sender<Told>);
    impl Endpoint for Tell {
        type Data = Vec<Message>;
        fn message(
            &mut self,
            socket: &mut Socket<'_, Vec<Message>>,
            message: Incoming<'_>,
        ) -> Result {
            socket.data().push(message.into_message());
            Ok(())
        }
        fn close(&mut self, socket: &mut Socket<'_, Vec<Message>>, closed: &Closed) {
            let messages = std::mem::take(socket.data());
            self.0.send(Told::Ended(messages, closed.code())).unwrap();
        }
        fn failed(&mut self, _: &mut Loop, _: Vec<Message>, error: Error) {
            self.0.send(Told::Failed(format!("{error:?}"))).unwrap();
        }
    }
    let (tell, told) = channel();
    let dialer = Dialer::new(Tell(tell));
    let mut event_loop = EventLoop::new().unwrap();
    if let Err(error) = dialer.connect(event_loop.context(), url, options, Vec::new()) {
        return Told::Failed(format!("{error:?}"));
    }
    while event_loop.context().connections() > 0 {
        event_loop.turn(Some(PATIENCE)).unwrap();
    }
    told.try_recv().unwrap()
}

/// The other end of a client: it says what a test likes.
pub struct Host {
    tls: Arc<ServerConfig>,
    tcp: TcpStream,
    secure: Option<ServerConnection>,
    key: String,
    /// All that it received.
    heard: Vec<u8>,
}

impl Host {
    /// Serves clients one after the other in a thread, each so; the thread ends with the listener.
    pub fn start(
        tls: Arc<ServerConfig>,
        clients: usize,
        play: impl Fn(&mut Self) + Send + 'static,
    ) -> (SocketAddr, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let thread = thread::spawn(move || {
            for _ in 0..clients {
                let (tcp, _) = listener.accept().unwrap();
                tcp.set_read_timeout(Some(PATIENCE)).unwrap();
                tcp.set_nodelay(true).unwrap();
                let tls = Arc::clone(&tls);
                let mut host = Self {
                    tls,
                    tcp,
                    secure: None,
                    key: String::new(),
                    heard: Vec::new(),
                };
                play(&mut host);
            }
        });
        (address, thread)
    }

    /// Starts TLS.
    pub fn secure(&mut self) {
        self.secure = Some(ServerConnection::new(Arc::clone(&self.tls)).unwrap());
    }

    fn with<R>(&mut self, work: impl FnOnce(&mut dyn Duplex) -> R) -> R {
        match self.secure.take() {
            None => work(&mut self.tcp),
            Some(secure) => {
                let mut stream = StreamOwned::new(secure, self.tcp.try_clone().unwrap());
                let result = work(&mut stream);
                self.secure = Some(stream.conn);
                result
            }
        }
    }

    /// Reads a head; what is said afterwards may contain its key.
    pub fn head(&mut self) -> String {
        let head = self.with(|stream| {
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
                head.push(byte[0]);
            }
            String::from_utf8_lossy(&head).into_owned()
        });
        let mut lines = head.lines();
        if let Some(key) = lines.find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")) {
            self.key = accept_key(key.as_bytes()).to_string();
        }
        head
    }

    /// Reads so many bytes, or to the end.
    pub fn take(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        let taken = self.with(|stream| stream.read_exact(&mut bytes));
        if taken.is_err() {
            bytes.clear();
        }
        bytes
    }

    /// Reads a short message of the client.
    pub fn text(&mut self) -> Option<String> {
        let [_, length] = *self.take(2) else {
            return None;
        };
        let masked = self.take(4 + usize::from(length & 0x7f));
        let (mask, payload) = masked.split_at_checked(4)?;
        let text = payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, key)| byte ^ key);
        String::from_utf8(text.collect()).ok()
    }

    pub fn say(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.with(|stream| {
            stream.write_all(bytes.as_ref())?;
            stream.flush()
        });
    }

    /// Says it in single bytes.
    pub fn drip(&mut self, bytes: impl AsRef<[u8]>) {
        for byte in bytes.as_ref() {
            self.say([*byte]);
        }
    }

    /// The answer that opens a connection, with more fields.
    pub fn yes(&self, fields: &str) -> String {
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n{fields}\r\n",
            self.key
        )
    }

    /// Waits for the client to leave.
    pub fn until_end(&mut self) {
        let heard = self.with(|stream| {
            let (mut heard, mut some) = (Vec::new(), [0; 1_000]);
            while let Ok(count @ 1..) = stream.read(&mut some) {
                heard.extend_from_slice(&some[..count]);
            }
            heard
        });
        self.heard.extend(heard);
    }

    /// Returns the frames that the client sent before it left, without their masks.
    pub fn frames(&self) -> Vec<Vec<u8>> {
        let (mut frames, mut rest) = (Vec::new(), self.heard.as_slice());
        while let [first, length, a, b, c, d, after @ ..] = rest {
            let Some((payload, after)) = after.split_at_checked(usize::from(length & 0x7f)) else {
                break;
            };
            let mask = [a, b, c, d].into_iter().cycle();
            let mut frame = vec![*first];
            frame.extend(payload.iter().zip(mask).map(|(byte, key)| byte ^ key));
            frames.push(frame);
            rest = after;
        }
        frames
    }

    /// Ends its side.
    pub fn shut(&mut self) {
        if let Some(secure) = &mut self.secure {
            secure.send_close_notify();
            let _ = secure.write_tls(&mut self.tcp);
        }
        let _ = self.tcp.shutdown(std::net::Shutdown::Write);
    }

    /// Ends its side without the end of TLS.
    pub fn raw_shut(&self) -> std::io::Result<()> {
        self.tcp.shutdown(std::net::Shutdown::Write)
    }

    /// Resets the connection when it is dropped.
    pub fn reset(&self) {
        let socket = socket2::SockRef::from(&self.tcp);
        socket.set_linger(Some(std::time::Duration::ZERO)).unwrap();
    }
}

trait Duplex: Read + Write {}
impl<S: Read + Write> Duplex for S {}
