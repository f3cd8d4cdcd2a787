//! A server: accepts, lets in, drives, and shuts down.

use std::future::{pending, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::task::Poll;
use std::time::Duration;

use sansws_core::drive::{self, Arrival, Error, Gate, IntoService, Leave, Result, Serve, Service};
use tokio::net::ToSocketAddrs;
use tokio::time::{sleep, timeout};

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
    options: Serve,
    gate: Option<Gate>,
    drain: Option<Duration>,
}

/// How long accepting pauses after an error such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);

impl Server {
    /// Listens on TCP, with default options. Port 0 lets the system choose.
    pub async fn bind(address: impl ToSocketAddrs) -> Result<Self> {
        Ok(Self::new(Listener::bind(address).await?))
    }

    /// Listens on `listener`, with default options.
    pub fn new(listener: Listener) -> Self {
        Self {
            listeners: vec![listener],
            options: Serve::default(),
            gate: None,
            drain: None,
        }
    }

    /// Listens on one more.
    pub fn listen(mut self, listener: Listener) -> Self {
        self.listeners.push(listener);
        self
    }

    /// Sets the options.
    pub fn options(mut self, options: Serve) -> Self {
        self.options = options;
        self
    }

    /// Shares the door with another server: limits count for both, and both shut down together.
    pub fn share(mut self, gate: Gate) -> Self {
        self.gate = Some(gate);
        self
    }

    /// On SIGTERM and on SIGINT (^C), [drains](Gate::drain) the server over `window`. A second signal
    /// [drops](Gate::drop_all) who is still in.
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
    /// [`Gate::drain`] shuts it down over a while, with 1012; [`Gate::close`] at once, with 1001. Then it stops to accept, and
    /// [`serve`](Self::serve) returns once all connections have ended, or their [`shutdown`](crate::Timeouts::shutdown) time has.
    pub fn gate(&mut self) -> Gate {
        let most = self.options.max_connections;
        self.gate.get_or_insert_with(|| Gate::new(most)).clone()
    }

    /// Serves until the gate is closed: each connection is a task of the runtime.
    pub async fn serve<S>(self, service: S) -> Result<()>
    where
        S: IntoService<Io<Stream>>,
        S::Service: Service<Io<Stream>, Handler: Send, Deciding: Send, Running: Send>
            + Send
            + Sync
            + 'static,
    {
        let service = service.into_service(&self.options)?;
        self.run(|accepted, leave, options| {
            tokio::spawn(connection(accepted, options, service.clone(), leave));
        })
        .await
    }

    /// Serves as [`serve`](Self::serve) does, but hands each task to `spawn`: handlers need not be `Send`.
    pub async fn serve_local<S>(self, service: S, mut spawn: impl FnMut(LocalTask)) -> Result<()>
    where
        S: IntoService<Io<Stream>>,
        S::Service: 'static,
    {
        let service = service.into_service(&self.options)?;
        self.run(|accepted, leave, options| {
            spawn(Box::pin(connection(
                accepted,
                options,
                service.clone(),
                leave,
            )));
        })
        .await
    }

