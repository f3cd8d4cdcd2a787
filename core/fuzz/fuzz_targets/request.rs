//! Requests: the outcome is the same whatever the chunking, and each refusal has an answer that can be written.
//! RFC 6455 section 4.2.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use sansws_core::config::{Config, Deflate, Limits};
use sansws_core::handshake::{Accept, ServerHandshake};

fuzz_target!(|input: (u8, bool, &[u8])| {
    let (split, valid, octets) = input;
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
    head.extend_from_slice(octets);
    let whole = ServerHandshake::new(config.clone()).receive(&head);
    let mut handshake = ServerHandshake::new(config.clone());
    match handshake.receive(&head[..usize::from(split).min(head.len())]) {
        Ok(None) => assert_eq!(handshake.receive(&head), whole),
        early => assert_eq!(early, whole),
    }
    match whole {
        Ok(None) => assert!(head.len() <= 2000),
        Ok(Some((request, length))) => {
            assert!(length <= head.len() && head[..length].ends_with(b"\n"));
            let (response, _) = request.accept(&config, Accept::default()).unwrap();
            assert!(response.ends_with(b"\r\n\r\n"));
        }
        Err(refusal) => {
            let mut response = Vec::new();
            refusal.response().write(&mut response).unwrap();
            assert!(response.starts_with(b"HTTP/1.1 "));
        }
    }
});
