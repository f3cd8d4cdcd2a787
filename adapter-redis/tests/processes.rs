//! Five servers, on tokio and on smol, behind one Redis, and two thousand clients: what happens to Redis or to a server costs no
//! message where history is kept, and is reported where it is not.
//! No RFC.

#![cfg(all(feature = "tokio", feature = "smol"))]

mod nodes;
mod server;

use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nodes::clients::Crowd;
use nodes::{Node, Setup};
use server::Server;

/// The process is one of the servers, if it was started as one.
#[test]
fn node_process() {
    nodes::be_a_node();
}

/// One scenario at a time: there are few cores.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run(work: impl Future<Output = ()>) {
    let _alone = alone();
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(work);
}

fn start(urls: &[String], history: bool) -> Vec<Node> {
    let of = |n: usize| Setup {
        runtime: if n % 2 == 0 { "tokio" } else { "smol" },
        urls: urls.to_vec(),
        history,
        listen: "127.0.0.1:0".to_owned(),
    };
    (0..5).map(|n| Node::start(&of(n))).collect()
}

const CLIENTS: usize = 2_000;
const GROUPS: usize = 20;

async fn crowd(nodes: &[Node]) -> Crowd {
    let addresses = nodes.iter().map(|node| node.address).collect();
    let mut crowd = Crowd::enter(addresses, CLIENTS, GROUPS).await;
    crowd.publish(5, Duration::from_millis(10));
    crowd.published(300).await;
    crowd
}

#[test]
fn with_history_nothing_is_lost_and_nothing_doubled_whatever_happens_to_redis() {
    run(async {
        let mut server = Server::durable();
        let nodes = start(&[server.url()], true);
        let crowd = crowd(&nodes).await;
        println!("  calm: {}", crowd.report());
        // All its connections are cut.
        server.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        server.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
        crowd.published(300).await;
        println!("  after CLIENT KILL: {}", crowd.report());
        // Killed and started again, twice in short order.
        server.restart();
        tokio::time::sleep(Duration::from_millis(150)).await;
        server.restart();
        crowd.published(300).await;
        println!("  after kill -9: {}", crowd.report());
        server.signal("-STOP");
        tokio::time::sleep(Duration::from_secs(20)).await;
        server.signal("-CONT");
        crowd.published(300).await;
        println!("  after 20 s of silence: {}", crowd.report());
        let seen = crowd.finish().await;
        assert_eq!(seen.gaps.load(Ordering::Relaxed), 0);
        assert_eq!(seen.incomplete.load(Ordering::Relaxed), 0);
    });
}
