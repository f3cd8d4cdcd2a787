//! Pings and pongs for who asks for them, and what they say of the way to the peer.
//! RFC 6455 sections 5.5.2 and 5.5.3.

use crate::support;

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use sansws_async::{Result, SocketEvent, Upgrade};
use sansws_core::config::Config;
use sansws_core::connection::Expired;
use sansws_core::error::SendError;
use sansws_core::message::Message;
use support::server::{KEY, open, output, pass};
use support::wire::Wire;
use support::{End, Got, frame, frames};

fn config(auto_pong: bool, control_frames: bool) -> Config {
    Config {
        auto_pong,
        control_frames,
        ..Config::default()
    }
}

#[test]
fn a_connection_that_does_not_answer_pings_shows_them_and_sends_the_callers_pongs() {
    for auto_pong in [true, false] {
        let mut end = End::new(true, config(auto_pong, false), None);
        assert_eq!(
            end.feed(&frame(0x89, b"ping", KEY)),
            [Got::Ping(b"ping".into())]
        );
        assert_eq!(
            end.feed(&frame(0x8a, b"pong", KEY)),
            [Got::Pong(b"pong".into())]
        );
        let answers = frames(&end.output());
        assert_eq!(answers.len(), usize::from(auto_pong));
        end.connection.pong(b"own").unwrap();
        let sent = frames(&end.output());
        assert_eq!(
            (sent[0].opcode, &sent[0].payload[..]),
            (10, &b"own"[..]),
            "{auto_pong:?}"
        );
        assert_eq!(
            end.connection.pong(&[0; 126]),
            Err(SendError::ControlTooLong),
            "5.5"
        );
    }
}

#[test]
fn the_round_trip_is_from_a_ping_of_keepalive_to_its_pong() {
    let millis = Duration::from_millis;
    for split in [false, true] {
        let mut end = End::new(true, Config::default(), None);
        let feed = |end: &mut End, bytes: &[u8]| {
            if split {
                for byte in bytes {
                    end.feed(&[*byte]);
                }
            } else {
                end.feed(bytes);
            }
        };
        let pong = frame(0x8a, b"", KEY);
        // A pong that nobody asked for says nothing, nor does that of a ping of the application.
        feed(&mut end, &pong);
        end.connection.ping(b"application").unwrap();
        end.output();
        feed(&mut end, &frame(0x8a, b"application", KEY));
        assert_eq!(end.connection.round_trip(), None);

        for (at, round_trip, before) in [
            (31, 80, &[][..]),
            (70, 2_000, &frame(0x81, b"a message comes before", KEY)),
            (110, 0, &frame(0x8a, b"application", KEY)),
        ] {
            end.now = sansws_core::time::Instant::from_micros(at * 1_000_000);
            assert_eq!(end.connection.tick(end.now), Some(Expired::Silence));
            assert_eq!(frames(&end.output()).last().unwrap().opcode, 9);
            let known = end.connection.round_trip();
            end.now = end.now + millis(round_trip / 2);
            feed(&mut end, before);
            assert_eq!(end.connection.round_trip(), known);
            end.now = end.now + millis(round_trip / 2);
            feed(&mut end, &pong);
            let want = millis(round_trip).max(Duration::from_micros(16));
            assert_eq!(end.connection.round_trip(), Some(want));
            // A second one does not answer it.
            end.now = end.now + millis(500);
            feed(&mut end, &pong);
            assert_eq!(end.connection.round_trip(), Some(want));
        }
    }
}

/// Returns the first `count` events of a handler.
type Seen = Rc<RefCell<Vec<SocketEvent>>>;

fn text(text: &str) -> SocketEvent {
    SocketEvent::Message(Message::Text(text.into()))
}

fn ping(number: usize) -> SocketEvent {
    SocketEvent::Ping(number.to_string().into())
}

