//! A terminal client: lines go out as text messages, messages come in as lines. On tokio, or blocking with two threads.
//!
//! Run: `cargo run --release --bin client -- ws://127.0.0.1:9001`, with `--runtime std` for threads
//! See: the `echo` example returns what you type; ^D closes with 1000 and prints the close code. The program exits by itself when the server
//! closes. It obeys `https_proxy`, `http_proxy`, `all_proxy` and `no_proxy`, as curl does.

use std::error::Error;
use std::path::PathBuf;
use std::process::exit;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use sansws_async::tls::{certificates, client};
use sansws_examples::{config, lines};
use sansws_tokio::{CloseCode, Closed, ConnectOptions, Message, connect};
use tokio::time::timeout;

/// How long the server may be silent after the end of input before we close.
const QUIET: Duration = Duration::from_millis(500);

/// The adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Runtime {
    /// `sansws-tokio`: one task.
    Tokio,
    /// `sansws-std`: two threads, each with a half of the connection.
    Std,
}

/// Sends lines, prints messages.
#[derive(Debug, Parser)]
struct Options {
    /// The URL to connect to, such as wss://example.org/chat
    url: String,
    /// A header field of the request, such as `Origin: https://example.org`; may be repeated.
    #[arg(long, value_name = "NAME: VALUE")]
    header: Vec<String>,
    /// A subprotocol to offer; may be repeated, the preferred one first.
    #[arg(long)]
    subprotocol: Vec<String>,
    /// Trust the certificates in this PEM file instead of the system's.
    #[arg(long)]
    ca: Option<PathBuf>,
    /// Do not offer permessage-deflate.
    #[arg(long)]
    no_deflate: bool,
    /// The adapter.
    #[arg(long, value_enum, default_value = "tokio")]
    runtime: Runtime,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let mut dial = ConnectOptions::default()
        .config(config(!options.no_deflate))
        .proxy_from_env()?;
    for header in &options.header {
        let (name, value) = header
            .split_once(':')
            .ok_or_else(|| format!("`{header}` is not NAME: VALUE"))?;
        dial = dial.header(name.trim(), value.trim());
    }
    for name in options.subprotocol {
        dial = dial.subprotocol(name);
    }
    if let Some(path) = options.ca {
        dial = dial.tls(client(certificates(&std::fs::read(path)?)?, None)?);
    }
    match options.runtime {
        Runtime::Std => on_threads(&options.url, dial),
        Runtime::Tokio => tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(on_tokio(&options.url, dial)),
    }
}

/// One thread prints, the other sends.
fn on_threads(url: &str, dial: ConnectOptions) -> Result<(), Box<dyn Error>> {
    let socket = sansws_std::connect(url, dial)?;
    greet(socket.subprotocol());
    let (mut read, mut write) = socket.split();
    let (heard, silence) = channel();
    let printing = thread::spawn(move || {
        for message in read.by_ref() {
            match message {
                Ok(message) => print(message),
                // The program ends with the connection, although the other thread waits for a line.
                Err(error) => {
                    eprintln!("{error}");
                    exit(1);
                }
            }
            let _ = heard.send(());
        }
        if let Err(error) = ended(read.closed()) {
            eprintln!("{error}");
        }
        exit(0);
    });
    let lines = lines();
    while let Ok(line) = lines.recv_blocking() {
        if write.send_text(line).is_err() {
            break;
        }
    }
    // Answers to the last lines may still be in flight.
    while silence.recv_timeout(QUIET).is_ok() {}
    write.start_close(Some(CloseCode::NORMAL), "");
    let _ = printing.join();
    Ok(())
}

fn greet(subprotocol: Option<&str>) {
    match subprotocol {
        Some(name) => eprintln!("connected, {name}; ^D closes"),
        None => eprintln!("connected; ^D closes"),
    }
}

async fn on_tokio(url: &str, dial: ConnectOptions) -> Result<(), Box<dyn Error>> {
    let socket = connect(url, dial).await?;
    greet(socket.subprotocol());
    let (mut read, mut write) = socket.split();
    let lines = lines();
    loop {
        tokio::select! {
            line = lines.recv() => match line {
                Ok(line) => match write.send_text(line).await {
                    // Print the remaining messages, and then how the connection ended.
                    Err(error) if error.is_disconnect() => {}
                    sent => sent?,
                },
                Err(_) => {
                    // Answers to the last lines may still be in flight.
                    while let Ok(Ok(Some(message))) = timeout(QUIET, read.receive()).await {
                        print(message);
                    }
                    return ended(write.close(1000, "").await?);
                }
            },
            message = read.receive() => match message {
                Ok(Some(message)) => print(message),
                Ok(None) => return ended(read.closed()),
                Err(error) => return Err(error.into()),
            },
        }
    }
}

fn print(message: Message) {
    match message {
        Message::Text(text) => println!("{text}"),
        Message::Binary(bytes) => println!("({} bytes of binary)", bytes.len()),
    }
}

fn ended(closed: Option<Closed>) -> Result<(), Box<dyn Error>> {
    if let Some(closed) = closed {
        eprintln!("closed: {} {}", closed.code(), closed.reason);
    }
    Ok(())
}
