//! A server: its listeners, its loops, and their common start and end.
//! RFC 6455 section 4.2.
//! Knows no request.

use std::fmt::Debug;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::thread;

use mio::Poll;
use sansws_common::ServerHandle;
use sansws_common::error::{Error, Result};
use sansws_core::time::Duration;

use crate::ServerOptions;
use crate::app::IntoService;
use crate::event_loop::{EventLoop, Handle, Mailbox};
use crate::listener::Listener;

/// Serves connections on event loops: an endpoint for all paths, or a [`Router`](crate::Router).
///
/// ```no_run
/// use sansws_mio::{Incoming, Result, Server, Socket};
///
/// fn echo(socket: &mut Socket<'_, ()>, message: Incoming<'_>) -> Result {
///     let _ = socket.send(message);
///     Ok(())
/// }
///
/// fn main() -> Result {
///     Ok(Server::bind("127.0.0.1:8080")?.serve(echo)?)
/// }
/// ```
#[derive(Debug)]
#[must_use]
pub struct Server {
    listeners: Vec<Listener>,
    options: ServerOptions,
    handle: Option<ServerHandle>,
    /// The polls of its loops, once somebody has asked for their handles.
    polls: Vec<Prepared>,
    slow: Duration,
    #[cfg(feature = "signal")]
    drain: Option<Duration>,
}

impl Server {
    /// Listens on TCP, with default options. With port 0 the system chooses one.
    ///
    /// # Errors
    /// As for [`Listener::bind`].
    pub fn bind(address: impl ToSocketAddrs + Debug) -> Result<Self, Error> {
        Ok(Self::new(Listener::bind(address)?))
    }

    /// Listens on `listener`, with default options.
    pub fn new(listener: Listener) -> Self {
        Self {
            listeners: vec![listener],
            options: ServerOptions::default(),
            handle: None,
            polls: Vec::new(),
            slow: Duration::from_millis(100),
            #[cfg(feature = "signal")]
            drain: None,
        }
    }

    /// Adds a listener.
    pub fn listen(mut self, listener: Listener) -> Self {
        self.listeners.push(listener);
        self
    }

    /// Sets the options.
    pub fn options(mut self, options: ServerOptions) -> Self {
        self.options = options;
        self
    }

    /// Shares the handle of another server: limits apply to both together, and both shut down together.
    pub fn share(mut self, handle: ServerHandle) -> Self {
        self.handle = Some(handle);
        self
    }

    /// Sets the time after which the callbacks of one connection's turn are logged, at WARN with the route, because they hold up all
    /// others; default 100 ms.
    pub const fn slow_callback(mut self, time: Duration) -> Self {
        self.slow = time;
        self
    }

    /// On SIGTERM and on SIGINT (^C), [drains](ServerHandle::drain) the server over `window`. A second signal
    /// [drops](ServerHandle::drop_all) the remaining connections. A process has one handler of these signals: serving replaces it, and
    /// fails when it was set by ctrlc.
    #[cfg(feature = "signal")]
    pub const fn drain_on_signal(mut self, window: Duration) -> Self {
        self.drain = Some(window);
        self
    }

