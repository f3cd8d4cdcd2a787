//! Extensions: what a server answers to any offer, the client that made it takes; nothing else comes of a header.
//! RFC 6455 section 9.1; RFC 7692 section 7.1.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use sansws_core::config::{Config, Deflate};
use sansws_core::handshake::{AcceptOptions, ServerAnswer, ClientHandshake, ClientOptions, ServerHandshake};
use sansws_core::random::Seed;

fn config(bits: (u8, u8), takeover: u8) -> Arc<Config> {
    Arc::new(Config {
        deflate: Some(Deflate {
            own_window_bits: 9 + bits.0 % 7,
            peer_window_bits: 9 + bits.1 % 7,
            own_takeover: takeover & 1 != 0,
            peer_takeover: takeover & 2 != 0,
            ..Deflate::default()
        }),
        ..Config::default()
    })
}

fuzz_target!(|input: ((u8, u8), (u8, u8), u8, &[u8])| {
    let (server_bits, client_bits, takeover, header) = input;
    let server = config(server_bits, takeover);
    let client = config(client_bits, takeover >> 2);
    // Any header at all.
    let mut head = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Extensions: "
        .to_vec();
    head.extend(
        header
            .iter()
            .filter(|byte| !matches!(byte, b'\r' | b'\n')),
    );
    head.extend_from_slice(b"\r\n\r\n");
    if let Ok(Some((request, _))) = ServerHandshake::new(server.clone()).receive(&head) {
        let (_, agreement) = request.accept(&server, AcceptOptions::default()).unwrap();
        if let Some(agreed) = agreement.deflate {
            assert!((8..=15).contains(&agreed.own_window_bits));
            assert!((8..=15).contains(&agreed.peer_window_bits));
        }
    }
    // Our own offer.
    let url = "ws://a/".parse().unwrap();
    let mut dialing = ClientHandshake::new(
        &client,
        &url,
        ClientOptions::default(),
        Seed::new([1; 32]).nonce(),
    )
    .unwrap();
    let (request, _) = ServerHandshake::new(server.clone())
        .receive(dialing.request())
        .unwrap()
        .unwrap();
    let (response, ours) = request.accept(&server, AcceptOptions::default()).unwrap();
    let Ok(Some((ServerAnswer::Open(opened), _))) = dialing.receive(&response, false) else {
        panic!("the client refuses {}", response.escape_ascii());
    };
    match (ours.deflate, opened.agreement.deflate) {
        (None, None) => {}
        (Some(ours), Some(theirs)) => {
            assert_eq!(ours.own_takeover, theirs.peer_takeover);
            assert_eq!(ours.peer_takeover, theirs.own_takeover);
            assert!(ours.own_window_bits <= theirs.peer_window_bits);
            assert!(theirs.own_window_bits <= ours.peer_window_bits);
        }
        both => panic!("{both:?}"),
    }
});
