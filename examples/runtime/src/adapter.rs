//! Tasks by `async-executor`, readiness by `mio`, timers by the thread that waits for it.

use std::collections::BTreeMap;
use std::future::{Future, pending, poll_fn};
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use async_executor::{Executor, LocalExecutor};
use futures_lite::future::block_on;
use mio::event::Source;
use mio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use mio::{Events, Interest, Poll as Selector, Registry, Token};
use sansws_async::core::connection::SendProgress;
use sansws_async::runtime::{ByteStream, LocalSpawner, Runtime, Timer};

/// Number of threads that run tasks.
const THREADS: usize = 2;

/// The runtime. It starts with the first task, socket or timer, and lives as long as the process.
#[derive(Clone, Copy, Debug)]
pub struct Mio;

impl Runtime for Mio {
    type Tcp = Socket<TcpStream>;
    type TcpListener = Socket<TcpListener>;
    type Unix = Socket<UnixStream>;
    type UnixListener = Socket<UnixListener>;
    type Timer = MioTimer;
    type Signals = Signals;
    type LocalSpawner = Local;

    #[expect(clippy::disallowed_methods, reason = "this is the adapter's clock")]
    fn now() -> Instant {
        Instant::now()
    }

    async fn connect(address: SocketAddr) -> io::Result<Socket<TcpStream>> {
        let socket = Socket::new(TcpStream::connect(address)?)?;
        poll_fn(|cx| socket.poll_connected(cx)).await?;
        socket.source.set_nodelay(true)?;
        Ok(socket)
    }

    fn listen(listener: std::net::TcpListener) -> io::Result<Socket<TcpListener>> {
        Socket::new(TcpListener::from_std(listener))
    }

