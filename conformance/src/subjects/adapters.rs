//! `sansws-tokio`, `sansws-smol`, `sansws-std` and `sansws-mio` over sockets, as echo servers and as echo clients.

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc;

use sansws_async::{ConnectOptions, ServerHandle, ServerOptions};

use super::core::config;

/// Where the servers listen.
const LOOPBACK: &str = "127.0.0.1:0";

/// One server and one client for either adapter.
macro_rules! echo {
    ($adapter:ident) => {
        async fn serve(
            address: &str,
            handle: mpsc::Sender<(SocketAddr, ServerHandle)>,
        ) -> Result<(), $adapter::Error> {
            let server = $adapter::Server::bind(address).await?;
            let mut server = server.options(ServerOptions::default().config(config()));
            let found = (server.local_addr()?, server.handle());
            let _ = handle.send(found);
            server
                .serve(async |upgrade: $adapter::Upgrade| {
                    let mut socket = upgrade.accept().await?;
                    while let Some(message) = socket.receive().await? {
                        socket.send(message).await?;
                    }
                    Ok(())
                })
                .await
        }

        async fn client(url: &str) -> Result<(), $adapter::Error> {
            let mut socket =
                $adapter::connect(url, ConnectOptions::default().config(config())).await?;
            while let Some(message) = socket.receive().await? {
                socket.send(message).await?;
            }
            // The server ends TCP first (RFC 6455 7.1.1): wait for it.
            socket.close(1000, "").await?;
            Ok(())
        }
    };
}

/// On tokio.
pub mod on_tokio {
    use super::*;

    echo!(sansws_tokio);

    fn block_on<R>(work: impl Future<Output = R>) -> io::Result<R> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        Ok(runtime.block_on(work))
    }

    /// Runs an echo server while `work` does.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn with_server<R>(work: impl FnOnce(&str) -> R) -> io::Result<R> {
        super::with_server(
            |handle| {
                let served = block_on(serve(LOOPBACK, handle));
                served.and_then(|served| served.map_err(io::Error::other))
            },
            work,
        )
    }

    /// Runs an echo server at this address until the process ends; reports where it listens.
    ///
    /// # Errors
    /// When it cannot listen there.
    pub fn listen(address: &str, listening: impl FnOnce(SocketAddr) + Send) -> io::Result<()> {
        let (handle, found) = mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(move || found.recv().map(|(address, _)| listening(address)));
            block_on(serve(address, handle)).and_then(|served| served.map_err(io::Error::other))
        })
    }

    /// Returns the first text message at that URL.
    ///
    /// # Errors
    /// When there is none.
    pub fn first_text(url: &str) -> io::Result<String> {
        let text = block_on(async {
            let options = ConnectOptions::default().config(config());
            let mut socket = sansws_tokio::connect(url, options).await?;
            let text = socket.receive_text().await?;
            socket.close(1000, "").await?;
            Ok::<_, sansws_tokio::Error>(text)
        })?;
        let text = text.map_err(io::Error::other)?;
        text.ok_or_else(|| io::Error::other(format!("no text came from {url}")))
    }

    /// Echoes until the connection at that URL ends.
    pub fn echo(url: &str) {
        // How it ended is the suite's to say.
        let _ = block_on(client(url));
    }
}

/// On smol.
pub mod on_smol {
    use super::*;

    echo!(sansws_smol);

    /// Runs an echo server while `work` does.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn with_server<R>(work: impl FnOnce(&str) -> R) -> io::Result<R> {
        super::with_server(
            |handle| smol::block_on(serve(LOOPBACK, handle)).map_err(io::Error::other),
            work,
        )
    }

    /// Echoes until the connection at that URL ends.
    pub fn echo(url: &str) {
        // How it ended is the suite's to say.
        let _ = smol::block_on(client(url));
    }
}

/// Blocking, a thread for each connection.
pub mod on_threads {
    use super::*;

    fn serve(handle: &mpsc::Sender<(SocketAddr, ServerHandle)>) -> Result<(), sansws_std::Error> {
        let server = sansws_std::Server::bind("127.0.0.1:0")?;
        let options = sansws_std::ServerOptions::default().config(config());
        let mut server = server.options(options.max_connections(1_024));
        let found = (server.local_addr()?, server.handle());
        let _ = handle.send(found);
        server.serve(|upgrade: sansws_std::Upgrade| {
            let mut socket = upgrade.accept()?;
            while let Some(message) = socket.receive()? {
                socket.send(message)?;
            }
            Ok(())
        })
    }

