//! Five servers, on tokio and on smol, behind one Redis, and two thousand clients: what happens to Redis or to a server costs no
//! message where history is kept, and is reported where it is not.

#![cfg(all(feature = "tokio", feature = "smol"))]

mod nodes;
mod server;

use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nodes::clients::{Crowd, Watcher};
use nodes::{Balancer, Node, Setup};
use server::{Cluster, Server};

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
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(work);
}

fn start(urls: &[String], history: bool) -> Vec<Node> {
    let of = |n: usize| Setup {
        runtime: if n.is_multiple_of(2) { "tokio" } else { "smol" },
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

/// The Redis below: one server, or a cluster of three.
enum Carrier {
    One(Server),
    Three(Cluster),
}

impl Carrier {
    fn one() -> Self {
        Self::One(Server::durable())
    }

    fn three() -> Self {
        Self::Three(Cluster::start(true))
    }

    fn urls(&self) -> Vec<String> {
        match self {
            Self::One(server) => vec![server.url()],
            Self::Three(cluster) => cluster.urls(),
        }
    }

    fn servers(&mut self) -> &mut [Server] {
        match self {
            Self::One(server) => core::slice::from_mut(server),
            Self::Three(cluster) => &mut cluster.servers,
        }
    }

    /// The last of them: with a cluster a third of all groups is there.
    fn last(&mut self) -> &mut Server {
        self.servers().last_mut().unwrap()
    }

    /// Cuts all connections.
    fn cut(&mut self) {
        for server in self.servers() {
            server.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]);
            server.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
        }
    }

    fn cli(&mut self, arguments: &[&str]) -> String {
        self.last().cli(arguments).trim().to_owned()
    }
}

#[test]
fn with_history_nothing_is_lost_and_nothing_doubled_whatever_happens_to_redis() {
    run(nothing_is_lost(Carrier::one()));
}

#[test]
fn with_history_nothing_is_lost_with_a_cluster() {
    run(nothing_is_lost(Carrier::three()));
}

async fn nothing_is_lost(mut carrier: Carrier) {
    let nodes = start(&carrier.urls(), true);
    let crowd = crowd(&nodes).await;
    println!("  calm: {}", crowd.report());
    carrier.cut();
    crowd.published(300).await;
    println!("  after CLIENT KILL: {}", crowd.report());
    // Killed and started again, twice in short order.
    carrier.last().restart();
    tokio::time::sleep(Duration::from_millis(150)).await;
    carrier.last().restart();
    crowd.published(300).await;
    println!("  after kill -9: {}", crowd.report());
    carrier.last().signal("-STOP");
    tokio::time::sleep(Duration::from_secs(20)).await;
    carrier.last().signal("-CONT");
    crowd.published(300).await;
    println!("  after 20 s of silence: {}", crowd.report());
    let seen = crowd.finish(true).await;
    assert_eq!(seen.gaps.load(Ordering::Relaxed), 0);
    assert_eq!(seen.incomplete.load(Ordering::Relaxed), 0);
}

#[test]
fn without_history_each_loss_is_reported() {
    run(each_loss_is_reported(
        Carrier::One(Server::forgetful()),
        CLIENTS,
    ));
}

#[test]
fn each_loss_is_reported_with_a_cluster_too() {
    run(each_loss_is_reported(
        Carrier::Three(Cluster::start(false)),
        1,
    ));
}

async fn each_loss_is_reported(mut carrier: Carrier, least: usize) {
    let nodes = start(&carrier.urls(), false);
    let crowd = crowd(&nodes).await;
    carrier.cut();
    crowd.published(300).await;
    println!("  after CLIENT KILL: {}", crowd.report());
    // The state of groups is lost: offsets begin anew, and all members are told.
    let before = crowd.seen.gaps.load(Ordering::Relaxed);
    carrier.last().restart();
    crowd.published(300).await;
    println!("  after kill -9: {}", crowd.report());
    let seen = crowd.finish(false).await;
    let told = seen.gaps.load(Ordering::Relaxed) - before;
    assert!(told >= least as u64, "{told} gaps were told");
}

