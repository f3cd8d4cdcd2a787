//! Pings and pongs that an application sees: which, in what order among the messages, and behind the pong that answers a ping.
//! RFC 6455 sections 5.4, 5.5.2 and 5.5.3.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use sansws_async::{ConnectOptions, ServerHandle, SocketEvent};
use sansws_core::config::Config;
use sansws_core::handshake::accept_key;

use super::scripts::{frame, upgrade};
use super::servers::PATIENCE;
use super::{Adapter, on_each};

/// The settings of a side.
#[derive(Clone, Copy, Debug)]
struct Mode {
    auto_pong: bool,
    control_frames: bool,
}

impl Mode {
    fn config(self) -> Config {
        Config {
            auto_pong: self.auto_pong,
            control_frames: self.control_frames,
            ..Config::default()
        }
    }

    fn is_shown(self) -> bool {
        self.control_frames || !self.auto_pong
    }
}

/// What the application says of an event.
fn words(event: &SocketEvent) -> String {
    match event {
        SocketEvent::Ping(bytes) => format!("ping {}", bytes.escape_ascii()),
        SocketEvent::Pong(bytes) => format!("pong {}", bytes.escape_ascii()),
        SocketEvent::Message(message) => format!("message {}", message.as_text().unwrap()),
    }
}

/// Reports its events, behind the pongs that it sends itself.
macro_rules! mirror {
    ($socket:expr, $mode:expr) => {{
        let mut socket = $socket;
        while let Some(event) = socket.receive_event().await? {
            if let SocketEvent::Ping(bytes) = &event
                && !$mode.auto_pong
            {
                socket.pong(bytes).await?;
            }
            socket.send_text(words(&event)).await?;
        }
        Ok::<(), sansws_async::Error>(())
    }};
}

fn mirror_on_std(mut socket: sansws_std::WebSocket, mode: Mode) -> sansws_std::Result {
    while let Some(event) = socket.receive_event()? {
        if let SocketEvent::Ping(bytes) = &event
            && !mode.auto_pong
        {
            socket.pong(bytes)?;
        }
        socket.send_text(words(&event))?;
    }
    Ok(())
}

struct Mirror(Mode);

type Socket<'s> = sansws_mio::Socket<'s, ()>;

impl Mirror {
    fn say(&self, socket: &mut Socket<'_>, event: &SocketEvent) -> sansws_mio::Result {
        if let SocketEvent::Ping(bytes) = event
            && !self.0.auto_pong
        {
            socket.pong(bytes)?;
        }
        assert!(socket.send(words(event)).is_accepted());
        Ok(())
    }
}

impl sansws_mio::Endpoint for Mirror {
    type Data = ();

    fn upgrade(
        &mut self,
        _: &mut sansws_mio::Scope,
        _: &mut sansws_mio::AcceptOptions,
    ) -> sansws_mio::Result {
        Ok(())
    }

    fn message(
        &mut self,
        socket: &mut Socket<'_>,
        message: sansws_mio::Incoming<'_>,
    ) -> sansws_mio::Result {
        self.say(socket, &message.into_message().into())
    }

    fn ping(&mut self, socket: &mut Socket<'_>, payload: &[u8]) -> sansws_mio::Result {
        self.say(socket, &SocketEvent::Ping(payload.into()))
    }

    fn pong(&mut self, socket: &mut Socket<'_>, payload: &[u8]) -> sansws_mio::Result {
        self.say(socket, &SocketEvent::Pong(payload.into()))
    }
}

/// Serves until the handle closes the server.
fn serve(adapter: Adapter, mode: Mode, tell: Sender<(SocketAddr, ServerHandle)>) {
    macro_rules! on_runtime {
        ($ws:ident) => {
            async {
                let options = $ws::ServerOptions::default().config(mode.config());
                let server = $ws::Server::bind("127.0.0.1:0").await.unwrap();
                let mut server = server.options(options);
                tell.send((server.local_addr().unwrap(), server.handle()))
                    .unwrap();
                let handler = move |upgrade: $ws::Upgrade| async move {
                    Ok(mirror!(upgrade.accept().await?, mode)?)
                };
                server.serve(handler).await.unwrap();
            }
        };
    }
    match adapter {
        Adapter::Tokio => crate::runtimes::on_tokio::block_on(on_runtime!(sansws_tokio)),
        Adapter::Smol => smol::block_on(on_runtime!(sansws_smol)),
        Adapter::Std => {
            let options = sansws_std::ServerOptions::default().config(mode.config());
            let server = sansws_std::Server::bind("127.0.0.1:0").unwrap();
            let mut server = server.options(options);
            tell.send((server.local_addr().unwrap(), server.handle()))
                .unwrap();
            let handler =
                move |upgrade: sansws_std::Upgrade| mirror_on_std(upgrade.accept()?, mode);
            server.serve(handler).unwrap();
        }
        Adapter::Mio => {
            let options = sansws_mio::ServerOptions::default().config(mode.config());
            let server = sansws_mio::Server::bind("127.0.0.1:0").unwrap();
            let mut server = server.options(options);
            tell.send((server.local_addr().unwrap(), server.handle()))
                .unwrap();
            let router = sansws_mio::Router::new().route("/", Mirror(mode));
            server.serve(router).unwrap();
        }
    }
}

