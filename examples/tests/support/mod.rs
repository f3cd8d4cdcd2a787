//! Examples as processes, and clients that talk JSON to them.

#![allow(dead_code, reason = "each test uses some of it")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sansws_tokio::{ConnectOptions, Error, Message, WebSocket, connect};
use serde_json::Value;
use tokio::time::timeout;

/// The runtimes that an example runs on.
pub const RUNTIMES: [&str; 2] = ["tokio", "smol"];

/// Longer than anything takes.
pub const LONG: Duration = Duration::from_secs(20);

/// A program that is ended with the test.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Running {
    /// Sends the signal that ^C at a terminal, or a supervisor, sends.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([&format!("-{name}"), &self.0.id().to_string()])
            .status();
        assert!(status.unwrap().success());
    }
}

/// Starts a server that prints where it listens.
pub fn listening(program: &str, arguments: &[&str]) -> (Running, String) {
    let mut child = Command::new(program)
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let out = child.stdout.take().unwrap();
    let running = Running(child);
    BufReader::new(out).read_line(&mut line).unwrap();
    let url = line.trim().strip_prefix("listening on ");
    (running, url.unwrap_or_else(|| panic!("{line}")).to_owned())
}

/// Starts a server on a runtime, on a port that the system chooses.
pub fn start(program: &str, runtime: &str) -> (Running, String) {
    listening(program, &["--runtime", runtime, "--listen", "127.0.0.1:0"])
}

/// A client that waits for nothing longer than [`LONG`].
pub struct Client(pub WebSocket);

impl Client {
    pub async fn connect(url: &str) -> Self {
        Self::dial(url, ConnectOptions::default()).await
    }

    pub async fn dial(url: &str, dial: ConnectOptions) -> Self {
        let url = url.replacen("http", "ws", 1);
        Self(timeout(LONG, connect(&url, dial)).await.unwrap().unwrap())
    }

    pub async fn send(&mut self, message: impl Into<Message>) {
        self.0.send(message).await.unwrap();
    }

    /// The next message, as text.
    pub async fn text(&mut self) -> String {
        let text = timeout(LONG, self.0.receive_text()).await;
        text.expect("in time").unwrap().expect("a message")
    }

    /// The next message, as JSON.
    pub async fn next(&mut self) -> Value {
        serde_json::from_str(&self.text().await).unwrap()
    }

    /// The code and reason with which the server closes; what it sends before is passed over.
    pub async fn end(&mut self) -> (u16, String) {
        let end = timeout(LONG, async {
            loop {
                match self.0.receive().await {
                    Ok(Some(_)) => {}
                    Ok(None) => break self.0.closed().unwrap(),
                    Err(Error::Disconnect(closed)) => break *closed,
                    Err(error) => panic!("{error}"),
                }
            }
        });
        let closed = end.await.expect("in time");
        (closed.code(), closed.reason)
    }
}
