//! Both ends send at once, over TLS, with queues that hold hardly a message: nothing is lost, and neither waits for the other for ever.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use sansws_async::tls::rustls::ServerConfig;
use sansws_async::{ConnectOptions, ServerHandle};
use sansws_core::close::CloseCode;
use sansws_core::config::Config;
use sansws_core::message::Message;

use super::servers::PATIENCE;
use super::{Adapter, on_each};
use crate::support::certs::Certs;

/// Number of messages in each direction.
const COUNT: u32 = 100;

/// A message with a number; they are of all lengths up to 60 KiB.
fn numbered(number: u32) -> Vec<u8> {
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.resize(4 + number as usize * 7_919 % 60_000, number as u8);
    bytes
}

/// Checks the next message.
fn hear(next: &mut u32, message: Option<Message>) {
    assert!(message == Some(Message::Binary(numbered(*next))), "{next}");
    *next += 1;
}

/// No message waits while another does.
fn narrow() -> Config {
    let mut config = Config::default();
    (config.limits.write_queue, config.limits.high_water) = (1, 1);
    config
}

/// Sends all messages, and receives as many. The client closes then, and the server waits for that.
macro_rules! pump {
    ($socket:expr, $is_client:expr) => {{
        let (mut reads, mut writes) = $socket.split();
        let say = async {
            for number in 0..COUNT {
                writes
                    .send(Message::Binary(numbered(number)))
                    .await
                    .unwrap();
            }
        };
        let listen = async {
            let mut next = 0;
            while next < COUNT {
                hear(&mut next, reads.receive().await.unwrap());
            }
        };
        smol::future::zip(say, listen).await;
        if $is_client {
            writes.start_close(CloseCode::new(1000), "");
        }
        assert_eq!(reads.receive().await.unwrap(), None);
    }};
}

fn pump_on_std(socket: sansws_std::WebSocket, is_client: bool) {
    let (mut reads, mut writes) = socket.split();
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..COUNT {
                writes.send(Message::Binary(numbered(number))).unwrap();
            }
        });
        let mut next = 0;
        while next < COUNT {
            hear(&mut next, reads.receive().unwrap());
        }
    });
    if is_client {
        writes.start_close(CloseCode::new(1000), "");
    }
    assert_eq!(reads.receive().unwrap(), None);
}

/// Echoes by callbacks.
struct Pump {
    is_client: bool,
}

#[derive(Default)]
struct Progress {
    said: u32,
    heard: u32,
}

impl Pump {
    fn go_on(&self, socket: &mut sansws_mio::Socket<'_, Progress>) {
        while socket.data().said < COUNT {
            let number = socket.data().said;
            if !socket.send(numbered(number)).is_accepted() {
                return;
            }
            socket.data().said += 1;
        }
        if self.is_client && socket.data().heard == COUNT {
            socket.close(CloseCode::new(1000), "");
        }
    }
}

impl sansws_mio::Endpoint for Pump {
    type Data = Progress;

    fn upgrade(
        &mut self,
        _: &mut sansws_mio::Scope,
        _: &mut sansws_mio::AcceptOptions,
    ) -> sansws_mio::Result<Progress> {
        Ok(Progress::default())
    }

    fn open(&mut self, socket: &mut sansws_mio::Socket<'_, Progress>) -> sansws_mio::Result {
        self.go_on(socket);
        Ok(())
    }

    fn message(
        &mut self,
        socket: &mut sansws_mio::Socket<'_, Progress>,
        message: sansws_mio::Incoming<'_>,
    ) -> sansws_mio::Result {
        hear(&mut socket.data().heard, Some(message.into_message()));
        self.go_on(socket);
        Ok(())
    }

    fn drained(&mut self, socket: &mut sansws_mio::Socket<'_, Progress>) -> sansws_mio::Result {
        self.go_on(socket);
        Ok(())
    }

    fn close(
        &mut self,
        socket: &mut sansws_mio::Socket<'_, Progress>,
        closed: &sansws_mio::Closed,
    ) {
        assert!(closed.is_normal(), "{closed:?}");
        let (said, heard) = (socket.data().said, socket.data().heard);
        assert_eq!((said, heard), (COUNT, COUNT));
    }
}

