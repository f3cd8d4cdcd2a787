//! Rate limits: three ways to treat a peer that sends more than five messages a second, and a limit on connections per address.
//!
//! Run: `cargo run --release --bin rate-limit -- --runtime smol --listen 127.0.0.1:9007`
//! See: `listening on ws://127.0.0.1:9007`; then `cargo run --bin client -- ws://127.0.0.1:9007/delay`, `/drop` or `/close`, and
//! type fast. The eleventh connection of an address, at once or in quick succession, is refused with 429.

use std::error::Error;

use clap::Parser;
use sansws_async::app::{PerAddress, Route};
use sansws_async::{ConnectionPolicy, Result as Outcome, Transport, Upgrade};
use sansws_core::limits::{AddressLimits, LimitAction as Beyond, Rate, TrafficLimits};
use sansws_examples::{Runtime, run};

/// Serves three paths with different rate limits.
#[derive(Debug, Parser)]
struct Options {
    /// The runtime to run on.
    #[arg(long, value_enum, default_value = "tokio")]
    runtime: Runtime,
    /// The address to listen on; with port 0 the system chooses one.
    #[arg(long, default_value = "127.0.0.1:9007")]
    listen: String,
}

/// Answers with the number of messages that were received and dropped so far.
async fn count<T: Transport>(upgrade: Upgrade<T>) -> Outcome {
    let mut socket = upgrade.accept().await?;
    while let Some(text) = socket.receive_text().await? {
        let counters = socket.counters();
        let (received, dropped) = (counters.received, counters.dropped);
        let reply = format!("{text} ({received} received, {dropped} dropped)");
        socket.send_text(reply).await?;
    }
    Ok(())
}

/// Five messages and 10 000 bytes a second, with bursts of ten messages.
fn limits(outcome: Beyond) -> ConnectionPolicy {
    ConnectionPolicy::default().traffic(TrafficLimits {
        messages: Some(Rate::per_second(5).burst(10)),
        bytes: Some(Rate::per_second(10_000)),
        outcome,
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let visitors = PerAddress::new(AddressLimits {
        connections: Some(10),
        handshakes: Some(Rate::per_second(1).burst(10)),
        ..AddressLimits::default()
    });
    run!(options.runtime, adapter, async {
        let router = adapter::Router::new()
            .add(Route::new("/delay", count).policy(limits(Beyond::Delay)))
            .add(Route::new("/drop", count).policy(limits(Beyond::Drop)))
            .add(Route::new("/close", count).policy(limits(Beyond::Close)))
            .layer(visitors);
        let server = adapter::Server::bind(options.listen.as_str()).await?;
        println!("listening on ws://{}", server.local_addr()?);
        server.serve(router).await
    })?;
    Ok(())
}
