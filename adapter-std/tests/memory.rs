//! The memory of long messages, in a process of its own: what is told to the allocator is told once.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

#[path = "support/pages.rs"]
mod pages;

use std::thread;

use sansws_std::{ConnectOptions, Error, Result, Server, Upgrade, connect};

const MESSAGES: u64 = 100;

#[test]
fn the_memory_of_a_long_message_is_kept_for_the_next() {
    let mut server = Server::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", server.local_addr().unwrap());
    let handle = server.handle();
    let serving = thread::spawn(move || {
        server.serve(|upgrade: Upgrade| -> Result {
            let mut socket = upgrade.accept()?;
            Ok(socket.receive_each(|message, out| out.send(message))?)
        })
    });
    let mut client = connect(&url, ConnectOptions::default()).unwrap();
    client.send(vec![7; 1 << 20]).unwrap();
    let (mut left, mut before) = (MESSAGES, 0);
    let ended = client.receive_each(|message, out| {
        left = left.checked_sub(1).ok_or(Error::Panic)?;
        // The first ones make the room.
        if left == MESSAGES / 2 {
            before = pages::given();
        }
        out.send(message)
    });
    let after = pages::given();
    assert!(ended.is_err() && left == 0, "{ended:?}");
    drop(client);
    handle.close();
    serving.join().unwrap().unwrap();
    // A message has 256 pages, and there are a few copies of it on each side.
    let each = (after - before) / (MESSAGES / 2);
    assert!(each < 256, "{each} pages for each message");
}
