//! The async shell over a scripted wire and virtual time: flushing, peers that misbehave, futures that are dropped.
//! RFC 6455 sections 4.2, 5.5, 7 and 10.4.

use crate::support;

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use sansws_async::internal::serve;
use sansws_async::{Error, KindError, Result, ServerHandle, Upgrade, WebSocket};
use sansws_core::close::LossCause;
use sansws_core::config::{Config, Deflate, Limits};
use sansws_core::frame::MessageKind;
use sansws_core::handshake::Refusal;
use sansws_core::http::Response;
use sansws_core::message::PreparedMessage;
use sansws_core::time::Instant;
use support::server::{
    KEY, Once, REQUEST, arrival, close_code, direct, echo, open, output, pass, start,
};
use support::wire::{Task, Wire};
use support::{frame, frames};

#[test]
fn sixty_four_messages_in_one_read_cost_one_write() {
    let (wire, mut task, _gate) = open(Config::default(), echo);
    let counts = |wire: &Wire| {
        let state = wire.state();
        (state.reads, state.writes)
    };
    let before = counts(&wire);
    wire.push(
        (0..64)
            .flat_map(|i| frame(0x81, format!("message {i}").as_bytes(), KEY))
            .collect::<Vec<_>>(),
    );
    task.run();
    assert_eq!(counts(&wire), (before.0 + 1, before.1 + 1));
    let echoed = output(&wire);
    assert_eq!(echoed.len(), 64);
    assert!(
        echoed
            .iter()
            .enumerate()
            .all(|(i, frame)| frame.payload == format!("message {i}").as_bytes())
    );
}

#[test]
fn a_lone_message_is_answered_at_once_also_with_half_of_the_next_behind_it() {
    let (wire, mut task, _gate) = open(Config::default(), echo);
    let mut bytes = frame(0x81, b"one", KEY);
    bytes.extend_from_slice(&[0x81, 0x85, 1]);
    wire.push(bytes);
    task.run();
    assert_eq!(output(&wire)[0].payload, b"one");
}

#[test]
fn a_direct_handle_sends_at_once_whatever_is_unread() {
    let wire = Wire::default();
    let mut socket = direct(&wire);
    wire.push([frame(0x81, b"one", KEY), frame(0x81, b"two", KEY)].concat());
    let mut task = Task::new(async move {
        socket.receive().await?;
        socket.send_text("answer").await?;
        // Nothing else is polled: what was sent has left by itself.
        poll_fn(|_| Poll::<Result>::Pending).await
    });
    task.run();
    assert_eq!(output(&wire)[0].payload, b"answer");
}

#[test]
fn a_half_in_another_task_sends_at_once() {
    let wire = Wire::default();
    let (mut read, mut write) = direct(&wire).split();
    wire.push([frame(0x81, b"one", KEY), frame(0x81, b"two", KEY)].concat());
    let mut reading = Task::new(async move { read.receive().await.map(|_| read) });
    reading.run();
    let mut writing = Task::new(async move { write.send_text("other").await.map(|()| write) });
    writing.run();
    assert_eq!(output(&wire)[0].payload, b"other");

    // So it is when the server drives it, and its handler waits for something else, or for input.
    for waits in [false, true] {
        let slot = Rc::new(Cell::new(None));
        let opened = slot.clone();
        let (wire, mut task, _gate) = open(Config::default(), |upgrade| async move {
            let (mut read, write) = upgrade.accept().await?.split();
            opened.set(Some(write));
            if waits {
                read.receive().await?;
            }
            poll_fn(|_| Poll::<Result>::Pending).await
        });
        let mut write = slot.take().expect("it is open");
        let mut writing = Task::new(async move { write.send_text("other").await.map(|()| write) });
        writing.run();
        task.run();
        assert_eq!(output(&wire)[0].payload, b"other", "waits: {waits}");
        let mut write = writing.done.expect("it was sent").unwrap();
        write.start_close(None, "");
        task.run();
        assert_eq!(output(&wire)[0].opcode, 8, "waits: {waits}");
    }
}

