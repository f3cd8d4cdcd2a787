//! A chat whose page uses the public client library `centrifuge`, and live metrics of the server: pages and WebSockets on one port.
//!
//! Run: `cargo run --release --bin demo -- --runtime smol --listen 127.0.0.1:8080`, or `make demo`
//! See: `listening on http://127.0.0.1:8080`; open it in two windows. ^C closes all connections with 1012, within two seconds;
//! start it again, and the pages reconnect by themselves. `make demo` gets the library from npm; without it, the page says how to get it.
//! `ws://127.0.0.1:8080/echo` echoes. `/dashboard` shows the server's state to people,
//! `/metrics` and `/health` to programs.

use std::error::Error;
use std::time::Duration;

use clap::Parser;
use futures_lite::future::or;
use sansws_examples::node::{self, Node};
use sansws_examples::{Runtime, run, talk};

/// Serves the demo page.
#[derive(Debug, Parser)]
struct Options {
    /// The runtime to run on.
    #[arg(long, value_enum, default_value = "tokio")]
    runtime: Runtime,
    /// The address to listen on; with port 0 the system chooses one.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: String,
    /// Its name on the dashboard.
    #[arg(long, default_value = "demo")]
    name: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    let Options {
        runtime,
        listen,
        name,
    } = Options::parse();
    sansws_examples::log();
    run!(runtime, adapter, async {
        let mut server = adapter::Server::bind(listen.as_str()).await?;
        println!("listening on http://{}", server.local_addr()?);
        let hub = adapter::Hub::with_options(talk::protocol().configure(node::options()?));
        let node = Node::new(&name, &server.handle(), &hub);
        let router = node.router().merge(talk::router(&hub));
        let serving = server.drain_on_signal(Duration::from_secs(2)).serve(router);
        or(serving, node.run(adapter::sleep)).await?;
        Ok(())
    })
}
