//! The interface of a runtime: sockets, timers, tasks, signals.
//!
//! An adapter is one implementation of [`Runtime`]; servers, listeners and clients are written once, generic over it.

mod byte_stream;
mod io;
pub(crate) mod sleep;
mod stream;
#[cfg(feature = "tls")]
pub(crate) mod tls_handshake;
#[cfg(feature = "tls")]
mod tls_stream;

use std::fmt::Debug;
use std::future::Future;
use std::io::Result;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Instant;

pub(crate) use sansws_common::entropy;

pub use byte_stream::{ByteStream, FuturesIo};
pub use io::{Io, now};
#[cfg(target_os = "linux")]
pub use sansws_common::progress::send_progress;
pub use sleep::{Sleep, sleep};
pub use stream::Stream;
#[cfg(feature = "tls")]
pub use tls_stream::TlsStream;

/// An async runtime, as servers and clients use it.
///
/// The type has no values: `Server<Tokio>` is a server on tokio. Unless stated otherwise, functions are called inside the
/// runtime, and panic outside it if the runtime does.
///
/// For an example see [a runtime over async-executor](https://github.com/sansws/sansws/blob/main/examples/runtime/src/adapter.rs) in the
/// repository.
pub trait Runtime: Debug + Send + Sync + Sized + Unpin + 'static {
    /// A TCP connection.
    type Tcp: ByteStream + Debug + Send + Unpin + 'static;
    /// A TCP socket that listens.
    type TcpListener: Debug + Send + Sync + Unpin + 'static;
    /// A connection over a Unix socket.
    #[cfg(unix)]
    type Unix: ByteStream + Debug + Send + Unpin + 'static;
    /// A Unix socket that listens.
    #[cfg(unix)]
    type UnixListener: Debug + Send + Sync + Unpin + 'static;
    /// An alarm that can be reset.
    type Timer: Timer;
    /// Listens for SIGTERM and SIGINT from the first [`poll_signal`](Self::poll_signal) on.
    type Signals: Default + Send;
    /// Spawns tasks on the thread of [`run_local`](Self::run_local).
    type LocalSpawner: LocalSpawner;

    /// Returns the current time by the clock of [`Timer`](Self::Timer).
    fn now() -> Instant;

    /// Connects to an address, with `TCP_NODELAY` set.
    fn connect(address: SocketAddr) -> impl Future<Output = Result<Self::Tcp>> + Send;

    /// Registers a non-blocking listener.
    fn listen(listener: std::net::TcpListener) -> Result<Self::TcpListener>;

    /// Accepts a connection, with `TCP_NODELAY` set, or registers the waker.
    fn poll_accept(
        listener: &Self::TcpListener,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(Self::Tcp, SocketAddr)>>;

    /// Registers a non-blocking listener on a Unix socket.
    #[cfg(unix)]
    fn listen_unix(listener: std::os::unix::net::UnixListener) -> Result<Self::UnixListener>;

    /// Accepts a connection over a Unix socket, or registers the waker.
    #[cfg(unix)]
    fn poll_accept_unix(
        listener: &Self::UnixListener,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Unix>>;

    /// Runs `task` in the background, on any thread.
    fn spawn(task: impl Future<Output = ()> + Send + 'static);

    /// Runs `work` on a thread where it may block, for example to resolve names.
    ///
    /// # Errors
    /// When there is no such thread, or `work` panicked.
    fn spawn_blocking<T: Send + 'static>(
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = Result<T>> + Send;

    /// Runs a future to completion on the calling thread, which is outside the runtime, with its own executor.
    ///
    /// # Errors
    /// When no executor can be created.
    fn run_local<F: Future>(work: impl FnOnce(Self::LocalSpawner) -> F) -> Result<F::Output>;

    /// Is ready whenever one of the two signals has arrived; pending forever on platforms without them.
    fn poll_signal(signals: &mut Self::Signals, cx: &mut Context<'_>) -> Poll<Result<()>>;
}

/// An alarm of a runtime.
///
/// For an example see [a runtime over async-executor](https://github.com/sansws/sansws/blob/main/examples/runtime/src/adapter.rs) in the
/// repository.
pub trait Timer: Debug + Send + Unpin + 'static {
    /// Sets an alarm for `at`.
    fn new(at: Instant) -> Self;

    /// Sets it for `at` instead. A waiting task is woken at the new time.
    fn reset(&mut self, at: Instant);

    /// Is ready once the time has come.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

/// Spawns tasks on the thread that runs them.
///
/// For an example see [a runtime over async-executor](https://github.com/sansws/sansws/blob/main/examples/runtime/src/adapter.rs) in the
/// repository.
pub trait LocalSpawner: 'static {
    /// Runs `task` in the background, on this thread.
    fn spawn(&self, task: impl Future<Output = ()> + 'static);
}
