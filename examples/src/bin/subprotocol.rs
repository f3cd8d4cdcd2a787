//! Two subprotocols: the server prefers one, and uses the negotiated one with each client.
//!
//! Run: `cargo run --release --bin subprotocol -- --runtime smol --listen 127.0.0.1:9004`
//! See: `listening on ws://127.0.0.1:9004`; then
//! `cargo run --bin client -- ws://127.0.0.1:9004/count --subprotocol count.v1 --subprotocol count.v2` says `connected, count.v2`;
//! what you type is counted. With only `count.v1`, the answer is a bare number; with neither, the request is refused with 400.

use std::error::Error;

use clap::Parser;
use sansws_async::{Result as Outcome, Transport, Upgrade, WebSocket};
use sansws_core::handshake::AcceptOptions;
use sansws_core::http::Response;
use sansws_examples::{Runtime, run};
use serde_json::json;

/// The subprotocol that counts words and characters, as JSON.
const V2: &str = "count.v2";
/// The subprotocol that counts words, as a number.
const V1: &str = "count.v1";

/// Counts words.
#[derive(Debug, Parser)]
struct Options {
    /// The runtime to run on.
    #[arg(long, value_enum, default_value = "tokio")]
    runtime: Runtime,
    /// The address to listen on; with port 0 the system chooses one.
    #[arg(long, default_value = "127.0.0.1:9004")]
    listen: String,
}

async fn count<T: Transport>(upgrade: Upgrade<T>) -> Outcome {
    // In our order of preference, not the client's.
    let Some(chosen) = upgrade.select_subprotocol([V2, V1]) else {
        let why = format!("supported subprotocols: {V2}, {V1}\n");
        return Ok(upgrade.reject(Response::text(400, why)).await?);
    };
    let accept = AcceptOptions {
        subprotocol: Some(chosen),
        ..AcceptOptions::default()
    };
    let socket = upgrade.accept_with(accept).await?;
    match socket.subprotocol() {
        Some(V2) => count_v2(socket).await,
        _ => count_v1(socket).await,
    }
}

async fn count_v2<T: Transport>(mut socket: WebSocket<T>) -> Outcome {
    while let Some(text) = socket.receive_text().await? {
        let (words, signs) = (text.split_whitespace().count(), text.chars().count());
        let counts = json!({"words": words, "signs": signs});
        socket.send_json(&counts).await?;
    }
    Ok(())
}

async fn count_v1<T: Transport>(mut socket: WebSocket<T>) -> Outcome {
    while let Some(text) = socket.receive_text().await? {
        let words = text.split_whitespace().count();
        socket.send_text(words.to_string()).await?;
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let Options { runtime, listen } = Options::parse();
    run!(runtime, adapter, async {
        let server = adapter::Server::bind(listen.as_str()).await?;
        println!("listening on ws://{}", server.local_addr()?);
        let router = adapter::Router::new().route("/count", count);
        server.serve(router).await
    })?;
    Ok(())
}
