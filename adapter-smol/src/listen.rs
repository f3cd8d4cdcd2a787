//! A server: accepts, lets in, drives, and shuts down.

use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
#[cfg(unix)]
use std::os::unix::net::{UnixListener, UnixStream};
#[cfg(unix)]
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_io::{Async, Timer};
use futures_lite::future::or;
use sansws_core::drive::{self, Gate, Leave, Outcome, Result, Serve};

#[cfg(feature = "tls")]
use crate::dial::within;
use crate::io::now;
use crate::stream::Socket;
use crate::{Io, Stream, Upgrade};

/// A connection's task, for executors that keep tasks on one thread.
pub type LocalTask = Pin<Box<dyn Future<Output = ()>>>;

/// Listens for connections.
#[derive(Debug)]
pub struct Server {
    listener: Listener,
    options: Serve,
    gate: Gate,
}

#[derive(Debug)]
enum Listener {
    Tcp(Async<TcpListener>),
    #[cfg(unix)]
    Unix(Async<UnixListener>),
}

/// How long accepting pauses after an error such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);

impl Server {
    /// Listens on TCP. Port 0 lets the system choose.
    pub async fn bind(address: impl smol::net::AsyncToSocketAddrs, options: Serve) -> Result<Self> {
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for address in smol::net::resolve(address).await? {
            match Async::<TcpListener>::bind(address) {
                Ok(listener) => return Ok(Self::new(Listener::Tcp(listener), options)),
                Err(error) => last = error,
            }
        }
        Err(last.into())
    }

    /// Serves on a TCP listener that somebody else bound: a supervisor, or a socket with options of its own.
    pub fn from_std(listener: TcpListener, options: Serve) -> Result<Self> {
        let listener = Async::<TcpListener>::new(listener)?;
        Ok(Self::new(Listener::Tcp(listener), options))
    }

    /// Listens on a Unix socket. TLS is not spoken on it.
    #[cfg(unix)]
    pub fn bind_unix(path: impl AsRef<Path>, options: Serve) -> Result<Self> {
        Ok(Self::new(
            Listener::Unix(Async::<UnixListener>::bind(path)?),
            options,
        ))
    }

    fn new(listener: Listener, options: Serve) -> Self {
        let gate = Gate::new(options.max_connections);
        Self {
            listener,
            options,
            gate,
        }
    }

    /// The address it listens on.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.listener {
            Listener::Tcp(listener) => listener.get_ref().local_addr(),
            #[cfg(unix)]
            Listener::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// The door of the server. [`Gate::close`] shuts it down: it stops to accept, closes all connections with 1001, and
    /// [`serve`](Self::serve) returns once they have ended, or their [`shutdown`](crate::Timeouts::shutdown) time has.
    pub fn gate(&self) -> Gate {
        self.gate.clone()
    }

    /// Serves until the gate is closed: each connection is a task that runs `handler`.
    pub async fn serve<H, F>(self, handler: H) -> Result<()>
    where
        H: Fn(Upgrade) -> F + Clone + Send + 'static,
        F: Future<Output = Result<()>> + Send + 'static,
    {
        self.run(|stream, leave, options| {
            smol::spawn(connection(stream, options, handler.clone(), leave)).detach();
        })
        .await
    }

    /// Serves as [`serve`](Self::serve) does, but hands each task to `spawn`: handlers need not be `Send`.
    pub async fn serve_local<H, F>(self, handler: H, mut spawn: impl FnMut(LocalTask)) -> Result<()>
    where
        H: Fn(Upgrade) -> F + Clone + 'static,
        F: Future<Output = Result<()>> + 'static,
    {
        self.run(|stream, leave, options| {
            spawn(Box::pin(connection(
                stream,
                options,
                handler.clone(),
                leave,
            )))
        })
        .await
    }

