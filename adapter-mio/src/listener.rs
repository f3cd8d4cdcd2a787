//! Listeners of a server: TCP, TLS over TCP, Unix sockets.

use std::fmt::Debug;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
#[cfg(unix)]
use std::path::Path;
#[cfg(feature = "tls")]
use std::sync::Arc;

use mio::net::TcpListener;
#[cfg(unix)]
use mio::net::UnixListener;
use mio::{Interest, Registry, Token};
use sansws_common::error::{Error, Result};
#[cfg(unix)]
use sansws_common::listen::bind_unix;
use sansws_common::listen::{Speaks, bind, bind_first};

use crate::stream::Stream;

/// A listening socket, with the protocols that precede HTTP on it.
///
/// ```no_run
/// # #[cfg(feature = "tls")]
/// # fn run() -> sansws_mio::Result {
/// use sansws_mio::tls::{self, Identity};
/// use sansws_mio::{Incoming, Listener, Result, Server, Socket};
///
/// let (chain, key) = (std::fs::read("chain.pem")?, std::fs::read("key.pem")?);
/// let secure = Listener::bind("127.0.0.1:8443")?
///     .tls(tls::server(Identity::from_pem(&chain, &key)?, None)?);
/// let behind_haproxy = Listener::bind("127.0.0.1:8081")?.proxy_protocol();
/// let echo = |socket: &mut Socket<'_, ()>, message: Incoming<'_>| -> Result {
///     let _ = socket.send(message);
///     Ok(())
/// };
/// Server::new(secure).listen(behind_haproxy).serve(echo)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    speaks: Speaks,
    closes_on_drain: bool,
}

#[derive(Debug)]
enum Socket {
    Tcp(std::net::TcpListener, SocketAddr, bool),
    Polled(TcpListener),
    #[cfg(unix)]
    Unix(std::os::unix::net::UnixListener),
    #[cfg(unix)]
    PolledUnix(UnixListener),
}

impl Listener {
    /// Listens on TCP. With port 0 the system chooses one.
    ///
    /// # Errors
    /// [`Error::Io`] of the last address that was tried; its text names the address.
    pub fn bind(address: impl ToSocketAddrs + Debug) -> Result<Self, Error> {
        bind_first(address, false, |socket| Self::of_tcp(socket, false))
    }

    /// Listens on TCP, on a port that other listeners may share (`SO_REUSEPORT`). With it, each loop of a server has a socket of its own,
    /// and the kernel spreads clients over them; without it, or where the system has no such option, the loops accept from one socket.
    ///
    /// # Errors
    /// As for [`bind`](Self::bind).
    pub fn bind_shared(address: impl ToSocketAddrs + Debug) -> Result<Self, Error> {
        bind_first(address, true, |socket| Self::of_tcp(socket, true))
    }

    /// Takes a TCP listener that is already bound: by a supervisor, or with special socket options.
    ///
    /// # Errors
    /// [`Error::Io`] when it has no address.
    pub fn from_std(listener: std::net::TcpListener) -> Result<Self, Error> {
        Ok(Self::of_tcp(listener, false)?)
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
    pub fn from_std_unix(listener: std::os::unix::net::UnixListener) -> Result<Self, Error> {
        listener.set_nonblocking(true)?;
        Ok(Self::new(Socket::Unix(listener)))
    }

    fn of_tcp(listener: std::net::TcpListener, shared: bool) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Self::new(Socket::Tcp(listener, address, shared)))
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
            Socket::Tcp(_, address, _) => Ok(*address),
            Socket::Polled(listener) => listener.local_addr(),
            #[cfg(unix)]
            Socket::Unix(_) | Socket::PolledUnix(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Returns a listener for another loop: with a socket of its own if the port is shared, otherwise on the same one.
    pub(crate) fn another(&self) -> Result<Self, Error> {
        let socket = match &self.socket {
            Socket::Tcp(_, address, true) => {
                let named = |error| Error::io(format_args!("listen on {address}"), error);
                let socket = bind(*address, true).map_err(named)?;
                socket.set_nonblocking(true)?;
                Socket::Tcp(socket, *address, true)
            }
            Socket::Tcp(socket, address, false) => {
                Socket::Tcp(socket.try_clone()?, *address, false)
            }
            #[cfg(unix)]
            Socket::Unix(socket) => Socket::Unix(socket.try_clone()?),
            // No loop has it yet.
            Socket::Polled(_) => return Err(io::Error::from(io::ErrorKind::Unsupported).into()),
            #[cfg(unix)]
            Socket::PolledUnix(_) => {
                return Err(io::Error::from(io::ErrorKind::Unsupported).into());
            }
        };
        Ok(Self {
            socket,
            speaks: self.speaks.clone(),
            closes_on_drain: self.closes_on_drain,
        })
    }

    /// Registers it with a loop.
    pub(crate) fn polled(self, registry: &Registry, token: Token) -> io::Result<Self> {
        let socket = match self.socket {
            Socket::Tcp(socket, ..) => {
                let mut socket = TcpListener::from_std(socket);
                registry.register(&mut socket, token, Interest::READABLE)?;
                Socket::Polled(socket)
            }
            #[cfg(unix)]
            Socket::Unix(socket) => {
                let mut socket = UnixListener::from_std(socket);
                registry.register(&mut socket, token, Interest::READABLE)?;
                Socket::PolledUnix(socket)
            }
            polled => polled,
        };
        Ok(Self {
            socket,
            speaks: self.speaks,
            closes_on_drain: self.closes_on_drain,
        })
    }

    /// Accepts a connection, or fails with `WouldBlock`.
    pub(crate) fn accept(&self) -> io::Result<(Stream, Option<SocketAddr>)> {
        match &self.socket {
            Socket::Polled(listener) => {
                let (socket, peer) = listener.accept()?;
                socket.set_nodelay(true)?;
                Ok((Stream::tcp(socket), Some(peer)))
            }
            #[cfg(unix)]
            Socket::PolledUnix(listener) => Ok((Stream::unix(listener.accept()?.0), None)),
            Socket::Tcp(..) => Err(io::ErrorKind::WouldBlock.into()),
            #[cfg(unix)]
            Socket::Unix(_) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Closes it. The poll has to forget it first: another process, or another loop, may hold the socket open.
    pub(crate) fn close(self, registry: &Registry) {
        let _ = match self.socket {
            Socket::Polled(mut listener) => registry.deregister(&mut listener),
            #[cfg(unix)]
            Socket::PolledUnix(mut listener) => registry.deregister(&mut listener),
            Socket::Tcp(..) => Ok(()),
            #[cfg(unix)]
            Socket::Unix(_) => Ok(()),
        };
    }

    pub(crate) const fn closes_on_drain(&self) -> bool {
        self.closes_on_drain
    }

    pub(crate) const fn speaks(&self) -> &Speaks {
        &self.speaks
    }
}
