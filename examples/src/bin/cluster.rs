//! Several nodes, on tokio and on smol, linked through Redis and behind HAProxy: one chat and one dashboard. Kill any of them.
//!
//! Run: `cargo run --release --bin cluster`, or `make cluster`
//! See: `listening on http://127.0.0.1:8080`; open it in two windows, and `/dashboard` in a third. Each window says on which node it is.
//! Kill that one, by the number that was printed: the window comes to another node, and has missed nothing. ^C ends all.
//!
//! It starts `redis-server` or `valkey-server`, and `haproxy`. `--redis redis://host` takes a Redis that is there. `cluster node` is one
//! node.

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

/// For how long somebody whose connection has ended is still there: the grace of `PresenceMode::members`.
const GRACE: Duration = Duration::from_secs(3);

/// Serves a chat on several nodes behind a balancer.
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
    /// One node alone, to be started beside others.
    Node(One),
}

/// Redis, nodes and a balancer.
#[derive(Args, Debug)]
struct All {
    /// Where the balancer listens; port 0 lets the system choose.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// How many nodes to start.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=64))]
    nodes: u8,
    /// A Redis that runs already, such as redis://127.0.0.1:6379; none is started then.
    #[arg(long)]
    redis: Option<String>,
    /// What the keys in Redis begin with.
    #[arg(long, default_value = "cluster")]
    prefix: String,
    /// After how many seconds what has ended is started again; the dashboard shows a node as gone after 5.
    #[arg(long, default_value_t = 10)]
    restart: u64,
}

/// A node.
#[derive(Args, Debug)]
struct One {
    /// What the dashboard calls it; no two may have the same name.
    #[arg(long)]
    name: String,
    /// Where to listen; port 0 lets the system choose.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: String,
    /// The Redis that links it with others.
    #[arg(long)]
    redis: String,
    /// The runtime to run on.
    #[arg(long, value_enum, default_value = "tokio")]
    runtime: Runtime,
    /// What the keys in Redis begin with: nodes that have it in common are linked.
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

/// Starts all, and ends all when it is asked to.
fn start(all: All) -> Result<(), Box<dyn Error>> {
    let (stop, stopped) = channel();
    ctrlc::set_handler(move || {
        // Nobody listens any more when all has ended.
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

/// Is one node.
fn serve(one: One) -> Result<(), Box<dyn Error>> {
    let kind = match one.runtime {
        Runtime::Tokio => sansws_redis::Runtime::Tokio,
        Runtime::Smol => sansws_redis::Runtime::Smol,
    };
    // What can't reach the others is not said at all: it waits in the page until it can.
    let mut options = hub_options(node::options()?);
    options.when_down = OutagePolicy::Refuse;
    run!(one.runtime, adapter, async {
        let mut server = adapter::Server::bind(one.listen.as_str()).await?;
        println!("listening on http://{}", server.local_addr()?);
        let (hub, link) = adapter::Hub::linked(options);
        let redis = Redis::new(link, kind, RedisOptions::one(one.redis, one.prefix))?;
        let status = redis.status();
        let node = Node::new(&one.name, &server.handle(), &hub).linked(&one.name, status.clone());
        let router = node.router();
        let serving = async {
            let serving = server.drain_on_signal(Duration::from_secs(2)).serve(router);
            let served = or(serving, node.run(adapter::sleep)).await;
            // Who was closed comes to another node meanwhile, and was never away.
            adapter::sleep(GRACE).await;
            // The others hear that who is not elsewhere has gone.
            status.close();
            served
        };
        let (served, ()) = zip(serving, redis.run()).await;
        Ok(served?)
    })
}
