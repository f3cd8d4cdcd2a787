//! A page with a chat and the server's numbers, live: pages and WebSockets on one port.
//!
//! Run: `cargo run --release --bin demo -- --runtime smol --listen 127.0.0.1:8080`, or `make demo`
//! See: `listening on http://127.0.0.1:8080`; open it in two windows. ^C closes all connections with 1012, within two seconds;
//! start it again, and the pages come back by themselves. `ws://127.0.0.1:8080/echo` echoes.

use std::error::Error;
use std::time::Duration;

use clap::Parser;
use futures_lite::future::or;
use sansws_core::drive::{Result as Outcome, Transport, Upgrade};
use sansws_examples::board::{self, Board};
use sansws_examples::{Runtime, chat, pages, run};

/// Serves the demo page.
#[derive(Debug, Parser)]
struct Options {
    /// The runtime to run on.
    #[arg(long, value_enum, default_value = "tokio")]
    runtime: Runtime,
    /// Where to listen; port 0 lets the system choose.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    let Options { runtime, listen } = Options::parse();
    sansws_examples::log();
    run!(runtime, adapter, async {
        let mut server = adapter::Server::bind(listen.as_str()).await?;
        println!("listening on http://{}", server.local_addr()?);
        let hub = adapter::Hub::with_options(board::rule(chat::options()?)?);
        let board = Board::new(server.gate(), &hub);
        let router = pages::router(true)
            .add(chat::route(&hub))
            .add(board::route("/dashboard", &hub))
            .route("/echo", echo);
        let serving = server.drain_on_signal(Duration::from_secs(2)).serve(router);
        or(serving, board.run(adapter::sleep)).await?;
        Ok(())
    })
}

async fn echo<T: Transport>(upgrade: Upgrade<T>) -> Outcome {
    let mut socket = upgrade.accept().await?;
    while let Some(message) = socket.receive().await? {
        socket.send(message).await?;
    }
    Ok(())
}
