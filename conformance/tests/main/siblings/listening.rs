//! Conditions at the address of a listener.

use std::any::Any;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use sansws_async::{Error, ServerHandle};
use sansws_core::config::Config;

use super::scripts::{frame, upgrade};
use super::servers::until;
use super::{Adapter, on_each};

/// Listens there with the adapter's listener, and drops it.
fn listen(adapter: Adapter, path: &Path) -> Result<(), Error> {
    match adapter {
        Adapter::Tokio => crate::runtimes::on_tokio::block_on(async {
            sansws_tokio::Listener::bind_unix(path).map(drop)
        }),
        Adapter::Smol => sansws_smol::Listener::bind_unix(path).map(drop),
        Adapter::Std => sansws_std::Listener::bind_unix(path).map(drop),
        Adapter::Mio => sansws_mio::Listener::bind_unix(path).map(drop),
    }
}

/// Makes a folder for sockets.
fn folder() -> PathBuf {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let folder = format!("sansws-listening-{}-{number}", std::process::id());
    let folder = std::env::temp_dir().join(folder);
    std::fs::create_dir(&folder).unwrap();
    folder
}

/// Serves a page and a WebSocket on a socket that is passed on. After the closing handshake it has an hour.
fn serve(
    adapter: Adapter,
    passed: UnixListener,
    closes_on_drain: bool,
    tell: &Sender<ServerHandle>,
) -> Result<(), Error> {
    macro_rules! server {
        ($ws:ident) => {{
            let mut listener = $ws::Listener::from_std_unix(passed)?;
            if closes_on_drain {
                listener = listener.close_on_drain();
            }
            let mut config = Config::default();
            config.timeouts.close = Duration::from_secs(3_600);
            let options = $ws::ServerOptions::default().config(config);
            let mut server = $ws::Server::new(listener).options(options);
            tell.send(server.handle()).unwrap();
            server
        }};
    }
    macro_rules! serving {
        ($ws:ident, $reads:expr) => {
            server!($ws).serve($ws::Router::new().get("/", "a page\n").route("/ws", $reads))
        };
    }
    macro_rules! on_runtime {
        ($ws:ident) => {
            async move {
                async fn reads(upgrade: $ws::Upgrade) -> $ws::Result {
                    let mut socket = upgrade.accept().await?;
                    while socket.receive().await?.is_some() {}
                    Ok(())
                }
                serving!($ws, reads).await
            }
        };
    }
    match adapter {
        Adapter::Tokio => crate::runtimes::on_tokio::block_on(on_runtime!(sansws_tokio)),
        Adapter::Smol => crate::runtimes::on_smol::block_on(on_runtime!(sansws_smol)),
        Adapter::Std => serving!(sansws_std, |upgrade: sansws_std::Upgrade| {
            let mut socket = upgrade.accept()?;
            while socket.receive()?.is_some() {}
            Ok(())
        }),
        Adapter::Mio => {
            fn reads(
                _: &mut sansws_mio::Socket<'_, ()>,
                _: sansws_mio::Incoming<'_>,
            ) -> sansws_mio::Result {
                Ok(())
            }
            serving!(sansws_mio, reads)
        }
    }
}

/// A supervisor keeps the socket: a client that connects while nobody serves is served later.
#[test]
fn a_unix_socket_that_is_passed_on_is_served() {
    on_each(|adapter| {
        let folder = folder();
        let path = folder.join("socket");
        let kept = UnixListener::bind(&path).unwrap();
        for _ in 0..2 {
            let mut early = UnixStream::connect(&path).unwrap();
            early
                .write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                .unwrap();
            let (tell, told) = channel();
            let passed = kept.try_clone().unwrap();
            let server = std::thread::spawn(move || serve(adapter, passed, false, &tell));
            let handle = told.recv().unwrap();
            let mut answer = String::new();
            early.read_to_string(&mut answer).unwrap();
            drop(early);
            assert!(answer.ends_with("a page\n"), "{adapter:?} {answer}");
            handle.close();
            server.join().unwrap().unwrap();
            assert!(path.exists());
        }
        std::fs::remove_dir_all(&folder).unwrap();
    });
}