    async fn run(mut self, mut start: impl FnMut(Accepted, Leave, Arc<Serve>)) -> Result<()> {
        let gate = self.gate();
        let (mut listeners, options) = (self.listeners, Arc::new(self.options));
        let mut paused = false;
        let mut signals = pin!(obey_signals(&gate, self.drain));
        let mut over = pin!(over(&gate));
        loop {
            let next = poll_fn(|cx| {
                let _ = signals.as_mut().poll(cx);
                if over.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(None);
                }
                for (at, listener) in listeners.iter().enumerate() {
                    if let Poll::Ready(accepted) = listener.poll_accept(cx) {
                        // The next one to be asked first is the one behind it.
                        listeners.rotate_left(at + 1);
                        return Poll::Ready(Some(accepted));
                    }
                }
                Poll::Pending
            });
            match next.await {
                None => break,
                Some(Ok(accepted)) => {
                    if std::mem::take(&mut paused) {
                        tracing::warn!("accepting goes on");
                    }
                    if let Some(leave) = gate.admit() {
                        start(accepted, leave, Arc::clone(&options));
                    }
                }
                Some(Err(error)) => {
                    if !std::mem::replace(&mut paused, true) {
                        tracing::warn!(%error, "accepting failed, and is tried again until it succeeds");
                    }
                    sleep(PAUSE).await;
                }
            }
        }
        drop(listeners);
        let empty = poll_fn(|cx| {
            let _ = signals.as_mut().poll(cx);
            gate.poll_empty(cx)
        });
        if timeout(options.config.timeouts.shutdown, empty)
            .await
            .is_err()
        {
            gate.drop_all();
        }
        Ok(())
    }

    /// Serves on `threads` threads, each with a runtime of its own, until the gate is closed; the calling thread waits.
    ///
    /// Each thread makes its server by `server`, on a port that they share: [`Listener::bind_shared`]. Give them all one gate by
    /// [`share`](Self::share), and handle no message on two threads: a connection stays where it was accepted.
    ///
    /// # Errors
    /// When a thread cannot make its server; then none serves.
    pub fn serve_on_threads<S>(
        threads: usize,
        server: impl Fn() -> Result<Self> + Sync,
        service: S,
    ) -> Result<()>
    where
        S: IntoService<Io<Stream>>,
        S::Service: IntoService<Io<Stream>, Service = S::Service>
            + Service<Io<Stream>, Handler: Send, Deciding: Send, Running: Send>
            + Send
            + Sync
            + 'static,
    {
        let service = service.into_service(&Serve::default())?;
        let (ready, failed) = (Barrier::new(threads), AtomicBool::new(false));
        let make = || -> Result<_> {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let server = runtime.block_on(async { server() })?;
            Ok((runtime, server))
        };
        let work = || -> Result<()> {
            // However one fails, also by a panic, the others wait for it.
            let made = catch_unwind(AssertUnwindSafe(make)).unwrap_or(Err(Error::Panic));
            failed.fetch_or(made.is_err(), Ordering::SeqCst);
            ready.wait();
            let (runtime, server) = made?;
            if failed.load(Ordering::SeqCst) {
                return Ok(());
            }
            runtime.block_on(server.serve(service.clone()))
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let join = |thread: std::thread::ScopedJoinHandle<'_, Result<()>>| {
                thread.join().unwrap_or(Err(Error::Panic))
            };
            threads.into_iter().map(join).fold(Ok(()), Result::and)
        })
    }
}

/// Waits until nobody is accepted any more: when the door is closed, and all had time to leave, or have none.
async fn over(gate: &Gate) {
    poll_fn(|cx| gate.poll_closing(cx)).await;
    tokio::select! {
        () = sleep(gate.window()) => {}
        () = poll_fn(|cx| gate.poll_at_once(cx)) => {}
    }
}

/// Drains on a signal, and drops all on a second one: whoever sends it waits no longer. It is never done.
async fn obey_signals(gate: &Gate, drain: Option<Duration>) {
    if let Some(window) = drain
        && let Err(error) = drain_and_drop(gate, window).await
    {
        tracing::error!(%error, "signals cannot be had");
    }
    pending().await
}

/// The signals are SIGTERM and SIGINT.
#[cfg(unix)]
async fn drain_and_drop(gate: &Gate, window: Duration) -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let mut next = async || {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    next().await;
    tracing::info!(?window, "a signal: the server drains");
    gate.drain(window);
    next().await;
    tracing::info!("a second signal: who is still in is dropped");
    gate.drop_all();
    Ok(())
}

/// One connection.
fn connection<S: Service<Io<Stream>>>(
    accepted: Accepted,
    options: Arc<Serve>,
    service: S,
    leave: Leave,
) -> impl Future<Output = ()> {
    let begun = now();
    // Boxed, so that an open connection does not hold room for a TLS handshake.
    let preparing = Box::pin(within(
        options.config.timeouts.handshake,
        accepted.prepare(),
    ));
    async move {
        let (stream, peer, secure) = match preparing.await {
            Ok(prepared) => prepared,
            Err(error) => return tracing::debug!(%error, "a connection was not begun"),
        };
        let transport = Io::new(stream);
        let arrival = Arrival {
            begun,
            peer,
            secure,
        };
        match leave {
            Leave::In(ticket) => {
                drive::serve(transport, options, service, ticket, arrival).await;
            }
            Leave::Away(_away) => {
                let config = Arc::clone(&options.config);
                let _ = Box::pin(drive::refuse(transport, config)).await;
            }
        }
    }
}
