//! A server: listens, admits connections, serves them, and shuts down.

use std::fmt::{self, Debug};
use std::future::pending;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::ScopedJoinHandle;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::hub::{HubRef, both, drive_hubs, hubs_on_this_thread};
use crate::runtime::sleep::within;
use crate::runtime::{Io, LocalSpawner, Runtime, Stream, now, sleep};
use crate::server::accept::{accept, obey_signals, until_told};
use crate::server::connection_task::{Prepare, serve_admitted};
use crate::server::handle::{Admission, ServerHandle};
use crate::server::listener::{Accepted, Listener};
use crate::server::options::ServerOptions;
use crate::server::service::{IntoService, Service};

/// The transport of a server's connections.
pub type Wire<R> = Io<R, Stream<R>>;

/// The task of a connection, for executors that keep tasks on one thread.
pub type LocalTask = Pin<Box<dyn Future<Output = ()>>>;

/// Serves connections: a handler for all paths, or a [`Router`](crate::Router).
///
/// In an adapter, the runtime is already chosen: `Server::bind`.
///
/// ```
/// use std::time::Duration;
/// use sansws_async::{Result, Router, Runtime, Server, ServerOptions, Transport, Upgrade};
///
/// async fn echo<T: Transport>(upgrade: Upgrade<T>) -> Result {
///     let mut socket = upgrade.accept().await?;
///     while let Some(message) = socket.receive().await? {
///         socket.send(message).await?;
///     }
///     Ok(())
/// }
///
/// async fn run<R: Runtime>() -> Result {
///     let mut server = Server::<R>::bind("127.0.0.1:8080")
///         .await?
///         .options(ServerOptions::default().max_connections(10_000))
///         .drain_on_signal(Duration::from_secs(20));
///     let handle = server.handle();
///     println!("listening on {}", server.local_addr()?);
///     server.serve(Router::new().route("/echo", echo)).await?;
///     println!("{} connections were served", handle.metrics().opened);
///     Ok(())
/// }
/// ```
#[must_use]
pub struct Server<R: Runtime> {
    listeners: Vec<Listener<R>>,
    options: ServerOptions,
    handle: Option<ServerHandle>,
    drain: Option<Duration>,
    shutdown: Option<Shutdown>,
}

/// A future whose end shuts the server down.
type Shutdown = Pin<Box<dyn Future<Output = ()> + Send>>;

impl<R: Runtime> Debug for Server<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("listeners", &self.listeners)
            .field("options", &self.options)
            .field("handle", &self.handle)
            .field("drain", &self.drain)
            .finish_non_exhaustive()
    }
}

impl<R: Runtime> Server<R> {
    /// Listens on TCP, with default options. With port 0 the system chooses one.
    pub async fn bind(address: impl ToSocketAddrs + Debug) -> Result<Self, Error> {
        Ok(Self::new(Listener::bind(address).await?))
    }

    /// Listens on `listener`, with default options.
    pub fn new(listener: Listener<R>) -> Self {
        Self {
            listeners: vec![listener],
            options: ServerOptions::default(),
            handle: None,
            drain: None,
            shutdown: None,
        }
    }

    /// Adds a listener.
    pub fn listen(mut self, listener: Listener<R>) -> Self {
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

    /// On SIGTERM and on SIGINT (^C), [drains](ServerHandle::drain) the server over `window`. A second signal
    /// [drops](ServerHandle::drop_all) the remaining connections.
    #[cfg(unix)]
    pub const fn drain_on_signal(mut self, window: Duration) -> Self {
        self.drain = Some(window);
        self
    }

    /// Shuts down when `shutdown` completes, as [`ServerHandle::close`] does: no new connections, open ones are closed with 1001, and
    /// [`serve`](Self::serve) returns when they have ended. To close them over a window, let the future itself call
    /// [`ServerHandle::drain`] last. If it panics, this is logged, and the server shuts down too.
    ///
    /// Servers that [share](Self::share) a handle shut down together.
    pub fn with_graceful_shutdown(
        mut self,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        self.shutdown = Some(Box::pin(shutdown));
        self
    }

    /// Returns the address that it listens on, the first of several.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        let first = self.listeners.first();
        first.ok_or(io::ErrorKind::NotFound)?.local_addr()
    }

    /// Returns the handle of the server; call it after the options are set.
    ///
    /// [`ServerHandle::drain`] shuts the server down gradually, with 1012; [`ServerHandle::close`] at once, with 1001. It then stops accepting, and
    /// [`serve`](Self::serve) returns once all connections, or their [`shutdown`](crate::Timeouts::shutdown) time, have ended.
    pub fn handle(&mut self) -> ServerHandle {
        let most = self.options.max_connections;
        self.handle
            .get_or_insert_with(|| ServerHandle::new(most))
            .clone()
    }

