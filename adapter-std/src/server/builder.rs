//! A server: listens, admits connections, serves each on a thread of its own, and shuts down.
//! RFC 6455 section 4.2.
//! Knows no request.

use std::fmt::Debug;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use sansws_common::ServerHandle;
use sansws_common::contain::contain;
use sansws_common::error::{Error, Result};
use sansws_common::listen::is_of_one;
use sansws_common::metrics::RejectReason;
use sansws_core::time::Instant;

use super::connection::Task;
use super::listener::{Accepted, Listener};
use crate::ServerOptions;
use crate::app::{App, IntoService};
use crate::bell::Bell;
use crate::clock::now;
use crate::poll::{Interest, wait};

/// The default of [`ServerOptions::max_connections`]: a thread for each is dearer than a task.
const CONNECTIONS: usize = 1_024;

/// Minimum size of a stack: a debug build takes up to 96 KiB of it, the rest is for handlers.
const STACK: usize = 256 << 10;

/// How long accepting pauses after an error such as too many open files or threads.
const PAUSE: Duration = Duration::from_millis(100);

/// How long threads have to notice that their connections were dropped. Those that do not use them never do.
const NOTICE: Duration = Duration::from_secs(1);

/// How often a server that drains looks whether it should stop at once.
const LOOK: Duration = Duration::from_millis(50);

/// Serves connections, each on a thread of its own: a handler for all paths, or a [`Router`](crate::Router).
///
/// ```no_run
/// use sansws_std::{Result, Server, Upgrade};
///
/// fn echo(upgrade: Upgrade) -> Result {
///     let mut socket = upgrade.accept()?;
///     while let Some(message) = socket.receive()? {
///         socket.send(message)?;
///     }
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
    stack: Option<usize>,
    #[cfg(feature = "signal")]
    drain: Option<Duration>,
}

impl Server {
    /// Listens on TCP, with default options, but at most 1 024 connections, and thus threads. With port 0 the system chooses one.
    ///
    /// # Errors
    /// As for [`Listener::bind`].
    pub fn bind(address: impl ToSocketAddrs + Debug) -> Result<Self, Error> {
        Ok(Self::new(Listener::bind(address)?))
    }

    /// Listens on `listener`, with the options of [`bind`](Self::bind).
    pub fn new(listener: Listener) -> Self {
        Self {
            listeners: vec![listener],
            options: ServerOptions::default().max_connections(CONNECTIONS),
            handle: None,
            stack: None,
            #[cfg(feature = "signal")]
            drain: None,
        }
    }

    /// Adds a listener.
    pub fn listen(mut self, listener: Listener) -> Self {
        self.listeners.push(listener);
        self
    }

    /// Sets the options. The maximum number of connections bounds that of threads: each has one, and refused connections have at most 64
    /// more.
    pub fn options(mut self, options: ServerOptions) -> Self {
        self.options = options;
        self
    }

    /// Sets the stack size of each thread, in bytes; default that of [`std::thread`]. Less than 256 KiB counts as that: a stack that is too
    /// small for the calls of the library would end the process with the first connection. Memory that a stack does not use costs nothing.
    pub const fn stack_size(mut self, bytes: usize) -> Self {
        self.stack = Some(if bytes < STACK { STACK } else { bytes });
        self
    }

