//! Connects to a host with several addresses: the first that connects wins.
//! RFC 8305; `sansws_core::dial::Attempts` decides on order and times.
//! Knows no TLS.

use std::io;
use std::net::{SocketAddr, TcpStream};

use sansws_common::error::Error;
use sansws_core::dial::{Attempt, Attempts};
use sansws_core::time::Instant;
use socket2::{Domain, SockRef, Socket, Type};

use crate::clock::now;
use crate::poll::{AsSource, Interest, wait};

/// Connects to one of the addresses until `deadline`; the sockets of other attempts are closed.
///
/// # Errors
/// The error of the attempt that failed last; `NotFound` if there are no addresses; [`Error::ConnectTimeout`].
pub(super) fn first_to_connect(
    mut attempts: Attempts,
    deadline: Option<Instant>,
) -> Result<TcpStream, Error> {
    let mut running: Vec<TcpStream> = Vec::new();
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    loop {
        let now = now();
        let until = match attempts.step(now) {
            Attempt::Begin(address) => {
                match begin(address) {
                    Ok(stream) => running.push(stream),
                    Err(error) => {
                        last = error;
                        attempts.failed();
                    }
                }
                continue;
            }
            Attempt::Until(until) => Some(until),
            Attempt::Wait => None,
            Attempt::Failed => return Err(last.into()),
        };
        if deadline.is_some_and(|deadline| deadline <= now) {
            return Err(Error::ConnectTimeout(None));
        }
        let until = [until, deadline].into_iter().flatten().min();
        let sources: Vec<_> = running
            .iter()
            .map(|stream| (source(stream), Interest::WRITE))
            .collect();
        wait(&sources, until.map(|until| until.since(now)))?;
        drop(sources);
        let mut at = 0;
        while let Some(stream) = running.get(at) {
            match outcome(stream) {
                Ok(true) => return Ok(running.swap_remove(at)),
                Ok(false) => at += 1,
                Err(error) => {
                    last = error;
                    attempts.failed();
                    drop(running.swap_remove(at));
                }
            }
        }
    }
}

/// Starts to connect, without waiting.
fn begin(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    match socket.connect(&address.into()) {
        Err(error) if !is_in_progress(&error) => Err(error),
        _ => Ok(socket.into()),
    }
}

#[cfg(unix)]
fn is_in_progress(error: &io::Error) -> bool {
    error.raw_os_error() == Some(nix::errno::Errno::EINPROGRESS as i32)
        || error.kind() == io::ErrorKind::WouldBlock
}

#[cfg(not(unix))]
fn is_in_progress(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

/// Returns whether an attempt has succeeded.
fn outcome(stream: &TcpStream) -> io::Result<bool> {
    if let Some(error) = SockRef::from(stream).take_error()? {
        return Err(error);
    }
    match stream.peer_addr() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
        // macOS reports so while it connects.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(false),
        Err(error) => Err(error),
    }
}

fn source(stream: &TcpStream) -> crate::poll::Source<'_> {
    #[cfg(unix)]
    return stream.as_fd();
    #[cfg(windows)]
    return stream.as_socket();
}
