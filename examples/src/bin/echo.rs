//! An echo server on any path: text and binary, messages up to 64 MiB.
//!
//! Run: `cargo run --release --bin echo -- --runtime smol --listen 127.0.0.1:9001`
//! See: `listening on ws://127.0.0.1:9001`; then connect with the `client` example. ^C closes all connections with 1001.

use std::error::Error;
use std::path::PathBuf;

use clap::Parser;
use sansws_core::drive::tls::{certificates, server};
use sansws_core::drive::{Gate, Serve};
use sansws_examples::{Runtime, config, identity};

/// Echoes what it receives.
#[derive(Debug, Parser)]
struct Options {
    /// The runtime to run on.
    #[arg(long, value_enum, default_value = "tokio")]
    runtime: Runtime,
    /// Where to listen; port 0 lets the system choose.
    #[arg(long, default_value = "127.0.0.1:9001")]
    listen: String,
    /// Serve wss:// with these PEM files.
    #[arg(long, num_args = 2, value_names = ["CERT", "KEY"])]
    tls: Vec<PathBuf>,
    /// Demand client certificates that lead to this PEM file.
    #[arg(long, requires = "tls")]
    client_ca: Option<PathBuf>,
    /// Do not agree to permessage-deflate.
    #[arg(long)]
    no_deflate: bool,
    /// Subprotocols, the preferred one first.
    #[arg(long, value_delimiter = ',')]
    subprotocols: Vec<String>,
}

/// The same handler for either adapter.
macro_rules! echo {
    ($adapter:ident, $subprotocols:expr) => {{
        let subprotocols = $subprotocols;
        move |upgrade: $adapter::Upgrade| {
            let subprotocol = upgrade.choose(subprotocols.iter().map(String::as_str));
            async move {
                let mut socket = upgrade
                    .accept_with($adapter::Accept {
                        subprotocol,
                        ..Default::default()
                    })
                    .await?;
                while let Some(message) = socket.receive().await? {
                    socket.send(message).await?;
                }
                Ok(())
            }
        }
    }};
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let serve = Serve::default().config(config(!options.no_deflate));
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
    match options.runtime {
        Runtime::Tokio => tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(async {
                let mut listener = sansws_tokio::Listener::bind(&options.listen).await?;
                if let Some(tls) = tls {
                    listener = listener.tls(tls);
                }
                let mut server = sansws_tokio::Server::new(listener).options(serve);
                println!("listening on {scheme}://{}", server.local_addr()?);
                let gate = server.gate();
                tokio::spawn(async move {
                    if tokio::signal::ctrl_c().await.is_ok() {
                        gate.close();
                    }
                });
                server
                    .serve(echo!(sansws_tokio, options.subprotocols))
                    .await
            })?,
        Runtime::Smol => {
            let tasks = std::rc::Rc::new(smol::LocalExecutor::new());
            smol::block_on(tasks.run(async {
                let mut listener = sansws_smol::Listener::bind(options.listen.as_str()).await?;
                if let Some(tls) = tls {
                    listener = listener.tls(tls);
                }
                let mut server = sansws_smol::Server::new(listener).options(serve);
                println!("listening on {scheme}://{}", server.local_addr()?);
                close_on_interrupt(server.gate());
                let spawn = |task| tasks.spawn(task).detach();
                server
                    .serve_local(echo!(sansws_smol, options.subprotocols), spawn)
                    .await
            }))?;
        }
    }
    Ok(())
}

/// smol has no signals of its own: a thread of tokio's waits for ^C.
fn close_on_interrupt(gate: Gate) {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        if let Ok(runtime) = runtime
            && runtime.block_on(tokio::signal::ctrl_c()).is_ok()
        {
            gate.close();
        }
    });
}
