//! A server: accepts, lets in, drives, and shuts down.

use std::fmt::Debug;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll};
use std::time::Duration;

use sansws_core::drive::{
    self, Admission, ConnectInfo, Error, HubRef, IntoService, Result, ServerHandle, ServerOptions,
    Service,
};
use tokio::net::ToSocketAddrs;
use tokio::time::sleep;

use crate::dial::within;
use crate::io::now;
use crate::listen::{Accepted, Listener};
use crate::{Io, Stream};

/// A connection's task, for executors that keep tasks on one thread.
pub type LocalTask = Pin<Box<dyn Future<Output = ()>>>;

/// Serves connections: a handler for all paths, or a [`Router`](crate::Router).
#[derive(Debug)]
#[must_use]
pub struct Server {
    listeners: Vec<Listener>,
    options: ServerOptions,
    handle: Option<ServerHandle>,
    drain: Option<Duration>,
}

impl Server {
    /// Listens on TCP, with default options. Port 0 lets the system choose.
    pub async fn bind(address: impl ToSocketAddrs + Debug) -> Result<Self, Error> {
        Ok(Self::new(Listener::bind(address).await?))
    }

    /// Listens on `listener`, with default options.
    pub fn new(listener: Listener) -> Self {
        Self {
            listeners: vec![listener],
            options: ServerOptions::default(),
            handle: None,
            drain: None,
        }
    }

    /// Listens on one more.
    pub fn listen(mut self, listener: Listener) -> Self {
        self.listeners.push(listener);
        self
    }

    /// Sets the options.
    pub fn options(mut self, options: ServerOptions) -> Self {
        self.options = options;
        self
    }

    /// Shares the door with another server: limits count for both, and both shut down together.
    pub fn share(mut self, handle: ServerHandle) -> Self {
        self.handle = Some(handle);
        self
    }

    /// On SIGTERM and on SIGINT (^C), [drains](ServerHandle::drain) the server over `window`. A second signal
    /// [drops](ServerHandle::drop_all) who is still in.
    #[cfg(unix)]
    pub const fn drain_on_signal(mut self, window: Duration) -> Self {
        self.drain = Some(window);
        self
    }

