//! Listeners of a server: TCP, TLS over TCP, Unix sockets.

use std::fmt::Debug;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
#[cfg(unix)]
use std::path::Path;
#[cfg(feature = "tls")]
use std::sync::Arc;
use std::task::{Context, Poll, ready};

#[cfg(unix)]
use sansws_common::listen::bind_unix;
use sansws_common::listen::{Speaks, bind_first};
use sansws_core::proxy::Source;

use crate::error::{Error, Result};
use crate::runtime::{ByteStream, Io, Runtime, Stream};
use crate::server::accept::Listen;
use crate::server::proxy_header::receive_proxy_header;

/// A listening socket, with the protocols that precede HTTP on it.
///
/// ```
/// # #[cfg(feature = "tls")]
/// # mod example {
/// use sansws_async::tls::{self, Identity};
/// use sansws_async::{Listener, Result, Runtime, Server};
///
/// async fn listen<R: Runtime>() -> Result<Server<R>> {
///     let (chain, key) = (std::fs::read("chain.pem")?, std::fs::read("key.pem")?);
///     let secure = Listener::bind("127.0.0.1:8443")
///         .await?
///         .tls(tls::server(Identity::from_pem(&chain, &key)?, None)?);
///     let local = Listener::bind_unix("/run/chat.sock")?;
///     let behind_haproxy = Listener::bind("127.0.0.1:8081").await?.proxy_protocol();
///     Ok(Server::new(secure).listen(local).listen(behind_haproxy))
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct Listener<R: Runtime> {
    socket: Socket<R>,
    speaks: Speaks,
    closes_on_drain: bool,
}

#[derive(Debug)]
enum Socket<R: Runtime> {
    Tcp(R::TcpListener, SocketAddr),
    #[cfg(unix)]
    Unix(R::UnixListener),
}

impl<R: Runtime> Listener<R> {
    /// Listens on TCP. With port 0 the system chooses one. Resolving a host name blocks the thread.
    ///
    /// # Errors
    /// [`Error::Io`] of the last address that was tried; its text names the address.
    pub async fn bind(address: impl ToSocketAddrs + Debug) -> Result<Self, Error> {
        bind_first(address, false, Self::from_socket)
    }

    /// Listens on a TCP port that other listeners may share (`SO_REUSEPORT`): the system spreads connections over them. See
    /// [`Server::serve_on_threads`](crate::Server::serve_on_threads).
    ///
    /// # Errors
    /// [`Error::Io`], whose text names the address.
    #[cfg(unix)]
    pub fn bind_shared(address: SocketAddr) -> Result<Self, Error> {
        sansws_common::listen::bind(address, true)
            .and_then(Self::from_socket)
            .map_err(|error| Error::io(format_args!("listen on {address}"), error))
    }

    /// Takes a TCP listener that is already bound: by a supervisor, or with special socket options.
    ///
    /// # Errors
    /// [`Error::Io`] when the runtime refuses it.
    pub fn from_std(listener: std::net::TcpListener) -> Result<Self, Error> {
        Ok(Self::from_socket(listener)?)
    }

    /// Listens on a Unix socket. One that a server has left behind, and on which nobody listens any more, is replaced.
    ///
    /// # Errors
    /// [`Error::Io`], whose text names the path: `AddrInUse` if another server listens there, or the path is not a socket.
    #[cfg(unix)]
    pub fn bind_unix(path: impl AsRef<Path>) -> Result<Self, Error> {
        bind_unix(path.as_ref(), |socket| {
            Ok(Self::new(Socket::Unix(R::listen_unix(socket)?)))
        })
    }

    /// Takes a Unix listener that is already bound, by a supervisor for example, which also removes its path.
    ///
    /// # Errors
    /// [`Error::Io`] when the runtime refuses it.
    #[cfg(unix)]
    pub fn from_std_unix(listener: std::os::unix::net::UnixListener) -> Result<Self, Error> {
        listener.set_nonblocking(true)?;
        Ok(Self::new(Socket::Unix(R::listen_unix(listener)?)))
    }

    fn from_socket(listener: std::net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Self::new(Socket::Tcp(R::listen(listener)?, address)))
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
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.socket {
            Socket::Tcp(_, address) => Ok(*address),
            #[cfg(unix)]
            Socket::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    fn new(socket: Socket<R>) -> Self {
        Self {
            socket,
            speaks: Speaks::default(),
            closes_on_drain: false,
        }
    }
}

impl<R: Runtime> Listen for Listener<R> {
    type Accepted = Accepted<R>;

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted<R>>> {
        let (stream, peer) = match &self.socket {
            Socket::Tcp(listener, _) => {
                let (tcp, peer) = ready!(R::poll_accept(listener, cx))?;
                (Stream::Tcp(tcp), Some(peer))
            }
            #[cfg(unix)]
            Socket::Unix(listener) => (
                Stream::Unix(ready!(R::poll_accept_unix(listener, cx))?),
                None,
            ),
        };
        Poll::Ready(Ok(Accepted {
            stream,
            peer,
            speaks: self.speaks.clone(),
        }))
    }

    fn closes_on_drain(&self) -> bool {
        self.closes_on_drain
    }
}

/// An accepted socket, before any data.
#[derive(Debug)]
pub struct Accepted<R: Runtime> {
    stream: Stream<R>,
    peer: Option<SocketAddr>,
    speaks: Speaks,
}

impl<R: Runtime> Accepted<R> {
    /// Returns the stream and the client's address if HTTP comes first on it, otherwise the connection.
    pub(crate) fn into_plain(self) -> Result<(Stream<R>, Option<SocketAddr>), Self> {
        if self.speaks.is_plain() {
            Ok((self.stream, self.peer))
        } else {
            Err(self)
        }
    }

    /// Handles what precedes HTTP. Returns the stream, the address of the client, and whether the stream is secure.
    pub(crate) async fn prepare(self) -> Result<(Stream<R>, Option<SocketAddr>, bool), Error> {
        let Self {
            stream,
            peer,
            speaks,
        } = self;
        let (stream, peer) = source::<R, _>(&speaks, stream, peer).await?;
        #[cfg(feature = "tls")]
        if let Some(tls) = speaks.tls
            && let Stream::Tcp(tcp) = stream
        {
            let stream = crate::runtime::tls_handshake::accept(tcp, tls).await?;
            return Ok((stream, peer, true));
        }
        Ok((stream, peer, false))
    }
}

/// Reads the client's address from a PROXY header, if one is expected.
async fn source<R: Runtime, S: ByteStream>(
    speaks: &Speaks,
    stream: S,
    peer: Option<SocketAddr>,
) -> Result<(S, Option<SocketAddr>), Error> {
    if !speaks.proxied {
        return Ok((stream, peer));
    }
    let mut stream = Io::<R, _>::new(stream);
    // The caller's handshake timeout bounds it.
    let peer = match receive_proxy_header(&mut stream, None).await? {
        Source::Peer { source, .. } => Some(source),
        Source::Unknown => peer,
    };
    Ok((stream.into_inner(), peer))
}
