//! Metrics of the process, pushed to a page that draws them live.
//!
//! Run: `cargo run --release --bin dashboard -- --runtime smol --listen 127.0.0.1:9005`
//! See: `listening on http://127.0.0.1:9005`; open it in one or more windows. A slow window skips numbers and gets the newest.

use std::error::Error;

use clap::Parser;
use futures_lite::future::or;
use sansws_core::http::Response;
use sansws_core::hub::HubOptions;
use sansws_examples::board::{self, Board};
use sansws_examples::{Runtime, run};

/// Serves metrics, and a page that draws them.
#[derive(Debug, Parser)]
struct Options {
    /// The runtime to run on.
    #[arg(long, value_enum, default_value = "tokio")]
    runtime: Runtime,
    /// The address to listen on; with port 0 the system chooses one.
    #[arg(long, default_value = "127.0.0.1:9005")]
    listen: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    let Options { runtime, listen } = Options::parse();
    run!(runtime, adapter, async {
        let mut server = adapter::Server::bind(listen.as_str()).await?;
        println!("listening on http://{}", server.local_addr()?);
        let hub = adapter::Hub::with_options(board::rule(HubOptions::default())?);
        let board = Board::new("this", server.handle(), &hub);
        let page = Response::html(200, include_str!("../../pages/dashboard.html"));
        let router = adapter::Router::new()
            .get("/", page)
            .add(board.route("/numbers"));
        or(server.serve(router), board.run(adapter::sleep)).await?;
        Ok(())
    })
}