    fn client(url: &str) -> Result<(), sansws_std::Error> {
        let options = ConnectOptions::default().config(config());
        let mut socket = sansws_std::connect(url, options)?;
        while let Some(message) = socket.receive()? {
            socket.send(message)?;
        }
        // The server ends TCP first (RFC 6455 7.1.1): wait for it.
        socket.close(1000, "")?;
        Ok(())
    }

    /// Runs an echo server while `work` does.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn with_server<R>(work: impl FnOnce(&str) -> R) -> io::Result<R> {
        super::with_server(|handle| serve(&handle).map_err(io::Error::other), work)
    }

    /// Echoes until the connection at that URL ends.
    pub fn echo(url: &str) {
        // How it ended is the suite's to say.
        let _ = client(url);
    }
}

/// On one event loop, by callbacks.
pub mod on_event_loop {
    use sansws_mio::{
        Dialer, Endpoint, EventLoop, Handle, Incoming, Message, Result, Sent, Socket,
    };

    use super::*;

    fn answer(socket: &mut Socket<'_, ()>, message: Incoming<'_>) -> Result {
        match socket.send(message) {
            // Nothing is received while much is unsent, so there is room.
            Sent::Full => Err("a message found no room".into()),
            Sent::Sent | Sent::Queued | Sent::Closed => Ok(()),
        }
    }

    fn serve(handle: &mpsc::Sender<(SocketAddr, ServerHandle)>) -> Result<(), sansws_mio::Error> {
        let server = sansws_mio::Server::bind("127.0.0.1:0")?;
        let mut server = server.options(sansws_mio::ServerOptions::default().config(config()));
        let found = (server.local_addr()?, server.handle());
        let _ = handle.send(found);
        server.serve(answer)
    }

    /// Runs an echo server while `work` does.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn with_server<R>(work: impl FnOnce(&str) -> R) -> io::Result<R> {
        super::with_server(|handle| serve(&handle).map_err(io::Error::other), work)
    }

    /// The data of the connection, with which the loop ends.
    struct Ending {
        handle: Handle,
        /// A message that found no room.
        waiting: Option<Message>,
    }

    impl Drop for Ending {
        fn drop(&mut self) {
            self.handle.stop();
        }
    }

    /// Echoes.
    struct Echo;

    impl Endpoint for Echo {
        type Data = Ending;

        fn message(&mut self, socket: &mut Socket<'_, Ending>, message: Incoming<'_>) -> Result {
            let message = message.into_message();
            if socket.send(&message) == Sent::Full {
                // A client goes on receiving while much is unsent, unless it pauses.
                socket.data().waiting = Some(message);
                socket.pause();
            }
            Ok(())
        }

        fn drained(&mut self, socket: &mut Socket<'_, Ending>) -> Result {
            if let Some(message) = socket.data().waiting.take() {
                let _ = socket.send(message);
                socket.resume();
            }
            Ok(())
        }
    }

    fn client(url: &str) -> Result<(), sansws_mio::Error> {
        let mut event_loop = EventLoop::new()?;
        let options = ConnectOptions::default().config(config());
        let data = Ending {
            handle: event_loop.handle(),
            waiting: None,
        };
        let dialer = Dialer::new(Echo);
        dialer.connect(event_loop.context(), url, options, data)?;
        event_loop.run()
    }

    /// Echoes until the connection at that URL ends.
    pub fn echo(url: &str) {
        // How it ended is the suite's to say.
        let _ = client(url);
    }
}

/// Ends the server also when the work beside it panics.
struct CloseOnDrop(ServerHandle);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

fn with_server<R>(
    serve: impl FnOnce(mpsc::Sender<(SocketAddr, ServerHandle)>) -> io::Result<()> + Send,
    work: impl FnOnce(&str) -> R,
) -> io::Result<R> {
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        let server = scope.spawn(move || serve(sender));
        match receiver.recv() {
            Ok((address, handle)) => {
                let _close = CloseOnDrop(handle);
                Ok(work(&format!("ws://{address}/")))
            }
            Err(_) => match server.join() {
                Ok(Err(error)) => Err(error),
                _ => Err(io::Error::other("the server ended before it began")),
            },
        }
    })
}