#[test]
fn clients_of_a_server_that_is_killed_recover_on_another_and_its_users_are_gone_in_one_step() {
    run(a_server_is_killed(Carrier::one()));
}

#[test]
fn clients_of_a_killed_server_recover_with_a_cluster() {
    run(a_server_is_killed(Carrier::three()));
}

async fn a_server_is_killed(carrier: Carrier) {
    let mut nodes = start(&carrier.urls(), true);
    let crowd = crowd(&nodes).await;
    let watcher = Watcher::enter(nodes[0].address, "who/0", "watcher").await;
    let mut users = Vec::new();
    for n in 0..20 {
        let user = format!("user-{n}");
        users.push(Watcher::enter(nodes[4].address, "who/0", &user).await);
    }
    // One of them is on another server too.
    let second = Watcher::enter(nodes[1].address, "who/0", "user-0").await;
    watcher
        .until("all are present", |changes| {
            changes.last().is_some_and(|last| last.0 == 21)
        })
        .await;
    let before = watcher.changes().len();
    let mut last = nodes.pop().unwrap();
    last.kill();
    crowd.servers.lock().unwrap().pop();
    watcher
        .until("they are gone", |changes| {
            changes.last().is_some_and(|last| last.0 == 2)
        })
        .await;
    // A crash is one change, with all that were there and nowhere else.
    let changes = watcher.changes();
    assert_eq!(changes.len(), before + 1, "{changes:?}");
    assert_eq!(
        changes[before]
            .1
            .split_whitespace()
            .filter(|who| who.starts_with('-'))
            .count(),
        19
    );
    assert!(!changes[before].1.contains("-user-0"));
    drop(second);
    watcher
        .until("the second is gone too", |changes| {
            changes.last().is_some_and(|last| last.0 == 1)
        })
        .await;
    crowd.published(300).await;
    let seen = crowd.finish(true).await;
    assert_eq!(seen.gaps.load(Ordering::Relaxed), 0);
    assert_eq!(seen.incomplete.load(Ordering::Relaxed), 0);
    assert!(seen.recovered.load(Ordering::Relaxed) >= (CLIENTS / 5) as u64);
}

#[test]
fn servers_are_replaced_one_by_one_behind_a_balancer() {
    run(servers_are_replaced(Carrier::one()));
}

#[test]
fn servers_are_replaced_with_a_cluster_too() {
    run(servers_are_replaced(Carrier::three()));
}

async fn servers_are_replaced(mut carrier: Carrier) {
    let mut nodes = start(&carrier.urls(), true);
    let balancer = Balancer::start(&nodes);
    let mut crowd = Crowd::enter(vec![balancer.address], CLIENTS, GROUPS).await;
    crowd.publish(5, Duration::from_millis(10));
    crowd.published(300).await;
    for (n, node) in nodes.iter_mut().enumerate() {
        let listen = node.address.to_string();
        tokio::task::block_in_place(|| node.terminate());
        crowd.published(50).await;
        let runtime = if n.is_multiple_of(2) { "smol" } else { "tokio" };
        *node = Node::start(&Setup {
            runtime,
            urls: carrier.urls(),
            history: true,
            listen,
        });
        crowd.published(100).await;
        println!("  server {n} is another: {}", crowd.report());
    }
    let seen = crowd.finish(true).await;
    assert_eq!(seen.gaps.load(Ordering::Relaxed), 0);
    assert_eq!(seen.incomplete.load(Ordering::Relaxed), 0);
    assert!(seen.recovered.load(Ordering::Relaxed) >= (CLIENTS / 2) as u64);
    // No user of a server that has gone is present.
    assert_eq!(carrier.cli(&["ZCARD", "nodes:{registry}:dead"]), "0");
    assert_eq!(carrier.cli(&["ZCARD", "nodes:{registry}:seats"]), "5");
}
