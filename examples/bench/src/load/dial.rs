//! The sockets of clients.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::Result;
use socket2::{Domain, Socket, Type};

use super::PATIENCE;

/// The segments of an Ethernet. Those of loopback are so long that the kernel
/// holds megabytes for a peer that does not read.
const SEGMENT: u32 = 1460;

/// A blocking connection.
pub(super) fn dial(port: u16) -> Result<TcpStream> {
    connect(Socket::new(Domain::IPV4, Type::STREAM, None)?, port)
}

/// A connection that holds as little as it can of what is sent to it.
pub(super) fn dial_small(port: u16) -> Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    // The kernel takes its least.
    socket.set_recv_buffer_size(1)?;
    socket.set_tcp_mss(SEGMENT)?;
    connect(socket, port)
}

fn connect(socket: Socket, port: u16) -> Result<TcpStream> {
    socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    socket.set_tcp_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    // Closes with a reset: thousands of ports do not linger.
    socket.set_linger(Some(Duration::ZERO))?;
    Ok(socket.into())
}
