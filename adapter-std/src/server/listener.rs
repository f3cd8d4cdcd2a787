//! Listeners of a server: TCP, TLS over TCP, Unix sockets.

use std::fmt::Debug;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, ToSocketAddrs};
#[cfg(unix)]
use std::os::unix::net::UnixListener;
#[cfg(unix)]
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Wake, Waker};

use sansws_common::error::{Error, Result};
#[cfg(unix)]
use sansws_common::listen::bind_unix;
use sansws_common::listen::{Speaks, bind_first};
use sansws_common::{ConnectionPermit, ServerHandle};
use sansws_core::proxy::{ProxyHeader, Source as Sender};
use sansws_core::time::Instant;

use crate::poll::{AsSource, Source};
use crate::stream::{ByteStream, Stream};
use crate::wire::Wire;

/// A listening socket, with the protocols that precede HTTP on it.
///
/// ```no_run
/// # #[cfg(feature = "tls")]
/// # fn run() -> sansws_std::Result {
/// use sansws_std::tls::{self, Identity};
/// use sansws_std::{Listener, Server, Upgrade};
///
/// let (chain, key) = (std::fs::read("chain.pem")?, std::fs::read("key.pem")?);
/// let secure = Listener::bind("127.0.0.1:8443")?
///     .tls(tls::server(Identity::from_pem(&chain, &key)?, None)?);
/// let behind_haproxy = Listener::bind("127.0.0.1:8081")?.proxy_protocol();
/// let chat = |upgrade: Upgrade| -> sansws_std::Result {
///     Ok(upgrade.accept()?.send_text("welcome")?)
/// };
/// Server::new(secure).listen(behind_haproxy).serve(chat)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    speaks: Speaks,
    pub(super) closes_on_drain: bool,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener, SocketAddr),
    #[cfg(unix)]
    Unix(UnixListener),
}

impl Listener {
    /// Listens on TCP. With port 0 the system chooses one.
    ///
    /// # Errors
    /// [`Error::Io`] of the last address that was tried; its text names the address.
    pub fn bind(address: impl ToSocketAddrs + Debug) -> Result<Self, Error> {
        bind_first(address, false, Self::from_socket)
    }

    /// Listens on TCP, on a port that other listeners may share (`SO_REUSEPORT`), such as those of another process that takes over. Where the
    /// system has no such option, the port is not shared.
    ///
    /// # Errors
    /// As for [`bind`](Self::bind).
    pub fn bind_shared(address: impl ToSocketAddrs + Debug) -> Result<Self, Error> {
        bind_first(address, true, Self::from_socket)
    }

    /// Takes a TCP listener that is already bound: by a supervisor, or with special socket options.
    ///
    /// # Errors
    /// [`Error::Io`] when it has no address.
    pub fn from_std(listener: TcpListener) -> Result<Self, Error> {
        Ok(Self::from_socket(listener)?)
    }

    /// Listens on a Unix socket. One that a server has left behind, and on which nobody listens any more, is replaced.
    ///
    /// # Errors
    /// [`Error::Io`], whose text names the path: `AddrInUse` if another server listens there, or the path is not a socket.
    #[cfg(unix)]
    pub fn bind_unix(path: impl AsRef<Path>) -> Result<Self, Error> {
        bind_unix(path.as_ref(), |socket| Ok(Self::new(Socket::Unix(socket))))
    }

    /// Takes a Unix listener that is already bound, by a supervisor for example, which also removes its path.
    ///
    /// # Errors
    /// [`Error::Io`] when the system refuses to let it not block.
    #[cfg(unix)]
    pub fn from_std_unix(listener: UnixListener) -> Result<Self, Error> {
        listener.set_nonblocking(true)?;
        Ok(Self::new(Socket::Unix(listener)))
    }

