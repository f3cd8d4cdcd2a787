//! The servers that are compared. A new one is a file here and a line in
//! [`PEERS`].

mod bare;
mod fastwebsockets;
mod sansws_mio;
mod sansws_smol;
mod sansws_tokio;
mod sockudo_ws;
mod tcp_mio;
mod tcp_smol;
mod tcp_tokio;
mod tokio_channels;
mod tokio_tungstenite;
mod tokio_websockets;
mod tuned;
mod tungstenite_broadcast;

use std::net::TcpListener;

use ::sansws_tokio::{Config, Deflate, Limits};

use crate::runtime::ServeResult;
use crate::scenario::{Mode, Shape};

/// The protocol of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    Tcp,
    WebSocket,
}

/// The use of a message by the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Job {
    /// Sends it back.
    Echo,
    /// Sends it to all connections.
    FanOut,
    /// Sends it to all connections of a group, as the path says: see [`groups_of`].
    Groups,
}

/// One server.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    /// The peer that the ratios are taken to: for an echo the plain one on the
    /// same runtime, for a fan-out the bare loop.
    pub(crate) base: &'static str,
    pub(crate) wire: Wire,
    pub(crate) job: Job,
    /// The modes that it has besides plain messages on one thread.
    pub(crate) modes: &'static [Mode],
    pub(crate) serve: Serve,
}

/// Serves until the process ends.
pub(crate) type Serve = fn(TcpListener, Mode) -> ServeResult;

/// The modes of our adapters.
const ALL: &[Mode] = &[Mode::Tls, Mode::Takeover, Mode::NoTakeover, Mode::Threads];

const TCP_MIO: &str = "tcp-mio";
const TCP_TOKIO: &str = "tcp-tokio";
const TCP_SMOL: &str = "tcp-smol";
const BARE: &str = "bare";

pub(crate) const PEERS: &[Peer] = &[
    Peer::tcp(TCP_TOKIO, tcp_tokio::serve).modes(&[Mode::Tls]),
    Peer::tcp(TCP_SMOL, tcp_smol::serve),
    Peer::tcp(TCP_MIO, tcp_mio::serve),
    Peer::websocket("sansws-mio", TCP_MIO, sansws_mio::serve).modes(ALL),
    Peer::websocket("sansws-mio-router", TCP_MIO, sansws_mio::serve_router),
    Peer::websocket("sansws-tokio", TCP_TOKIO, sansws_tokio::serve).modes(ALL),
    Peer::websocket("sansws-smol", TCP_SMOL, sansws_smol::serve).modes(ALL),
    Peer::websocket("sansws-tokio-lent", TCP_TOKIO, sansws_tokio::serve_lent).modes(ALL),
    Peer::websocket("sansws-smol-lent", TCP_SMOL, sansws_smol::serve_lent).modes(ALL),
    Peer::websocket("sansws-tokio-router", TCP_TOKIO, sansws_tokio::serve_router),
    Peer::websocket("sansws-smol-router", TCP_SMOL, sansws_smol::serve_router),
    Peer::websocket("tokio-tungstenite", TCP_TOKIO, tokio_tungstenite::serve).modes(&[Mode::Tls]),
    Peer::websocket("fastwebsockets", TCP_TOKIO, fastwebsockets::serve),
    Peer::websocket("tokio-websockets", TCP_TOKIO, tokio_websockets::serve).modes(&[Mode::Tls]),
    Peer::websocket("sockudo-ws", TCP_TOKIO, sockudo_ws::serve),
    Peer::websocket(
        "tokio-websockets-tuned",
        TCP_TOKIO,
        tokio_websockets::serve_tuned,
    ),
    Peer::websocket("sockudo-ws-tuned", TCP_TOKIO, sockudo_ws::serve_tuned),
    Peer::fan_out(BARE, Job::FanOut, bare::serve),
    Peer::fan_out(
        "tungstenite-broadcast",
        Job::FanOut,
        tungstenite_broadcast::serve,
    ),
    Peer::fan_out("tokio-channels", Job::Groups, tokio_channels::serve),
    Peer::fan_out("sansws-tokio-hub", Job::Groups, sansws_tokio::serve_hub),
    Peer::fan_out("sansws-smol-hub", Job::Groups, sansws_smol::serve_hub),
    Peer::fan_out("sansws-mio-hub", Job::Groups, sansws_mio::serve_hub),
];

impl Peer {
    const fn tcp(name: &'static str, serve: Serve) -> Self {
        Self {
            name,
            base: name,
            wire: Wire::Tcp,
            job: Job::Echo,
            modes: &[],
            serve,
        }
    }

    const fn websocket(name: &'static str, base: &'static str, serve: Serve) -> Self {
        Self {
            name,
            base,
            wire: Wire::WebSocket,
            job: Job::Echo,
            modes: &[],
            serve,
        }
    }

    const fn fan_out(name: &'static str, job: Job, serve: Serve) -> Self {
        Self {
            name,
            base: BARE,
            wire: Wire::WebSocket,
            job,
            modes: &[],
            serve,
        }
    }

    const fn modes(self, modes: &'static [Mode]) -> Self {
        Self { modes, ..self }
    }

    /// Whether the server does what the load asks for.
    pub(crate) fn fits(&self, shape: Shape, mode: Mode) -> bool {
        if mode != Mode::Plain && !self.modes.contains(&mode) {
            return false;
        }
        match shape {
            Shape::Echo | Shape::Idle | Shape::Life => self.job == Job::Echo,
            Shape::FanOut => self.job != Job::Echo,
            Shape::Groups => self.job == Job::Groups,
        }
    }
}

/// The groups that a connection joins, from its target: the names in
/// `/fanout?groups=a,b,c`, or the path alone where there is no query. What the
/// connection sends goes to the first of them.
fn groups_of(target: &str) -> Vec<String> {
    match target.split_once("?groups=") {
        Some((_, names)) => names.split(',').map(str::to_owned).collect(),
        None => vec![target.to_owned()],
    }
}

/// The largest message a server must take.
const MESSAGE_LIMIT: usize = 64 << 20;

/// The buffer of the plain TCP servers.
const TCP_BUFFER: usize = 64 << 10;

/// The config of our servers: takes messages of any length that the load sends, and compresses as the mode says.
fn sansws_config(mode: Mode) -> Config {
    let limits = Limits {
        frame: MESSAGE_LIMIT as u64,
        message: MESSAGE_LIMIT as u64,
        ..Limits::default()
    };
    let takeover = mode == Mode::Takeover;
    Config {
        limits,
        deflate: mode.deflates().then(|| Deflate {
            own_takeover: takeover,
            peer_takeover: takeover,
            ..Deflate::default()
        }),
        ..Config::default()
    }
}