    /// Returns the address that it listens on, the first of several.
    ///
    /// # Errors
    /// `Unsupported` for a Unix socket.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        let first = self.listeners.first();
        first.ok_or(io::ErrorKind::NotFound)?.local_addr()
    }

    /// Returns the handle of the server; call it after the options are set.
    ///
    /// [`ServerHandle::drain`] shuts the server down gradually, with 1012; [`ServerHandle::close`] at once, with 1001. It then stops
    /// accepting, and [`serve`](Self::serve) returns once all connections, or their
    /// [`shutdown`](crate::Timeouts::shutdown) time, have ended.
    pub fn handle(&mut self) -> ServerHandle {
        let most = self.options.max_connections;
        self.handle
            .get_or_insert_with(|| ServerHandle::new(most))
            .clone()
    }

    /// Returns handles of its loops, for other threads: as many as there will be.
    ///
    /// # Errors
    /// When the system has no descriptors left.
    pub fn loops(&mut self, count: usize) -> io::Result<Vec<Handle>> {
        while self.polls.len() < count {
            let poll = Poll::new()?;
            let mailbox = Mailbox::new(poll.registry())?;
            self.polls.push(Prepared(Some((poll, mailbox))));
        }
        let handles = self.polls.iter().filter_map(Prepared::handle);
        Ok(handles.take(count).collect())
    }

    /// Serves on this thread, until the handle is closed.
    ///
    /// # Errors
    /// When routes conflict, signals cannot be obeyed, or the system cannot wait for sockets.
    pub fn serve(mut self, service: impl IntoService) -> Result<(), Error> {
        self.loops(1)?;
        let app = service.into_service(&self.options)?;
        let handle = self.begin()?;
        // The first handle of `loops` is that of the only loop.
        let Some(first) = self.polls.into_iter().next() else {
            return Ok(());
        };
        let options = Arc::new(self.options);
        let mut event_loop = first.into_loop()?;
        event_loop.serve(self.listeners, app, options, handle, self.slow)
    }

    /// Serves on `threads` threads, at least one, each with a loop of its own, until the handle is closed; the calling thread waits.
    ///
    /// Each thread calls `make` for its routes, or its one endpoint, with the handle of its loop: endpoints are not shared, and need no locks. A connection stays
    /// on the loop that accepted it. Listen with [`Listener::bind_shared`], so that the kernel spreads clients over the loops.
    ///
    /// # Errors
    /// As for [`serve`](Self::serve); then no thread serves any more.
    pub fn serve_on_threads<S: IntoService>(
        mut self,
        threads: usize,
        make: impl Fn(Handle) -> S + Sync,
    ) -> Result<(), Error> {
        let threads = threads.max(1);
        let handles = self.loops(threads)?;
        // Mistakes in routes are found before any thread starts.
        let first = handles.first().cloned().ok_or(Error::Panic)?;
        drop(make(first).into_service(&self.options)?);
        let handle = self.begin()?;
        let mut listeners = Vec::new();
        for _ in 1..threads {
            let more = self.listeners.iter().map(Listener::another);
            listeners.push(more.collect::<Result<Vec<_>, Error>>()?);
        }
        listeners.push(self.listeners);
        let (options, slow, make) = (Arc::new(self.options), self.slow, &make);
        thread::scope(|scope| {
            let parts = self.polls.into_iter().zip(listeners);
            let mut running = Vec::new();
            let mut result = Ok(());
            for (number, (prepared, listeners)) in parts.enumerate() {
                let (options, handle) = (Arc::clone(&options), handle.clone());
                let work = move || {
                    let guard = CloseOnFailure(Some(handle.clone()));
                    let own = prepared.handle().ok_or(Error::Panic)?;
                    let app = make(own).into_service(&options)?;
                    let mut event_loop = prepared.into_loop()?;
                    event_loop.serve(listeners, app, options, handle, slow)?;
                    guard.disarm();
                    Ok(())
                };
                let named = thread::Builder::new().name(format!("sansws-loop-{number}"));
                match named.spawn_scoped(scope, work) {
                    Ok(thread) => running.push(thread),
                    Err(error) => {
                        result = Err(Error::io("start a thread", error));
                        break;
                    }
                }
            }
            if result.is_err() {
                handle.close();
            }
            let joined = running
                .into_iter()
                .map(|thread| thread.join().unwrap_or(Err(Error::Panic)));
            joined.fold(result, Result::and)
        })
    }

    /// Obeys signals from now on.
    fn begin(&mut self) -> Result<ServerHandle, Error> {
        let handle = self.handle();
        #[cfg(feature = "signal")]
        if let Some(window) = self.drain {
            sansws_common::server::signal::obey(&handle, window)?;
        }
        Ok(handle)
    }
}

/// The poll and the mailbox of a loop that does not run yet. If it never does, its handles report that it has ended.
#[derive(Debug)]
struct Prepared(Option<(Poll, Arc<Mailbox>)>);

impl Prepared {
    fn handle(&self) -> Option<Handle> {
        self.0.as_ref().map(|(_, mailbox)| Handle::new(mailbox))
    }

    fn into_loop(mut self) -> io::Result<EventLoop> {
        let (poll, mailbox) = self.0.take().ok_or(io::ErrorKind::NotFound)?;
        // It serves at once: its own end shuts the mailbox from here on.
        EventLoop::of(poll, Arc::clone(&mailbox)).inspect_err(|_| mailbox.shut())
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        if let Some((_, mailbox)) = &self.0 {
            mailbox.shut();
        }
    }
}

/// Closes the handle when a loop ends by an error or a panic, so that the others end too.
struct CloseOnFailure(Option<ServerHandle>);

impl CloseOnFailure {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for CloseOnFailure {
    fn drop(&mut self) {
        if let Some(handle) = self.0.take() {
            handle.close();
        }
    }
}
