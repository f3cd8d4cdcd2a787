//! Processes that serve rooms, on tokio or smol, and many clients that check every number they receive.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

pub mod clients;

/// The settings of a node, passed by the environment.
#[derive(Clone, Debug)]
pub struct Setup {
    pub runtime: &'static str,
    pub urls: Vec<String>,
    pub history: bool,
    pub listen: String,
}

/// The variable by which a test program knows that it is to be a node.
const VARIABLE: &str = "SANSWS_TEST_NODE";

/// A process.
pub struct Node {
    child: Child,
    pub address: SocketAddr,
}

impl Node {
    /// Starts one, and waits until it listens.
    pub fn start(setup: &Setup) -> Self {
        let text = format!(
            "{} {} {} {}",
            setup.runtime,
            setup.history,
            setup.listen,
            setup.urls.join(",")
        );
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "node_process", "--nocapture"])
            .env(VARIABLE, text)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = loop {
            let line = lines
                .next()
                .expect("the node says where it listens")
                .unwrap();
            if let Some((_, address)) = line.split_once("listening ") {
                break address.parse().unwrap();
            }
        };
        // Its further output is read, so that it does not block.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address }
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM; waits for its end.
    pub fn terminate(&mut self) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args(["-TERM", &id]).status().unwrap();
        assert!(status.success());
        for _ in 0..1_500 {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(status.success(), "the node ended with {status}");
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the node does not end");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// HAProxy before the servers, set as the documentation says.
pub struct Balancer {
    child: Child,
    pub address: SocketAddr,
    file: std::path::PathBuf,
}

impl Balancer {
    pub fn start(nodes: &[Node]) -> Self {
        let port = crate::server::free_port();
        let template = include_str!("../../../docs/haproxy.cfg");
        let (head, _) = template
            .split_once("    server ")
            .expect("there are servers in it");
        let mut text = head.replace("127.0.0.1:8080", &format!("127.0.0.1:{port}"));
        for (n, node) in nodes.iter().enumerate() {
            text += &format!("    server node{n} {}\n", node.address);
        }
        let file =
            std::env::temp_dir().join(format!("sansws-haproxy-{}-{port}.cfg", std::process::id()));
        std::fs::write(&file, text).unwrap();
        let child = Command::new("haproxy")
            .args(["-db".as_ref(), "-f".as_ref(), file.as_os_str()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("haproxy is installed: adapter-redis/tests/setup.sh does it");
        let address = ([127, 0, 0, 1], port).into();
        let balancer = Self {
            child,
            address,
            file,
        };
        crate::server::until("haproxy listens", || {
            std::net::TcpStream::connect(address).is_ok()
        });
        balancer
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.file);
    }
}

/// Is a node, if the process was started as one.
pub fn be_a_node() {
    let Ok(text) = std::env::var(VARIABLE) else {
        return;
    };
    let words: Vec<&str> = text.split(' ').collect();
    let [runtime, history, listen, urls] = words[..] else {
        panic!("{text}");
    };
    let setup = Setup {
        runtime: if runtime == "smol" { "smol" } else { "tokio" },
        urls: urls.split(',').map(str::to_owned).collect(),
        history: history == "true",
        listen: listen.to_owned(),
    };
    if setup.runtime == "smol" {
        smol_runtime::block_on(on_smol::serve(setup));
    } else {
        tokio_runtime::block_on(on_tokio::serve(setup));
    }
}

/// The operations of a runtime.
mod tokio_runtime {
    pub const KIND: sansws_redis::Runtime = sansws_redis::Runtime::Tokio;

    pub fn block_on<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(work)
    }

    pub fn spawn(work: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(work);
    }
}

mod smol_runtime {
    pub const KIND: sansws_redis::Runtime = sansws_redis::Runtime::Smol;

    pub use smol::block_on;

    pub fn spawn(work: impl Future<Output = ()> + Send + 'static) {
        smol::spawn(work).detach();
    }
}

mod on_tokio {
    use super::tokio_runtime as runtime;
    use sansws_tokio as ws;

    include!("node_body.rs");
}

mod on_smol {
    use super::smol_runtime as runtime;
    use sansws_smol as ws;

    include!("node_body.rs");
}
