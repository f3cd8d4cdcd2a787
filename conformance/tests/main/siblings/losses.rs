//! Peers that end a connection badly, to servers and clients of each adapter: all tell one cause, in equal words.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use sansws_async::{ConnectOptions, ServerHandle};
use sansws_core::close::{Closed, LossCause};
use sansws_core::config::Config;
use sansws_core::error::Violation;
use sansws_core::handshake::accept_key;

use super::scripts::{frame, upgrade};
use super::servers::PATIENCE;
use super::{Adapter, on_each};

/// The behaviour of the peer after our first message.
#[derive(Clone, Copy, Debug)]
enum Play {
    /// It ends TCP.
    Ends,
    /// It resets TCP.
    Resets,
    /// It resets TCP while we send.
    ResetsAmidOutput,
    /// It answers no ping.
    IsSilent,
    /// It has us close, and does not answer.
    IgnoresClose,
    /// It sends half a message.
    Dawdles,
    /// It sends what is no frame.
    Errs,
    /// Its server drops all connections.
    IsDropped,
}

const PLAYS: [(Play, LossCause, &str); 7] = [
    (
        Play::Ends,
        LossCause::EndOfStream,
        "the peer ended the stream without a Close frame",
    ),
    (Play::Resets, LossCause::Reset, "TCP was reset"),
    (Play::ResetsAmidOutput, LossCause::Reset, "TCP was reset"),
    (
        Play::IsSilent,
        LossCause::Unresponsive,
        "the peer answered no ping, or took no data, in time",
    ),
    (
        Play::IgnoresClose,
        LossCause::CloseTimeout,
        "the peer did not answer our Close frame in time",
    ),
    (
        Play::Dawdles,
        LossCause::MessageTimeout,
        "a message took too long to arrive",
    ),
    (
        Play::Errs,
        LossCause::Violation(Violation::ReservedOpcode),
        "the peer broke the protocol: the opcode is reserved",
    ),
];

impl Play {
    /// Only the wait that matters is short.
    fn config(self) -> Config {
        let mut config = Config::default();
        let (soon, never) = (Duration::from_millis(30), Duration::from_secs(3_600));
        let timeouts = &mut config.timeouts;
        (timeouts.ping, timeouts.idle, timeouts.message) = (None, None, None);
        timeouts.close = never;
        match self {
            Self::IsSilent => (timeouts.ping, timeouts.pong) = (Some(soon), Some(soon)),
            Self::IgnoresClose => timeouts.close = soon,
            Self::Dawdles => timeouts.message = Some(soon),
            _ => {}
        }
        config
    }

    /// Plays the peer, after the handshake.
    fn act(self, mut tcp: TcpStream, masks: bool) {
        let said = |first: u8, text: &[u8]| {
            if masks {
                return frame(first, text);
            }
            [&[first, text.len() as u8], text].concat()
        };
        read_hello(&mut tcp, masks);
        let says = match self {
            Self::IgnoresClose => said(0x81, b"leave"),
            Self::ResetsAmidOutput => said(0x81, b"pour"),
            Self::Dawdles => said(0x81, b"half a message")[..9].to_vec(),
            Self::Errs => said(0x83, b""),
            _ => Vec::new(),
        };
        tcp.write_all(&says).unwrap();
        match self {
            Self::Ends => tcp.shutdown(Shutdown::Write).unwrap(),
            Self::Resets | Self::ResetsAmidOutput => {
                if matches!(self, Self::ResetsAmidOutput) {
                    tcp.read_exact(&mut [0; 1_000]).unwrap();
                }
                let socket = socket2::SockRef::from(&tcp);
                socket.set_linger(Some(Duration::ZERO)).unwrap();
                return;
            }
            _ => {}
        }
        let _ = tcp.read_to_end(&mut Vec::new());
    }
}

/// Our side's report: the error that receiving or sending met, if it has such calls, and how the connection ended.
type Told = (Option<String>, Option<Closed>);

