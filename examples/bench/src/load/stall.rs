//! Whether connections that do not read have stalled: their sockets take no more.

use std::collections::HashMap;
use std::fs;
use std::net::TcpStream;

use anyhow::{Context, Result};

/// The most octets that the kernel holds for one of these connections, in the
/// sockets of both its ends. One that was closed holds nothing.
pub(super) fn held(connections: &[TcpStream]) -> Result<usize> {
    let mut held = HashMap::new();
    for connection in connections {
        let ports = (
            connection.local_addr()?.port(),
            connection.peer_addr()?.port(),
        );
        held.insert(ports, 0);
    }
    let table = fs::read_to_string("/proc/net/tcp")?;
    for line in table.lines().skip(1) {
        let row = parse(line).context("a line of /proc/net/tcp has another form")?;
        if let Some(bytes) = held.get_mut(&(row.local, row.remote)) {
            *bytes += row.unread;
        }
        if let Some(bytes) = held.get_mut(&(row.remote, row.local)) {
            *bytes += row.unsent;
        }
    }
    Ok(held.into_values().max().unwrap_or(0))
}

/// One socket.
struct Row {
    local: u16,
    remote: u16,
    /// Octets that the other end has not acknowledged.
    unsent: usize,
    unread: usize,
}

fn parse(line: &str) -> Option<Row> {
    let mut fields = line.split_whitespace().skip(1);
    let local = u16::from_str_radix(fields.next()?.split_once(':')?.1, 16).ok()?;
    let remote = u16::from_str_radix(fields.next()?.split_once(':')?.1, 16).ok()?;
    let (unsent, unread) = fields.nth(1)?.split_once(':')?;
    Some(Row {
        local,
        remote,
        unsent: usize::from_str_radix(unsent, 16).ok()?,
        unread: usize::from_str_radix(unread, 16).ok()?,
    })
}
