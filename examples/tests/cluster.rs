//! The cluster in a real browser (`browser/cluster.mjs`), with nodes on tokio and on smol, and how it ends.
//! `browser/setup.sh` and `adapter-redis/tests/setup.sh` install what that needs.

#![expect(clippy::disallowed_methods, reason = "a test may read the clock")]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use support::Running;

/// The program, and what it says.
struct Cluster {
    child: Child,
    lines: Receiver<String>,
    url: String,
    /// Names and ids of processes, the newest last.
    processes: Vec<(String, String)>,
}

impl Cluster {
    fn start(more: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_cluster"))
            .args(["--listen", "127.0.0.1:0"])
            .args(more)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (say, lines) = channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                // The test may be over.
                let _ = say.send(line);
            }
        });
        let mut cluster = Self {
            child,
            lines,
            url: String::new(),
            processes: Vec::new(),
        };
        let line = cluster.lines.recv_timeout(Duration::from_secs(60));
        let line = line.expect(
            "it says where it listens; adapter-redis/tests/setup.sh installs what it starts",
        );
        cluster.url = line.strip_prefix("listening on ").unwrap().to_owned();
        cluster
    }

    /// The process that has a name now.
    fn process(&mut self, name: &str) -> String {
        let began = Instant::now();
        loop {
            while let Ok(line) = self.lines.recv_timeout(Duration::from_millis(200)) {
                let line = line.trim().to_owned();
                if let Some((what, id)) = line.rsplit_once(", process ") {
                    let name = what.split(' ').next().unwrap();
                    self.processes.push((name.to_owned(), id.to_owned()));
                }
            }
            let newest = self.processes.iter().rfind(|(one, _)| one == name);
            if let Some((_, id)) = newest {
                return id.clone();
            }
            assert!(began.elapsed() < Duration::from_secs(20), "no {name}");
        }
    }

    fn signal(&mut self, signal: &str, name: &str) {
        let id = self.process(name);
        let status = Command::new("kill").args([signal, &id]).status();
        assert!(status.unwrap().success());
    }

    /// Ends it as ^C does; says how it ended.
    fn end(&mut self) -> bool {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-INT", &id]).status();
        let began = Instant::now();
        while sent.as_ref().is_ok_and(|sent| sent.success()) && began.elapsed() < LONG {
            if let Ok(Some(status)) = self.child.try_wait() {
                return status.success();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        drop(self.child.kill());
        drop(self.child.wait());
        false
    }
}

/// Longer than the end takes.
const LONG: Duration = Duration::from_secs(30);

impl Drop for Cluster {
    fn drop(&mut self) {
        // By a signal, so that it ends what it has started.
        if let Ok(None) = self.child.try_wait() {
            self.end();
        }
    }
}

#[test]
fn a_window_whose_node_ends_goes_on_at_another_and_misses_nothing() {
    let mut cluster = Cluster::start(&["--restart", "8"]);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cluster");
    let script = Command::new("node")
        .arg("cluster.mjs")
        .args([Path::new(&cluster.url), &folder])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node is there: run examples/tests/browser/setup.sh");
    let mut script = Running(script);
    let mut tell = script.0.stdin.take().unwrap();
    let told = script.0.stdout.take().unwrap();
    let mut said = Vec::new();
    for line in BufReader::new(told).lines().map_while(Result::ok) {
        match line.split_once(' ') {
            Some(("kill", node)) => cluster.signal("-KILL", node),
            Some(("terminate", node)) => cluster.signal("-TERM", node),
            _ => {
                said.push(line);
                continue;
            }
        }
        tell.write_all(b"done\n").unwrap();
    }
    let status = script.0.wait().unwrap();
    assert!(status.success(), "{said:?}");
    assert_eq!(said, ["ok"]);
    for shot in [
        "desktop",
        "dark",
        "phone",
        "dashboard",
        "dashboard-phone",
        "gone",
    ] {
        let shot = folder.join(shot).with_extension("png");
        assert!(shot.metadata().unwrap().len() > 10_000, "{shot:?}");
    }
}

#[test]
fn nothing_that_it_started_is_left_when_it_has_ended() {
    let mut cluster = Cluster::start(&["--nodes", "2"]);
    let names = ["redis", "node-1", "node-2", "haproxy"];
    let processes = names.map(|name| cluster.process(name));
    let is_there = |id: &String| {
        Command::new("kill")
            .args(["-0", id])
            .stderr(Stdio::null())
            .status()
            .unwrap()
            .success()
    };
    assert!(processes.iter().all(is_there));
    let directory = std::env::temp_dir().join(format!("sansws-cluster-{}", cluster.child.id()));
    assert!(directory.is_dir());
    let began = Instant::now();
    assert!(cluster.end(), "it ends without a complaint");
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
    assert!(!processes.iter().any(is_there));
    assert!(!directory.exists());
    let address = cluster.url.trim_start_matches("http://");
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn missing_or_wrong_arguments_are_named() {
    // No Redis is found here.
    let output = Command::new(env!("CARGO_BIN_EXE_cluster"))
        .args(["--listen", "127.0.0.1:0"])
        .env("PATH", "/nowhere")
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("apt-get install redis-server"), "{said}");
    // Another process listens there.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_cluster"))
        .args(["--listen", &address])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(&address) && said.contains("in use"), "{said}");
    // The output of a node is passed on.
    let output = Command::new(env!("CARGO_BIN_EXE_cluster"))
        .args(["--listen", "127.0.0.1:0", "--redis", "nonsense"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("not a Redis URL"), "{said}");
}
