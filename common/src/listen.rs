//! Listening sockets, bound with the options that servers need.
//! Knows no runtime: the caller decides whether they block.

use std::io;
use std::net::{SocketAddr, TcpListener};

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