    fn poll_accept(
        listener: &Socket<TcpListener>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(Socket<TcpStream>, SocketAddr)>> {
        let (stream, peer) = ready!(listener.poll(cx, Way::In, TcpListener::accept))?;
        stream.set_nodelay(true)?;
        Poll::Ready(Socket::new(stream).map(|socket| (socket, peer)))
    }

    fn listen_unix(listener: std::os::unix::net::UnixListener) -> io::Result<Socket<UnixListener>> {
        Socket::new(UnixListener::from_std(listener))
    }

    fn poll_accept_unix(
        listener: &Socket<UnixListener>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Socket<UnixStream>>> {
        let (stream, _) = ready!(listener.poll(cx, Way::In, UnixListener::accept))?;
        Poll::Ready(Socket::new(stream))
    }

    fn spawn(task: impl Future<Output = ()> + Send + 'static) {
        executor().spawn(task).detach();
    }

    async fn spawn_blocking<T: Send + 'static>(
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        let (tell, told) = async_channel::bounded(1);
        std::thread::Builder::new().spawn(move || drop(tell.try_send(work())))?;
        // Without a result, `work` has panicked.
        told.recv().await.map_err(io::Error::other)
    }

    fn run_local<F: Future>(work: impl FnOnce(Local) -> F) -> io::Result<F::Output> {
        let tasks = Rc::new(LocalExecutor::new());
        let work = work(Local(Rc::clone(&tasks)));
        Ok(block_on(tasks.run(work)))
    }

    fn poll_signal(signals: &mut Signals, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        signals.poll(cx)
    }
}

/// Returns the executor; the first call starts its threads.
fn executor() -> &'static Executor<'static> {
    static EXECUTOR: OnceLock<Executor<'static>> = OnceLock::new();
    static STARTED: AtomicBool = AtomicBool::new(false);
    let executor = EXECUTOR.get_or_init(Executor::new);
    if !STARTED.swap(true, Ordering::SeqCst) {
        for _ in 0..THREADS {
            std::thread::spawn(move || block_on(executor.run(pending::<()>())));
        }
    }
    executor
}

/// The thread that waits for sockets and timers.
struct Reactor {
    registry: Registry,
    interrupt: mio::Waker,
    ids: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    sockets: BTreeMap<usize, Arc<Readiness>>,
    timers: BTreeMap<(Instant, u64), Waker>,
}

/// Wakes the reactor itself.
const INTERRUPT: Token = Token(usize::MAX);

impl Reactor {
    /// Returns the reactor; the first call starts its thread.
    fn get() -> io::Result<&'static Self> {
        static REACTOR: OnceLock<Reactor> = OnceLock::new();
        if let Some(reactor) = REACTOR.get() {
            return Ok(reactor);
        }
        let selector = Selector::new()?;
        let registry = selector.registry().try_clone()?;
        let made = Self {
            interrupt: mio::Waker::new(&registry, INTERRUPT)?,
            registry,
            ids: AtomicU64::new(0),
            state: Mutex::default(),
        };
        if REACTOR.set(made).is_ok() {
            std::thread::Builder::new().spawn(move || {
                if let Some(reactor) = REACTOR.get() {
                    reactor.run(selector);
                }
            })?;
        }
        REACTOR.get().ok_or_else(|| io::ErrorKind::Other.into())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    fn run(&self, mut selector: Selector) {
        let mut events = Events::with_capacity(1024);
        loop {
            let next = self.state().timers.keys().next().map(|(at, _)| *at);
            let wait = next.map(|at| at.saturating_duration_since(<Mio as Runtime>::now()));
            if selector.poll(&mut events, wait).is_err() {
                continue;
            }
            let mut woken = Vec::new();
            let mut state = self.state();
            for event in &events {
                if let Some(readiness) = state.sockets.get(&event.token().0) {
                    let error = event.is_error();
                    if event.is_readable() || event.is_read_closed() || error {
                        woken.extend(readiness.input.set());
                    }
                    if event.is_writable() || event.is_write_closed() || error {
                        woken.extend(readiness.output.set());
                    }
                }
            }
            let later = state.timers.split_off(&(<Mio as Runtime>::now(), u64::MAX));
            let due = std::mem::replace(&mut state.timers, later);
            drop(state);
            woken.extend(due.into_values());
            woken.into_iter().for_each(Waker::wake);
        }
    }
}

/// A direction of a socket.
#[derive(Clone, Copy, Debug)]
enum Way {
    In,
    Out,
}

/// Whether each direction of a socket is ready.
#[derive(Debug, Default)]
struct Readiness {
    input: Direction,
    output: Direction,
}

#[derive(Debug, Default)]
struct Direction {
    ready: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Direction {
    fn waker(&self) -> MutexGuard<'_, Option<Waker>> {
        self.waker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self) -> Option<Waker> {
        self.ready.store(true, Ordering::SeqCst);
        self.waker().take()
    }
}

/// A socket that is registered with the reactor.
#[derive(Debug)]
pub struct Socket<S: Source> {
    source: S,
    token: usize,
    readiness: Arc<Readiness>,
}

impl<S: Source> Socket<S> {
    fn new(source: S) -> io::Result<Self> {
        let reactor = Reactor::get()?;
        let token = usize::try_from(reactor.id()).unwrap_or_default();
        let readiness = Arc::<Readiness>::default();
        reactor
            .state()
            .sockets
            .insert(token, Arc::clone(&readiness));
        let both = Interest::READABLE | Interest::WRITABLE;
        // Dropped, it is forgotten by the reactor, also if it cannot be registered.
        let mut socket = Self {
            source,
            token,
            readiness,
        };
        let registered = reactor
            .registry
            .register(&mut socket.source, Token(token), both);
        registered.map(|()| socket)
    }

    /// Tries `work` until it does not block. An event that arrives meanwhile is noticed by the next round.
    fn poll<T>(
        &self,
        cx: &Context<'_>,
        way: Way,
        mut work: impl FnMut(&S) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        let direction = match way {
            Way::In => &self.readiness.input,
            Way::Out => &self.readiness.output,
        };
        loop {
            if !direction.ready.swap(false, Ordering::SeqCst) {
                *direction.waker() = Some(cx.waker().clone());
                if !direction.ready.swap(false, Ordering::SeqCst) {
                    return Poll::Pending;
                }
            }
            match work(&self.source) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    direction.ready.store(true, Ordering::SeqCst);
                }
                done => {
                    direction.ready.store(true, Ordering::SeqCst);
                    return Poll::Ready(done);
                }
            }
        }
    }
}

impl<S: Source> Drop for Socket<S> {
    fn drop(&mut self) {
        if let Ok(reactor) = Reactor::get() {
            let _ = reactor.registry.deregister(&mut self.source);
            reactor.state().sockets.remove(&self.token);
        }
    }
}

impl Socket<TcpStream> {
    fn poll_connected(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        self.poll(cx, Way::Out, |stream| {
            if let Some(error) = stream.take_error()? {
                return Err(error);
            }
            match stream.peer_addr() {
                Err(error) if error.kind() == io::ErrorKind::NotConnected => {
                    Err(io::ErrorKind::WouldBlock.into())
                }
                done => done.map(drop),
            }
        })
    }
}

/// A connected socket of mio.
pub trait Connected: Source {
    /// Reads, or fails with `WouldBlock`.
    ///
    /// # Errors
    /// Those of the system.
    fn read_from(&self, into: &mut [u8]) -> io::Result<usize>;