/// Waits for so many turns.
async fn wait(turns: usize) {
    let mut left = turns;
    poll_fn(|_| {
        let is_over = left == 0;
        left = left.saturating_sub(1);
        if is_over {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

/// Is busy for so many turns, then receives events and answers pings.
async fn attentive(upgrade: Upgrade<Wire>, busy: usize, seen: Seen) -> Result {
    let mut socket = upgrade.accept().await?;
    wait(busy).await;
    while let Some(event) = socket.receive_event().await? {
        seen.borrow_mut().push(event.clone());
        if let SocketEvent::Ping(bytes) = event {
            socket.pong(bytes).await?;
        }
    }
    Ok(())
}

#[test]
fn control_frames_are_events_in_their_place_between_the_messages() {
    // At once; and while the handler was busy, so that all of it was read ahead.
    for busy in [0, 3] {
        for auto_pong in [true, false] {
            let seen = Seen::default();
            let handler = |upgrade| attentive(upgrade, busy, Rc::clone(&seen));
            let (wire, mut task, _gate) = open(config(auto_pong, true), handler);
            let mut bytes = frame(0x89, b"0", KEY);
            bytes.extend(frame(0x81, b"one", KEY));
            bytes.extend(frame(0x8a, b"pong", KEY));
            bytes.extend(frame(0x01, b"tw", KEY));
            bytes.extend(frame(0x89, b"1", KEY));
            bytes.extend(frame(0x80, b"o", KEY));
            bytes.extend(frame(0x89, b"2", KEY));
            wire.push(bytes);
            for _ in 0..5 {
                task.wake();
                task.run();
            }
            let pong = SocketEvent::Pong(b"pong".into());
            let want = [ping(0), text("one"), pong, ping(1), text("two"), ping(2)];
            assert_eq!(*seen.borrow(), want, "busy for {busy}");
            let pongs: Vec<_> = output(&wire)
                .iter()
                .filter(|frame| frame.opcode == 10)
                .map(|frame| frame.payload.clone())
                .collect();
            let once: [&[u8]; 3] = [b"0", b"1", b"2"];
            if auto_pong {
                assert_eq!(pongs.len(), 2 * once.len());
            } else {
                assert_eq!(pongs, once);
            }
        }
    }
}

#[test]
fn of_many_control_frames_that_came_meanwhile_the_newest_are_kept() {
    let seen = Seen::default();
    let handler = |upgrade| attentive(upgrade, 3, Rc::clone(&seen));
    let (wire, mut task, _gate) = open(config(false, false), handler);
    let mut bytes = frame(0x81, b"first", KEY);
    for number in 0..10_000 {
        bytes.extend(frame(0x89, number.to_string().as_bytes(), KEY));
    }
    bytes.extend(frame(0x81, b"last", KEY));
    wire.push(bytes);
    for _ in 0..5 {
        task.wake();
        task.run();
    }
    let mut want = vec![text("first")];
    want.extend((9_968..10_000).map(ping));
    want.push(text("last"));
    assert_eq!(*seen.borrow(), want);
    pass(&wire, &mut task, 1);
    assert_eq!(output(&wire).len(), 32);
}

/// Is busy, then answers each event.
async fn answering(upgrade: Upgrade<Wire>, seen: Seen) -> Result {
    let mut socket = upgrade.accept().await?;
    wait(3).await;
    while let Some(event) = socket.receive_event().await? {
        seen.borrow_mut().push(event);
        socket.send("an answer").await?;
        socket.pong(b"another").await?;
    }
    Ok(())
}

#[test]
fn answers_to_pings_that_precede_the_end_are_lost_without_an_error() {
    // What is behind them was read ahead, the Close too.
    let seen = Seen::default();
    let handler = |upgrade| answering(upgrade, Rc::clone(&seen));
    let (wire, mut task, _gate) = open(config(true, true), handler);
    let mut bytes = frame(0x89, b"0", KEY);
    bytes.extend(frame(0x89, b"1", KEY));
    bytes.extend(frame(0x81, b"one", KEY));
    bytes.extend(frame(0x88, b"\x0f\xa1", KEY));
    wire.push(bytes);
    wire.end();
    for _ in 0..5 {
        task.wake();
        task.run();
    }
    assert_eq!(*seen.borrow(), [ping(0), ping(1), text("one")]);
    let outcome = task.done.expect("it ended");
    assert!(outcome.result.is_ok(), "{:?}", outcome.result);
    assert_eq!(outcome.closed.unwrap().code(), 4001);
}

/// Receives a message, and another in pieces, before it asks for events.
async fn late(upgrade: Upgrade<Wire>, seen: Seen) -> Result {
    let mut socket = upgrade.accept().await?;
    assert_eq!(socket.receive_text().await?.as_deref(), Some("one"));
    let mut reader = socket.receive_stream().await?.unwrap();
    while reader.next().await?.is_some() {}
    while let Some(event) = socket.receive_event().await? {
        seen.borrow_mut().push(event);
    }
    Ok(())
}

#[test]
fn control_frames_that_come_while_messages_are_received_wait_for_who_asks() {
    for shown in [true, false] {
        let seen = Seen::default();
        let handler = |upgrade| late(upgrade, Rc::clone(&seen));
        let (wire, mut task, _gate) = open(config(true, shown), handler);
        for bytes in [
            frame(0x89, b"0", KEY),
            frame(0x81, b"one", KEY),
            frame(0x01, b"tw", KEY),
            frame(0x89, b"1", KEY),
            frame(0x80, b"o", KEY),
            frame(0x89, b"2", KEY),
            frame(0x81, b"three", KEY),
        ] {
            wire.push(bytes);
            task.run();
        }
        let want = [ping(0), ping(1), ping(2), text("three")];
        let want = if shown { &want[..] } else { &want[3..] };
        assert_eq!(*seen.borrow(), want);
        let answered = output(&wire)
            .iter()
            .filter(|frame| frame.opcode == 10)
            .count();
        assert_eq!(answered, 3);
    }
}
