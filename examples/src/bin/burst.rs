//! A burst of messages to a room, as a proof: no message is lost, no member that reads is closed, and memory stays bounded.
//!
//! Run: `cargo run --release --bin burst -- --members 10000 --from handler` (or `client`, or `outside`; `--runtime smol`; `--threads 2`)
//! See: how long the burst took, what each delivery cost, and the server's peak memory. It fails if a member misses a message, gets one out
//! of order, or is closed. The members live in separate processes, each with at most 15 000 connections.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use sansws_async::hub::Hub;
use sansws_core::hub::HubOptions;
use sansws_examples::Runtime;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Sends a burst of messages to a room, and verifies that each member receives all of them.
#[derive(Debug, Parser)]
struct Options {
    /// The runtime of the server.
    #[arg(long, value_enum, default_value = "tokio")]
    runtime: Runtime,
    /// Number of threads of the server.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Number of members of the room.
    #[arg(long, default_value_t = 100)]
    members: usize,
    /// Number of messages in the burst.
    #[arg(long, default_value_t = 10_000)]
    messages: usize,
    /// The publisher of the burst.
    #[arg(long, value_enum, default_value = "client")]
    from: From,
    /// Run the members of the room at this address, instead of the server.
    #[arg(long, hide = true)]
    join: Option<SocketAddr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum From {
    /// A client sends all of it to the room in one go.
    Client,
    /// A handler publishes it in a loop.
    Handler,
    /// The program publishes it, outside any connection.
    Outside,
}

/// Maximum number of connections of one process.
const MOST: usize = 15_000;

fn main() -> Result<(), Failure> {
    let options = Options::parse();
    match (options.join, options.runtime) {
        (Some(address), _) => on_tokio::be_members(address, &options),
        (None, Runtime::Tokio) => on_tokio::serve(options),
        (None, Runtime::Smol) => on_smol::serve(options),
    }
}

/// Processes of members; they exit with this one.
struct Members(Vec<Child>);

impl Drop for Members {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Members {
    /// Starts them, and waits until all have joined.
    fn join(address: SocketAddr, options: &Options) -> Result<Self, Failure> {
        let mut this = Self(Vec::new());
        let mut left = options.members;
        while left > 0 {
            let some = left.min(MOST);
            left -= some;
            let mut child = Command::new(std::env::current_exe()?)
                .args(["--join", &address.to_string()])
                .args(["--members", &some.to_string()])
                .args(["--messages", &options.messages.to_string()])
                .stdout(Stdio::piped())
                .spawn()?;
            let said = child.stdout.as_mut().map(|out| {
                let mut line = String::new();
                BufReader::new(out).read_line(&mut line).map(|_| line)
            });
            this.0.push(child);
            if said.transpose()?.as_deref() != Some("joined\n") {
                return Err("members could not join".into());
            }
        }
        Ok(this)
    }

