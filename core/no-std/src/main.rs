//! Core in a program without std: a server and a client in one process shake hands, echo a message and close, in memory.
//! RFC 6455 sections 4, 5 and 7; with the feature `deflate` also RFC 7692.
//! Knows Rust's `core` and `alloc`, and of the C library its entry, its heap and `puts`.
//!
//! Run: `make no-std`
//! See: `sansws-core works without std`; the exit code is 0. A step that fails ends it with the step's number.
#![no_std]
#![no_main]

extern crate alloc;

mod platform;

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use sansws_core::close::CloseCode;
use sansws_core::config::{Config, Deflate};
use sansws_core::connection::{After, Connection, Event};
use sansws_core::handshake::{Accept, Answer, ClientHandshake, ClientOptions, ServerHandshake};
use sansws_core::message::Assembly;
use sansws_core::random::Seed;
use sansws_core::time::Instant;

/// Goes through a whole life; the number of the step that failed otherwise.
fn run() -> Result<(), u8> {
    let config = Arc::new(Config {
        deflate: cfg!(feature = "deflate").then(Deflate::default),
        ..Config::default()
    });
    let (now, seed) = (Instant::ZERO, Seed::new([7; 32]));
    let url = "ws://localhost/chat".parse().map_err(|_| 1)?;

    let mut dialing = ClientHandshake::new(&config, &url, ClientOptions::default(), seed.nonce())
        .map_err(|_| 2)?;
    let received = ServerHandshake::new(config.clone()).receive(dialing.request());
    let (request, _) = received.map_err(|_| 3)?.ok_or(3)?;
    let (response, agreement) = request.accept(&config, Accept::default()).map_err(|_| 4)?;
    let received = dialing.receive(&response, false).map_err(|_| 5)?;
    let Some((Answer::Open(opened), _)) = received else {
        return Err(5);
    };
    if agreement.deflate.is_some() != cfg!(feature = "deflate") {
        return Err(6);
    }
    let mut server = Connection::server(config.clone(), &agreement, now);
    let mut client = Connection::client(config, &opened.agreement, seed, now);
    let mut assemblies = [Assembly::default(), Assembly::default()];
    let [inbox, outbox] = &mut assemblies;

    // Long enough to be compressed, where that is agreed on.
    let message: String = core::iter::repeat_n("Hello, ", 10_000).collect();
    client.send_text(&message).map_err(|_| 7)?;
    let mut octets = output(&mut client);
    if cfg!(feature = "deflate") && octets.len() > message.len() / 10 {
        return Err(8);
    }
    let step = server.receive(now, &mut octets, inbox).map_err(|_| 9)?;
    let Some(Event::Text(text)) = step.event else {
        return Err(9);
    };
    server.send_text(text).map_err(|_| 10)?;
    let mut octets = output(&mut server);
    let step = client.receive(now, &mut octets, outbox).map_err(|_| 11)?;
    if step.event != Some(Event::Text(&message)) {
        return Err(11);
    }

    client
        .close(now, Some(CloseCode::NORMAL), "bye")
        .map_err(|_| 12)?;
    let mut octets = output(&mut client);
    let step = server.receive(now, &mut octets, inbox).map_err(|_| 13)?;
    if !matches!(step.event, Some(Event::Close(close)) if close.reason == "bye") {
        return Err(13);
    }
    let mut octets = output(&mut server);
    let step = client.receive(now, &mut octets, outbox).map_err(|_| 14)?;
    if !matches!(step.event, Some(Event::Close(_))) {
        return Err(14);
    }
    client.end_of_input();
    let ends = (server.after(), client.after());
    if ends == (After::Shutdown, After::Drop) {
        Ok(())
    } else {
        Err(15)
    }
}

/// All that an end has to write.
fn output(connection: &mut Connection) -> Vec<u8> {
    let mut all = Vec::new();
    while connection.has_output() {
        let mut slices: [&[u8]; 4] = [&[]; 4];
        let filled = connection.transmit(&mut slices);
        let octets = slices.get(..filled).unwrap_or_default().concat();
        connection.transmitted(octets.len());
        all.extend_from_slice(&octets);
    }
    all
}
