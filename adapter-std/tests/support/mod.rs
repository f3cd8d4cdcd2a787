//! Servers of a test, and what ends them.

use std::net::SocketAddr;
use std::thread::{self, JoinHandle};

use sansws_std::app::IntoService;
use sansws_std::{Error, Result, Server, ServerHandle, ServerOptions, Upgrade};

/// A server on a thread, which ends with it.
pub struct Running {
    pub address: SocketAddr,
    pub handle: ServerHandle,
    thread: Option<JoinHandle<Result<(), Error>>>,
}

impl Running {
    /// Serves on a port of the system's choice.
    pub fn new(service: impl IntoService + Send + 'static) -> Self {
        Self::with(service, ServerOptions::default().max_connections(64))
    }

    pub fn with(service: impl IntoService + Send + 'static, options: ServerOptions) -> Self {
        Self::of(
            Server::bind("127.0.0.1:0").unwrap().options(options),
            service,
        )
    }

    pub fn of(mut server: Server, service: impl IntoService + Send + 'static) -> Self {
        let address = server
            .local_addr()
            .unwrap_or_else(|_| "127.0.0.1:0".parse().unwrap());
        let handle = server.handle();
        let thread = Some(thread::spawn(move || server.serve(service)));
        Self {
            address,
            handle,
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

/// Echoes until the end.
pub fn echo(upgrade: Upgrade) -> Result {
    let mut socket = upgrade.accept()?;
    while let Some(message) = socket.receive()? {
        socket.send(message)?;
    }
    Ok(())
}
