//! The effect of a second signal on a server that drains. Alone in its process: signals are for all of it.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::process::{Command, id};
use std::time::Duration;

/// Sends SIGTERM to this process.
fn terminate() {
    let mut kill = Command::new("kill");
    kill.args(["-TERM", &id().to_string()]);
    assert!(kill.status().unwrap().success());
}

macro_rules! drains_and_then_ends {
    ($adapter:ident, $block_on:expr) => {
        let (sender, told) = std::sync::mpsc::channel();
        let (ready, begun) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            $block_on(async move {
                use $adapter::{Router, Server, Upgrade, connect, sleep};
                let server = Server::bind("127.0.0.1:0").await.unwrap();
                let url = format!("ws://{}/", server.local_addr().unwrap());
                let mut server = server.drain_on_signal(Duration::from_secs(600));
                let handle = server.handle();
                let router = Router::new().route("/", async |upgrade: Upgrade| {
                    let _socket = upgrade.accept().await?;
                    std::future::pending().await
                });
                let mut serving = std::pin::pin!(server.serve(router));
                let mut acting = std::pin::pin!(async {
                    // The first is the one whose turn to leave comes late.
                    let mut sockets = Vec::new();
                    for _ in 0..8 {
                        sockets.push(connect(&url, Default::default()).await.unwrap());
                    }
                    ready.send(()).unwrap();
                    while !handle.is_closing() {
                        sleep(Duration::from_millis(5)).await;
                    }
                    ready.send(()).unwrap();
                    std::future::pending::<()>().await;
                });
                std::future::poll_fn(|cx| {
                    let _ = acting.as_mut().poll(cx);
                    serving.as_mut().poll(cx)
                })
                .await
                .unwrap();
                sender.send(()).unwrap();
            });
        });
        begun.recv().unwrap();
        terminate();
        begun.recv_timeout(Duration::from_secs(10)).unwrap();
        assert!(told.recv_timeout(Duration::from_millis(300)).is_err());
        terminate();
        told.recv_timeout(Duration::from_secs(10)).unwrap();
    };
}

#[test]
fn a_second_signal_ends_a_server_that_drains() {
    drains_and_then_ends!(sansws_tokio, |work| {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(work)
    });
    drains_and_then_ends!(sansws_smol, smol::block_on);
}
