//! Several nodes, on tokio and on smol, linked through Redis and behind HAProxy: one chat and one dashboard. Kill any of them.
//!
//! Run: `cargo run --release --bin cluster`, or `make cluster`
//! See: `listening on http://127.0.0.1:8080`; open it in two windows, and `/dashboard` in a third. Each window shows the node it is on. Kill
//! that node, by the process id that was printed: the window reconnects to another node and has missed nothing. ^C ends everything.
//!
//! It starts `redis-server` or `valkey-server`, and `haproxy`. With `--redis redis://host` it uses a running Redis. `cluster node` runs a
//! single node.

use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::mpsc::channel;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use futures_lite::future::{or, zip};
use sansws_core::hub::OutagePolicy;
use sansws_examples::cluster::{Cluster, Plan};
use sansws_examples::node::{self, Node};
use sansws_examples::{Runtime, run};
use sansws_redis::{Redis, RedisOptions, hub_options};

/// How long a user whose connections have ended stays present: the grace of `PresenceMode::members`.
const GRACE: Duration = Duration::from_secs(3);

/// Serves a chat on several nodes behind a load balancer.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Options {
    #[command(subcommand)]
    role: Option<Role>,
    #[command(flatten)]
    cluster: All,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Run a single node, to be started beside others.
    Node(One),
}

/// Options of the whole cluster: Redis, nodes and a load balancer.
#[derive(Args, Debug)]
struct All {
    /// The address that the load balancer listens on; with port 0 the system chooses one.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Number of nodes to start.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=64))]
    nodes: u8,
    /// Use a running Redis, such as redis://127.0.0.1:6379, instead of starting one.
    #[arg(long)]
    redis: Option<String>,
    /// The prefix of all keys in Redis.
    #[arg(long, default_value = "cluster")]
    prefix: String,
    /// Seconds after which a process that has exited is restarted; the dashboard shows a node as gone after 5.
    #[arg(long, default_value_t = 10)]
    restart: u64,
}

/// Options of a node.
#[derive(Args, Debug)]
struct One {
    /// Its name on the dashboard; names must be unique.
    #[arg(long)]
    name: String,
    /// The address to listen on; with port 0 the system chooses one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: String,
    /// The Redis that links it with other nodes.
    #[arg(long)]
    redis: String,
    /// The runtime to run on.
    #[arg(long, value_enum, default_value = "tokio")]
    runtime: Runtime,
    /// The prefix of all keys in Redis: nodes that share it are linked.
    #[arg(long, default_value = "cluster")]
    prefix: String,
}

fn main() -> ExitCode {
    let options = Options::parse();
    sansws_examples::log();
    let ended = match options.role {
        Some(Role::Node(one)) => serve(one),
        None => start(options.cluster),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cluster: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Starts everything, and ends everything on a signal.
fn start(all: All) -> Result<(), Box<dyn Error>> {
    let (stop, stopped) = channel();
    ctrlc::set_handler(move || {
        // The program ends when its parts have ended.
        let _ = stop.send(());
    })?;
    let plan = Plan {
        listen: all.listen,
        nodes: all.nodes.into(),
        redis: all.redis,
        prefix: all.prefix,
        restart: Duration::from_secs(all.restart),
    };
    Cluster::start(&plan, &stopped)?.run(&stopped)
}

/// Runs one node.
fn serve(one: One) -> Result<(), Box<dyn Error>> {
    let kind = match one.runtime {
        Runtime::Tokio => sansws_redis::Runtime::Tokio,
        Runtime::Smol => sansws_redis::Runtime::Smol,
    };
    // A message that cannot reach the other nodes is refused: it waits in the page until it can.
    let mut options = hub_options(node::options()?);
    options.on_outage = OutagePolicy::Refuse;
    run!(one.runtime, adapter, async {
        let mut server = adapter::Server::bind(one.listen.as_str()).await?;
        println!("listening on http://{}", server.local_addr()?);
        let (hub, link) = adapter::Hub::linked(options);
        let redis = Redis::new(link, kind, RedisOptions::one(one.redis, one.prefix))?;
        let status = redis.status();
        let node = Node::new(&one.name, &server.handle(), &hub).linked(&one.name, status.clone());
        let router = node.router().merge(node.chat());
        let serving = async {
            let serving = server.drain_on_signal(Duration::from_secs(2)).serve(router);
            let served = or(serving, node.run(adapter::sleep)).await;
            // Clients that were closed reconnect to another node meanwhile, and were never away.
            adapter::sleep(GRACE).await;
            // The other nodes learn that the remaining users are gone.
            status.close();
            served
        };
        let (served, ()) = zip(serving, redis.run()).await;
        Ok(served?)
    })
}
