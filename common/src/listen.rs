//! Listening sockets, bound with the options that servers need.
//! Knows no runtime: the caller decides whether they block.

use std::fmt::Debug;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
#[cfg(unix)]
use std::os::unix::fs::FileTypeExt;
#[cfg(unix)]
use std::os::unix::net::UnixListener;
#[cfg(unix)]
use std::path::Path;
#[cfg(feature = "tls")]
use std::sync::Arc;

use crate::error::{Error, Result};

/// Listens on the first address of these that works: `take` makes a listener of the bound socket.
///
/// # Errors
/// [`Error::Io`] of the last address that was tried; its text names the address.
pub fn bind_first<L>(
    addresses: impl ToSocketAddrs + Debug,
    shared: bool,
    take: impl Fn(TcpListener) -> io::Result<L>,
) -> Result<L, Error> {
    let asked = format!("resolve {addresses:?} to listen on");
    let unresolved = |error| Error::io(&asked, error);
    let mut last = unresolved(io::ErrorKind::NotFound.into());
    for address in addresses.to_socket_addrs().map_err(unresolved)? {
        match bind(address, shared).and_then(&take) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = Error::io(format_args!("listen on {address}"), error),
        }
    }
    Err(last)
}

/// Binds a TCP socket and listens; with `shared`, others may listen on the port too.
///
/// # Errors
/// Those of the system.
pub fn bind(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(address),
        socket2::Type::STREAM,
        None,
    )?;
    // On Windows the option would let others take the port over.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    #[cfg(unix)]
    if shared {
        socket.set_reuse_port(true)?;
    }
    #[cfg(not(unix))]
    let _ = shared;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Binds a Unix socket that does not block; `take` makes a listener of it. The socket of a server that is gone is replaced: the system leaves
/// it where it was.
///
/// # Errors
/// [`Error::Io`], whose text names the path.
#[cfg(unix)]
pub fn bind_unix<L>(
    path: &Path,
    take: impl FnOnce(UnixListener) -> io::Result<L>,
) -> Result<L, Error> {
    let listen = || {
        let listener = match UnixListener::bind(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_orphan(path) => {
                std::fs::remove_file(path)?;
                UnixListener::bind(path)?
            }
            bound => bound?,
        };
        listener.set_nonblocking(true)?;
        take(listener)
    };
    listen().map_err(|error| Error::io(format_args!("listen on {}", path.display()), error))
}

/// Returns whether there is a Unix socket on which nobody listens.
#[cfg(unix)]
fn is_orphan(path: &Path) -> bool {
    let connect = || {
        let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
        // One that has no room for more connections would make us wait.
        socket.set_nonblocking(true)?;
        socket.connect(&socket2::SockAddr::unix(path)?)
    };
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    is_socket && connect().is_err_and(refused)
}

/// The protocols that precede HTTP on a listener.
#[derive(Clone, Debug, Default)]
pub struct Speaks {
    #[cfg(feature = "tls")]
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// The PROXY protocol comes first.
    pub proxied: bool,
}

impl Speaks {
    /// Returns whether HTTP comes first.
    pub const fn is_plain(&self) -> bool {
        #[cfg(feature = "tls")]
        if self.tls.is_some() {
            return false;
        }
        !self.proxied
    }
}

/// Returns whether accepting failed only for one connection, which was gone before: that says nothing about the others.
pub fn is_of_one(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, InvalidInput, NotConnected};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | InvalidInput | NotConnected
    )
}

/// Maximum number of connections that wait to be accepted.
const BACKLOG: i32 = 1024;