#[test]
fn a_message_that_is_sent_behind_a_waiting_receive_leaves_in_the_same_turn() {
    let (wire, mut task, _gate) = open(Config::default(), |upgrade| async {
        let (mut read, mut write) = upgrade.accept().await?.split();
        read.receive().await?;
        let mut receiving = pin!(read.receive());
        let mut sending = pin!(write.send("tick"));
        let mut sent = false;
        poll_fn(|cx| {
            assert!(receiving.as_mut().poll(cx).is_pending());
            sent = sent || sending.as_mut().poll(cx).is_ready();
            Poll::<Result>::Pending
        })
        .await
    });
    wire.push(frame(0x81, b"go", KEY));
    task.run();
    assert_eq!(output(&wire)[0].payload, b"tick");
}

#[test]
fn input_that_comes_between_the_handler_and_its_driver_is_told_to_the_handler() {
    let (wire, mut task, _gate) = open(Config::default(), |upgrade| async {
        let mut socket = upgrade.accept().await?;
        socket.receive().await?;
        socket.close(1000, "").await?;
        Ok(())
    });
    // The handler's read after its Close finds nothing; the driver's, right behind it, the peer's Close.
    wire.state().late.extend([false, true]);
    wire.state()
        .input
        .extend([frame(0x81, b"go", KEY), frame(0x88, b"\x03\xe8", KEY)]);
    wire.end();
    task.run();
    assert!(
        task.done
            .is_some_and(|outcome| outcome.closed.unwrap().clean)
    );
}

#[test]
fn bytes_glued_to_the_request_are_the_first_message() {
    let (wire, mut task, _gate) = start(Config::default(), echo);
    let mut bytes = format!("{REQUEST}\r\n").into_bytes();
    bytes.extend(frame(0x81, b"early", KEY));
    wire.push(bytes);
    task.run();
    assert!(wire.take().ends_with(b"\x81\x05early"));
}

#[test]
fn a_head_that_never_ends_is_answered_408_in_time() {
    let (wire, mut task, _gate) = start(Config::default(), echo);
    for byte in REQUEST.bytes().cycle().take(99) {
        wire.push([byte]);
        pass(&wire, &mut task, 0);
        wire.pass(Duration::from_millis(100));
        task.run();
    }
    assert!(wire.state().output.is_empty());
    pass(&wire, &mut task, 1);
    assert!(wire.take().starts_with(b"HTTP/1.1 408 "));
    assert!(wire.state().shut);
    pass(&wire, &mut task, 6);
    let error = task.done.unwrap().result.unwrap_err();
    assert!(matches!(
        error.find(),
        Some(Error::Refusal(Refusal::Timeout))
    ));
}

#[test]
fn a_head_that_is_too_large_is_answered_431() {
    let (wire, mut task, _gate) = start(Config::default(), echo);
    wire.push(format!("{REQUEST}X: {}", "y".repeat(17 << 10)));
    task.run();
    wire.end();
    task.run();
    assert!(wire.take().starts_with(b"HTTP/1.1 431 "));
    let error = task.done.unwrap().result.unwrap_err();
    assert!(matches!(
        error.find(),
        Some(Error::Refusal(Refusal::HeadTooLarge))
    ));
}

#[test]
fn a_peer_that_falls_silent_is_pinged_and_then_dropped() {
    let (wire, mut task, _gate) = open(Config::default(), echo);
    pass(&wire, &mut task, 29);
    assert!(wire.state().output.is_empty());
    pass(&wire, &mut task, 2);
    assert_eq!(output(&wire)[0].opcode, 9);
    pass(&wire, &mut task, 20);
    let outcome = task.done.expect("it was dropped");
    assert_eq!(outcome.closed.unwrap().code(), 1006);
    assert!(outcome.result.is_ok(), "a peer that left is no failure");
}

#[test]
fn a_peer_that_closes_tcp_without_close_is_1006() {
    let (wire, mut task, _gate) = open(Config::default(), |upgrade| async {
        let mut socket = upgrade.accept().await?;
        match socket.receive().await {
            Err(Error::Disconnect(closed)) => {
                assert_eq!((closed.code(), closed.clean), (1006, false))
            }
            other => panic!("{other:?}"),
        }
        Ok(())
    });
    wire.push([0x81, 0x85, 1, 2]);
    wire.end();
    task.run();
    assert!(task.done.unwrap().result.is_ok());
}

