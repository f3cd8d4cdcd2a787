//! smol's sockets, timers, tasks and signals.

use std::future::Future;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
#[cfg(unix)]
use std::os::fd::AsFd as AsSystem;
#[cfg(unix)]
use std::os::unix::net::{UnixListener, UnixStream};
#[cfg(windows)]
use std::os::windows::io::AsSocket as AsSystem;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use async_io::{Async, IoSafe};
use futures_io::{AsyncRead, AsyncWrite};
use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use sansws_async::core::connection::SendProgress;
use sansws_async::runtime::{ByteStream, LocalSpawner, Runtime, Timer};
use smol::LocalExecutor;

/// The smol runtime: its global executor, and the reactor of async-io.
///
/// It is the parameter of the generic types of [`sansws_async`], which this crate names without it:
///
/// ```
/// use sansws_smol::{Server, Smol};
///
/// fn run(server: Server) -> sansws_async::Server<Smol> {
///     server // the same type
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Smol;

impl Runtime for Smol {
    type Tcp = Socket<TcpStream>;
    type TcpListener = Async<TcpListener>;
    #[cfg(unix)]
    type Unix = Socket<UnixStream>;
    #[cfg(unix)]
    type UnixListener = Async<UnixListener>;
    type Timer = SmolTimer;
    type Signals = Signals;
    type LocalSpawner = Local;

    #[expect(clippy::disallowed_methods, reason = "this is the adapter's clock")]
    fn now() -> Instant {
        Instant::now()
    }

    async fn connect(address: SocketAddr) -> io::Result<Socket<TcpStream>> {
        let stream = Async::<TcpStream>::connect(address).await?;
        stream.get_ref().set_nodelay(true)?;
        Ok(Socket::new(stream))
    }

    fn listen(listener: TcpListener) -> io::Result<Async<TcpListener>> {
        Async::new_nonblocking(listener)
    }

    fn poll_accept(
        listener: &Async<TcpListener>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(Socket<TcpStream>, SocketAddr)>> {
        let (stream, peer) = ready!(poll_socket(listener, cx, TcpListener::accept))?;
        stream.set_nodelay(true)?;
        Poll::Ready(Ok((Socket::new(Async::new(stream)?), peer)))
    }

    #[cfg(unix)]
    fn listen_unix(listener: UnixListener) -> io::Result<Async<UnixListener>> {
        Async::new_nonblocking(listener)
    }

    #[cfg(unix)]
    fn poll_accept_unix(
        listener: &Async<UnixListener>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Socket<UnixStream>>> {
        let (stream, _) = ready!(poll_socket(listener, cx, UnixListener::accept))?;
        Poll::Ready(Ok(Socket::new(Async::new(stream)?)))
    }

    fn spawn(task: impl Future<Output = ()> + Send + 'static) {
        smol::spawn(task).detach();
    }

    async fn spawn_blocking<T: Send + 'static>(
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        Ok(smol::unblock(work).await)
    }

    fn run_local<F: Future>(work: impl FnOnce(Local) -> F) -> io::Result<F::Output> {
        let tasks = Rc::new(LocalExecutor::new());
        let work = work(Local(Rc::clone(&tasks)));
        Ok(smol::block_on(tasks.run(work)))
    }

    fn poll_signal(signals: &mut Signals, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        signals.poll(cx)
    }
}

/// Accepts a connection, or waits for the listener to be readable.
fn poll_socket<L, S, A>(
    listener: &Async<L>,
    cx: &mut Context<'_>,
    accept: fn(&L) -> io::Result<(S, A)>,
) -> Poll<io::Result<(S, A)>> {
    loop {
        match accept(listener.get_ref()) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                ready!(listener.poll_readable(cx))?;
            }
            found => return Poll::Ready(found),
        }
    }
}

