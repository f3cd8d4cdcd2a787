//! A transport that is handed over when its WebSocket has ended.
//! RFC 6455 section 7.1.1: TCP may go on only if both ends know of it.

use crate::support;

use std::future::poll_fn;
use std::task::Poll;

use sansws_async::{Error, Result};
use sansws_core::config::Config;
use support::frame;
use support::server::{KEY, direct, open, output};
use support::wire::{Task, Wire};

#[test]
fn a_transport_comes_back_with_what_was_not_processed_unless_a_server_drives_it() {
    let wire = Wire::default();
    let mut socket = direct(&wire);
    let input = [
        frame(0x81, b"one", KEY),
        frame(0x88, b"\x03\xe8", KEY),
        b"another protocol".to_vec(),
    ];
    wire.push(input.concat());
    let mut task = Task::new(async move {
        while socket.receive().await?.is_some() {}
        Ok::<_, Error>(socket.into_inner().map(|(_, unread)| unread).ok())
    });
    task.run();
    let unread = task.done.expect("it has ended").unwrap();
    assert_eq!(unread.as_deref(), Some(&b"another protocol"[..]));

    let (wire, mut task, _gate) = open(Config::default(), |upgrade| async {
        let Err(mut socket) = upgrade.accept().await?.into_inner() else {
            return Ok(());
        };
        socket.receive().await?;
        socket.send_text("still here").await?;
        poll_fn(|_| Poll::<Result>::Pending).await
    });
    wire.push(frame(0x81, b"go", KEY));
    task.run();
    assert_eq!(output(&wire)[0].payload, b"still here");
}
