//! Where a server listens: TCP, TLS over it, Unix sockets.

use std::fmt::Debug;
use std::io;
use std::net::SocketAddr;
#[cfg(unix)]
use std::path::Path;
#[cfg(feature = "tls")]
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use sansws_core::drive::{Error, Listen, Result, Transport, receive_proxy_header};
use sansws_core::proxy::Source;
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs, lookup_host};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};

use crate::{Io, Stream};

/// A socket that listens, and what is spoken on it.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    speaks: Speaks,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener),
}

/// What is spoken before HTTP.
#[derive(Clone, Debug, Default)]
struct Speaks {
    #[cfg(feature = "tls")]
    tls: Option<Arc<crate::tls::rustls::ServerConfig>>,
    proxied: bool,
}

impl Listener {
    /// Listens on TCP. Port 0 lets the system choose.
    ///
    /// # Errors
    /// [`Error::Io`] of the last address that was tried, which its text names.
    pub async fn bind(address: impl ToSocketAddrs + Debug) -> Result<Self, Error> {
        let asked = format!("resolve {address:?} to listen on");
        let unresolved = |error| Error::io(&asked, error);
        let mut last = unresolved(io::ErrorKind::NotFound.into());
        for address in lookup_host(address).await.map_err(unresolved)? {
            match TcpListener::bind(address).await {
                Ok(listener) => return Ok(Self::new(Socket::Tcp(listener))),
                Err(error) => last = Error::io(format_args!("listen on {address}"), error),
            }
        }
        Err(last)
    }

    /// Listens on a TCP port that others may listen on too (`SO_REUSEPORT`): the system spreads connections over them. See
    /// [`Server::serve_on_threads`](crate::Server::serve_on_threads).
    #[cfg(unix)]
    pub fn bind_shared(address: SocketAddr) -> Result<Self, Error> {
        let listener = shared(address);
        Self::from_std(
            listener.map_err(|error| Error::io(format_args!("listen on {address}"), error))?,
        )
    }

    /// Takes a TCP listener that somebody else bound: a supervisor, or a socket with options of its own.
    pub fn from_std(listener: std::net::TcpListener) -> Result<Self, Error> {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        Ok(Self::new(Socket::Tcp(listener)))
    }

    /// Listens on a Unix socket.
    #[cfg(unix)]
    pub fn bind_unix(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let listener = UnixListener::bind(path);
        let named = |error| Error::io(format_args!("listen on {}", path.display()), error);
        Ok(Self::new(Socket::Unix(listener.map_err(named)?)))
    }

    /// Speaks TLS: `wss://` and `https://`. On a Unix socket it is not spoken.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, config: Arc<crate::tls::rustls::ServerConfig>) -> Self {
        self.speaks.tls = Some(config);
        self
    }

    /// Expects the PROXY protocol, version 1 or 2, before anything else, and takes the client's address from it. Only for a port that
    /// nobody but the proxy can reach: whoever connects is believed.
    #[must_use]
    pub const fn proxy_protocol(mut self) -> Self {
        self.speaks.proxied = true;
        self
    }

    /// The address it listens on; a Unix socket has none.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.socket {
            Socket::Tcp(listener) => listener.local_addr(),
            #[cfg(unix)]
            Socket::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    fn new(socket: Socket) -> Self {
        Self {
            socket,
            speaks: Speaks::default(),
        }
    }
}

impl Listen for Listener {
    type Accepted = Accepted;

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        let speaks = &self.speaks;
        Poll::Ready(match &self.socket {
            Socket::Tcp(listener) => ready!(listener.poll_accept(cx)).and_then(|(tcp, peer)| {
                tcp.set_nodelay(true)?;
                Ok(Accepted {
                    socket: Plain::Tcp(tcp),
                    peer: Some(peer),
                    speaks: speaks.clone(),
                })
            }),
            #[cfg(unix)]
            Socket::Unix(listener) => ready!(listener.poll_accept(cx)).map(|(unix, _)| Accepted {
                socket: Plain::Unix(unix),
                peer: None,
                speaks: speaks.clone(),
            }),
        })
    }
}

/// A socket on which nothing was said yet.
#[derive(Debug)]
pub struct Accepted {
    socket: Plain,
    peer: Option<SocketAddr>,
    speaks: Speaks,
}

#[derive(Debug)]
enum Plain {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Accepted {
    /// What comes before HTTP. Says whose connection it is, and whether it is secure.
    pub(crate) async fn prepare(self) -> Result<(Stream, Option<SocketAddr>, bool), Error> {
        let Self {
            socket,
            peer,
            speaks,
        } = self;
        match socket {
            #[cfg(unix)]
            Plain::Unix(unix) => {
                let (unix, peer) = speaks.source(unix, peer).await?;
                Ok((Stream::Unix(unix), peer, false))
            }
            Plain::Tcp(tcp) => {
                let (tcp, peer) = speaks.source(tcp, peer).await?;
                #[cfg(feature = "tls")]
                if let Some(tls) = speaks.tls {
                    return Ok((crate::tls::accept(tcp, tls).await?, peer, true));
                }
                Ok((Stream::Tcp(tcp), peer, false))
            }
        }
    }
}

impl Speaks {
    /// Reads whose connection it is, if a proxy says so.
    async fn source<S>(
        &self,
        stream: S,
        peer: Option<SocketAddr>,
    ) -> Result<(S, Option<SocketAddr>), Error>
    where
        Io<S>: Transport,
    {
        if !self.proxied {
            return Ok((stream, peer));
        }
        let mut stream = Io::new(stream);
        // The time for the handshake, which is the caller's, bounds it.
        let peer = match receive_proxy_header(&mut stream, None).await? {
            Source::Peer { source, .. } => Some(source),
            Source::Unknown => peer,
        };
        Ok((stream.into_inner(), peer))
    }
}

#[cfg(unix)]
fn shared(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(address),
        socket2::Type::STREAM,
        None,
    )?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Connections that wait to be accepted.
#[cfg(unix)]
const BACKLOG: i32 = 1024;
