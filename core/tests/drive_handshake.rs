//! Opening handshakes in the async shell: each request has one answer, within its time, whatever a handler does.
//! RFC 6455 section 4.2.

mod support;

use std::future::{Future, poll_fn, ready};
use std::pin::pin;
use std::task::Poll;

use sansws_core::config::Config;
use sansws_core::drive::{Error, Outcome, Result, Upgrade};
use support::server::{REQUEST, start};
use support::wire::Wire;

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

/// Begins to accept, and drops the future after so many turns.
async fn hesitate(upgrade: Upgrade<Wire>, turns: usize) -> Result {
    let (mut accepting, mut left) = (pin!(upgrade.accept()), turns);
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        cx.waker().wake_by_ref();
        assert!(accepting.as_mut().poll(cx).is_pending());
        Poll::Pending
    })
    .await;
    Ok(())
}

#[test]
fn an_answer_that_was_begun_is_followed_by_no_other() {
    for (turns, room, want) in [
        (0, 40, &b"HTTP/1.1 403 "[..]),
        (1, 0, b"HTTP/1.1 403 "),
        (1, 40, b"HTTP/1.1 101 Switching Protocols\r\nUpgrad"),
        (3, 1, b"H"),
    ] {
        let (wire, mut task, _gate) = start(Config::default(), |upgrade| hesitate(upgrade, turns));
        wire.state().room = room;
        wire.push(format!("{REQUEST}\r\n"));
        task.run();
        wire.drain();
        wire.end();
        task.run();
        let answer = wire.take();
        let text = answer.escape_ascii();
        assert!(answer.starts_with(want), "{text}");
        assert_eq!(
            answer.len() > want.len(),
            want.starts_with(b"HTTP/1.1 4"),
            "{text}"
        );
        assert!(task.done.is_some());
    }
}