    async fn run(self, mut start: impl FnMut(Accepted, Leave, Serve)) -> Result<()> {
        let Self {
            mut listener,
            options,
            gate,
        } = self;
        while let Some(accepted) = next(&mut listener, &gate).await {
            match accepted {
                Ok(accepted) => {
                    if let Some(leave) = gate.admit() {
                        start(accepted, leave, options.clone());
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "accepting failed; trying again soon");
                    Timer::after(PAUSE).await;
                }
            }
        }
        drop(listener);
        let empty = async {
            poll_fn(|cx| gate.poll_empty(cx)).await;
            true
        };
        let late = async {
            Timer::after(options.config.timeouts.shutdown).await;
            false
        };
        if !or(empty, late).await {
            gate.drop_all();
        }
        Ok(())
    }
}

/// A socket whose TLS handshake, if there is to be one, is still to come.
enum Accepted {
    Tcp(Socket<TcpStream>),
    #[cfg(unix)]
    Unix(Socket<UnixStream>),
}

/// The next socket; `None` once the gate is closed.
async fn next(listener: &mut Listener, gate: &Gate) -> Option<io::Result<Accepted>> {
    poll_fn(|cx| {
        if gate.poll_closing(cx).is_ready() {
            return Poll::Ready(None);
        }
        listener.poll_accept(cx).map(Some)
    })
    .await
}

impl Listener {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        match self {
            Self::Tcp(listener) => poll_socket(listener, cx, TcpListener::accept).map(|found| {
                let tcp = found?;
                tcp.set_nodelay(true)?;
                Ok(Accepted::Tcp(Socket::new(Async::new(tcp)?)))
            }),
            #[cfg(unix)]
            Self::Unix(listener) => poll_socket(listener, cx, UnixListener::accept)
                .map(|found| Ok(Accepted::Unix(Socket::new(Async::new(found?)?)))),
        }
    }
}

/// Accepts, or waits for the listener to be readable.
fn poll_socket<L, S, A>(
    listener: &Async<L>,
    cx: &mut Context<'_>,
    accept: fn(&L) -> io::Result<(S, A)>,
) -> Poll<io::Result<S>> {
    loop {
        match accept(listener.get_ref()) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                ready!(listener.poll_readable(cx))?
            }
            found => return Poll::Ready(found.map(|(socket, _)| socket)),
        }
    }
}

/// One connection.
#[expect(
    clippy::manual_async_fn,
    reason = "the arguments of an `async fn` lie in its future twice"
)]
fn connection<H, F>(
    accepted: Accepted,
    options: Serve,
    handler: H,
    leave: Leave,
) -> impl Future<Output = ()>
where
    H: Fn(Upgrade) -> F,
    F: Future<Output = Result<()>>,
{
    async move {
        let begun = now();
        let stream = match secure(accepted, &options).await {
            Ok(stream) => stream,
            Err(error) => return tracing::debug!(%error, "a TLS handshake failed"),
        };
        let (transport, config) = (Io::new(stream), Arc::clone(&options.config));
        let outcome = match leave {
            Leave::In(ticket) => drive::serve(transport, config, handler, ticket, begun).await,
            Leave::Away(_away) => Outcome {
                result: Box::pin(drive::refuse(transport, config)).await,
                closed: None,
            },
        };
        match outcome {
            Outcome {
                result: Err(error), ..
            } => tracing::debug!(%error, "a connection failed"),
            Outcome { closed, .. } => tracing::trace!(?closed, "a connection ended"),
        }
    }
}

async fn secure(accepted: Accepted, options: &Serve) -> Result<Stream> {
    #[cfg(not(feature = "tls"))]
    let _ = options;
    match accepted {
        #[cfg(unix)]
        Accepted::Unix(unix) => Ok(Stream::Unix(unix)),
        Accepted::Tcp(tcp) => {
            #[cfg(feature = "tls")]
            if let Some(config) = &options.tls {
                let handshake = crate::tls::accept(tcp, Arc::clone(config));
                // Boxed: it is large, and over before the connection is open.
                return Box::pin(within(options.config.timeouts.handshake, handshake)).await;
            }
            Ok(Stream::Tcp(tcp))
        }
    }
}