/// A socket that knows when it was read empty: it then waits for the reactor instead of a read that would block.
///
/// ```
/// use std::os::unix::net::UnixStream;
/// use sansws_smol::{ByteStream, Socket};
/// use smol::Async;
///
/// let (ours, _theirs) = Async::<UnixStream>::pair()?;
/// let stream = Socket::new(ours);
/// assert_eq!(stream.peer_addr(), None); // a Unix socket has none
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Socket<S> {
    source: Async<S>,
    empty: bool,
}

impl<S> Socket<S> {
    /// Wraps a registered socket.
    pub const fn new(source: Async<S>) -> Self {
        Self {
            source,
            empty: false,
        }
    }

    /// Returns the registered socket.
    pub const fn get_ref(&self) -> &Async<S> {
        &self.source
    }

    /// Returns the registered socket.
    pub fn into_inner(self) -> Async<S> {
        self.source
    }
}

impl<S: Connected> ByteStream for Socket<S>
where
    Async<S>: Unpin,
{
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.empty {
            ready!(self.source.poll_readable(cx))?;
            self.empty = false;
        }
        let read = Pin::new(&mut self.source).poll_read(cx, into);
        // The kernel returned less than requested: there was no more. The end of input must be read, not awaited.
        self.empty = match &read {
            Poll::Pending => true,
            Poll::Ready(Ok(count)) => 0 < *count && *count < into.len(),
            Poll::Ready(Err(_)) => false,
        };
        read
    }

    fn poll_append(&mut self, cx: &mut Context<'_>, into: &mut Vec<u8>) -> Poll<io::Result<usize>> {
        loop {
            if self.empty {
                ready!(self.source.poll_readable(cx))?;
                self.empty = false;
            }
            let room = into.capacity() - into.len();
            match recv(
                self.source.get_ref(),
                spare_capacity(into),
                RecvFlags::empty(),
            ) {
                Ok((count, _)) => {
                    self.empty = 0 < count && count < room;
                    return Poll::Ready(Ok(count));
                }
                Err(Errno::WOULDBLOCK) => self.empty = true,
                Err(Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match from {
            [one] => Pin::new(&mut self.source).poll_write(cx, one),
            many => Pin::new(&mut self.source).poll_write_vectored(cx, many),
        }
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.source.get_ref().end_writing())
    }

    fn closes_when_dropped(&self) -> bool {
        true
    }

    fn send_progress(&self) -> Option<SendProgress> {
        self.source.get_ref().progress()
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        self.source.get_ref().peer()
    }
}

/// A connected socket of the standard library.
pub trait Connected: Read + Write + IoSafe + AsSystem {
    /// Sends FIN, which `futures-io` calls "close".
    ///
    /// # Errors
    /// An error of the system.
    fn end_writing(&self) -> io::Result<()>;

    /// Returns how much of the output the peer has taken, if the system tells.
    fn progress(&self) -> Option<SendProgress> {
        None
    }

    /// Returns the address of the peer, if it has one.
    fn peer(&self) -> Option<SocketAddr> {
        None
    }
}

impl Connected for TcpStream {
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

#[cfg(unix)]
impl Connected for UnixStream {
    fn end_writing(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

/// An async-io alarm.
#[derive(Debug)]
pub struct SmolTimer(async_io::Timer);

impl Timer for SmolTimer {
    fn new(at: Instant) -> Self {
        Self(async_io::Timer::at(at))
    }

    fn reset(&mut self, at: Instant) {
        self.0.set_at(at);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx).map(drop)
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

/// SIGTERM and SIGINT, on platforms that have them.
#[derive(Debug, Default)]
pub struct Signals(#[cfg(unix)] Option<async_signal::Signals>);

impl Signals {
    #[cfg(unix)]
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        use async_signal::Signal;
        use futures_lite::StreamExt;
        if self.0.is_none() {
            self.0 = Some(async_signal::Signals::new([Signal::Term, Signal::Int])?);
        }
        match &mut self.0 {
            Some(signals) => match ready!(signals.poll_next(cx)) {
                Some(arrived) => Poll::Ready(arrived.map(drop)),
                None => Poll::Pending,
            },
            None => Poll::Pending,
        }
    }

    #[cfg(not(unix))]
    fn poll(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}
