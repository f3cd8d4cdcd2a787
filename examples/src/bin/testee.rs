//! A client for conformance suites: it requests the number of cases, echoes in each, and requests the report.
//!
//! Run: `cargo run --release --bin testee -- --runtime smol ws://127.0.0.1:9001`, with a fuzzing server there.
//! See: one line for each case; the verdicts are in the server's report.

use std::error::Error;

use clap::Parser;
use sansws_examples::{Runtime, config};

/// Echoes through all cases of a fuzzing server.
#[derive(Debug, Parser)]
struct Options {
    /// The runtime to run on.
    #[arg(long, value_enum, default_value = "tokio")]
    runtime: Runtime,
    /// The URL of the fuzzing server, such as ws://127.0.0.1:9001
    url: String,
}

/// One client for either adapter.
macro_rules! testee {
    ($adapter:ident, $agent:literal, $url:expr) => {
        async {
            let url: &str = $url;
            let dial = || $adapter::ConnectOptions::default().config(config(true));
            let mut asking = $adapter::connect(&format!("{url}/getCaseCount"), dial()).await?;
            let count: u32 = asking
                .receive_text()
                .await?
                .ok_or("the server sent no number of cases")?
                .trim()
                .parse()?;
            drop(asking.close(1000, "").await);
            for case in 1..=count {
                let address = format!("{url}/runCase?case={case}&agent={}", $agent);
                match $adapter::connect(&address, dial()).await {
                    Ok(mut socket) => {
                        // A case may end the connection in any way: go on with the next one.
                        while let Ok(Some(message)) = socket.receive().await {
                            if socket.send(message).await.is_err() {
                                break;
                            }
                        }
                        drop(socket.close(1000, "").await);
                        println!("case {case} of {count}");
                    }
                    Err(error) => println!("case {case} of {count}: {error}"),
                }
            }
            let address = format!("{url}/updateReports?agent={}", $agent);
            let mut asking = $adapter::connect(&address, dial()).await?;
            drop(asking.close(1000, "").await);
            Ok::<(), Box<dyn Error>>(())
        }
    };
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let url = options.url.trim_end_matches('/');
    match options.runtime {
        Runtime::Tokio => tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(testee!(sansws_tokio, "sansws-tokio", url)),
        Runtime::Smol => smol::block_on(testee!(sansws_smol, "sansws-smol", url)),
    }
}
