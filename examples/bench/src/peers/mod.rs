//! The servers that are compared. A new one is a file here and a line in
//! [`PEERS`].

mod fastwebsockets;
mod sansws_smol;
mod sansws_tokio;
mod sockudo_ws;
mod tcp_smol;
mod tcp_tokio;
mod tokio_tungstenite;
mod tokio_websockets;

use std::net::TcpListener;

use crate::runtime::ServeResult;

/// What the server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    Tcp,
    WebSocket,
}

/// One echo server.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    /// The plain echo on the same runtime, which the ratios are taken to.
    pub(crate) base: &'static str,
    pub(crate) wire: Wire,
    pub(crate) serve: fn(TcpListener) -> ServeResult,
}

const TCP_TOKIO: &str = "tcp-tokio";
const TCP_SMOL: &str = "tcp-smol";

pub(crate) const PEERS: &[Peer] = &[
    Peer::tcp(TCP_TOKIO, tcp_tokio::serve),
    Peer::tcp(TCP_SMOL, tcp_smol::serve),
    Peer::websocket("sansws-tokio", TCP_TOKIO, sansws_tokio::serve),
    Peer::websocket("sansws-smol", TCP_SMOL, sansws_smol::serve),
    Peer::websocket("sansws-tokio-router", TCP_TOKIO, sansws_tokio::serve_router),
    Peer::websocket("sansws-smol-router", TCP_SMOL, sansws_smol::serve_router),
    Peer::websocket("tokio-tungstenite", TCP_TOKIO, tokio_tungstenite::serve),
    Peer::websocket("fastwebsockets", TCP_TOKIO, fastwebsockets::serve),
    Peer::websocket("tokio-websockets", TCP_TOKIO, tokio_websockets::serve),
    Peer::websocket("sockudo-ws", TCP_TOKIO, sockudo_ws::serve),
];

impl Peer {
    const fn tcp(name: &'static str, serve: fn(TcpListener) -> ServeResult) -> Self {
        Self {
            name,
            base: name,
            wire: Wire::Tcp,
            serve,
        }
    }

    const fn websocket(
        name: &'static str,
        base: &'static str,
        serve: fn(TcpListener) -> ServeResult,
    ) -> Self {
        Self {
            name,
            base,
            wire: Wire::WebSocket,
            serve,
        }
    }
}

/// The largest message a server must take.
const MESSAGE_LIMIT: usize = 64 << 20;

/// The buffer of the plain TCP servers.
const TCP_BUFFER: usize = 64 << 10;
