//! Opening handshakes in the async shell: each request has one answer, within its time, whatever a handler does.
//! RFC 6455 section 4.2.

use crate::support;

use std::future::{Future, poll_fn, ready};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use sansws_async::internal::{connect, serve};
use sansws_async::server::ConnectionOutcome;
use sansws_async::{Error, Result, ServerHandle, Transport, Upgrade};
use sansws_core::config::{Config, Timeouts};
use sansws_core::handshake::{ClientOptions, Failure};
use sansws_core::random::Seed;
use support::server::{Once, REQUEST, arrival, echo, pass, start};
use support::wire::{Task, Wire};

#[test]
fn a_handler_that_panics_before_its_first_await_is_contained_and_answered_500() {
    let (wire, mut task, handle) = start(Config::default(), |upgrade| {
        assert_eq!(upgrade.path(), "/", "a handler panics in this test");
        ready(Ok(()))
    });
    wire.push(format!("{REQUEST}\r\n"));
    task.run();
    wire.end();
    task.run();
    assert!(wire.take().starts_with(b"HTTP/1.1 500 "));
    let panicked = ConnectionOutcome {
        result: Err(Error::Panic.into()),
        ..ConnectionOutcome::default()
    };
    assert_eq!(format!("{:?}", task.done.unwrap()), format!("{panicked:?}"));
    assert_eq!(handle.open(), 0);
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
        (0, 40, &b"HTTP/1.1 500 "[..]),
        (1, 0, b"HTTP/1.1 500 "),
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
            want.starts_with(b"HTTP/1.1 5"),
            "{text}"
        );
        assert!(task.done.is_some());
    }
}

#[test]
fn reading_and_answering_share_one_time_and_a_handlers_own_does_not_count() {
    // Nine seconds for the head, an hour in the handler, and a peer that takes nothing of the answer.
    let (wire, mut task, _gate) = start(Config::default(), |upgrade| async {
        let mut turns = 0;
        poll_fn(|_| {
            turns += 1;
            if turns > 1 {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        upgrade.accept().await?;
        Ok(())
    });
    wire.state().room = 0;
    wire.push(REQUEST);
    pass(&wire, &mut task, 9);
    wire.push("\r\n");
    task.run();
    wire.pass(Duration::from_secs(3600));
    task.wake();
    task.run();
    assert!(task.done.is_none());
    pass(&wire, &mut task, 2);
    wire.end();
    task.run();
    assert!(task.done.is_none(), "the refusal has its own time");
    pass(&wire, &mut task, 5);
    assert!(task.done.is_some());

    // The time before the transport was there counts: TLS.
    let (wire, handle) = (Wire::default(), ServerHandle::new(1));
    wire.pass(Duration::from_secs(100));
    let begun = wire.now();
    wire.pass(Duration::from_secs(8));
    let ticket = handle.enter().unwrap();
    let mut task = Task::new(serve(
        wire.clone(),
        Arc::default(),
        Once::new(echo),
        ticket,
        arrival(begun),
    ));
    wire.push(REQUEST);
    pass(&wire, &mut task, 1);
    assert!(wire.state().output.is_empty());
    pass(&wire, &mut task, 2);
    assert!(wire.take().starts_with(b"HTTP/1.1 408 "));
}

#[test]
fn a_clients_writing_and_reading_share_one_time() {
    let wire = Wire::default();
    wire.state().room = 10;
    let url = "ws://a/".parse().unwrap();
    let dial = connect(
        wire.clone(),
        &url,
        ClientOptions::default(),
        Arc::default(),
        Seed::new([1; 32]),
    );
    let mut task = Task::new(dial);
    pass(&wire, &mut task, 9);
    wire.drain();
    pass(&wire, &mut task, 0);
    assert!(task.done.is_none());
    pass(&wire, &mut task, 2);
    assert!(matches!(
        task.done,
        Some(Err(Error::Handshake(Failure::Timeout)))
    ));
}

fn dialling(wire: &Wire, config: Config) -> Task<impl Future<Output = Result<(), Error>>> {
    let wire = wire.clone();
    Task::new(async move {
        let (url, options) = ("ws://a/".parse()?, ClientOptions::default());
        connect(wire, &url, options, config.into(), Seed::new([1; 32])).await?;
        Ok(())
    })
}

#[test]
fn a_refusal_whose_body_does_not_come_is_told_with_its_status() {
    let times = |handshake| Config {
        timeouts: Timeouts {
            handshake,
            ..Timeouts::default()
        },
        ..Config::default()
    };
    let head = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 100\r\n\r\nno en";
    // It comes after some seconds of the handshake, and has so many more.
    for (handshake, before, patience) in [(Some(10), 0, 5), (Some(10), 8, 2), (None, 99, 5)] {
        let wire = Wire::default();
        let mut task = dialling(&wire, times(handshake.map(Duration::from_secs)));
        task.run();
        pass(&wire, &mut task, before);
        wire.push(head);
        task.run();
        pass(&wire, &mut task, patience - 1);
        wire.push("try");
        task.run();
        assert!(task.done.is_none());
        pass(&wire, &mut task, 1);
        let Some(Err(Error::Refused(response))) = &task.done else {
            panic!("{:?}", task.done);
        };
        assert_eq!(response.status, 401);
        assert_eq!(response.body, b"no entry");
    }
    // Nor does a connection that breaks hide it.
    let wire = Wire::default();
    let mut task = dialling(&wire, Config::default());
    task.run();
    wire.push(head);
    wire.fail(std::io::ErrorKind::ConnectionReset);
    task.run();
    let status = match &task.done {
        Some(Err(Error::Refused(response))) => response.status,
        other => panic!("{other:?}"),
    };
    assert_eq!(status, 401);
}

#[test]
fn a_host_that_is_none_is_named() {
    for fields in [
        &[("host", "a/b")][..],
        &[("Host", "a"), ("Host", "b")],
        &[("Host", "")],
    ] {
        let options = ClientOptions {
            fields: fields.iter().copied().collect(),
            ..ClientOptions::default()
        };
        let url = "ws://a/".parse().unwrap();
        let seed = Seed::new([1; 32]);
        let mut task = Task::new(connect(
            Wire::default(),
            &url,
            options,
            Arc::default(),
            seed,
        ));
        task.run();
        let error = task.done.unwrap().err().unwrap().to_string();
        assert!(error.starts_with(r#"the header field "Host" "#), "{error}");
    }
}
