//! How much of the output the peer of a TCP socket has taken, as reported by Linux.
//! Knows byte counts, but not the meaning of bytes.

use std::os::fd::AsFd;
use std::sync::OnceLock;

use nix::getsockopt_impl;
use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::GetStruct;
use sansws_core::connection::{SendProgress, TCP_INFO, fills_tcp_info};

type Info = [u8; TCP_INFO];

#[derive(Clone, Copy, Debug)]
struct TcpInfo;

getsockopt_impl!(
    TcpInfo,
    libc::IPPROTO_TCP,
    libc::TCP_INFO,
    Info,
    GetStruct<Info>
);

/// Asks the kernel how much of the output the peer of a TCP socket has taken.
pub fn send_progress<S: AsFd>(socket: &S) -> Option<SendProgress> {
    if !is_known() {
        return None;
    }
    SendProgress::from_tcp_info(&getsockopt(socket, TcpInfo).ok()?)
}

fn is_known() -> bool {
    static KNOWN: OnceLock<bool> = OnceLock::new();
    *KNOWN.get_or_init(|| {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease");
        fills_tcp_info(&release.unwrap_or_default())
    })
}
