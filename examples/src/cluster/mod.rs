//! Several nodes as one server: starts, watches, restarts and ends Redis, the nodes and HAProxy, each a process.
//!
//! If a process exits before it is ready, everything ends. If it exits later, it is restarted after a while, so that you can kill any of them.

mod balancer;
mod part;
mod redis;

use std::fs::{create_dir, remove_dir_all};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use part::{Part, State};

use crate::Runtime;

/// The result of an operation; its error is a text.
pub type Result<T = ()> = core::result::Result<T, Box<dyn std::error::Error>>;

/// The interval at which processes are checked.
const LOOK: Duration = Duration::from_millis(100);
/// The time in which a process must become ready.
const READY: Duration = Duration::from_secs(20);
/// The time in which a node must exit: it drains for 2 s, waits for 3 s, and takes at most 5 s to leave the cluster.
const DRAIN: Duration = Duration::from_secs(12);
/// The time in which the other processes must exit.
const END: Duration = Duration::from_secs(3);

/// Options of a cluster.
#[derive(Debug)]
pub struct Plan {
    /// The address that the load balancer listens on; with port 0 the system chooses one.
    pub listen: SocketAddr,
    /// Number of nodes.
    pub nodes: usize,
    /// The URL of a running Redis to use.
    pub redis: Option<String>,
    /// The prefix of all keys in Redis.
    pub prefix: String,
    /// The time after which a process that has exited is restarted.
    pub restart: Duration,
}

/// A running cluster, which ends when it is dropped.
#[derive(Debug)]
pub struct Cluster {
    address: SocketAddr,
    restart: Duration,
    directory: PathBuf,
    redis: Option<Part>,
    nodes: Vec<Part>,
    balancer: Option<Part>,
}

impl Cluster {
    /// Starts a cluster, waits until it is ready, and prints its processes.
    ///
    /// # Errors
    /// When a program is missing or does not start.
    pub fn start(plan: &Plan, stop: &Receiver<()>) -> Result<Self> {
        let address = free(plan.listen)?;
        let name = format!("sansws-cluster-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        create_dir(&directory)?;
        let mut cluster = Self {
            address,
            restart: plan.restart,
            directory,
            redis: None,
            nodes: Vec::new(),
            balancer: None,
        };
        cluster.start_all(plan, stop)?;
        cluster.tell();
        Ok(cluster)
    }

    fn start_all(&mut self, plan: &Plan, stop: &Receiver<()>) -> Result {
        let url = if let Some(url) = &plan.redis {
            url.clone()
        } else {
            let address = free(([127, 0, 0, 1], 0).into())?;
            let part = self.redis.insert(redis::part(&self.directory, address)?);
            part.start()?;
            part.until_ready(READY, stop, || redis::answers(address))?;
            format!("redis://{address}")
        };
        for number in 1..=plan.nodes {
            let runtime = if number % 2 == 0 {
                Runtime::Smol
            } else {
                Runtime::Tokio
            };
            let mut node = node(&self.directory, number, runtime, &url, &plan.prefix)?;
            start_node(&mut node)?;
            self.nodes.push(node);
        }
        for node in &mut self.nodes {
            let address = node.address;
            node.until_ready(READY, stop, || is_healthy(address))?;
        }
        let balancer = balancer::part(&self.directory, self.address, &self.nodes)?;
        let address = self.address;
        let part = self.balancer.insert(balancer);
        part.start()?;
        part.until_ready(READY, stop, || is_healthy(address))
    }

    fn tell(&self) {
        println!("listening on http://{}", self.address);
        for part in self.parts() {
            println!("  {}", part.line());
        }
        let first = self.nodes.first().map_or(0, Part::id);
        println!(
            "Open it in two windows, and the dashboard at http://{}/dashboard.",
            self.address
        );
        println!("Kill any of them, for example with `kill -9 {first}`: the conversation goes on.");
        println!(
            "A process that exits is restarted after {} s. ^C ends everything.",
            self.restart.as_secs()
        );
    }

    fn parts(&self) -> impl Iterator<Item = &Part> {
        self.redis.iter().chain(&self.nodes).chain(&self.balancer)
    }

    /// Restarts processes that exit, until `stop` is signalled.
    ///
    /// # Errors
    /// When a process cannot be started.
    pub fn run(&mut self, stop: &Receiver<()>) -> Result {
        while let Err(RecvTimeoutError::Timeout) = stop.recv_timeout(LOOK) {
            let restart = self.restart;
            let others = self.redis.iter_mut().chain(&mut self.balancer);
            for part in others {
                if part.look(restart)? {
                    part.start()?;
                    println!("  {}", part.line());
                }
            }
            for node in &mut self.nodes {
                if node.look(restart)? {
                    start_node(node)?;
                    println!("  {}", node.line());
                }
            }
        }
        println!("stopping: the nodes close their connections with 1012, within two seconds");
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.nodes.iter_mut().for_each(Part::terminate);
        for node in &mut self.nodes {
            node.end(DRAIN);
        }
        for part in self.balancer.iter_mut().chain(&mut self.redis) {
            part.terminate();
            part.end(END);
        }
        drop(remove_dir_all(&self.directory));
    }
}

fn node(
    directory: &std::path::Path,
    number: usize,
    runtime: Runtime,
    url: &str,
    prefix: &str,
) -> Result<Part> {
    let name = format!("node-{number}");
    let kind = match runtime {
        Runtime::Tokio => "tokio",
        Runtime::Smol => "smol",
    };
    let mut node = Part::new(&name, std::env::current_exe()?, directory);
    node.arguments(&["node", "--name", &name, "--runtime", kind]);
    node.arguments(&["--redis", url, "--prefix", prefix]);
    node.note = format!("on {kind}");
    Ok(node)
}

/// Starts a node, at its previous address if it had one, because HAProxy is configured with it.
fn start_node(node: &mut Part) -> Result {
    let at = node.address.to_string();
    let out = node.spawn(&["--listen", &at], Stdio::piped())?;
    let Some(out) = out else {
        return Err("the process has no output".into());
    };
    let mut lines = BufReader::new(out);
    let mut line = String::new();
    lines.read_line(&mut line)?;
    let address = line.trim().strip_prefix("listening on http://");
    let Some(address) = address else {
        node.end(END);
        return Err(node.failed("does not print its address"));
    };
    node.address = address.parse()?;
    node.state = State::Runs;
    Ok(())
}

/// Returns the address, with a free port if it has none.
fn free(address: SocketAddr) -> Result<SocketAddr> {
    let listener = TcpListener::bind(address).map_err(|error| format!("{address}: {error}"))?;
    Ok(listener.local_addr()?)
}

/// Returns whether a node, or one behind the load balancer, serves normally.
fn is_healthy(address: SocketAddr) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&address, LOOK)?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(
            b"GET /health HTTP/1.1\r\nHost: health.check\r\nConnection: close\r\n\r\n",
        )?;
        let mut status = [0; 12];
        stream.read_exact(&mut status)?;
        Ok(status.ends_with(b" 200"))
    };
    ask().unwrap_or(false)
}
