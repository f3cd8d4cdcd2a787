//! WebSockets of sansws in an axum server, beside its pages: over HTTP/1.1 and HTTP/2.
//!
//! Run: `cargo run --release --bin axum -- --listen 127.0.0.1:9006`
//! See: `listening on http://127.0.0.1:9006`; then `cargo run --bin client -- ws://127.0.0.1:9006/rooms/lobby`.

use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{any, get};
use clap::Parser;
use sansws_tokio::ServerHandle;
use sansws_tokio::hyper::{Upgrade, WebSocket, drain_when, shutdown_signal};
use tokio::net::TcpListener;

/// Echoes in rooms.
#[derive(Debug, Parser)]
struct Options {
    /// The address to listen on; with port 0 the system chooses one.
    #[arg(long, default_value = "127.0.0.1:9006")]
    listen: String,
}

/// An extractor like any other. Over HTTP/2 the method is CONNECT, so it is routed by `any`.
async fn room(
    Path(room): Path<String>,
    State(handle): State<ServerHandle>,
    upgrade: Upgrade,
) -> Response {
    let upgrade = upgrade.subprotocols(["echo.v2", "echo.v1"]).handle(handle);
    upgrade.on_upgrade(async move |mut socket: WebSocket| {
        while let Some(text) = socket.receive_text().await? {
            socket.send_text(format!("{room}: {text}")).await?;
        }
        Ok(())
    })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let options = Options::parse();
    let handle = ServerHandle::new(10_000);
    let router = Router::new()
        .route("/", get("a WebSocket is at /rooms/{room}\n"))
        .route("/rooms/{room}", any(room))
        .with_state(handle.clone());
    let listener = TcpListener::bind(&options.listen).await?;
    println!("listening on http://{}", listener.local_addr()?);
    // On SIGTERM and on ^C all connections are closed with 1012, spread over a second.
    let drained = drain_when(shutdown_signal(), handle, Duration::from_secs(1));
    axum::serve(listener, router)
        .with_graceful_shutdown(drained)
        .await
}
