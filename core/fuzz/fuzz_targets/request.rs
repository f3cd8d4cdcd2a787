//! Requests, and frames behind them: the outcome is the same whatever the chunking, and each refusal has an answer that can be written.
//! RFC 6455 sections 4.2 and 5.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use sansws_core::config::{Config, Deflate, Limits};
use sansws_core::connection::Endpoint;
use sansws_core::connection::endpoint::EndpointEvent;
use sansws_core::handshake::{AcceptOptions, ServerHandshake};
use sansws_core::message::Assembly;
use sansws_core::time::Instant;

/// A server that accepts and echoes, fed in two parts: what came of it, and what it says.
fn serve(config: &Arc<Config>, bytes: &[u8], split: usize) -> (Vec<String>, Vec<u8>) {
    let mut endpoint = Endpoint::server(config.clone(), Instant::ZERO);
    let mut assembly = Assembly::default();
    let (mut got, mut said, mut input) = (Vec::new(), Vec::new(), Vec::new());
    let (first, second) = bytes.split_at(split.min(bytes.len()));
    for (part, last) in [(first, false), (second, true)] {
        input.extend_from_slice(part);
        if last {
            endpoint.end_of_input();
        }
        while endpoint.wants_input() {
            let step = match endpoint.receive(Instant::ZERO, &mut input, &mut assembly) {
                Ok(step) => step,
                Err(error) => {
                    got.push(error.to_string());
                    input.clear();
                    break;
                }
            };
            let (consumed, event) = (step.consumed, step.event);
            let whole = event.is_none();
            match event {
                Some(EndpointEvent::Request(request)) => {
                    got.push(request.target.clone());
                    let accept = AcceptOptions::default();
                    endpoint.accept(Instant::ZERO, &request, accept).unwrap();
                }
                Some(event) => {
                    got.push(format!("{event:?}"));
                    if let EndpointEvent::Text(text) = event {
                        let _ = endpoint.send(text);
                    }
                }
                None => {}
            }
            input.drain(..consumed);
            loop {
                let part = endpoint.take_output(Vec::new());
                if part.is_empty() {
                    break;
                }
                endpoint.transmitted(part.len());
                said.extend(part);
            }
            if whole {
                break;
            }
        }
        said.extend(endpoint.take_output(Vec::new()));
    }
    (got, said)
}

fuzz_target!(|input: (u16, bool, &[u8])| {
    let (split, valid, bytes) = input;
    let config = Arc::new(Config {
        limits: Limits {
            head: 2000,
            headers: 20,
            ..Limits::default()
        },
        deflate: Some(Deflate::default()),
        ..Config::default()
    });
    // Half of the time the fixed fields are there, so that the rest is reached.
    let mut head = Vec::new();
    if valid {
        head.extend_from_slice(
            b"GET /a HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
              Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n",
        );
    }
    head.extend_from_slice(bytes);
    let whole = ServerHandshake::new(config.clone()).receive(&head);
    let mut handshake = ServerHandshake::new(config.clone());
    match handshake.receive(&head[..usize::from(split).min(head.len())]) {
        Ok(None) => assert_eq!(handshake.receive(&head), whole),
        early => assert_eq!(early, whole),
    }
    assert_eq!(
        serve(&config, &head, usize::from(split)),
        serve(&config, &head, head.len())
    );
    match whole {
        Ok(None) => assert!(head.len() <= 2000),
        Ok(Some((request, length))) => {
            assert!(length <= head.len() && head[..length].ends_with(b"\n"));
            let (response, _) = request.accept(&config, AcceptOptions::default()).unwrap();
            assert!(response.ends_with(b"\r\n\r\n"));
        }
        Err(refusal) => {
            let mut response = Vec::new();
            refusal.response().write(&mut response).unwrap();
            assert!(response.starts_with(b"HTTP/1.1 "));
        }
    }
});