    fn from_socket(listener: TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Self::new(Socket::Tcp(listener, address)))
    }

    fn new(socket: Socket) -> Self {
        Self {
            socket,
            speaks: Speaks::default(),
            closes_on_drain: false,
        }
    }

    /// Uses TLS, for `wss://` and `https://`. A Unix socket ignores it.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, config: Arc<rustls::ServerConfig>) -> Self {
        self.speaks.tls = Some(config);
        self
    }

    /// Expects the PROXY protocol, version 1 or 2, first, and takes the client's address from it. Use it only for a port that
    /// only the proxy can reach: the header is trusted.
    #[must_use]
    pub const fn proxy_protocol(mut self) -> Self {
        self.speaks.proxied = true;
        self
    }

    /// Closes it as soon as the server drains or closes. Use it for a socket on which the next process listens already, one that a
    /// supervisor passes on or whose port both share: clients then reach that process. Without it, the server answers clients with 503
    /// until the drain's window is over. A server whose listeners are all closed ends with its last connection.
    #[must_use]
    pub const fn close_on_drain(mut self) -> Self {
        self.closes_on_drain = true;
        self
    }

    /// Returns the address that it listens on; a Unix socket has none.
    ///
    /// # Errors
    /// `Unsupported` for a Unix socket.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.socket {
            Socket::Tcp(_, address) => Ok(*address),
            #[cfg(unix)]
            Socket::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Returns what a wait needs.
    pub(super) fn source(&self) -> Source<'_> {
        match &self.socket {
            #[cfg(unix)]
            Socket::Tcp(listener, _) => listener.as_fd(),
            #[cfg(windows)]
            Socket::Tcp(listener, _) => listener.as_socket(),
            #[cfg(unix)]
            Socket::Unix(listener) => listener.as_fd(),
        }
    }

    /// Accepts a connection, or fails with `WouldBlock`.
    pub(super) fn accept(&self) -> io::Result<Accepted> {
        let (stream, peer) = match &self.socket {
            Socket::Tcp(listener, _) => {
                let (tcp, peer) = listener.accept()?;
                (Stream::tcp(tcp)?, Some(peer))
            }
            #[cfg(unix)]
            Socket::Unix(listener) => (Stream::unix(listener.accept()?.0)?, None),
        };
        Ok(Accepted {
            stream,
            peer,
            speaks: self.speaks.clone(),
        })
    }
}

/// An accepted socket, before any data.
#[derive(Debug)]
pub(super) struct Accepted {
    stream: Stream,
    peer: Option<SocketAddr>,
    speaks: Speaks,
}

impl Accepted {
    /// Ends TCP when the server drops the connection, or if it shuts down while TLS or a PROXY header is awaited, where nothing can be sent
    /// yet: a thread that waits for its socket cannot be told otherwise.
    pub(super) fn cut_when_dropped(&self, permit: &mut ConnectionPermit) -> Option<Arc<Cut>> {
        let cut = Arc::new(Cut {
            socket: Arc::downgrade(ByteStream::socket(&self.stream)?),
            handle: permit.handle(),
            stage: AtomicU8::new(if self.speaks.is_plain() {
                BEGUN
            } else {
                PREPARING
            }),
        });
        let waker = Waker::from(Arc::clone(&cut));
        let _ = permit.poll_dropping(&Context::from_waker(&waker));
        if permit.is_closing() {
            waker.wake();
        }
        Some(cut)
    }

    /// Handles what precedes HTTP. Returns the stream, the address of the client, and whether the stream is secure.
    pub(super) fn prepare(
        self,
        deadline: Option<Instant>,
    ) -> Result<(Stream, Option<SocketAddr>, bool), Error> {
        let Self {
            stream,
            peer,
            speaks,
        } = self;
        let (stream, peer) = if speaks.proxied {
            receive_proxy_header(stream, peer, deadline)?
        } else {
            (stream, peer)
        };
        #[cfg(feature = "tls")]
        if let Some(tls) = speaks.tls
            && matches!(stream.socket(), crate::stream::Socket::Tcp(_))
        {
            return Ok((crate::stream::accept(stream, tls, deadline)?, peer, true));
        }
        Ok((stream, peer, false))
    }
}

/// Ends TCP when its server shuts down, as far as nothing better can be done.
pub(super) struct Cut {
    socket: Weak<crate::stream::Socket>,
    handle: ServerHandle,
    /// One of the three below.
    stage: AtomicU8,
}

/// No request can be answered yet.
const PREPARING: u8 = 0;
/// HTTP has begun: only connections that are dropped are cut off.
const BEGUN: u8 = 1;
/// TCP was ended before HTTP began.
const CUT: u8 = 2;

impl Cut {
    /// HTTP begins, unless the connection has been cut off: whoever is first decides. Returns whether it begins.
    pub(super) fn begin(&self) -> bool {
        let before =
            self.stage
                .compare_exchange(PREPARING, BEGUN, Ordering::SeqCst, Ordering::SeqCst);
        before != Err(CUT)
    }
}

impl Wake for Cut {
    fn wake(self: Arc<Self>) {
        let before =
            self.stage
                .compare_exchange(PREPARING, CUT, Ordering::SeqCst, Ordering::SeqCst);
        if before == Err(BEGUN) && !self.handle.is_dropping() {
            return;
        }
        if let Some(socket) = self.socket.upgrade() {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

/// Reads the client's address from a PROXY header, and not a byte more: TLS may follow.
fn receive_proxy_header(
    stream: Stream,
    peer: Option<SocketAddr>,
    deadline: Option<Instant>,
) -> Result<(Stream, Option<SocketAddr>), Error> {
    let mut wire = Wire::new(stream);
    let mut header = ProxyHeader::new();
    loop {
        let input = wire.read_at_most(header.need(), deadline)?;
        let sender = header
            .receive(&input)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
        match sender {
            Some(Sender::Peer { source, .. }) => return Ok((wire.stream, Some(source))),
            Some(Sender::Unknown) => return Ok((wire.stream, peer)),
            None => {}
        }
    }
}