    /// Serves until the handle is closed. Each connection is a task of the runtime.
    pub async fn serve<S>(self, service: S) -> Result<(), Error>
    where
        S: IntoService<Wire<R>>,
        S::Service:
            Service<Wire<R>, Handler: Send, Deciding: Send, Running: Send> + Send + Sync + 'static,
    {
        let service = service.into_service(&self.options)?;
        self.run(service.hubs(), |accepted, leave, options| {
            R::spawn(connection(accepted, options, service.clone(), leave));
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
        S: IntoService<Wire<R>>,
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
        mut start: impl FnMut(Accepted<R>, Admission, Arc<ServerOptions>),
    ) -> Result<(), Error> {
        let (handle, options) = (self.handle(), Arc::new(self.options));
        let mut signals = R::Signals::default();
        let signals = obey_signals(&handle, self.drain, move |cx| {
            R::poll_signal(&mut signals, cx)
        });
        let shutdown = self.shutdown.take();
        let requested = async {
            match shutdown {
                Some(shutdown) => until_told(shutdown, &handle).await,
                None => pending().await,
            }
            if !handle.is_closing() {
                handle.close();
            }
            pending().await
        };
        let beside = both(both(signals, requested), drive_hubs(hubs, sleep::<R>));
        let shutdown = options.config.timeouts.shutdown;
        let start = |accepted, leave| start(accepted, leave, Arc::clone(&options));
        accept(self.listeners, &handle, shutdown, beside, sleep::<R>, start).await;
        Ok(())
    }

    /// Serves on `threads` threads, at least one, each with its own runtime, until the handle is closed; the calling thread waits.
    ///
    /// Each thread calls `server` to make its server, on a shared port: [`Listener::bind_shared`]. Give all of them one handle by
    /// [`share`](Self::share). A connection stays on the thread that accepted it.
    ///
    /// # Errors
    /// When a thread cannot make its server; then no thread serves.
    pub fn serve_on_threads<S>(
        threads: usize,
        server: impl Fn() -> Result<Self, Error> + Sync,
        service: S,
    ) -> Result<(), Error>
    where
        S: IntoService<Wire<R>>,
        S::Service: IntoService<Wire<R>, Service = S::Service>
            + Service<Wire<R>, Handler: Send, Deciding: Send, Running: Send>
            + Send
            + Sync
            + 'static,
    {
        let service = service.into_service(&ServerOptions::default())?;
        let threads = threads.max(1);
        let start = Start::new(threads);
        let work = || -> Result<(), Error> {
            let turn = Turn(Some(&start));
            let run = |local: R::LocalSpawner| async {
                let local = local;
                let turn = turn;
                let made = catch_unwind(AssertUnwindSafe(&server)).unwrap_or(Err(Error::Panic));
                let server = made?;
                if !turn.made() {
                    return Ok(());
                }
                let _nodes = hubs_on_this_thread(&service.hubs());
                let spawn = |task| local.spawn(task);
                server.serve_local(service.clone(), spawn).await
            };
            R::run_local(run)?
        };
        std::thread::scope(|scope| {
            let mut running = Vec::new();
            for _ in 0..threads {
                match std::thread::Builder::new().spawn_scoped(scope, work) {
                    Ok(thread) => running.push(thread),
                    Err(error) => {
                        start.fail();
                        let joined = running.into_iter().map(join);
                        joined.for_each(drop);
                        return Err(Error::io("start a thread", error));
                    }
                }
            }
            running.into_iter().map(join).fold(Ok(()), Result::and)
        })
    }
}

fn join(thread: ScopedJoinHandle<'_, Result<(), Error>>) -> Result<(), Error> {
    thread.join().unwrap_or(Err(Error::Panic))
}

/// The common start of several threads: all serve, or none.
struct Start {
    threads: usize,
    made: Mutex<Made>,
    changed: Condvar,
}

#[derive(Default)]
struct Made {
    servers: usize,
    failed: bool,
}

impl Start {
    fn new(threads: usize) -> Self {
        Self {
            threads,
            made: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Counts a server that was made, waits for the others, and returns whether all were.
    fn arrive(&self) -> bool {
        let mut made = self.made();
        made.servers += 1;
        self.changed.notify_all();
        let waits = |made: &mut Made| made.servers < self.threads && !made.failed;
        let made = self.changed.wait_while(made, waits);
        !made.unwrap_or_else(PoisonError::into_inner).failed
    }

    /// Lets no thread serve, because one cannot.
    fn fail(&self) {
        self.made().failed = true;
        self.changed.notify_all();
    }

    fn made(&self) -> MutexGuard<'_, Made> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One thread's part in a [`Start`]: unless its server is made, even if it panics before, no thread serves.
struct Turn<'a>(Option<&'a Start>);

impl Turn<'_> {
    /// The server is made. Returns whether those of all threads are.
    fn made(mut self) -> bool {
        self.0.take().is_some_and(Start::arrive)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(start) = self.0.take() {
            start.fail();
        }
    }
}

/// Runs one connection.
fn connection<R: Runtime, S: Service<Wire<R>>>(
    accepted: Accepted<R>,
    options: Arc<ServerOptions>,
    service: S,
    leave: Admission,
) -> impl Future<Output = ()> {
    let begun = now::<R>();
    let limit = options.config.timeouts.handshake;
    let prepare = match accepted.into_plain() {
        Ok((stream, peer)) => Prepare::Done((Io::new(stream), peer, false)),
        Err(accepted) => Prepare::Steps(Box::pin(async move {
            let preparing = within::<R, _>(limit, Box::pin(accepted.prepare()));
            let (stream, peer, secure) = preparing.await?;
            Ok((Io::new(stream), peer, secure))
        })),
    };
    serve_admitted(prepare, begun, options, service, leave)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_cannot_start_holds_up_no_other() {
        let start = Start::new(4);
        std::thread::scope(|scope| {
            let arrived: Vec<_> = (0..2).map(|_| scope.spawn(|| start.arrive())).collect();
            // One panics before its server is made; the fourth is never started.
            let panicked = scope.spawn(|| {
                let _turn = Turn(Some(&start));
                panic!("no server");
            });
            assert!(panicked.join().is_err());
            assert!(arrived.into_iter().all(|thread| !thread.join().unwrap()));
        });
        assert!(!start.arrive());
    }

    #[test]
    fn all_threads_start_together() {
        let start = Start::new(3);
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..3)
                .map(|_| scope.spawn(|| Turn(Some(&start)).made()))
                .collect();
            assert!(threads.into_iter().all(|thread| thread.join().unwrap()));
        });
    }
}