    /// Shares the handle of another server: limits apply to both together, and both shut down together.
    pub fn share(mut self, handle: ServerHandle) -> Self {
        self.handle = Some(handle);
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
    /// [`shutdown`](sansws_core::config::Timeouts::shutdown) time, have ended; after [`ServerHandle::drop_all`], within about a second. A thread
    /// whose handler does not use its connection cannot be stopped, and goes on.
    pub fn handle(&mut self) -> ServerHandle {
        let most = self.options.max_connections;
        self.handle
            .get_or_insert_with(|| ServerHandle::new(most))
            .clone()
    }

    /// Serves until the handle is closed. The calling thread accepts.
    ///
    /// # Errors
    /// When routes conflict, or signals cannot be obeyed.
    pub fn serve(mut self, service: impl IntoService) -> Result<(), Error> {
        let app = service.into_service(&self.options)?;
        let handle = self.handle();
        #[cfg(feature = "signal")]
        if let Some(window) = self.drain {
            sansws_common::server::signal::obey(&handle, window)?;
        }
        let bell = Arc::new(Bell::new());
        let ringer = Arc::new(Ringer(Arc::clone(&bell)));
        let _ringing = handle.on_shutdown(Waker::from(ringer));
        let options = Arc::new(self.options);
        let starting = Starting {
            app,
            handle: handle.clone(),
            options: Arc::clone(&options),
            bell,
            stack: self.stack,
            serving: Arc::new(()),
        };
        accept(self.listeners, &handle, &starting);
        // Remaining connections get their time, and are then dropped.
        let mut deadline = now() + options.config.timeouts.shutdown;
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let _dropping = handle.on_shutdown(waker.clone());
        let mut dropped = None;
        while handle.poll_empty(&Context::from_waker(&waker)).is_pending() {
            if handle.is_dropping() {
                deadline = deadline.min(*dropped.get_or_insert_with(|| now() + NOTICE));
            }
            let left = deadline.since(now());
            if left.is_zero() {
                handle.drop_all();
                break;
            }
            thread::park_timeout(left);
        }
        Ok(())
    }
}

/// The parts that a connection's thread gets.
struct Starting {
    app: App,
    handle: ServerHandle,
    options: Arc<ServerOptions>,
    bell: Arc<Bell>,
    stack: Option<usize>,
    /// Dropped when [`Server::serve`] returns.
    serving: Arc<()>,
}

impl Starting {
    /// Starts the thread of a connection that the handle admits.
    fn start(&self, accepted: Accepted) -> Result<(), Error> {
        let Some(admission) = self.handle.admit() else {
            return Ok(());
        };
        let task = Task {
            accepted,
            admission,
            begun: now(),
            app: self.app.clone(),
            options: Arc::clone(&self.options),
            bell: Arc::clone(&self.bell),
            serving: Arc::downgrade(&self.serving),
        };
        let mut builder = thread::Builder::new().name("sansws-connection".into());
        if let Some(bytes) = self.stack {
            builder = builder.stack_size(bytes);
        }
        let started = builder.spawn(move || task.run());
        started.map(drop).map_err(|error| {
            self.handle.counters().turned_away(RejectReason::Untold);
            Error::no_thread(&error)
        })
    }
}

/// Accepts until the handle is closed, and all connections had time to leave.
fn accept(mut listeners: Vec<Listener>, handle: &ServerHandle, starting: &Starting) {
    let mut paused = false;
    let mut closing: Option<(Duration, Instant)> = None;
    loop {
        if handle.is_closing() {
            let window = handle.window();
            let until = match closing {
                Some((known, until)) if known == window => until,
                Some((_, until)) => until.min(now() + window),
                None => now() + window,
            };
            if window.is_zero() || until <= now() {
                return;
            }
            closing = Some((window, until));
            listeners.retain(|listener| !listener.closes_on_drain);
            if listeners.is_empty() && handle.open() == 0 {
                return;
            }
        }
        let mut sources: Vec<_> = listeners
            .iter()
            .map(|listener| (listener.source(), Interest::READ))
            .collect();
        let (bell, timeout) = match (closing, starting.bell.source()) {
            (None, Some(bell)) => (Some(bell), None),
            _ => (None, Some(LOOK)),
        };
        sources.extend(bell.map(|bell| (bell, Interest::READ)));
        // After a failure, it looks whether anybody waits still.
        let timeout = if paused {
            Some(Duration::ZERO)
        } else {
            timeout
        };
        let waited = wait(&sources, timeout);
        drop(sources);
        if closing.is_none() && handle.is_closing() {
            // The bell ended the wait: clients of listeners that close now are for others.
            continue;
        }
        let (mut failed, mut accepts) = (waited.err().map(Error::from), false);
        for listener in &listeners {
            match listener.accept() {
                Ok(accepted) => {
                    accepts = true;
                    failed = starting.start(accepted).err().or(failed);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if is_of_one(&error) => accepts = true,
                Err(error) => failed = Some(error.into()),
            }
        }
        if let Some(error) = failed {
            if !std::mem::replace(&mut paused, true) {
                tell(|| tracing::warn!(%error, "accepting failed; retrying until it succeeds"));
            }
            thread::sleep(PAUSE);
        } else if !accepts && std::mem::take(&mut paused) {
            // Not at the first that is accepted: with as many clients as descriptors, that fails and succeeds all the time.
            tell(|| tracing::warn!("accepting resumed"));
        }
    }
}

/// Logs an event. A subscriber that panics does not stop accepting.
fn tell(event: impl FnOnce()) {
    let _ = contain(event);
}

/// Rings the bell once the handle is closed.
struct Ringer(Arc<Bell>);

impl Wake for Ringer {
    fn wake(self: Arc<Self>) {
        self.0.ring();
    }
}

/// Wakes a parked thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