    /// Writes, or fails with `WouldBlock`.
    ///
    /// # Errors
    /// Those of the system.
    fn write_to(&self, from: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Ends the writing side.
    ///
    /// # Errors
    /// Those of the system.
    fn end_writing(&self) -> io::Result<()>;

    /// Returns how far the peer has taken what was written, if the system tells.
    fn progress(&self) -> Option<SendProgress> {
        None
    }

    /// Returns the address of the peer, if it has one.
    fn peer(&self) -> Option<SocketAddr> {
        None
    }
}

impl Connected for TcpStream {
    fn read_from(&self, into: &mut [u8]) -> io::Result<usize> {
        (&mut &*self).read(into)
    }

    fn write_to(&self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        (&mut &*self).write_vectored(from)
    }

    fn end_writing(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    #[cfg(target_os = "linux")]
    fn progress(&self) -> Option<SendProgress> {
        sansws_async::runtime::send_progress(self)
    }

    fn peer(&self) -> Option<SocketAddr> {
        self.peer_addr().ok()
    }
}

impl Connected for UnixStream {
    fn read_from(&self, into: &mut [u8]) -> io::Result<usize> {
        (&mut &*self).read(into)
    }

    fn write_to(&self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        (&mut &*self).write_vectored(from)
    }

    fn end_writing(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

impl<S: Connected> ByteStream for Socket<S> {
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        self.poll(cx, Way::In, |stream| stream.read_from(into))
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll(cx, Way::Out, |stream| stream.write_to(from))
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.source.end_writing())
    }

    fn closes_when_dropped(&self) -> bool {
        true
    }

    fn send_progress(&self) -> Option<SendProgress> {
        self.source.progress()
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        self.source.peer()
    }
}

/// An alarm in the reactor.
#[derive(Debug)]
pub struct MioTimer {
    at: Instant,
    id: u64,
}

impl MioTimer {
    fn forget(&self) {
        if let Ok(reactor) = Reactor::get() {
            reactor.state().timers.remove(&(self.at, self.id));
        }
    }
}

impl Timer for MioTimer {
    fn new(at: Instant) -> Self {
        let id = Reactor::get().map_or(0, Reactor::id);
        Self { at, id }
    }

    fn reset(&mut self, at: Instant) {
        let Ok(reactor) = Reactor::get() else { return };
        let waiting = reactor.state().timers.remove(&(self.at, self.id));
        self.at = at;
        if let Some(waker) = waiting {
            reactor.state().timers.insert((at, self.id), waker);
            let _ = reactor.interrupt.wake();
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.at <= <Mio as Runtime>::now() {
            self.forget();
            return Poll::Ready(());
        }
        if let Ok(reactor) = Reactor::get() {
            let mut state = reactor.state();
            let key = (self.at, self.id);
            state.timers.insert(key, cx.waker().clone());
            if state.timers.keys().next() == Some(&key) {
                let _ = reactor.interrupt.wake();
            }
        }
        Poll::Pending
    }
}

impl Drop for MioTimer {
    fn drop(&mut self) {
        self.forget();
    }
}

/// Spawns on the thread's own executor.
#[derive(Debug)]
pub struct Local(Rc<LocalExecutor<'static>>);

impl LocalSpawner for Local {
    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.0.spawn(task).detach();
    }
}

/// The signals that this process has received, by the one handler that it can have.
static RECEIVED: AtomicU64 = AtomicU64::new(0);
static WAITING: Mutex<Vec<Waker>> = Mutex::new(Vec::new());

/// SIGTERM and SIGINT.
#[derive(Debug, Default)]
pub struct Signals {
    seen: Option<u64>,
}

impl Signals {
    fn poll(&mut self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        let seen = match self.seen {
            Some(seen) => seen,
            None => {
                let set = ctrlc::try_set_handler(|| {
                    RECEIVED.fetch_add(1, Ordering::SeqCst);
                    let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
                    waiting.drain(..).for_each(Waker::wake);
                });
                if let Err(error) = set
                    && !matches!(error, ctrlc::Error::MultipleHandlers)
                {
                    return Poll::Ready(Err(io::Error::other(error)));
                }
                *self.seen.insert(RECEIVED.load(Ordering::SeqCst))
            }
        };
        let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
        if RECEIVED.load(Ordering::SeqCst) > seen {
            self.seen = Some(seen + 1);
            return Poll::Ready(Ok(()));
        }
        waiting.push(cx.waker().clone());
        Poll::Pending
    }
}
