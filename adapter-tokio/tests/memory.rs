//! The memory of long messages, in a process of its own: what is told to the allocator is told once.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

#[path = "../../adapter-std/tests/support/pages.rs"]
mod pages;

use sansws_tokio::{ConnectOptions, Error, Result, Server, Upgrade, connect};

const MESSAGES: u64 = 100;

async fn echo(upgrade: Upgrade) -> Result {
    let mut socket = upgrade.accept().await?;
    Ok(socket
        .receive_each(|message, out| out.send(message))
        .await?)
}

#[tokio::test]
async fn the_memory_of_a_long_message_is_kept_for_the_next() {
    let server = Server::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", server.local_addr().unwrap());
    tokio::spawn(server.serve(echo));
    let mut client = connect(&url, ConnectOptions::default()).await.unwrap();
    client.send(vec![7; 1 << 20]).await.unwrap();
    let (mut left, mut before) = (MESSAGES, 0);
    let exchange = client.receive_each(|message, out| {
        left = left.checked_sub(1).ok_or(Error::Panic)?;
        // The first ones make the room.
        if left == MESSAGES / 2 {
            before = pages::given();
        }
        out.send(message)
    });
    let ended = exchange.await;
    let after = pages::given();
    assert!(ended.is_err() && left == 0, "{ended:?}");
    // A message has 256 pages, and there are a few copies of it on each side.
    let each = (after - before) / (MESSAGES / 2);
    assert!(each < 256, "{each} pages for each message");
}
