//! Messages that are lent to a closure, which answers them. RFC 6455 section 6.2.

use crate::support;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;

use sansws_async::{Deflate, Error, HandlerError, Outbox, Payload, Result, Upgrade, WebSocket};
use sansws_core::config::Config;
use sansws_core::error::SendError;
use sansws_core::message::PreparedMessage;
use support::frame;
use support::server::{KEY, close_code, echo, open, output};
use support::wire::Wire;

async fn echo_each(upgrade: Upgrade<Wire>) -> Result {
    let mut socket = upgrade.accept().await?;
    socket
        .receive_each(|message, out| out.send(message))
        .await?;
    Ok(())
}

type Boxed = Pin<Box<dyn Future<Output = Result>>>;

fn echo_each_boxed(upgrade: Upgrade<Wire>) -> Boxed {
    Box::pin(echo_each(upgrade))
}

fn echo_with_boxed(upgrade: Upgrade<Wire>) -> Boxed {
    Box::pin(echo_with(upgrade))
}

async fn echo_with(upgrade: Upgrade<Wire>) -> Result {
    let mut socket = upgrade.accept().await?;
    while let Some(sent) = socket
        .receive_with(|message, out| out.send(message))
        .await?
    {
        sent?;
    }
    Ok(())
}

/// Waits for something that has nothing to do with the connection, until it is free.
async fn busy(free: &Cell<bool>) {
    poll_fn(|_| {
        if free.take() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

/// Compresses without compression: stored blocks, and the first byte of the flush whose rest is left out (RFC 7692, 7.2.1).
fn stored(payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for block in payload.chunks(60_000) {
        let length = u16::try_from(block.len()).unwrap();
        bytes.push(0);
        bytes.extend(length.to_le_bytes());
        bytes.extend((!length).to_le_bytes());
        bytes.extend(block);
    }
    bytes.push(0);
    bytes
}

/// Messages whole and in pieces, with pings and pongs between them; the last is followed by what ends the connection.
fn script(dice: &mut impl FnMut(usize) -> usize, deflate: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in 0..30 {
        let length = [0, 1, 5, 125, 126, 3_000, 20_000, 70_000][dice(8)];
        let letter = b'a' + number % 26;
        let payload = vec![letter; length];
        let opcode = [1, 2][dice(2)];
        match dice(6) {
            0 => bytes.extend(frame(0x89, &payload[..length.min(125)], KEY)),
            1 => bytes.extend(frame(0x8a, b"", KEY)),
            2 => {
                let cut = dice(length + 1);
                bytes.extend(frame(opcode, &payload[..cut], KEY));
                bytes.extend(frame(0x89, b"between", KEY));
                bytes.extend(frame(0x80, &payload[cut..], KEY));
            }
            3 if deflate => bytes.extend(frame(0xc0 | opcode, &stored(&payload), KEY)),
            _ => bytes.extend(frame(0x80 | opcode, &payload, KEY)),
        }
    }
    let end: &[u8] = match dice(4) {
        0 => b"",
        1 => &frame(0x88, &[0x03, 0xe8], KEY),
        2 => &frame(0x88, &[0x0f, 0xa1], KEY),
        // A violation: a continuation of nothing.
        _ => &frame(0x80, b"x", KEY),
    };
    bytes.extend(end);
    bytes
}

/// The output, and the result, of a handler that gets these pieces.
fn answers<F>(
    config: Config,
    handler: fn(Upgrade<Wire>) -> F,
    pieces: &[&[u8]],
) -> (Vec<u8>, String)
where
    F: Future<Output = Result>,
{
    let (wire, mut task, _handle) = open(config, handler);
    for piece in pieces {
        wire.push(*piece);
        task.run();
    }
    wire.end();
    task.run();
    let outcome = task.done.expect("it ended");
    let result = format!("{:?} {:?}", outcome.result, outcome.closed);
    (wire.take(), result)
}

#[test]
fn an_echo_of_lent_messages_answers_as_any_other() {
    for seed in 1..200_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut dice = |most: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) as usize % most
        };
        let mut config = Config::default();
        if dice(2) > 0 {
            config.deflate = Some(Deflate::default());
        }
        let deflate = config.deflate.is_some();
        let script = script(&mut dice, deflate);
        let mut rest = script.as_slice();
        let mut pieces = Vec::new();
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at((1 + dice(60_000)).min(rest.len()));
            pieces.push(piece);
            rest = behind;
        }
        let expected = answers(config.clone(), echo, &pieces);
        assert_eq!(
            answers(config.clone(), echo_each, &pieces),
            expected,
            "seed {seed}"
        );
        assert_eq!(answers(config, echo_with, &pieces), expected, "seed {seed}");
    }
}

#[test]
fn answers_to_messages_that_came_together_leave_together() {
    let (wire, mut task, _handle) = open(Config::default(), echo_each);
    let writes = wire.state().writes;
    wire.push(frame(0x81, b"once", KEY).repeat(200));
    task.run();
    assert_eq!(output(&wire).len(), 200);
    assert_eq!(wire.state().writes, writes + 1);
}

