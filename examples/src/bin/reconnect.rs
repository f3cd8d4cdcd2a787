//! A client that reconnects by itself: it shows its state, subscribes again on each connection, and queues the lines that you type while the
//! server is away.
//!
//! Run: `cargo run --release --bin reconnect -- ws://127.0.0.1:9001 --subscribe news`
//! See: start the `echo` example, stop it, type a line, start it again: `news` comes back first, then your line. ^D sends the queued lines
//! and closes.

use std::error::Error;
use std::time::Duration;

use clap::Parser;
use futures_lite::future::or;
use sansws_async::{ClientState, ConnectOptions, Stop};
use sansws_core::dial::{Backoff, ReconnectOptions};
use sansws_core::message::Message;
use sansws_examples::{Runtime, lines, run};

/// Sends lines, prints messages and states, and reconnects when the connection ends.
#[derive(Debug, Parser)]
struct Options {
    /// The URL to connect to, such as wss://example.org/chat
    url: String,
    /// The runtime to run on.
    #[arg(long, value_enum, default_value = "tokio")]
    runtime: Runtime,
    /// A message to send first on each connection; may be repeated.
    #[arg(long)]
    subscribe: Vec<String>,
    /// Connect through this proxy: http://, https:// or socks5://, optionally with user:password@
    #[arg(long)]
    proxy: Option<sansws_core::proxy::Proxy>,
    /// Maximum number of redirects to follow.
    #[arg(long, default_value_t = 3)]
    redirects: u32,
    /// Maximum number of lines to queue while the server is away.
    #[arg(long, default_value_t = 100)]
    queue: usize,
    /// The longest wait between attempts, in milliseconds.
    #[arg(long, default_value_t = 10_000)]
    longest_wait: u64,
    /// Reconnect whatever the end, unless the server closes with 1000.
    #[arg(long)]
    persistent: bool,
}

/// The next thing that happens.
enum Next {
    /// A line was typed; `None` at the end of input.
    Line(Option<String>),
    Message(Result<Option<Message>, sansws_async::Error>),
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let lines = lines();
    let mut dial = ConnectOptions::default().redirects(options.redirects);
    dial.proxy = options.proxy;
    let reconnect = ReconnectOptions {
        backoff: Backoff {
            max: Duration::from_millis(options.longest_wait),
            ..Backoff::default()
        },
        persistent: options.persistent,
        ..ReconnectOptions::default()
    };
    let (url, subscribe) = (options.url, options.subscribe);
    run!(options.runtime, adapter, async {
        let mut client = adapter::Client::new(&url, dial)?
            .reconnect(reconnect)
            .queue(options.queue, 1 << 20)
            .on_change(tell)
            .on_open(move |mut socket| {
                let subscribe = subscribe.clone();
                async move {
                    for name in subscribe {
                        socket.send_text(name).await?;
                    }
                    Ok(())
                }
            });
        loop {
            let line = async { Next::Line(lines.recv().await.ok()) };
            let message = async { Next::Message(client.receive().await) };
            match or(line, message).await {
                Next::Line(Some(line)) => {
                    if let Err(error) = client.send_text(line).await {
                        eprintln!("not sent: {error}");
                    }
                }
                Next::Line(None) => {
                    client.flush().await?;
                    client.close(1000, "").await?;
                    return Ok(());
                }
                Next::Message(Ok(Some(Message::Text(text)))) => println!("{text}"),
                Next::Message(Ok(Some(Message::Binary(bytes)))) => {
                    println!("({} bytes of binary)", bytes.len());
                }
                Next::Message(Ok(None)) => {
                    return match client.state() {
                        ClientState::Stopped(Stop::Failed(why)) => Err(why.to_string().into()),
                        _ => Ok(()),
                    };
                }
                Next::Message(Err(error)) => return Err(error.into()),
            }
        }
    })
}

fn tell(state: &ClientState) {
    match state {
        ClientState::Connecting => eprintln!("connecting"),
        ClientState::Open => eprintln!("open"),
        ClientState::Waiting { wait, why } => eprintln!("waiting {wait:.1?}: {why}"),
        ClientState::Stopped(Stop::Failed(why)) => eprintln!("stopped: {why}"),
        _ => eprintln!("closed"),
    }
}
