//! The `reconnect` example loses its server, and finds it again.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sansws_tokio::{Error, Result, Server, ServerHandle, Upgrade};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// A program that is ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Lines as they come.
fn lines(from: impl Read + Send + 'static) -> UnboundedReceiver<String> {
    let (sender, lines) = unbounded_channel();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(std::io::Result::ok) {
            drop(sender.send(line));
        }
    });
    lines
}

async fn expect(lines: &mut UnboundedReceiver<String>, want: &str) {
    let line = timeout(Duration::from_secs(20), lines.recv()).await;
    assert_eq!(line.ok().flatten().as_deref(), Some(want));
}

/// Skips lines until one begins so.
async fn await_line(lines: &mut UnboundedReceiver<String>, want: &str) {
    loop {
        let line = timeout(Duration::from_secs(20), lines.recv()).await;
        let line = line.ok().flatten();
        if line.expect(want).starts_with(want) {
            return;
        }
    }
}

async fn echo(upgrade: Upgrade) -> Result {
    let mut socket = upgrade.accept().await?;
    while let Some(message) = socket.receive().await? {
        socket.send(message).await?;
    }
    Ok(())
}

async fn serve(address: &str) -> (String, ServerHandle, JoinHandle<Result<(), Error>>) {
    let mut server = Server::bind(address).await.unwrap();
    let address = server.local_addr().unwrap().to_string();
    let handle = server.handle();
    (address, handle, tokio::spawn(server.serve(echo)))
}

#[tokio::test]
async fn it_comes_back_subscribes_again_and_sends_what_was_typed() {
    for runtime in ["tokio", "smol"] {
        let (address, handle, serving) = serve("127.0.0.1:0").await;
        let mut child = Command::new(env!("CARGO_BIN_EXE_reconnect"))
            .args(["--runtime", runtime, "--subscribe", "news", "--queue", "2"])
            .args(["--longest-wait", "100", &format!("ws://{address}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let mut messages = lines(child.stdout.take().unwrap());
        let mut states = lines(child.stderr.take().unwrap());
        let mut running = Running(child);
        expect(&mut states, "connecting").await;
        expect(&mut states, "open").await;
        expect(&mut messages, "news").await;
        writeln!(stdin, "hello").unwrap();
        expect(&mut messages, "hello").await;

        handle.close();
        serving.await.unwrap().unwrap();
        await_line(&mut states, "waiting").await;
        for line in ["one", "two", "one too many"] {
            writeln!(stdin, "{line}").unwrap();
        }
        await_line(&mut states, "not sent: ").await;

        let (_, handle, serving) = serve(&address).await;
        await_line(&mut states, "open").await;
        for want in ["news", "one", "two"] {
            expect(&mut messages, want).await;
        }
        drop(stdin);
        await_line(&mut states, "closed").await;
        let ended = tokio::task::spawn_blocking(move || running.0.wait().unwrap());
        assert!(ended.await.unwrap().success(), "{runtime}");
        handle.close();
        serving.await.unwrap().unwrap();
    }
}
