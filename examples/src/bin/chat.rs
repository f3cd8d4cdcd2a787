//! A chat in rooms, over groups of a hub: a user who reloads the page or loses the connection misses nothing.
//!
//! Run: `cargo run --release --bin chat -- --runtime smol --listen 127.0.0.1:9002`
//! See: `listening on http://127.0.0.1:9002`; open it in two windows, with two names, talk, and reload one while the other goes on.
//! Or `cargo run --bin client -- 'ws://127.0.0.1:9002/chat/lobby?name=ada'` in two terminals, and type
//! `{"kind":"say","text":"Hello"}`. ^C closes all connections with 1012, within a second.

use std::error::Error;
use std::time::Duration;

use clap::Parser;
use sansws_examples::{RuntimeOrLoop, chat, chat_loop, pages, run};

/// Serves chat rooms.
#[derive(Debug, Parser)]
struct Options {
    /// The runtime to run on, or an event loop.
    #[arg(long, value_enum, default_value = "tokio")]
    runtime: RuntimeOrLoop,
    /// The address to listen on; with port 0 the system chooses one.
    #[arg(long, default_value = "127.0.0.1:9002")]
    listen: String,
}

/// Serves on one event loop.
fn on_event_loop(listen: &str) -> Result<(), Box<dyn Error>> {
    let server = sansws_mio::Server::bind(listen)?;
    println!("listening on http://{}", server.local_addr()?);
    let hub = sansws_mio::Hub::with_options(chat::options()?);
    let router = pages::on_loop().add(chat_loop::route(&hub));
    server
        .drain_on_signal(Duration::from_secs(1))
        .serve(router)?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let Options { runtime, listen } = Options::parse();
    sansws_examples::log();
    let Some(runtime) = runtime.runtime() else {
        return on_event_loop(&listen);
    };
    run!(runtime, adapter, async {
        let server = adapter::Server::bind(listen.as_str()).await?;
        println!("listening on http://{}", server.local_addr()?);
        let hub = adapter::Hub::with_options(chat::options()?);
        let router = pages::router(false).add(chat::route(&hub, None));
        server
            .drain_on_signal(Duration::from_secs(1))
            .serve(router)
            .await?;
        Ok(())
    })
}
