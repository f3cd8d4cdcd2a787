//! Opening handshakes in the async shell: each request has one answer, within its time, whatever a handler does.
//! RFC 6455 section 4.2.

mod support;

use std::future::ready;

use sansws_core::config::Config;
use sansws_core::drive::{Error, Outcome};
use support::server::{REQUEST, start};

#[test]
fn a_handler_that_panics_before_its_first_await_is_contained_and_answered_500() {
    let (wire, mut task, gate) = start(Config::default(), |upgrade| {
        assert_eq!(upgrade.path(), "/", "a handler panics in this test");
        ready(Ok(()))
    });
    wire.push(format!("{REQUEST}\r\n"));
    task.run();
    wire.end();
    task.run();
    assert!(wire.take().starts_with(b"HTTP/1.1 500 "));
    let panicked = Outcome {
        result: Err(Error::Panic),
        closed: None,
    };
    assert_eq!(format!("{:?}", task.done.unwrap()), format!("{panicked:?}"));
    assert_eq!(gate.open(), 0);
}
