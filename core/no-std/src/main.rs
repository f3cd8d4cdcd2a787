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
use sansws_core::connection::endpoint::EndpointEvent;
use sansws_core::connection::{TransportAction, Endpoint};
use sansws_core::handshake::{AcceptOptions, ClientOptions};
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
    let mut server = Endpoint::server(Arc::clone(&config), now);
    let mut client =
        Endpoint::client(config, &url, ClientOptions::default(), seed, now).map_err(|_| 2)?;
    let (mut at_server, mut at_client) = (Assembly::default(), Assembly::default());

    let mut bytes = output(&mut client);
    let step = server.receive(now, &mut bytes, &mut at_server);
    let Some(EndpointEvent::Request(request)) = step.map_err(|_| 3)?.event else {
        return Err(3);
    };
    let accepted = server.accept(now, &request, AcceptOptions::default());
    accepted.map_err(|_| 4)?;
    let mut bytes = output(&mut server);
    let step = client.receive(now, &mut bytes, &mut at_client);
    let Some(EndpointEvent::Open(opened)) = step.map_err(|_| 5)?.event else {
        return Err(5);
    };
    if opened.agreement.deflate.is_some() != cfg!(feature = "deflate") {
        return Err(6);
    }

    // Long enough to be compressed, where that is agreed on.
    let message: String = core::iter::repeat_n("Hello, ", 10_000).collect();
    client.send(message.as_str()).map_err(|_| 7)?;
    let mut bytes = output(&mut client);
    if cfg!(feature = "deflate") && bytes.len() > message.len() / 10 {
        return Err(8);
    }
    let step = server.receive(now, &mut bytes, &mut at_server);
    let Some(EndpointEvent::Text(text)) = step.map_err(|_| 9)?.event else {
        return Err(9);
    };
    server.send(text).map_err(|_| 10)?;
    let mut bytes = output(&mut server);
    let step = client.receive(now, &mut bytes, &mut at_client);
    if step.map_err(|_| 11)?.event != Some(EndpointEvent::Text(&message)) {
        return Err(11);
    }

    let closing = client.close(now, Some(CloseCode::NORMAL), "bye");
    closing.map_err(|_| 12)?;
    let mut bytes = output(&mut client);
    let step = server.receive(now, &mut bytes, &mut at_server);
    if !matches!(step.map_err(|_| 13)?.event, Some(EndpointEvent::Close(close)) if close.reason == "bye") {
        return Err(13);
    }
    let mut bytes = output(&mut server);
    let step = client.receive(now, &mut bytes, &mut at_client);
    if !matches!(step.map_err(|_| 14)?.event, Some(EndpointEvent::Close(_))) {
        return Err(14);
    }
    client.end_of_input();
    let ended = client
        .receive(now, &mut [], &mut at_client)
        .map_err(|_| 15)?;
    let ends = (ended.event, server.transport_action(), client.transport_action());
    if ends == (None, TransportAction::Close, TransportAction::Drop) {
        Ok(())
    } else {
        Err(15)
    }
}

/// All that an end has to write.
fn output(endpoint: &mut Endpoint) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let bytes = endpoint.take_output(Vec::new());
        if bytes.is_empty() {
            return all;
        }
        endpoint.transmitted(bytes.len());
        all.extend_from_slice(&bytes);
    }
}