/// Says hello, and obeys the peer until the end.
macro_rules! obey {
    ($socket:expr, $tell:expr, $($wait:tt)*) => {{
        let mut socket = $socket;
        socket.send_text("hello")$($wait)*.unwrap();
        let mut met = None;
        while met.is_none() {
            let text = match socket.receive_text()$($wait)* {
                Ok(text) => text,
                Err(error) => {
                    met = Some(error.to_string());
                    break;
                }
            };
            match text.as_deref() {
                Some("leave") => {
                    socket.close(1000, "")$($wait)*.unwrap();
                    break;
                }
                Some(_) => while met.is_none() {
                    let sent = socket.send_bytes(vec![0; 10_000])$($wait)*;
                    met = sent.err().map(|error| error.to_string());
                },
                None => break,
            }
        }
        $tell.send((met, socket.closed())).unwrap();
    }};
}

mod on_loop {
    use sansws_mio::{AcceptOptions, CloseCode, Closed, Endpoint, Incoming, Result, Scope, Socket};

    use super::{Sender, Told};

    /// Its data: whether it pours.
    pub struct Obeys(pub Sender<Told>);

    impl Endpoint for Obeys {
        type Data = bool;
        fn upgrade(&mut self, _: &mut Scope, _: &mut AcceptOptions) -> Result<bool> {
            Ok(false)
        }
        fn open(&mut self, socket: &mut Socket<'_, bool>) -> Result {
            assert!(socket.send("hello").is_accepted());
            Ok(())
        }
        fn message(&mut self, socket: &mut Socket<'_, bool>, message: Incoming<'_>) -> Result {
            if message.text()? == "leave" {
                socket.close(CloseCode::NORMAL, "");
                return Ok(());
            }
            *socket.data() = true;
            self.drained(socket)
        }
        fn drained(&mut self, socket: &mut Socket<'_, bool>) -> Result {
            for _ in 0..20_000 {
                if !*socket.data() || !socket.send(vec![0; 10_000]).is_accepted() {
                    return Ok(());
                }
            }
            self.0.send((Some("it accepts all".into()), None)).unwrap();
            Ok(())
        }
        fn close(&mut self, _: &mut Socket<'_, bool>, closed: &Closed) {
            self.0.send((None, Some(closed.clone()))).unwrap();
        }
    }
}

/// Serves in a thread of its own, until all connections are dropped.
fn serve(
    adapter: Adapter,
    config: Config,
) -> (
    SocketAddr,
    ServerHandle,
    Receiver<Told>,
    thread::JoinHandle<()>,
) {
    let (tell, told) = channel();
    let (ready, is_ready) = channel();
    macro_rules! on_runtime {
        ($ws:ident) => {
            async move {
                let mut server = $ws::Server::bind("127.0.0.1:0").await.unwrap();
                server = server.options($ws::ServerOptions::default().config(config));
                let about = (server.local_addr().unwrap(), server.handle());
                ready.send(about).unwrap();
                let handler = move |upgrade: $ws::Upgrade| {
                    let tell: Sender<Told> = tell.clone();
                    async move {
                        let socket = upgrade.accept().await?;
                        obey!(socket, tell, .await);
                        Ok(())
                    }
                };
                server.serve(handler).await.unwrap();
            }
        };
    }
    let thread = thread::spawn(move || match adapter {
        Adapter::Tokio => crate::runtimes::on_tokio::block_on(on_runtime!(sansws_tokio)),
        Adapter::Smol => smol::block_on(on_runtime!(sansws_smol)),
        Adapter::Std => {
            let options = sansws_std::ServerOptions::default().config(config);
            let server = sansws_std::Server::bind("127.0.0.1:0").unwrap();
            let mut server = server.options(options);
            let about = (server.local_addr().unwrap(), server.handle());
            ready.send(about).unwrap();
            let handler = move |upgrade: sansws_std::Upgrade| {
                obey!(upgrade.accept()?, tell,);
                Ok(())
            };
            server.serve(handler).unwrap();
        }
        Adapter::Mio => {
            let options = sansws_mio::ServerOptions::default().config(config);
            let server = sansws_mio::Server::bind("127.0.0.1:0").unwrap();
            let mut server = server.options(options);
            let about = (server.local_addr().unwrap(), server.handle());
            ready.send(about).unwrap();
            server.serve(on_loop::Obeys(tell)).unwrap();
        }
    });
    let (address, handle) = is_ready.recv_timeout(PATIENCE).unwrap();
    (address, handle, told, thread)
}

