//! The servers that our clients talk to, foreign and our own, behind one face.

use sansws_async::{Result, ServerOptions};
use sansws_core::config::{Config, Deflate};

use super::certs::Certs;
use super::foreign::{ForeignServer, Language};
use super::ours::OurServer;
use super::runtime::{Runtime, Setup, Smol, Tokio};

/// The adapter that serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Foreign(Language),
    Tokio,
    Smol,
}

impl Side {
    pub const PYTHON: Self = Self::Foreign(Language::Python);
    pub const NODE: Self = Self::Foreign(Language::Node);
}

/// The extensions that a server agrees to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    #[default]
    None,
    /// With context takeover, if the client wants it.
    On,
    /// Without context takeover, whatever the client wants.
    NoTakeover,
}

/// How a server is started.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options<'a> {
    pub tls: Option<&'a Certs>,
    /// Clients must show a certificate.
    pub client_ca: bool,
    pub compression: Compression,
    /// The largest window of either end.
    pub window_bits: Option<u8>,
    pub subprotocols: &'a [&'a str],
}

/// A running server; it ends with this value.
#[derive(Debug)]
pub struct Server {
    scheme: &'static str,
    pub port: u16,
    running: Running,
}

#[derive(Debug)]
enum Running {
    Foreign(ForeignServer),
    Ours(OurServer),
}

impl Server {
    pub fn start(side: Side, options: &Options<'_>) -> Self {
        let (port, running) = match side {
            Side::Foreign(language) => {
                let server = ForeignServer::start(language, &arguments(options));
                (server.port, Running::Foreign(server))
            }
            Side::Tokio => ours::<Tokio>(options),
            Side::Smol => ours::<Smol>(options),
        };
        let scheme = if options.tls.is_some() { "wss" } else { "ws" };
        Self {
            scheme,
            port,
            running,
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}://127.0.0.1:{}{path}", self.scheme, self.port)
    }

    pub fn stop(self) {
        match self.running {
            Running::Foreign(server) => server.stop(),
            Running::Ours(server) => server.stop(),
        }
    }
}

/// Runs a scenario of our client against a server.
pub fn against<R: Runtime>(
    side: Side,
    options: &Options<'_>,
    scenario: impl AsyncFnOnce(&Server) -> Result,
) {
    let server = Server::start(side, options);
    R::run(scenario(&server));
    server.stop();
}

fn arguments(options: &Options<'_>) -> Vec<String> {
    let mut all = Vec::new();
    let mut add = |words: &[&str]| all.extend(words.iter().map(ToString::to_string));
    if let Some(certs) = options.tls {
        add(&[
            "--tls",
            &certs.file("server.pem"),
            &certs.file("server.key"),
        ]);
        if options.client_ca {
            add(&["--client-ca", &certs.file("ca.pem")]);
        }
    }
    match options.compression {
        Compression::None => {}
        Compression::On => add(&["--deflate", "on"]),
        Compression::NoTakeover => add(&["--deflate", "no-takeover"]),
    }
    if let Some(bits) = options.window_bits {
        add(&["--window-bits", &bits.to_string()]);
    }
    if !options.subprotocols.is_empty() {
        add(&["--subprotocols", &options.subprotocols.join(",")]);
    }
    all
}

fn ours<R: Runtime>(options: &Options<'_>) -> (u16, Running) {
    let takeover = options.compression == Compression::On;
    let bits = options.window_bits.unwrap_or(15);
    let deflate = Deflate {
        own_takeover: takeover,
        peer_takeover: takeover,
        own_window_bits: bits,
        peer_window_bits: bits,
        threshold: 0,
        ..Deflate::default()
    };
    let config = Config {
        deflate: (options.compression != Compression::None).then_some(deflate),
        ..Config::default()
    };
    let tls = options.tls.map(|certs| {
        let client_roots = options.client_ca.then(|| certs.roots());
        R::server_tls(certs.identity("server"), client_roots).unwrap()
    });
    let server = OurServer::start::<R>(Setup {
        options: ServerOptions::default().config(config),
        tls,
        subprotocols: options
            .subprotocols
            .iter()
            .map(ToString::to_string)
            .collect(),
        ..Setup::default()
    });
    (server.port, Running::Ours(server))
}
