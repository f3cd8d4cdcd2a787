//! A chat in rooms; whoever does not take what others say is shown out, and nobody waits for him.
//!
//! Run: `cargo run --release --bin chat -- --runtime smol --listen 127.0.0.1:9002`
//! See: `listening on ws://127.0.0.1:9002`; then `cargo run --bin client -- 'ws://127.0.0.1:9002/chat/lobby?name=ada'` in two
//! terminals, and type `{"kind":"say","text":"Hello"}`. ^C closes all connections with 1012, within a second.

use std::error::Error;
use std::time::Duration;

use clap::Parser;
use sansws_examples::chat::{self, Rooms};
use sansws_examples::{Runtime, run};

/// Serves chat rooms.
#[derive(Debug, Parser)]
struct Options {
    /// The runtime to run on.
    #[arg(long, value_enum, default_value = "tokio")]
    runtime: Runtime,
    /// Where to listen; port 0 lets the system choose.
    #[arg(long, default_value = "127.0.0.1:9002")]
    listen: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    let Options { runtime, listen } = Options::parse();
    sansws_examples::log();
    run!(runtime, adapter, async {
        let server = adapter::Server::bind(listen.as_str()).await?;
        println!("listening on ws://{}", server.local_addr()?);
        let router = adapter::Router::new()
            .add(adapter::Route::new("/chat/{room}", chat::member).policy(chat::policy()))
            .state(Rooms::default());
        server
            .drain_on_signal(Duration::from_secs(1))
            .serve(router)
            .await
    })?;
    Ok(())
}