/// Returns what a server tells of a peer that plays so.
fn as_server(adapter: Adapter, play: Play) -> Told {
    let (address, handle, told, thread) = serve(adapter, play.config());
    let mut tcp = TcpStream::connect(address).unwrap();
    tcp.set_read_timeout(Some(PATIENCE)).unwrap();
    tcp.write_all(upgrade("/").as_bytes()).unwrap();
    read_head(&mut tcp);
    if let Play::IsDropped = play {
        read_hello(&mut tcp, true);
        handle.drop_all();
        assert_eq!(tcp.read(&mut [0]).unwrap(), 0);
        let told = told.recv_timeout(PATIENCE).unwrap();
        thread.join().unwrap();
        return told;
    }
    let peer = thread::spawn(move || play.act(tcp, true));
    let told = told.recv_timeout(PATIENCE).unwrap();
    peer.join().unwrap();
    handle.drop_all();
    thread.join().unwrap();
    told
}

/// Returns what a client tells of a peer that plays so.
fn as_client(adapter: Adapter, play: Play) -> Told {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let peer = thread::spawn(move || {
        let (mut tcp, _) = listener.accept().unwrap();
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = read_head(&mut tcp);
        let mut lines = head.lines();
        let key = lines.find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
        let accept = accept_key(key.unwrap().as_bytes()).to_string();
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        tcp.write_all(answer.as_bytes()).unwrap();
        play.act(tcp, false);
    });
    let options = ConnectOptions::default().config(play.config());
    let (tell, told) = channel::<Told>();
    macro_rules! on_runtime {
        ($ws:ident) => {
            async { obey!($ws::connect(&url, options).await.unwrap(), tell, .await) }
        };
    }
    match adapter {
        Adapter::Tokio => crate::runtimes::on_tokio::block_on(on_runtime!(sansws_tokio)),
        Adapter::Smol => smol::block_on(on_runtime!(sansws_smol)),
        Adapter::Std => obey!(sansws_std::connect(&url, options).unwrap(), tell,),
        Adapter::Mio => {
            let dialer = sansws_mio::Dialer::new(on_loop::Obeys(tell));
            let mut event_loop = sansws_mio::EventLoop::new().unwrap();
            let within = event_loop.context();
            dialer.connect(within, &url, options, false).unwrap();
            while event_loop.context().connections() > 0 {
                event_loop.turn(Some(PATIENCE)).unwrap();
            }
        }
    }
    let told = told.recv_timeout(PATIENCE).unwrap();
    peer.join().unwrap();
    told
}

/// Reads our first message; one of a server has no mask.
fn read_hello(tcp: &mut TcpStream, of_server: bool) {
    let length = if of_server { 7 } else { 11 };
    tcp.read_exact(&mut [0; 11][..length]).unwrap();
}

fn read_head(tcp: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        tcp.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    String::from_utf8(head).unwrap()
}

fn check(adapter: Adapter, (met, closed): Told, cause: LossCause, words: &str) {
    let closed = closed.expect("it has ended");
    assert_eq!((closed.code(), closed.cause), (1006, Some(cause)));
    let text = format!("the connection was lost (1006): {words}");
    assert_eq!(closed.to_string(), text);
    match met {
        Some(met) => assert!(met.ends_with(words), "{met}"),
        // Callbacks meet no errors, and one that closes by itself knows.
        None => assert!(adapter == Adapter::Mio || cause == LossCause::CloseTimeout),
    }
}

#[test]
fn each_server_tells_why_it_lost_a_peer() {
    on_each(|adapter| {
        for (play, cause, words) in PLAYS {
            println!("{adapter:?} {play:?}");
            check(adapter, as_server(adapter, play), cause, words);
        }
    });
}

#[test]
fn each_client_tells_why_it_lost_a_server() {
    on_each(|adapter| {
        for (play, cause, words) in PLAYS {
            println!("{adapter:?} {play:?}");
            check(adapter, as_client(adapter, play), cause, words);
        }
    });
}

/// On a runtime, handlers are dropped with their connections, and tell nothing.
#[test]
fn a_server_that_drops_all_tells_that_it_cut_them_off() {
    for adapter in [Adapter::Std, Adapter::Mio] {
        let told = as_server(adapter, Play::IsDropped);
        check(adapter, told, LossCause::Aborted, "this side cut it off");
    }
}