/// RFC 6455 section 5.5.1: as on TCP, the server does not wait for the end of its peer.
#[test]
fn a_unix_socket_is_closed_at_once_after_the_closing_handshake() {
    on_each(|adapter| {
        let folder = folder();
        let path = folder.join("socket");
        let passed = UnixListener::bind(&path).unwrap();
        let (tell, told) = channel();
        let server = std::thread::spawn(move || serve(adapter, passed, false, &tell));
        let handle = told.recv().unwrap();
        let mut peer = UnixStream::connect(&path).unwrap();
        peer.write_all(upgrade("/ws").as_bytes()).unwrap();
        peer.read_exact(&mut [0; 12]).unwrap();
        peer.write_all(&frame(0x88, b"\x03\xe8")).unwrap();
        let mut answer = Vec::new();
        peer.read_to_end(&mut answer).unwrap();
        assert!(answer.ends_with(b"\x88\x02\x03\xe8"), "{adapter:?}");
        until(|| handle.open() == 0);
        drop(peer);
        handle.close();
        server.join().unwrap().unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
    });
}

/// The next process has the socket, too: clients that come after a drain has begun are left to it, and the last process ends with its
/// last connection, not with the window.
#[test]
fn a_listener_that_closes_on_drain_leaves_its_clients_to_others() {
    on_each(|adapter| {
        let folder = folder();
        let path = folder.join("socket");
        let kept = UnixListener::bind(&path).unwrap();
        for _ in 0..20 {
            let (tell, told) = channel();
            let passed = kept.try_clone().unwrap();
            let server = std::thread::spawn(move || serve(adapter, passed, true, &tell));
            let handle = told.recv().unwrap();
            let mut served = UnixStream::connect(&path).unwrap();
            served
                .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                .unwrap();
            let mut answer = Vec::new();
            while !answer.ends_with(b"a page\n") {
                let mut byte = [0];
                served.read_exact(&mut byte).unwrap();
                answer.extend(byte);
            }
            handle.drain(Duration::from_secs(3_600));
            let late = UnixStream::connect(&path).unwrap();
            until(|| server.is_finished());
            server.join().unwrap().unwrap();
            // The sockets share that they do not block.
            kept.accept()
                .unwrap_or_else(|error| panic!("{adapter:?} {error}"));
            drop((served, late));
        }
        std::fs::remove_dir_all(&folder).unwrap();
    });
}

/// Binds the adapter's listener to a port that may be shared, and returns it with its address.
fn share(adapter: Adapter, address: SocketAddr) -> Result<(Box<dyn Any>, SocketAddr), Error> {
    macro_rules! bound {
        ($listener:expr) => {{
            let listener = $listener?;
            let address = listener.local_addr()?;
            Ok((Box::new(listener) as Box<dyn Any>, address))
        }};
    }
    match adapter {
        Adapter::Tokio => crate::runtimes::on_tokio::block_on(async {
            bound!(sansws_tokio::Listener::bind_shared(address))
        }),
        Adapter::Smol => bound!(sansws_smol::Listener::bind_shared(address)),
        Adapter::Std => bound!(sansws_std::Listener::bind_shared(address)),
        Adapter::Mio => bound!(sansws_mio::Listener::bind_shared(address)),
    }
}

#[test]
fn a_port_can_be_shared_and_is_not_by_itself() {
    on_each(|adapter| {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let (_first, address) = share(adapter, any).unwrap();
        let (_second, same) = share(adapter, address).unwrap();
        assert_eq!(address, same, "{adapter:?}");
        // A listener that does not share it does not get it.
        let error = sansws_std::Listener::bind(address).unwrap_err().to_string();
        assert!(error.contains(&address.to_string()), "{adapter:?} {error}");
    });
}

/// A server that was killed, or has ended, leaves its socket: the next one need not be told to remove it.
#[test]
fn a_unix_socket_that_was_left_behind_is_replaced_and_nothing_else() {
    on_each(|adapter| {
        let folder = folder();
        let path = folder.join("socket");
        listen(adapter, &path).unwrap();
        assert!(path.exists());
        listen(adapter, &path).unwrap();

        let is_in_use = |path: &Path| {
            let error = listen(adapter, path).unwrap_err().to_string();
            assert!(
                error.contains(path.to_str().unwrap()),
                "{adapter:?} {error}"
            );
            assert!(error.contains("in use"), "{adapter:?} {error}");
        };
        std::fs::remove_file(&path).unwrap();
        let another = UnixListener::bind(&path).unwrap();
        is_in_use(&path);
        drop(another);
        let file = folder.join("file");
        std::fs::write(&file, "precious").unwrap();
        is_in_use(&file);
        assert_eq!(std::fs::read(&file).unwrap(), b"precious");
        let link = folder.join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        is_in_use(&link);
        let datagrams = folder.join("datagrams");
        let held = UnixDatagram::bind(&datagrams).unwrap();
        is_in_use(&datagrams);
        drop(held);
        std::fs::remove_dir_all(&folder).unwrap();
    });
}
