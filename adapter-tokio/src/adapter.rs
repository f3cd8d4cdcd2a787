//! tokio's sockets, tasks and signals.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Instant;

#[cfg(target_os = "linux")]
use sansws_async::core::connection::SendProgress;
use sansws_async::runtime::{ByteStream, LocalSpawner, Runtime};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::{Builder, Handle, LocalOptions};
use tokio::task::{spawn_local, unconstrained};

use crate::timer::TokioTimer;

/// The tokio runtime.
///
/// It is the parameter of the generic types of [`sansws_async`], which this crate names without it:
///
/// ```
/// use sansws_tokio::{Server, Tokio};
///
/// fn run(server: Server) -> sansws_async::Server<Tokio> {
///     server // the same type
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Tokio;

impl Runtime for Tokio {
    type Tcp = Tcp;
    type TcpListener = TcpListener;
    #[cfg(unix)]
    type Unix = Compat<UnixStream>;
    #[cfg(unix)]
    type UnixListener = UnixListener;
    type Timer = TokioTimer;
    type Signals = Signals;
    type LocalSpawner = Local;

    fn now() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    async fn connect(address: SocketAddr) -> io::Result<Tcp> {
        Tcp::new(TcpStream::connect(address).await?)
    }

    fn listen(listener: std::net::TcpListener) -> io::Result<TcpListener> {
        TcpListener::from_std(listener)
    }

    fn poll_accept(
        listener: &TcpListener,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(Tcp, SocketAddr)>> {
        let (stream, peer) = ready!(listener.poll_accept(cx))?;
        Poll::Ready(Tcp::new(stream).map(|stream| (stream, peer)))
    }

    #[cfg(unix)]
    fn listen_unix(listener: std::os::unix::net::UnixListener) -> io::Result<UnixListener> {
        UnixListener::from_std(listener)
    }

    #[cfg(unix)]
    fn poll_accept_unix(
        listener: &UnixListener,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Compat<UnixStream>>> {
        let (stream, _) = ready!(listener.poll_accept(cx))?;
        Poll::Ready(Ok(Compat(stream)))
    }

    fn spawn(task: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(task);
    }

    async fn spawn_blocking<T: Send + 'static>(
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        let runtime = Handle::current();
        // It panics when the system starts no thread.
        let spawned = catch_unwind(AssertUnwindSafe(|| runtime.spawn_blocking(work)));
        let spawned = spawned.map_err(|_| io::Error::other("no thread can be started"))?;
        Ok(spawned.await?)
    }

    fn run_local<F: Future>(work: impl FnOnce(Local) -> F) -> io::Result<F::Output> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build_local(LocalOptions::default())?;
        Ok(runtime.block_on(async { work(Local).await }))
    }

    fn poll_signal(signals: &mut Signals, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        signals.poll(cx)
    }
}

/// A stream with tokio's traits as a [`ByteStream`], and a [`ByteStream`] as one with tokio's traits.
///
/// ```
/// use sansws_tokio::{ConnectOptions, Io, Result, WebSocket, accept, connect_over};
/// use tokio::io::{DuplexStream, duplex};
///
/// /// A connection over a stream of tokio's traits.
/// type Piped = WebSocket<Io<DuplexStream>>;
///
/// async fn serve(stream: DuplexStream) -> Result {
///     let upgrade = accept(stream, Default::default()).await?;
///     Ok(upgrade.accept().await?.send_text("hello").await?)
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result {
/// let (ours, theirs) = duplex(1 << 16);
/// let server = tokio::spawn(serve(theirs));
/// let url = "ws://localhost/";
/// let mut socket: Piped = connect_over(ours, url, ConnectOptions::default()).await?;
/// assert_eq!(socket.receive_text().await?.as_deref(), Some("hello"));
/// server.await??;
/// # Ok(())
/// # }
/// ```
///
/// The other direction is for the protocol that follows a WebSocket, over TLS too:
///
/// ```
/// use sansws_tokio::{Compat, Result, WebSocket};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// /// Agrees on a protocol of lines, and goes on with it.
/// async fn leave(mut socket: WebSocket) -> Result {
///     socket.send_text("lines, please").await?;
///     let _agreed = socket.receive_text().await?;
///     let Ok((io, unread)) = socket.into_inner() else {
///         return Err("a server drives it".into());
///     };
///     let mut stream = Compat(io.into_inner());
///     stream.write_all(b"hello\n").await?;
///     let mut answer = unread; // the first bytes may have arrived already
///     stream.read_to_end(&mut answer).await?;
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct Compat<S>(pub S);

impl<S: AsyncRead + AsyncWrite + Unpin> ByteStream for Compat<S> {
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut into = ReadBuf::new(into);
        ready!(Pin::new(&mut self.0).poll_read(cx, &mut into))?;
        Poll::Ready(Ok(into.filled().len()))
    }

    fn poll_append(&mut self, cx: &mut Context<'_>, into: &mut Vec<u8>) -> Poll<io::Result<usize>> {
        pin!(self.0.read_buf(into)).poll(cx)
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // An exhausted budget of tokio would leave output unwritten that only the sender writes; the connection has its own budget.
        let write = poll_fn(|cx| match from {
            [one] => Pin::new(&mut self.0).poll_write(cx, one),
            many => Pin::new(&mut self.0).poll_write_vectored(cx, many),
        });
        pin!(unconstrained(write)).poll(cx)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl<S: ByteStream + Unpin> AsyncRead for Compat<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let count = ready!(self.0.poll_read(cx, into.initialize_unfilled()))?;
        into.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl<S: ByteStream + Unpin> AsyncWrite for Compat<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, &[IoSlice::new(from)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, from)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_shutdown(cx)
    }
}

