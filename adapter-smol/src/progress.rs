//! How far the peer of a TCP socket has taken what was written, as Linux tells.
//! Knows octets, nothing of what they mean.

use std::os::fd::AsFd;
use std::sync::OnceLock;

use nix::getsockopt_impl;
use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::GetStruct;
use sansws_core::connection::SendProgress;

/// The front of the kernel's `struct tcp_info`, up to `tcpi_notsent_bytes`.
type Info = [u8; 148];

#[derive(Clone, Copy, Debug)]
struct TcpInfo;

getsockopt_impl!(
    TcpInfo,
    libc::IPPROTO_TCP,
    libc::TCP_INFO,
    Info,
    GetStruct<Info>
);

/// Asks the kernel.
pub(crate) fn of<S: AsFd>(socket: &S) -> Option<SendProgress> {
    if !is_known() {
        return None;
    }
    let info = getsockopt(socket, TcpInfo).ok()?;
    // Offsets of `tcpi_unacked` (segments), `tcpi_bytes_acked` and `tcpi_notsent_bytes`.
    let number = |at| {
        let octets = info.get(at..at + 4)?;
        Some(u32::from_ne_bytes(octets.try_into().ok()?))
    };
    let acknowledged = info.get(120..128)?;
    Some(SendProgress {
        acknowledged: u64::from_ne_bytes(acknowledged.try_into().ok()?),
        outstanding: number(24)? > 0 || number(144)? > 0,
    })
}

/// Whether the kernel fills so much of it: since Linux 4.6.
fn is_known() -> bool {
    static KNOWN: OnceLock<bool> = OnceLock::new();
    *KNOWN.get_or_init(|| {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let mut numbers = release
            .split(['.', '-'])
            .map_while(|number| number.trim().parse::<u32>().ok());
        let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        version >= (4, 6)
    })
}