#[test]
fn pings_and_pongs_leave_with_the_answers_and_are_no_messages() {
    let (wire, mut task, handle) = open(Config::default(), |upgrade| async move {
        let mut socket: WebSocket<Wire> = upgrade.accept().await?;
        let answer = |message: Payload<'_>, out: &mut Outbox<'_>| {
            assert!(out.pong([0; 126]).is_err());
            out.pong("alive")?;
            out.send(message)?;
            out.ping("you?")
        };
        socket.receive_each(answer).await?;
        Ok(())
    });
    wire.push(frame(0x81, b"hello", KEY));
    task.run();
    let frames: Vec<_> = output(&wire)
        .into_iter()
        .map(|frame| (frame.opcode, frame.payload))
        .collect();
    let want = [(0xa, "alive"), (1, "hello"), (9, "you?")];
    assert_eq!(frames, want.map(|(opcode, text)| (opcode, text.into())));
    wire.end();
    task.run();
    assert_eq!(handle.metrics().messages_sent, 1);
}

#[test]
fn a_message_is_not_lent_before_there_is_room_for_an_answer() {
    let mut config = Config::default();
    config.limits.write_queue = 10_000;
    let lent = Rc::<Cell<usize>>::default();
    let counted = lent.clone();
    let (wire, mut task, _handle) = open(config, |upgrade| async move {
        let mut socket: WebSocket<Wire> = upgrade.accept().await?;
        let answer = |message: Payload<'_>, out: &mut Outbox<'_>| {
            counted.set(counted.get() + 1);
            // An answer may be longer than the queue.
            out.send(message.as_bytes().repeat(30).as_slice())
        };
        socket.receive_each(answer).await?;
        Ok(())
    });
    wire.allow(0);
    wire.push(frame(0x82, &[7; 1_000], KEY).repeat(50));
    task.run();
    assert_eq!(lent.get(), 1);
    wire.drain();
    task.run();
    assert_eq!(lent.get(), 50);
    assert_eq!(output(&wire).len(), 50);
}

#[test]
fn a_pong_before_a_message_leaves_room_for_its_answer() {
    for handler in [echo_each_boxed, echo_with_boxed] {
        let mut config = Config::default();
        config.limits.write_queue = 1_000;
        let (wire, mut task, _handle) = open(config, handler);
        // Pongs alone fill the queue.
        let pings = frame(0x89, &[7; 125], KEY).repeat(10);
        wire.push([pings, frame(0x81, b"hello", KEY)].concat());
        task.run();
        let frames = output(&wire);
        assert_eq!(frames.last().unwrap().payload, b"hello");
        assert!(frames.iter().all(|frame| frame.opcode != 8));
    }
}

#[test]
fn more_answers_than_may_be_lost_are_told_that_the_peer_is_gone() {
    let (lost, free) = (Rc::<Cell<usize>>::default(), Rc::<Cell<bool>>::default());
    let (counted, freed) = (lost.clone(), free.clone());
    let (wire, mut task, _handle) = open(Config::default(), |upgrade| async move {
        let mut socket: WebSocket<Wire> = upgrade.accept().await?;
        let answer = |_: Payload<'_>, out: &mut Outbox<'_>| {
            for _ in 0..1_000 {
                out.send("answer")?;
                counted.set(counted.get() + 1);
            }
            Ok::<(), Error>(())
        };
        let first = socket.receive_with(|_, out| out.send("first")).await?;
        first.expect("one came")?;
        // The write fails now.
        busy(&freed).await;
        socket.receive_each(answer).await?;
        Ok(())
    });
    wire.state().write_fault = Some(ErrorKind::BrokenPipe);
    wire.push(frame(0x81, b"one", KEY));
    task.run();
    wire.push(frame(0x81, b"two", KEY));
    free.set(true);
    task.wake();
    task.run();
    assert!(wire.state().writes == 1 && lost.get() > 0);
    wire.end();
    task.run();
    let outcome = task.done.expect("it ended");
    assert!(lost.get() <= 16, "{}", lost.get());
    // The application has not failed.
    assert!(outcome.result.is_ok(), "{:?}", outcome.result);
}

#[test]
fn a_second_answer_is_refused_while_the_queue_is_full() {
    let mut config = Config::default();
    config.limits.write_queue = 10_000;
    let seen = Rc::<RefCell<Vec<usize>>>::default();
    let noted = seen.clone();
    let (wire, mut task, _handle) = open(config, |upgrade| async move {
        let mut socket: WebSocket<Wire> = upgrade.accept().await?;
        let answer = |_: Payload<'_>, out: &mut Outbox<'_>| {
            noted.borrow_mut().push(out.queued());
            out.send_prepared(&PreparedMessage::from(vec![1; 12_000]))?;
            noted.borrow_mut().push(out.queued());
            out.send("too much")
        };
        let refused = socket.receive_each(answer).await;
        assert!(
            matches!(refused, Err(Error::NotSent(SendError::QueueFull))),
            "{refused:?}"
        );
        socket.close(1000, "").await?;
        Ok(())
    });
    wire.push(frame(0x81, b"?", KEY));
    task.run();
    assert_eq!(*seen.borrow(), [0, 12_004]);
    let frames = output(&wire);
    assert_eq!((frames.len(), close_code(&frames)), (2, Some(1000)));
}