/// A TCP connection.
///
/// ```no_run
/// use sansws_tokio::{ByteStream, Tcp};
///
/// # async fn run() -> sansws_tokio::Result {
/// let stream = tokio::net::TcpStream::connect("127.0.0.1:8080").await?;
/// let stream = Tcp::new(stream)?; // with `TCP_NODELAY`
/// println!("{:?}", stream.peer_addr());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Tcp(Compat<TcpStream>);

impl Tcp {
    /// Wraps a tokio connection, and sets `TCP_NODELAY`.
    ///
    /// # Errors
    /// When the option cannot be set.
    pub fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self(Compat(stream)))
    }

    /// Returns tokio's connection.
    pub const fn get_ref(&self) -> &TcpStream {
        &self.0.0
    }

    /// Returns tokio's connection.
    pub fn into_inner(self) -> TcpStream {
        self.0.0
    }
}

impl ByteStream for Tcp {
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        self.0.poll_read(cx, into)
    }

    fn poll_append(&mut self, cx: &mut Context<'_>, into: &mut Vec<u8>) -> Poll<io::Result<usize>> {
        self.0.poll_append(cx, into)
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, from)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_flush(cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_shutdown(cx)
    }

    fn closes_when_dropped(&self) -> bool {
        true
    }

    #[cfg(target_os = "linux")]
    fn send_progress(&self) -> Option<SendProgress> {
        sansws_async::runtime::send_progress(&self.0.0)
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        self.0.0.peer_addr().ok()
    }
}

/// Spawns on the thread's own runtime.
#[derive(Debug)]
pub struct Local;

impl LocalSpawner for Local {
    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        spawn_local(task);
    }
}

/// SIGTERM and SIGINT, on platforms that have them.
#[derive(Debug, Default)]
pub struct Signals(#[cfg(unix)] Option<[tokio::signal::unix::Signal; 2]>);

impl Signals {
    #[cfg(unix)]
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
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

    #[cfg(not(unix))]
    fn poll(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In a process of its own, whose threads would need more memory than there are addresses.
    #[test]
    fn a_thread_that_cannot_be_started_is_an_error() {
        const NAME: &str = "adapter::tests::a_thread_that_cannot_be_started_is_an_error";
        const STACK: &str = "1125899906842624";
        if std::env::var("RUST_MIN_STACK").as_deref() != Ok(STACK) {
            let own = std::process::Command::new(std::env::current_exe().unwrap())
                .args([NAME, "--exact", "--nocapture"])
                .env("RUST_MIN_STACK", STACK)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&own.stdout);
            assert!(own.status.success(), "{said}");
            assert!(said.contains("1 passed"), "{said}");
            return;
        }
        let runtime = Builder::new_current_thread().build().unwrap();
        let done = runtime.block_on(Tokio::spawn_blocking(|| ()));
        assert!(done.is_err());
    }
}