#[test]
fn a_reset_is_an_end_and_another_fault_of_the_transport_is_told_once() {
    use std::io::ErrorKind;
    for (fault, told, cause) in [
        (ErrorKind::ConnectionReset, false, LossCause::Reset),
        (ErrorKind::BrokenPipe, false, LossCause::Reset),
        (ErrorKind::ConnectionAborted, false, LossCause::Reset),
        (ErrorKind::InvalidData, true, LossCause::Transport),
    ] {
        for sends in [false, true] {
            let (wire, mut task, _gate) = open(Config::default(), |upgrade| async move {
                let mut socket = upgrade.accept().await?;
                assert!(socket.receive().await?.is_some());
                if sends {
                    socket.send_text("lost").await?;
                }
                let first = socket.receive().await;
                match &first {
                    Err(Error::Io(error)) => assert!(told && error.kind() == fault, "{fault:?}"),
                    Err(Error::Disconnect(closed)) => assert!(!told && closed.code() == 1006),
                    other => panic!("{other:?}"),
                }
                assert!(matches!(
                    socket.receive().await,
                    Err(Error::Disconnect(closed)) if !closed.clean && closed.code() == 1006
                ));
                first?;
                Ok(())
            });
            wire.state().input.push_back(frame(0x81, b"go", KEY));
            wire.fail(fault);
            task.run();
            let outcome = task.done.expect("it ended");
            assert_eq!(outcome.result.is_err(), told, "{fault:?}");
            let closed = outcome.closed.unwrap();
            assert_eq!((closed.code(), closed.cause), (1006, Some(cause)));
        }
    }
}

#[test]
fn frames_after_the_peers_close_are_ignored() {
    let (wire, mut task, _gate) = open(Config::default(), echo);
    let mut bytes = frame(0x88, b"\x03\xe8", KEY);
    bytes.extend(frame(0x81, b"late", KEY));
    wire.push(bytes);
    task.run();
    wire.push(frame(0x81, b"later", KEY));
    task.run();
    let sent = output(&wire);
    assert_eq!((sent.len(), close_code(&sent)), (1, Some(1000)));
    assert!(wire.state().shut, "the server ends TCP first");
    wire.end();
    task.run();
    assert!(task.done.unwrap().closed.unwrap().clean);
}

#[test]
fn a_peer_that_does_not_end_tcp_is_dropped_in_time() {
    let (wire, mut task, _gate) = open(Config::default(), echo);
    wire.push(frame(0x88, b"\x03\xe8", KEY));
    pass(&wire, &mut task, 4);
    assert!(task.done.is_none());
    pass(&wire, &mut task, 2);
    assert!(task.done.is_some());
}

#[test]
fn a_peer_that_never_reads_stops_us_from_reading_and_is_dropped() {
    let (wire, mut task, _gate) = open(Config::default(), echo);
    wire.state().room = 100_000;
    for _ in 0..400 {
        wire.push(frame(0x82, &[7; 10_000], KEY));
    }
    task.run();
    // The written bytes, the high-water mark, and one read's worth: the rest waits on the peer's side.
    assert!(
        wire.state().input.len() > 300,
        "{} reads are left",
        wire.state().input.len()
    );
    pass(&wire, &mut task, 60);
    let closed = task.done.expect("it was dropped").closed.unwrap();
    let want = (1006, Some(LossCause::Unresponsive));
    assert_eq!((closed.code(), closed.cause), want);
}

