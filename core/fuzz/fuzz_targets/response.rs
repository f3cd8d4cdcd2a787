//! Responses: the outcome is the same whatever the chunking, and what is kept of a body is bounded.
//! RFC 6455 section 4.1.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use sansws_core::config::{Config, Deflate, Limits};
use sansws_core::handshake::{ServerAnswer, ClientHandshake, ClientOptions, accept_key};
use sansws_core::random::Seed;

fuzz_target!(|input: (u8, u8, bool, &[u8])| {
    let (start, split, ended, bytes) = input;
    let config = Arc::new(Config {
        limits: Limits {
            head: 2000,
            headers: 20,
            body: 100,
            ..Limits::default()
        },
        deflate: Some(Deflate::default()),
        ..Config::default()
    });
    let dial = || {
        let url = "ws://a/".parse().unwrap();
        let options = ClientOptions {
            subprotocols: vec!["a".into()],
            ..ClientOptions::default()
        };
        ClientHandshake::new(&config, &url, options, Seed::new([1; 32]).nonce()).unwrap()
    };
    let request = String::from_utf8(dial().request().to_vec()).unwrap();
    let key = request.split("Sec-WebSocket-Key: ").nth(1).unwrap();
    let mut head = match start % 3 {
        0 => Vec::new(),
        1 => b"HTTP/1.1 403 Forbidden\r\n".to_vec(),
        _ => format!(
            "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n",
            accept_key(&key.as_bytes()[..24])
        )
        .into_bytes(),
    };
    head.extend_from_slice(bytes);
    let whole = dial().receive(&head, ended);
    let mut handshake = dial();
    let answer =
        |got: Result<Option<(ServerAnswer, usize)>, _>| got.map(|got| got.map(|(answer, _)| answer));
    match handshake.receive(&head[..usize::from(split).min(head.len())], false) {
        Ok(None) => assert_eq!(handshake.receive(&head, ended), whole),
        // A body that is cut ends where enough of it has come.
        early => assert_eq!(answer(early), answer(whole.clone())),
    }
    match whole {
        Ok(None) => assert!(!ended),
        Ok(Some((ServerAnswer::Refused(response) | ServerAnswer::Redirect(response), length))) => {
            assert!(response.body.len() <= 100 && length <= head.len());
        }
        Ok(Some((ServerAnswer::Open(_), length))) => assert!(length <= head.len()),
        Err(_) => {}
    }
});