fn dial(adapter: Adapter, mode: Mode, url: &str) {
    let options = ConnectOptions::default().config(mode.config());
    macro_rules! on_runtime {
        ($ws:ident) => {
            async { mirror!($ws::connect(url, options).await?, mode) }
        };
    }
    match adapter {
        Adapter::Tokio => crate::runtimes::on_tokio::block_on(on_runtime!(sansws_tokio)).unwrap(),
        Adapter::Smol => smol::block_on(on_runtime!(sansws_smol)).unwrap(),
        Adapter::Std => {
            mirror_on_std(sansws_std::connect(url, options).unwrap(), mode).unwrap();
        }
        Adapter::Mio => {
            let dialer = sansws_mio::Dialer::new(Mirror(mode));
            let mut event_loop = sansws_mio::EventLoop::new().unwrap();
            dialer
                .connect(event_loop.context(), url, options, ())
                .unwrap();
            while event_loop.context().connections() > 0 {
                event_loop.turn(Some(PATIENCE)).unwrap();
            }
        }
    }
}

/// What a peer says: messages, one of which has a ping in its middle, control frames, and a Close.
fn says(masked: bool) -> Vec<u8> {
    let frames: [(u8, &[u8]); 9] = [
        (0x89, b"0"),
        (0x81, b"one"),
        (0x8a, b"unasked"),
        (0x01, b"tw"),
        (0x89, b"1"),
        (0x80, b"o"),
        (0x89, b""),
        (0x89, b"2"),
        (0x88, &[3, 0xe8]),
    ];
    let mut bytes = Vec::new();
    for (first, payload) in frames {
        let mut frame = frame(first, payload);
        if !masked {
            frame[1] &= 0x7f;
            frame.drain(2..6);
        }
        bytes.extend(frame);
    }
    bytes
}

/// Returns the frames that the peer of a side gets in a mode.
fn heard(mode: Mode) -> Vec<(u8, String)> {
    let all = [
        (10, "0"),
        (1, "ping 0"),
        (1, "message one"),
        (1, "pong unasked"),
        (10, "1"),
        (1, "ping 1"),
        (1, "message two"),
        (10, ""),
        (1, "ping "),
        (10, "2"),
        (1, "ping 2"),
        (8, "\\x03\\xe8"),
    ];
    let is_heard = |(opcode, text): &(u8, &str)| {
        *opcode != 1 || mode.is_shown() || text.starts_with("message")
    };
    let all = all.into_iter().filter(is_heard);
    all.map(|(opcode, text)| (opcode, text.to_owned()))
        .collect()
}

/// Reads a head, up to the empty line.
fn read_head(stream: &mut TcpStream) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    String::from_utf8(head).unwrap()
}

/// Reads frames up to a Close.
fn read_frames(stream: &mut TcpStream) -> Vec<(u8, String)> {
    let mut frames = Vec::new();
    while frames.last().is_none_or(|(opcode, _)| *opcode != 8) {
        let (mut head, mut key) = ([0; 2], [0; 4]);
        stream.read_exact(&mut head).unwrap();
        if head[1] & 0x80 != 0 {
            stream.read_exact(&mut key).unwrap();
        }
        let mut payload = vec![0; usize::from(head[1] & 0x7f)];
        stream.read_exact(&mut payload).unwrap();
        for (byte, key) in payload.iter_mut().zip(key.iter().cycle()) {
            *byte ^= key;
        }
        frames.push((head[0] & 0xf, payload.escape_ascii().to_string()));
    }
    frames
}

/// At once, or byte by byte.
fn say(stream: &mut TcpStream, bytes: &[u8], at_once: bool) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    for part in bytes.chunks(if at_once { bytes.len() } else { 1 }) {
        stream.write_all(part).unwrap();
    }
}

const MODES: [Mode; 4] = [
    Mode {
        auto_pong: true,
        control_frames: true,
    },
    Mode {
        auto_pong: false,
        control_frames: true,
    },
    Mode {
        auto_pong: false,
        control_frames: false,
    },
    Mode {
        auto_pong: true,
        control_frames: false,
    },
];

#[test]
fn servers_show_pings_and_pongs_in_their_place_between_the_messages() {
    for mode in MODES {
        on_each(|adapter| {
            let (tell, told) = channel();
            let thread = thread::spawn(move || serve(adapter, mode, tell));
            let (address, handle) = told.recv_timeout(PATIENCE).unwrap();
            for at_once in [true, false] {
                let mut stream = TcpStream::connect(address).unwrap();
                let mut bytes = upgrade("/").into_bytes();
                bytes.extend(says(true));
                say(&mut stream, &bytes, at_once);
                let head = read_head(&mut stream);
                assert!(head.starts_with("HTTP/1.1 101 "), "{adapter:?}: {head}");
                assert_eq!(
                    read_frames(&mut stream),
                    heard(mode),
                    "{adapter:?} {mode:?}"
                );
            }
            handle.close();
            thread.join().unwrap();
            assert_eq!(handle.metrics().handlers_failed, 0, "{adapter:?} {mode:?}");
        });
    }
}

#[test]
fn clients_show_pings_and_pongs_in_their_place_between_the_messages() {
    for mode in MODES {
        for at_once in [true, false] {
            on_each(|adapter| {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let url = format!("ws://{}/", listener.local_addr().unwrap());
                let thread = thread::spawn(move || dial(adapter, mode, &url));
                let (mut stream, _) = listener.accept().unwrap();
                let head = read_head(&mut stream);
                let key = head
                    .lines()
                    .find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))
                    .unwrap();
                let accept = accept_key(key.as_bytes());
                let mut bytes = format!(
                    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                     Sec-WebSocket-Accept: {accept}\r\n\r\n"
                )
                .into_bytes();
                bytes.extend(says(false));
                say(&mut stream, &bytes, at_once);
                assert_eq!(
                    read_frames(&mut stream),
                    heard(mode),
                    "{adapter:?} {mode:?}"
                );
                drop(stream);
                thread.join().unwrap();
            });
        }
    }
}
