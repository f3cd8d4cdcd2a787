//! Servers of Redis that tests start on ports of the kernel's choice, and end again.

#![allow(dead_code, reason = "each test uses some of it")]

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A server with a directory of its own.
pub struct Server {
    child: Option<Child>,
    pub port: u16,
    directory: PathBuf,
    arguments: Vec<String>,
}

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// The server under test: Valkey in the test program that is named after it, else Redis.
fn program() -> &'static str {
    if env!("CARGO_CRATE_NAME") == "valkey" {
        "valkey-server"
    } else {
        "redis-server"
    }
}

/// Waits until something holds, for 40 s.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1_000 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(40));
    }
    panic!("not within 40 s: {what}");
}

impl Server {
    /// Starts one that keeps all on disk before it answers.
    pub fn start(more: &[&str]) -> Self {
        let port = free_port();
        let directory =
            std::env::temp_dir().join(format!("sansws-redis-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let mut server = Self {
            child: None,
            port,
            directory,
            arguments: more.iter().map(ToString::to_string).collect(),
        };
        server.restart();
        server
    }

    /// A server that keeps nothing when it is killed.
    pub fn forgetful() -> Self {
        Self::start(&["--appendonly", "no"])
    }

    /// A server that has lost nothing when it is started again.
    pub fn durable() -> Self {
        Self::start(&["--appendonly", "yes", "--appendfsync", "always"])
    }

    /// A Sentinel, with a file of settings.
    pub fn sentinel(settings: &str) -> Self {
        let port = free_port();
        let directory =
            std::env::temp_dir().join(format!("sansws-sentinel-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let file = directory.join("sentinel.conf");
        std::fs::write(&file, format!("port {port}\n{settings}")).unwrap();
        let child = Command::new(program())
            .arg(&file)
            .arg("--sentinel")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            child: Some(child),
            port,
            directory,
            arguments: Vec::new(),
        }
    }

    pub fn restart(&mut self) {
        self.kill();
        until("redis-server answers", || {
            // A connection of another test may hold its port for a moment: then it ends at once.
            let is_alive = self
                .child
                .as_mut()
                .is_some_and(|child| matches!(child.try_wait(), Ok(None)));
            if !is_alive {
                self.child = Some(self.spawn());
            }
            // One that wants a password answers too.
            let answer = self.cli(&["PING"]);
            answer.contains("PONG") || answer.contains("NOAUTH")
        });
    }

    fn spawn(&self) -> Child {
        Command::new(program())
            .args(["--port", &self.port.to_string()])
            .args(["--bind", "127.0.0.1", "--save", ""])
            .args(["--dir".as_ref(), self.directory.as_os_str()])
            .args(["--enable-debug-command", "local"])
            .args(&self.arguments)
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// Runs a command by `redis-cli`.
    pub fn cli(&self, arguments: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .args(["-c", "-p", &self.port.to_string()])
            .args(arguments)
            .stderr(Stdio::null())
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub fn signal(&self, signal: &str) {
        let child = self.child.as_ref().unwrap();
        let status = Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status();
        assert!(status.unwrap().success());
    }

    /// The id of its process.
    pub fn id(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// A cluster of three servers, each with a third of the slots.
pub struct Cluster {
    pub servers: Vec<Server>,
}

impl Cluster {
    /// `durable`: what is killed has lost nothing when it is started again.
    pub fn start(durable: bool) -> Self {
        let appends = if durable { "yes" } else { "no" };
        let servers: Vec<Server> = (0..3)
            .map(|_| {
                // The port of the bus has to be free too, and is not 10 000 above: that may lie beyond all ports.
                let bus = free_port().to_string();
                Server::start(&[
                    "--appendonly",
                    appends,
                    "--appendfsync",
                    "always",
                    "--cluster-enabled",
                    "yes",
                    "--cluster-port",
                    &bus,
                    "--cluster-node-timeout",
                    "5000",
                ])
            })
            .collect();
        let addresses: Vec<String> = servers
            .iter()
            .map(|server| format!("127.0.0.1:{}", server.port))
            .collect();
        let created = Command::new("redis-cli")
            .args(["--cluster", "create"])
            .args(&addresses)
            .args(["--cluster-yes"])
            .output()
            .unwrap();
        assert!(
            created.status.success(),
            "{}",
            String::from_utf8_lossy(&created.stdout)
        );
        let cluster = Self { servers };
        until("the cluster is ready", || {
            let is_ok = |server: &Server| {
                server
                    .cli(&["CLUSTER", "INFO"])
                    .contains("cluster_state:ok")
            };
            cluster.servers.iter().all(is_ok)
        });
        cluster
    }

    pub fn urls(&self) -> Vec<String> {
        self.servers.iter().map(Server::url).collect()
    }
}

/// A master, its replica, and a Sentinel that puts the one in the place of the other.
pub struct Guarded {
    pub master: Server,
    pub replica: Server,
    sentinel: Server,
}

impl Guarded {
    pub fn start() -> Self {
        let master = Server::durable();
        let replica = Server::start(&["--replicaof", &format!("127.0.0.1 {}", master.port)]);
        until("the replica follows", || {
            replica
                .cli(&["INFO", "replication"])
                .contains("master_link_status:up")
        });
        let text = format!(
            "bind 127.0.0.1\nsentinel monitor ours 127.0.0.1 {} 1\n\
             sentinel down-after-milliseconds ours 500\nsentinel failover-timeout ours 3000\n",
            master.port
        );
        let sentinel = Server::sentinel(&text);
        until("the Sentinel sees the replica", || {
            let replicas = sentinel.cli(&["SENTINEL", "replicas", "ours"]);
            replicas.contains(&replica.port.to_string())
        });
        Self {
            master,
            replica,
            sentinel,
        }
    }

    pub fn url(&self) -> String {
        self.sentinel.url()
    }
}
