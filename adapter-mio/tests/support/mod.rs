//! Servers of a test, and what ends them.

pub mod groups;

use std::net::SocketAddr;
use std::thread::{self, JoinHandle};

use sansws_mio::app::IntoService;
use sansws_mio::{Error, Handle, Incoming, Result, Server, ServerHandle, ServerOptions, Socket};

/// A server on a thread, which ends with it.
pub struct Running {
    pub address: SocketAddr,
    pub handle: ServerHandle,
    pub remote: Handle,
    thread: Option<JoinHandle<Result<(), Error>>>,
}

impl Running {
    /// Serves on a port of the system's choice; the service is made on the thread of the loop.
    pub fn new<S: IntoService>(make: impl FnOnce() -> S + Send + 'static) -> Self {
        Self::with(ServerOptions::default(), make)
    }

    pub fn with<S: IntoService>(
        options: ServerOptions,
        make: impl FnOnce() -> S + Send + 'static,
    ) -> Self {
        let server = Server::bind("127.0.0.1:0").unwrap().options(options);
        Self::of(server, make)
    }

    pub fn of<S: IntoService>(
        mut server: Server,
        make: impl FnOnce() -> S + Send + 'static,
    ) -> Self {
        let address = server.local_addr();
        let address = address.unwrap_or_else(|_| "127.0.0.1:0".parse().unwrap());
        let handle = server.handle();
        let remote = server.loops(1).unwrap().remove(0);
        let thread = Some(thread::spawn(move || server.serve(make())));
        Self {
            address,
            handle,
            remote,
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
            assert_eq!(self.handle.open(), 0, "connections that outlive the server");
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

/// Echoes.
pub fn echo(socket: &mut Socket<'_, ()>, message: Incoming<'_>) -> Result {
    let sent = socket.send(message);
    assert!(sent.is_accepted(), "{sent:?}");
    Ok(())
}
