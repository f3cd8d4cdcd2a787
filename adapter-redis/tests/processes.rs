//! Five servers, on tokio and on smol, behind one Redis, and two thousand clients: what happens to Redis or to a server costs no
//! message where history is kept, and is reported where it is not.
//! No RFC.

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
        let seen = crowd.finish(true).await;
        assert_eq!(seen.gaps.load(Ordering::Relaxed), 0);
        assert_eq!(seen.incomplete.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn without_history_each_loss_is_reported() {
    run(async {
        let mut server = Server::forgetful();
        let nodes = start(&[server.url()], false);
        let crowd = crowd(&nodes).await;
        server.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        server.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
        crowd.published(300).await;
        println!("  after CLIENT KILL: {}", crowd.report());
        // What was known of groups is lost: numbers begin anew, and all are told.
        let before = crowd.seen.gaps.load(Ordering::Relaxed);
        server.restart();
        crowd.published(300).await;
        println!("  after kill -9: {}", crowd.report());
        let seen = crowd.finish(false).await;
        let told = seen.gaps.load(Ordering::Relaxed) - before;
        assert!(told >= CLIENTS as u64, "{told} gaps were told");
    });
}

#[test]
fn clients_of_a_server_that_is_killed_recover_on_another_and_its_users_are_gone_in_one_step() {
    run(async {
        let server = Server::durable();
        let mut nodes = start(&[server.url()], true);
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
    });
}

#[test]
fn servers_are_replaced_one_by_one_behind_a_balancer() {
    run(async {
        let server = Server::durable();
        let mut nodes = start(&[server.url()], true);
        let balancer = Balancer::start(&nodes);
        let mut crowd = Crowd::enter(vec![balancer.address], CLIENTS, GROUPS).await;
        crowd.publish(5, Duration::from_millis(10));
        crowd.published(300).await;
        for n in 0..nodes.len() {
            let listen = nodes[n].address.to_string();
            tokio::task::block_in_place(|| nodes[n].terminate());
            crowd.published(50).await;
            let runtime = if n % 2 == 0 { "smol" } else { "tokio" };
            nodes[n] = Node::start(&Setup {
                runtime,
                urls: vec![server.url()],
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
        // Nobody is present whose server has gone.
        assert_eq!(server.cli(&["ZCARD", "nodes:{registry}:dead"]).trim(), "0");
        assert_eq!(server.cli(&["ZCARD", "nodes:{registry}:seats"]).trim(), "5");
    });
}

#[test]
fn a_cluster_of_three_carries_the_same() {
    run(async {
        let mut cluster = Cluster::start();
        let nodes = start(&cluster.urls(), true);
        let crowd = crowd(&nodes).await;
        println!("  calm: {}", crowd.report());
        for server in &cluster.servers {
            server.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]);
            server.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
        }
        crowd.published(300).await;
        println!("  after CLIENT KILL: {}", crowd.report());
        cluster.servers[1].restart();
        crowd.published(300).await;
        println!("  after kill -9 of one: {}", crowd.report());
        cluster.servers[2].signal("-STOP");
        tokio::time::sleep(Duration::from_secs(10)).await;
        cluster.servers[2].signal("-CONT");
        crowd.published(300).await;
        println!("  after 10 s of silence of one: {}", crowd.report());
        let seen = crowd.finish(true).await;
        assert_eq!(seen.gaps.load(Ordering::Relaxed), 0);
        assert_eq!(seen.incomplete.load(Ordering::Relaxed), 0);
    });
}