    /// The address it listens on; of several, the first.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        let first = self.listeners.first();
        first.ok_or(io::ErrorKind::NotFound)?.local_addr()
    }

    /// The door of the server; ask for it after the options are set.
    ///
    /// [`ServerHandle::drain`] shuts it down over a while, with 1012; [`ServerHandle::close`] at once, with 1001. Then it stops to accept, and
    /// [`serve`](Self::serve) returns once all connections have ended, or their [`shutdown`](crate::Timeouts::shutdown) time has.
    pub fn handle(&mut self) -> ServerHandle {
        let most = self.options.max_connections;
        self.handle
            .get_or_insert_with(|| ServerHandle::new(most))
            .clone()
    }

    /// Serves until the handle is closed: each connection is a task of the runtime.
    pub async fn serve<S>(self, service: S) -> Result<(), Error>
    where
        S: IntoService<Io<Stream>>,
        S::Service: Service<Io<Stream>, Handler: Send, Deciding: Send, Running: Send>
            + Send
            + Sync
            + 'static,
    {
        let service = service.into_service(&self.options)?;
        self.run(service.hubs(), |accepted, leave, options| {
            tokio::spawn(connection(accepted, options, service.clone(), leave));
        })
        .await
    }

    /// Serves as [`serve`](Self::serve) does, but hands each task to `spawn`: handlers need not be `Send`.
    pub async fn serve_local<S>(
        self,
        service: S,
        mut spawn: impl FnMut(LocalTask),
    ) -> Result<(), Error>
    where
        S: IntoService<Io<Stream>>,
        S::Service: 'static,
    {
        let service = service.into_service(&self.options)?;
        self.run(service.hubs(), |accepted, leave, options| {
            spawn(Box::pin(connection(
                accepted,
                options,
                service.clone(),
                leave,
            )));
        })
        .await
    }

    async fn run(
        mut self,
        hubs: Vec<HubRef>,
        mut start: impl FnMut(Accepted, Admission, Arc<ServerOptions>),
    ) -> Result<(), Error> {
        let (handle, options) = (self.handle(), Arc::new(self.options));
        let mut signals = Signals::default();
        let signals = drive::obey_signals(&handle, self.drain, move |cx| signals.poll_next(cx));
        let beside = drive::both(signals, drive::drive_hubs(hubs, sleep));
        let shutdown = options.config.timeouts.shutdown;
        let start = |accepted, leave| start(accepted, leave, Arc::clone(&options));
        drive::accept(self.listeners, &handle, shutdown, beside, sleep, start).await;
        Ok(())
    }

    /// Serves on `threads` threads, each with a runtime of its own, until the handle is closed; the calling thread waits.
    ///
    /// Each thread makes its server by `server`, on a port that they share: [`Listener::bind_shared`]. Give them all one handle by
    /// [`share`](Self::share), and handle no message on two threads: a connection stays where it was accepted.
    ///
    /// # Errors
    /// When a thread cannot make its server; then none serves.
    pub fn serve_on_threads<S>(
        threads: usize,
        server: impl Fn() -> Result<Self, Error> + Sync,
        service: S,
    ) -> Result<(), Error>
    where
        S: IntoService<Io<Stream>>,
        S::Service: IntoService<Io<Stream>, Service = S::Service>
            + Service<Io<Stream>, Handler: Send, Deciding: Send, Running: Send>
            + Send
            + Sync
            + 'static,
    {
        let service = service.into_service(&ServerOptions::default())?;
        let (ready, failed) = (Barrier::new(threads), AtomicBool::new(false));
        let make = || -> Result<_, Error> {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let server = runtime.block_on(async { server() })?;
            Ok((runtime, server))
        };
        let work = || -> Result<(), Error> {
            // However one fails, also by a panic, the others wait for it.
            let made = catch_unwind(AssertUnwindSafe(make)).unwrap_or(Err(Error::Panic));
            failed.fetch_or(made.is_err(), Ordering::SeqCst);
            ready.wait();
            let (runtime, server) = made?;
            if failed.load(Ordering::SeqCst) {
                return Ok(());
            }
            let _nodes = drive::hubs_on_this_thread(&service.hubs());
            runtime.block_on(server.serve(service.clone()))
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let join = |thread: std::thread::ScopedJoinHandle<'_, Result<(), Error>>| {
                thread.join().unwrap_or(Err(Error::Panic))
            };
            threads.into_iter().map(join).fold(Ok(()), Result::and)
        })
    }
}

/// SIGTERM and SIGINT.
#[cfg(unix)]
#[derive(Default)]
struct Signals(Option<[tokio::signal::unix::Signal; 2]>);

#[cfg(unix)]
impl Signals {
    /// Ready once one of them came.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        use tokio::signal::unix::{SignalKind, signal};
        if self.0.is_none() {
            let [terminate, interrupt] = [SignalKind::terminate(), SignalKind::interrupt()];
            self.0 = Some([signal(terminate)?, signal(interrupt)?]);
        }
        let mut both = self.0.iter_mut().flatten();
        if both.any(|one| one.poll_recv(cx).is_ready()) {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }
}

/// There are none here.
#[cfg(not(unix))]
#[derive(Default)]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn poll_next(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

/// One connection.
fn connection<S: Service<Io<Stream>>>(
    accepted: Accepted,
    options: Arc<ServerOptions>,
    service: S,
    mut leave: Admission,
) -> impl Future<Output = ()> {
    let begun = now();
    // Boxed, so that an open connection does not hold room for a TLS handshake.
    let preparing = Box::pin(within(
        options.config.timeouts.handshake,
        accepted.prepare(),
    ));
    async move {
        let (stream, peer, secure) = match leave.unless_closing(preparing).await {
            Some(Ok(prepared)) => prepared,
            Some(Err(error)) => return leave.not_begun(&error),
            // Nothing was said on it yet: there is nobody to tell.
            None => return,
        };
        let transport = Io::new(stream).watched(Stream::send_progress);
        let arrival = ConnectInfo {
            begun,
            peer,
            secure,
        };
        match leave {
            Admission::In(ticket) => {
                drive::serve(transport, options, service, ticket, arrival).await;
            }
            Admission::Away(away) => {
                let refusing = drive::refuse(transport, &options, &service, arrival, &away);
                let _ = Box::pin(refusing).await;
            }
        }
    }
}
