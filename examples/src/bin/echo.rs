//! An echo server on any path: text and binary, messages up to 64 MiB. On `/fanout` all connections get the echo, except on threads.
//!
//! Run: `cargo run --release --bin echo -- --runtime smol --listen 127.0.0.1:9001`
//! See: `listening on ws://127.0.0.1:9001`; then connect with the `client` example; with two of them to `ws://127.0.0.1:9001/fanout`.
//! ^C and SIGTERM close all connections within a second, with 1012.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use sansws_async::tls::{certificates, server};
use sansws_async::{ConnectionPolicy, Result as Outcome, ServerOptions, Transport, Upgrade};
use sansws_core::config::Config;
use sansws_core::handshake::AcceptOptions;
use sansws_core::hub::{HubOptions, QueueLimits};
use sansws_examples::{Runtime, config, identity, run};

/// The path on which all connections get each message.
const FANOUT: &str = "/fanout";

/// The adapter that it runs on.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum On {
    /// `sansws-tokio`
    Tokio,
    /// `sansws-smol`
    Smol,
    /// `sansws-std`: a thread for each connection
    Std,
    /// `sansws-mio`: one event loop
    Mio,
}

/// Echoes each message it receives.
#[derive(Debug, Parser)]
struct Options {
    /// The runtime to run on, or threads, or an event loop.
    #[arg(long, value_enum, default_value = "tokio")]
    runtime: On,
    /// The address to listen on; with port 0 the system chooses one.
    #[arg(long, default_value = "127.0.0.1:9001")]
    listen: String,
    /// Serve wss:// with these PEM files.
    #[arg(long, num_args = 2, value_names = ["CERT", "KEY"])]
    tls: Vec<PathBuf>,
    /// Require client certificates that are signed by an authority in this PEM file.
    #[arg(long, requires = "tls")]
    client_ca: Option<PathBuf>,
    /// Decline permessage-deflate.
    #[arg(long)]
    no_deflate: bool,
    /// Subprotocols to accept, the preferred one first.
    #[arg(long, value_delimiter = ',')]
    subprotocols: Vec<String>,
}

/// The handler, for either adapter.
async fn echo<T: Transport>(upgrade: Upgrade<T>, subprotocols: Arc<[String]>) -> Outcome {
    let accept = AcceptOptions {
        subprotocol: upgrade.select_subprotocol(subprotocols.iter().map(String::as_str)),
        ..AcceptOptions::default()
    };
    let to_all = upgrade.path() == FANOUT;
    let mut socket = upgrade.accept_with(accept).await?;
    if to_all {
        socket.join(FANOUT).await?;
        while let Some(message) = socket.receive().await? {
            socket.publish(FANOUT, message).await?;
        }
        return Ok(());
    }
    while let Some(message) = socket.receive().await? {
        socket.send(message).await?;
    }
    Ok(())
}

/// The queue of a connection may hold the longest message.
fn fanout() -> HubOptions {
    let mut options = HubOptions::default().queue_limits(QueueLimits {
        bytes: 64 << 20,
        ..QueueLimits::default()
    });
    options.max_message = 64 << 20;
    options
}

/// The server with a thread for each connection, at most 4 096.
fn on_threads(
    scheme: &str,
    listener: sansws_std::Listener,
    config: Config,
    subprotocols: Vec<String>,
) -> Result<(), Box<dyn Error>> {
    let serve = sansws_std::ServerOptions::default().config(config);
    let server = sansws_std::Server::new(listener)
        .options(serve.max_connections(4_096))
        .drain_on_signal(Duration::from_secs(1));
    println!("listening on {scheme}://{}", server.local_addr()?);
    server.serve(move |upgrade: sansws_std::Upgrade| {
        let accept = AcceptOptions {
            subprotocol: upgrade.select_subprotocol(subprotocols.iter().map(String::as_str)),
            ..AcceptOptions::default()
        };
        let mut socket = upgrade.accept_with(accept)?;
        while let Some(message) = socket.receive()? {
            socket.send(message)?;
        }
        Ok(())
    })?;
    Ok(())
}