#[test]
fn a_closure_that_panics_has_used_its_message_up() {
    let received = Rc::<RefCell<Vec<String>>>::default();
    let noted = received.clone();
    let (wire, mut task, _handle) = open(Config::default(), |upgrade| async move {
        let mut socket: WebSocket<Wire> = upgrade.accept().await?;
        poll_fn(|cx| {
            let mut call = pin!(socket.receive_with(|message, out| {
                out.send("before the panic").unwrap();
                assert_ne!(message, Payload::Text("panic"));
            }));
            match catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(cx))) {
                Ok(polled) => {
                    assert!(polled.is_pending());
                    Poll::Pending
                }
                Err(_) => Poll::Ready(()),
            }
        })
        .await;
        while let Some(text) = socket.receive_text().await? {
            noted.borrow_mut().push(text);
        }
        Ok(())
    });
    task.run();
    let messages: [&[u8]; 3] = [b"panic", b"one", b"two"];
    wire.push(messages.map(|text| frame(0x81, text, KEY)).concat());
    wire.push(frame(0x88, &[0x03, 0xe8], KEY));
    wire.end();
    task.run();
    assert_eq!(*received.borrow(), ["one", "two"]);
    assert_eq!(output(&wire)[0].payload, b"before the panic");
}

#[test]
fn a_call_that_is_given_up_has_lent_nothing() {
    let (wire, mut task, _handle) = open(Config::default(), |upgrade: Upgrade<Wire>| async move {
        let mut socket = upgrade.accept().await?;
        poll_fn(|cx| {
            let polled = pin!(socket.receive_with(|_, _| unreachable!("there is none"))).poll(cx);
            assert!(polled.is_pending());
            Poll::Ready(())
        })
        .await;
        socket
            .receive_each(|message, out| out.send(message))
            .await?;
        Ok(())
    });
    task.run();
    wire.push(frame(0x81, b"hello", KEY));
    task.run();
    assert_eq!(output(&wire)[0].payload, b"hello");
}

#[test]
fn messages_that_came_while_the_handler_was_busy_are_lent_first() {
    let free = Rc::<Cell<bool>>::default();
    let freed = free.clone();
    let (wire, mut task, _handle) = open(Config::default(), |upgrade| async move {
        let mut socket: WebSocket<Wire> = upgrade.accept().await?;
        busy(&freed).await;
        let first = socket
            .receive_with(|message, _| message.to_message())
            .await?;
        socket.send(first.expect("one came")).await?;
        busy(&freed).await;
        socket
            .receive_each(|message, out| out.send(message))
            .await?;
        Ok(())
    });
    task.run();
    for round in [b"1", b"2"] {
        wire.push(frame(0x81, round, KEY).repeat(3));
        task.run();
        free.set(true);
        task.wake();
        task.run();
    }
    let answers: Vec<_> = output(&wire)
        .into_iter()
        .map(|frame| frame.payload)
        .collect();
    assert_eq!(answers, [b"1", b"1", b"1", b"2", b"2", b"2"]);
}

#[test]
fn an_error_of_the_closure_ends_the_handler_after_earlier_answers() {
    let (wire, mut task, _handle) = open(Config::default(), |upgrade| async move {
        let mut socket: WebSocket<Wire> = upgrade.accept().await?;
        let answer = |message: Payload<'_>, out: &mut Outbox<'_>| match message {
            Payload::Text("bad") => Err(HandlerError::from("it is bad")),
            message => Ok(out.send(message)?),
        };
        socket.receive_each(answer).await
    });
    let messages: [&[u8]; 3] = [b"good", b"bad", b"unheard"];
    wire.push(messages.map(|text| frame(0x81, text, KEY)).concat());
    task.run();
    let frames = output(&wire);
    assert_eq!((frames.len(), close_code(&frames)), (2, Some(1011)));
    assert_eq!(frames[0].payload, b"good");
}

#[test]
fn a_payload_is_sent_from_memory_that_is_used_again() {
    let (wire, mut task, _handle) = open(Config::default(), |upgrade: Upgrade<Wire>| async move {
        let mut socket = upgrade.accept().await?;
        socket.receive().await?;
        let mut buffer = vec![b'a'; 100];
        for letter in b'a'..=b'c' {
            buffer.fill(letter);
            socket.send_payload(buffer.as_slice()).await?;
        }
        let (_read, mut write) = socket.split();
        write.send_payload("text").await?;
        write.close(1000, "").await.map(drop)?;
        Ok(())
    });
    wire.push(frame(0x81, b"go", KEY));
    task.run();
    let frames = output(&wire);
    let sent: Vec<_> = frames
        .iter()
        .map(|frame| frame.payload.as_slice())
        .collect();
    assert_eq!(
        sent[..4],
        [&[b'a'; 100][..], &[b'b'; 100], &[b'c'; 100], b"text"]
    );
    assert_eq!((frames[0].opcode, frames[3].opcode), (2, 1));
}
