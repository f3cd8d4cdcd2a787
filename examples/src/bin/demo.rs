//! A page with a chat and the server's numbers, live: pages and WebSockets on one port.
//!
//! Run: `cargo run --release --bin demo -- --runtime smol --listen 127.0.0.1:8080`, or `make demo`
//! See: `listening on http://127.0.0.1:8080`; open it in two windows. ^C closes all connections with 1012, within two seconds;
//! start it again, and the pages come back by themselves. `ws://127.0.0.1:8080/echo` echoes.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use futures_lite::future::or;
use sansws_core::drive::{Result as Outcome, Transport, Upgrade};
use sansws_core::http::Response;
use sansws_examples::board::{self, Board};
use sansws_examples::chat::{self, Rooms};
use sansws_examples::{Meter, Runtime, run};

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
        let meter = Arc::new(Meter::default());
        let board = Arc::new(Board::new(server.gate(), Arc::clone(&meter)));
        let router = adapter::Router::new()
            .get(
                "/",
                page("text/html", include_str!("../../pages/index.html")),
            )
            .get(
                "/app.css",
                page("text/css", include_str!("../../pages/app.css")),
            )
            .get(
                "/app.js",
                page("text/javascript", include_str!("../../pages/app.js")),
            )
            .add(adapter::Route::new("/chat/{room}", chat::member).policy(chat::policy()))
            .route("/dashboard", board::watcher)
            .route("/echo", echo)
            .state(Rooms::new(meter))
            .shared_state(Arc::clone(&board));
        let serving = server.drain_on_signal(Duration::from_secs(2)).serve(router);
        let measuring = async {
            board.run(adapter::sleep).await;
            Ok(())
        };
        or(serving, measuring).await
    })?;
    Ok(())
}

/// A file of the page, which lies in the program.
fn page(kind: &str, content: &str) -> Response {
    Response::octets(200, &format!("{kind}; charset=utf-8"), content)
        .with("Cache-Control", "no-cache")
        .with("X-Content-Type-Options", "nosniff")
}

async fn echo<T: Transport>(upgrade: Upgrade<T>) -> Outcome {
    let mut socket = upgrade.accept().await?;
    while let Some(message) = socket.receive().await? {
        socket.send(message).await?;
    }
    Ok(())
}
