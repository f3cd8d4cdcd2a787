//! The WebSocket echo of the public HttpArena benchmark: text and binary, at `/ws`, with an event loop for each processor.
//!
//! Run: `cargo run --release --bin httparena -- --listen 127.0.0.1:8080`; `examples/httparena` has its container.
//! See: `listening on ws://127.0.0.1:8080`; then connect with the `client` example to `ws://127.0.0.1:8080/ws`. ^C closes with 1012.

use std::error::Error;
use std::thread::available_parallelism;
use std::time::Duration;

use clap::Parser;
use sansws_mio::{Incoming, Listener, Result as Outcome, Router, Server, ServerOptions, Socket};

/// Echoes what the benchmark sends.
#[derive(Debug, Parser)]
struct Options {
    /// The address to listen on; with port 0 the system chooses one.
    #[arg(long, default_value = "0.0.0.0:8080")]
    listen: String,
    /// The number of event loops [default: one for each processor].
    #[arg(long)]
    threads: Option<usize>,
}

fn echo(socket: &mut Socket<'_, ()>, message: Incoming<'_>) -> Outcome {
    // Nothing is received while much is unsent, so there is room.
    let _ = socket.send(message);
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let threads = match options.threads {
        Some(threads) => threads,
        None => available_parallelism()?.get(),
    };
    // The largest load has 16 384 connections.
    let serve = ServerOptions::default().max_connections(65_536);
    let server = Server::new(Listener::bind_shared(options.listen.as_str())?)
        .options(serve)
        .drain_on_signal(Duration::from_secs(1));
    println!("listening on ws://{}", server.local_addr()?);
    server.serve_on_threads(threads, |_| Router::new().route("/ws", echo))?;
    Ok(())
}