#[test]
fn a_handle_that_outlives_its_server_learns_that_it_was_cut_off() {
    let kept = Rc::new(Cell::new(None));
    let (_wire, task, _gate) = open(Config::default(), |upgrade| {
        let kept = Rc::clone(&kept);
        async move {
            let (read, _write) = upgrade.accept().await?.split();
            kept.set(Some(read));
            std::future::pending().await
        }
    });
    let mut read = kept.take().expect("it was accepted");
    drop(task);
    let mut cx = Context::from_waker(std::task::Waker::noop());
    match pin!(read.receive()).poll(&mut cx) {
        Poll::Ready(Err(Error::Disconnect(closed))) => {
            assert_eq!(closed.cause, Some(LossCause::Aborted));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_ping_flood_to_a_peer_that_never_reads_keeps_one_pong() {
    let (wire, mut task, _gate) = open(Config::default(), echo);
    wire.state().room = 0;
    let flood: Vec<u8> = (0..500u32)
        .flat_map(|i| frame(0x89, &[i as u8; 125], KEY))
        .collect();
    for _ in 0..400 {
        wire.push(flood.clone());
        task.run();
    }
    assert_eq!(wire.state().input.len(), 0, "200 000 pings were read");
    wire.drain();
    task.run();
    let sent = wire.take();
    assert!(
        sent.len() < 20_000,
        "{} octets of pongs were kept",
        sent.len()
    );
    assert_eq!(
        frames(&sent).last().unwrap().payload,
        [243; 125],
        "the newest ping is answered"
    );
}

#[test]
fn ten_pings_in_one_read_are_all_answered_in_order() {
    let (wire, mut task, _gate) = open(Config::default(), echo);
    wire.push(
        (0..10)
            .flat_map(|i| frame(0x89, &[i], KEY))
            .collect::<Vec<_>>(),
    );
    task.run();
    assert_eq!(
        output(&wire)
            .iter()
            .map(|pong| pong.payload[0])
            .collect::<Vec<_>>(),
        (0..10).collect::<Vec<_>>()
    );
}

#[test]
fn a_deflate_bomb_is_stopped_at_the_limit() {
    let limits = Limits {
        message: 1 << 20,
        ..Limits::default()
    };
    let (wire, mut task, _gate) = open(
        Config {
            deflate: Some(Deflate::default()),
            limits,
            ..Config::default()
        },
        echo,
    );
    let zeros = vec![0; 64 << 20];
    let prepared = PreparedMessage::new(zeros.as_slice()).deflated(9, 15);
    let (mut end, mut bomb) = (
        support::End::new(true, Config::default(), Some(support::TAKEOVER)),
        Vec::new(),
    );
    end.connection.send_prepared(&prepared).unwrap();
    for frame in frames(&end.output()) {
        assert!(frame.rsv1 && frame.payload.len() < 80_000);
        bomb = support::frame(0xc2, &frame.payload, KEY);
    }
    wire.push(bomb);
    task.run();
    assert_eq!(close_code(&output(&wire)), Some(1009));
    wire.end();
    task.run();
    let error = task.done.unwrap().result.unwrap_err();
    assert!(matches!(error.find(), Some(Error::Violation(_))));
}

#[test]
fn an_endless_message_is_stopped_by_its_fragments_and_by_its_length() {
    for (payload, code) in [(&[][..], 1008), (&[1; 1000][..], 1009)] {
        let limits = Limits {
            fragments: 1000,
            message: 100_000,
            ..Limits::default()
        };
        let (wire, mut task, _gate) = open(
            Config {
                limits,
                ..Config::default()
            },
            echo,
        );
        wire.push(frame(0x02, payload, KEY));
        for _ in 0..2000 {
            wire.push(frame(0x00, payload, KEY));
        }
        task.run();
        assert_eq!(close_code(&output(&wire)), Some(code));
    }
}

#[test]
fn pings_behind_messages_are_answered_while_the_handler_is_busy() {
    let (wire, mut task, _gate) = open(Config::default(), |upgrade| async {
        let mut socket = upgrade.accept().await?;
        socket.receive().await?;
        poll_fn(|_| Poll::<()>::Pending).await;
        socket.receive().await?;
        Ok(())
    });
    let mut bytes = frame(0x81, b"work", KEY);
    bytes.extend(frame(0x81, b"more work", KEY));
    bytes.extend(frame(0x89, b"there?", KEY));
    wire.push(bytes);
    task.run();
    assert_eq!(output(&wire)[0].payload, b"there?");
    // Reading ahead is bounded.
    for _ in 0..100 {
        wire.push(frame(0x82, &[0; 10_000], KEY));
    }
    task.run();
    assert!(wire.state().input.len() > 80);
}

#[test]
fn a_handler_ends_the_connection_with_what_it_returns() {
    type Case = (&'static str, fn() -> Result, u16);
    let cases: [Case; 5] = [
        ("ok", || Ok(()), 1000),
        (
            "wrong kind of another connection",
            || Err(Error::WrongKind(KindError::new(MessageKind::Text)).into()),
            1011,
        ),
        ("JSON of its own", || Err(serde_json_error().into()), 1011),
        ("own error", || Err("secret".into()), 1011),
        ("panic", || panic!("a handler panics in this test"), 1011),
    ];
    for (name, end, code) in cases {
        let (wire, mut task, _gate) = open(Config::default(), move |upgrade| async move {
            let mut socket = upgrade.accept().await?;
            socket.receive().await?;
            end()
        });
        wire.push(frame(0x81, b"go", KEY));
        task.run();
        let sent = output(&wire);
        assert_eq!((sent.len(), close_code(&sent)), (1, Some(code)), "{name}");
        assert!(!sent[0].payload.ends_with(b"secret"));
    }
}

fn serde_json_error() -> Error {
    serde_json::from_str::<u8>("x").unwrap_err().into()
}

#[test]
fn requests_are_answered_even_without_accept() {
    let cases: [(fn(Upgrade<Wire>) -> Result, &[u8]); 2] = [
        (|_| Ok(()), b"HTTP/1.1 500 "),
        (|_| Err("no".into()), b"HTTP/1.1 500 "),
    ];
    for (handler, want) in cases {
        let (wire, mut task, _gate) = start(Config::default(), |upgrade| {
            std::future::ready(handler(upgrade))
        });
        wire.push(format!("{REQUEST}\r\n"));
        task.run();
        assert!(wire.take().starts_with(want));
    }
    let (wire, mut task, _gate) = start(Config::default(), |upgrade| async {
        upgrade
            .reject(Response::text(401, "who?").with("WWW-Authenticate", "Bearer"))
            .await?;
        Ok(())
    });
    wire.push(format!("{REQUEST}\r\n"));
    task.run();
    assert!(
        wire.take()
            .starts_with(b"HTTP/1.1 401 Unauthorized\r\nContent-Type")
    );
}

#[test]
fn shutting_down_closes_with_1001_and_then_drops() {
    let (wire, mut task, handle) = open(Config::default(), echo);
    handle.close();
    task.run();
    assert_eq!(close_code(&output(&wire)), Some(1001));
    wire.push(frame(0x88, b"\x03\xe9", KEY));
    wire.end();
    task.run();
    assert!(task.done.is_some());
    assert_eq!(handle.open(), 0);

    let (_wire, mut task, handle) = open(Config::default(), |upgrade| async {
        let _socket = upgrade.accept().await?;
        poll_fn(|_| Poll::Pending).await
    });
    handle.drop_all();
    task.run();
    assert!(task.done.is_some());
}

#[test]
fn a_message_that_is_abandoned_half_way_closes_the_connection() {
    let (wire, mut task, _gate) = open(Config::default(), |upgrade| async {
        let mut socket = upgrade.accept().await?;
        socket.receive().await?;
        let mut writer = socket.send_stream(MessageKind::Binary);
        writer.write([1u8, 2].as_slice()).await?;
        drop(writer);
        Ok(())
    });
    wire.push(frame(0x81, b"go", KEY));
    task.run();
    let sent = output(&wire);
    assert_eq!((sent[0].fin, close_code(&sent)), (false, Some(1011)));
}

#[test]
fn futures_and_handles_are_send_and_small() {
    fn send<T: Send>(_: &T) {}
    let mut context = Context::from_waker(std::task::Waker::noop());
    let mut future = Box::pin(serve(
        Wire::default(),
        Arc::default(),
        Once::new(echo),
        ServerHandle::new(1).enter().unwrap(),
        arrival(Instant::ZERO),
    ));
    send(&future);
    assert!(future.as_mut().poll(&mut context).is_pending());
    println!(
        "the future that serves an echo: {} octets",
        size_of_val(&*future)
    );
    println!("WebSocket: {} octets", size_of::<WebSocket<Wire>>());
}
