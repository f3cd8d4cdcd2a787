//! The memory of an idle connection.
//! Law: an idle connection costs next to nothing.

use crate::support;

use sansws_core::config::{Config, Deflate};
use sansws_core::connection::Connection;
use support::{End, TAKEOVER, frame};

const KEY: Option<[u8; 4]> = Some([1, 2, 3, 4]);

#[test]
fn a_connection_is_small() {
    println!("size_of::<Connection>() = {}", size_of::<Connection>());
    assert!(size_of::<Connection>() <= 144);
}

#[test]
fn an_idle_server_connection_holds_no_heap() {
    for deflate in [false, true] {
        let config = Config {
            deflate: deflate.then(Deflate::default),
            ..Config::default()
        };
        let mut agreed = TAKEOVER;
        (agreed.own_takeover, agreed.peer_takeover) = (false, false);
        let mut end = End::new(true, config, deflate.then_some(agreed));
        assert_eq!(end.connection.heap() + end.assembly.capacity(), 0);
        // Whole, fragmented, large, pinged.
        let mut bytes = frame(0x81, b"Hello", KEY);
        bytes.extend(frame(0x01, &[b'a'; 5000], KEY));
        bytes.extend(frame(0x89, b"ping", KEY));
        bytes.extend(frame(0x80, &[b'b'; 5000], KEY));
        bytes.extend(frame(0x82, &[7; 100_000], KEY));
        assert_eq!(end.feed(&bytes).len(), 4);
        end.connection.send_text(&"echo ".repeat(1000)).unwrap();
        end.connection.send(vec![1u8; 100_000]).unwrap();
        assert!(end.connection.heap() > 0);
        assert!(!end.output().is_empty());
        drop(end.connection.reclaim());
        end.connection.release();
        end.assembly.release();
        let held = end.connection.heap() + end.assembly.capacity();
        println!("heap of an idle server connection, deflate {deflate}: {held}");
        assert_eq!(held, 0);
    }
}
