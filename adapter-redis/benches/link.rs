//! What it costs to publish through Redis: against delivery within one process, and against a bare loop of `PUBLISH` and `SUBSCRIBE`.
//!
//! Run: `cargo bench -p sansws-redis --all-features --bench link`; needs `redis-server`.
//! See: CPU time of all processes and of Redis for each message, ratios in one run; how long a message takes.
//!
//! The bare loop is what one would write by hand: the same crate, one connection, as many publications in flight, each message framed
//! and written to the sockets of its members in one write for each batch; no numbers, no history, no recovery, no groups.

#![allow(clippy::disallowed_methods, reason = "it measures time")]

#[path = "../tests/server/mod.rs"]
mod server;

#[path = "link/measure.rs"]
mod measure;
#[path = "link/roles.rs"]
mod roles;

use std::time::Duration;

use measure::{Cost, Load, run};
use roles::Role;
use server::Server;

fn main() {
    if roles::be_one() {
        return;
    }
    let quick = std::env::args().any(|argument| argument == "--quick");
    let server = Server::forgetful();
    let rounds = if quick { 1 } else { 5 };
    let load = Load {
        messages: if quick { 2_000 } else { 60_000 },
        in_flight: 64,
        members: 1,
        every: None,
    };
    println!(
        "125 octets, {} in flight, {} member(s) on each node; CPU in microseconds for each message, the median of {rounds}",
        load.in_flight, load.members
    );
    println!(
        "{:<34} {:>9} {:>9} {:>9} {:>9} {:>12}",
        "", "publisher", "each node", "redis", "together", "messages/s"
    );
    let local = row(
        "one process, no Redis",
        &server,
        Role::Local,
        1,
        &load,
        rounds,
    );
    for nodes in [1, 2, 4] {
        let bare = row(
            &format!("bare loop, {nodes} node(s)"),
            &server,
            Role::BareNode,
            nodes,
            &load,
            rounds,
        );
        for (name, role) in [
            ("sansws", Role::Node),
            ("sansws, history", Role::NodeWithHistory),
        ] {
            let cost = row(
                &format!("{name}, {nodes} node(s)"),
                &server,
                role,
                nodes,
                &load,
                rounds,
            );
            println!(
                "    over the bare loop {:.2} (processes {:.2}, Redis {:.2}); over one process {:.2} for each delivery",
                cost.together() / bare.together(),
                cost.processes() / bare.processes(),
                cost.redis / bare.redis,
                cost.together() / nodes as f64 / local.together(),
            );
        }
    }
    println!("\nhow long a message takes, 500 a second, one at a time, in microseconds");
    let slow = Load {
        messages: if quick { 100 } else { 2_000 },
        in_flight: 1,
        members: 1,
        every: Some(Duration::from_millis(2)),
    };
    for (name, role) in [
        ("one process, no Redis", Role::Local),
        ("bare loop", Role::BareNode),
        ("sansws", Role::Node),
        ("sansws, history", Role::NodeWithHistory),
    ] {
        let cost = run(&server, role, 1, &slow);
        println!(
            "{name:<34} p50 {:>6}  p99 {:>6}",
            cost.latency(50),
            cost.latency(99)
        );
    }
}

fn row(name: &str, server: &Server, role: Role, nodes: usize, load: &Load, rounds: usize) -> Cost {
    let mut costs: Vec<Cost> = (0..rounds)
        .map(|_| run(server, role, nodes, load))
        .collect();
    costs.sort_by(|one, other| one.together().total_cmp(&other.together()));
    let cost = costs.swap_remove(rounds / 2);
    println!(
        "{name:<34} {:>9.2} {:>9.2} {:>9.2} {:>9.2} {:>12.0}",
        cost.publisher,
        cost.nodes / nodes as f64,
        cost.redis,
        cost.together(),
        cost.rate,
    );
    cost
}