    /// Waits until each has received all of it.
    fn finish(&mut self) -> Result<(), Failure> {
        for child in &mut self.0 {
            if !child.wait()?.success() {
                return Err("a member did not receive all messages".into());
            }
        }
        Ok(())
    }
}

/// Prints the results.
fn report<O>(options: &Options, hub: &Hub<O>, took: Duration) -> Result<(), Failure> {
    let metrics = hub.metrics().hub;
    let deliveries = options.members * options.messages;
    let peak = std::fs::read_to_string("/proc/self/status")?;
    let peak = peak.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    println!(
        "{} messages from {:?} to {} members on {:?}, {} threads: {deliveries} deliveries in {:.1} s, \
         closed as slow {}, discarded {}, dropped {}, peak memory {}",
        options.messages,
        options.from,
        options.members,
        options.runtime,
        options.threads,
        took.as_secs_f64(),
        metrics.counters.closed_slow,
        metrics.counters.discarded,
        metrics.dropped(),
        peak.unwrap_or_default().trim(),
    );
    if metrics.counters.delivered != deliveries as u64 || metrics.counters.closed_slow > 0 {
        return Err(format!(
            "{} of {deliveries} messages were delivered",
            metrics.counters.delivered
        )
        .into());
    }
    Ok(())
}

macro_rules! serving {
    ($ws:ident, $block_on:expr) => {
        /// A room: joins, confirms it, and publishes each message it receives.
        async fn room(upgrade: $ws::Upgrade) -> $ws::Result {
            let mut socket = upgrade.accept().await?;
            socket.join("room").await?;
            socket.send_text("joined").await?;
            while socket.receive().await?.is_some() {}
            Ok(())
        }

        /// Publishes each message it receives.
        async fn client(upgrade: $ws::Upgrade) -> $ws::Result {
            let mut socket = upgrade.accept().await?;
            while let Some(text) = socket.receive_text().await? {
                socket.publish("room", text).await?;
            }
            Ok(())
        }

        /// Publishes as many messages as it is told to.
        async fn handler(upgrade: $ws::Upgrade) -> $ws::Result {
            let mut socket = upgrade.accept().await?;
            let messages = socket.receive_text().await?.unwrap_or_default();
            for number in 0..messages.parse()? {
                let _: u64 = number;
                socket.publish("room", number.to_string()).await?;
            }
            Ok(())
        }

        pub fn serve(options: Options) -> Result<(), Failure> {
            let hub = $ws::Hub::with_options(HubOptions::default());
            let router = $ws::Router::new()
                .route("/room", room)
                .route("/client", client)
                .route("/handler", handler)
                .hub(&hub);
            let first =
                $block_on(async { $ws::Listener::bind_shared(([127, 0, 0, 1], 0).into()) })?;
            let address = first.local_addr()?;
            let handle = $ws::ServerHandle::new(usize::MAX);
            let door = handle.clone();
            let threads = options.threads;
            let serving = std::thread::spawn(move || {
                let server = || {
                    let listener = $ws::Listener::bind_shared(address)?;
                    Ok($ws::Server::new(listener).share(door.clone()))
                };
                $ws::Server::serve_on_threads(threads, server, router)
            });
            while hub.metrics().nodes < threads {
                std::thread::sleep(Duration::from_millis(5));
            }
            // This listener never accepts: it only reserved the port.
            drop(first);
            while std::net::TcpStream::connect(address).is_err() {
                std::thread::sleep(Duration::from_millis(5));
            }
            let mut members = Members::join(address, &options)?;
            #[expect(clippy::disallowed_methods, reason = "real time is measured")]
            let began = Instant::now();
            let messages = options.messages;
            $block_on(async {
                match options.from {
                    From::Outside => {
                        for number in 0..messages {
                            hub.publish("room", number.to_string()).await?;
                        }
                    }
                    From::Handler => {
                        let url = format!("ws://{address}/handler");
                        let mut socket = $ws::connect(&url, $ws::ConnectOptions::default()).await?;
                        socket.send_text(messages.to_string()).await?;
                        while socket.receive().await?.is_some() {}
                    }
                    From::Client => {
                        let url = format!("ws://{address}/client");
                        let mut socket = $ws::connect(&url, $ws::ConnectOptions::default()).await?;
                        for number in 0..messages {
                            socket.send_text(number.to_string()).await?;
                        }
                        socket.close(1000, "").await?;
                    }
                }
                Ok::<(), Failure>(())
            })?;
            members.finish()?;
            report(&options, &hub, began.elapsed())?;
            handle.drop_all();
            let _ = serving.join();
            Ok(())
        }
    };
}

mod on_tokio {
    use sansws_tokio as ws;

    use super::*;

    fn block_on<R>(work: impl Future<Output = R>) -> R {
        #[expect(clippy::expect_used, reason = "nothing works without a runtime")]
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(work)
    }

    serving!(ws, block_on);

    /// Joins, confirms it, and receives all messages, on every connection.
    pub fn be_members(address: SocketAddr, options: &Options) -> Result<(), Failure> {
        block_on(async {
            let mut tasks = Vec::new();
            for _ in 0..options.members {
                let url = format!("ws://{address}/room");
                let mut socket = ws::connect(&url, ws::ConnectOptions::default()).await?;
                if socket.receive_text().await?.as_deref() != Some("joined") {
                    return Err("a member was refused".into());
                }
                tasks.push(socket);
            }
            println!("joined");
            std::io::stdout().flush()?;
            let messages = options.messages;
            tokio::task::LocalSet::new()
                .run_until(async {
                    let mut reading = Vec::new();
                    for mut socket in tasks {
                        reading.push(tokio::task::spawn_local(async move {
                            for number in 0..messages {
                                let text = socket.receive_text().await?;
                                if text.as_deref() != Some(number.to_string().as_str()) {
                                    return Err(
                                        format!("received {text:?} instead of {number}").into()
                                    );
                                }
                            }
                            Ok::<(), Failure>(())
                        }));
                    }
                    for reading in reading {
                        reading.await??;
                    }
                    Ok(())
                })
                .await
        })
    }
}

mod on_smol {
    use sansws_smol as ws;

    use super::*;

    serving!(ws, smol::block_on);
}