/// The endpoint of the event loop.
struct Echo {
    subprotocols: Vec<String>,
}

impl sansws_mio::Endpoint for Echo {
    /// Whether all connections of the path get its messages.
    type Data = bool;

    fn upgrade(
        &mut self,
        request: &mut sansws_mio::Scope,
        accept: &mut AcceptOptions,
    ) -> Outcome<bool> {
        let supported = self.subprotocols.iter().map(String::as_str);
        accept.subprotocol = request.select_subprotocol(supported);
        Ok(request.path() == FANOUT)
    }

    fn open(&mut self, socket: &mut sansws_mio::Socket<'_, bool>) -> Outcome {
        if *socket.data() {
            socket.join(FANOUT)?;
        }
        Ok(())
    }

    fn message(
        &mut self,
        socket: &mut sansws_mio::Socket<'_, bool>,
        message: sansws_mio::Incoming<'_>,
    ) -> Outcome {
        if *socket.data() {
            return Ok(socket.publish(FANOUT, message.into_message())?);
        }
        // Nothing is received while much is unsent, so there is room.
        let _ = socket.send(message);
        Ok(())
    }
}

/// The server on one event loop.
fn on_event_loop(
    scheme: &str,
    listener: sansws_mio::Listener,
    config: Config,
    subprotocols: Vec<String>,
) -> Result<(), Box<dyn Error>> {
    let hub = sansws_mio::Hub::with_options(fanout());
    let serve = sansws_mio::ServerOptions::default()
        .config(config)
        .policy(sansws_mio::ConnectionPolicy::default().hub(&hub));
    let server = sansws_mio::Server::new(listener)
        .options(serve)
        .drain_on_signal(Duration::from_secs(1));
    println!("listening on {scheme}://{}", server.local_addr()?);
    server.serve(Echo { subprotocols })?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    sansws_examples::log();
    let mut tls = None;
    if let Some(identity) = identity(&options.tls)? {
        let roots = options
            .client_ca
            .map(std::fs::read)
            .transpose()?
            .map(|pem| certificates(&pem))
            .transpose()?;
        tls = Some(server(identity, roots)?);
    }
    let scheme = if options.tls.is_empty() { "ws" } else { "wss" };
    let runtime = match options.runtime {
        On::Tokio => Runtime::Tokio,
        On::Smol => Runtime::Smol,
        On::Std => {
            let mut listener = sansws_std::Listener::bind(options.listen.as_str())?;
            if let Some(tls) = tls {
                listener = listener.tls(tls);
            }
            let config = config(!options.no_deflate);
            return on_threads(scheme, listener, config, options.subprotocols);
        }
        On::Mio => {
            let mut listener = sansws_mio::Listener::bind(options.listen.as_str())?;
            if let Some(tls) = tls {
                listener = listener.tls(tls);
            }
            let config = config(!options.no_deflate);
            return on_event_loop(scheme, listener, config, options.subprotocols);
        }
    };
    run!(runtime, adapter, async {
        let mut listener = adapter::Listener::bind(options.listen.as_str()).await?;
        if let Some(tls) = tls {
            listener = listener.tls(tls);
        }
        let hub = adapter::Hub::with_options(fanout());
        let serve = ServerOptions::default()
            .config(config(!options.no_deflate))
            .policy(ConnectionPolicy::default().hub(&hub));
        let server = adapter::Server::new(listener).options(serve);
        println!("listening on {scheme}://{}", server.local_addr()?);
        let server = server.drain_on_signal(Duration::from_secs(1));
        let subprotocols: Arc<[String]> = options.subprotocols.into();
        let handler = move |upgrade: adapter::Upgrade| echo(upgrade, Arc::clone(&subprotocols));
        server.serve(handler).await
    })?;
    Ok(())
}