/// Serves until the handle closes the server.
fn serve(adapter: Adapter, tls: Arc<ServerConfig>, tell: Sender<(SocketAddr, ServerHandle)>) {
    macro_rules! on_runtime {
        ($ws:ident) => {
            async {
                let listener = $ws::Listener::bind("127.0.0.1:0").await.unwrap().tls(tls);
                let options = $ws::ServerOptions::default().config(narrow());
                let mut server = $ws::Server::new(listener).options(options);
                tell.send((server.local_addr().unwrap(), server.handle()))
                    .unwrap();
                let handler = async |upgrade: $ws::Upgrade| {
                    let socket = upgrade.accept().await?;
                    pump!(socket, false);
                    Ok(())
                };
                server.serve(handler).await.unwrap();
            }
        };
    }
    match adapter {
        Adapter::Tokio => crate::runtimes::on_tokio::block_on(on_runtime!(sansws_tokio)),
        Adapter::Smol => smol::block_on(on_runtime!(sansws_smol)),
        Adapter::Std => {
            let listener = sansws_std::Listener::bind("127.0.0.1:0").unwrap().tls(tls);
            let options = sansws_std::ServerOptions::default().config(narrow());
            let mut server = sansws_std::Server::new(listener).options(options);
            tell.send((server.local_addr().unwrap(), server.handle()))
                .unwrap();
            let handler = |upgrade: sansws_std::Upgrade| {
                pump_on_std(upgrade.accept()?, false);
                Ok(())
            };
            server.serve(handler).unwrap();
        }
        Adapter::Mio => {
            let listener = sansws_mio::Listener::bind("127.0.0.1:0").unwrap().tls(tls);
            let options = sansws_mio::ServerOptions::default().config(narrow());
            let mut server = sansws_mio::Server::new(listener).options(options);
            tell.send((server.local_addr().unwrap(), server.handle()))
                .unwrap();
            let pump = Pump { is_client: false };
            server
                .serve(sansws_mio::Router::new().route("/", pump))
                .unwrap();
        }
    }
}

fn dial(adapter: Adapter, url: &str, options: ConnectOptions) {
    macro_rules! on_runtime {
        ($ws:ident) => {
            async {
                let socket = $ws::connect(url, options).await.unwrap();
                pump!(socket, true);
            }
        };
    }
    match adapter {
        Adapter::Tokio => crate::runtimes::on_tokio::block_on(on_runtime!(sansws_tokio)),
        Adapter::Smol => smol::block_on(on_runtime!(sansws_smol)),
        Adapter::Std => pump_on_std(sansws_std::connect(url, options).unwrap(), true),
        Adapter::Mio => {
            let dialer = sansws_mio::Dialer::new(Pump { is_client: true });
            let mut event_loop = sansws_mio::EventLoop::new().unwrap();
            let data = Progress::default();
            dialer
                .connect(event_loop.context(), url, options, data)
                .unwrap();
            while event_loop.context().connections() > 0 {
                event_loop.turn(Some(PATIENCE)).unwrap();
            }
        }
    }
}

#[test]
fn both_ends_send_at_once() {
    let certs = Certs::new();
    let tls = sansws_async::tls::server(certs.identity("server"), None).unwrap();
    on_each(|server| {
        let (tell, told) = channel();
        let tls = Arc::clone(&tls);
        let thread = thread::spawn(move || serve(server, tls, tell));
        let (address, handle) = told.recv_timeout(PATIENCE).unwrap();
        on_each(|client| {
            let options = ConnectOptions::default()
                .tls(sansws_async::tls::client(certs.roots(), None).unwrap())
                .resolve("localhost", [address])
                .config(narrow());
            let url = format!("wss://localhost:{}/", address.port());
            dial(client, &url, options);
        });
        handle.close();
        thread.join().unwrap();
        let metrics = handle.metrics();
        assert_eq!(metrics.handlers_failed, 0, "{server:?}");
        let all = 4 * u64::from(COUNT);
        assert_eq!(
            (metrics.messages_received, metrics.messages_sent),
            (all, all)
        );
    });
}
