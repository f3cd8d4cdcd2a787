//! The async shell, future by future: dropped at any await point, used from two tasks, in pieces.
//! RFC 6455 sections 5.4 and 6.

use crate::support;

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use sansws_async::internal::{connect, receive_request};
use sansws_async::{ConnectOptions, Error, Result, WebSocket};
use sansws_core::config::{Config, Deflate, Limits};
use sansws_core::frame::MessageKind;
use sansws_core::message::{Message, Payload, PreparedMessage};
use sansws_core::random::Seed;
use support::wire::{Task, Wire};

/// Polls a future at most `patience` times, in turns of their own, then drops it.
async fn impatient<F: Future>(future: F, patience: u32) -> Option<F::Output> {
    let (mut future, mut left) = (pin!(future), patience);
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        cx.waker().wake_by_ref();
        future.as_mut().poll(cx).map(Some)
    })
    .await
}

fn dice(seed: &Cell<u64>, sides: u64) -> u64 {
    seed.set(
        seed.get()
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407),
    );
    (seed.get() >> 33) % sides
}

const COUNT: u32 = 60;

fn message(i: u32) -> Message {
    match i % 3 {
        0 => Message::Text(format!("message {i} €")),
        1 => Message::Binary(vec![i as u8; 20_000]),
        _ => Message::Binary(i.to_be_bytes().to_vec()),
    }
}

/// Sends a message by one of the ways there are; whether it was accepted.
async fn put(socket: &mut WebSocket<Wire>, seed: &Cell<u64>, message: Message) -> Result<bool> {
    let patience = dice(seed, 3) as u32;
    let payload = match &message {
        Message::Text(text) => Payload::Text(text),
        Message::Binary(bytes) => Payload::Binary(bytes),
    };
    match dice(seed, 4) {
        // Accepted or not: a send that was dropped has not happened.
        0 => {
            let prepared = PreparedMessage::new(payload);
            let sent = impatient(socket.send_prepared(&prepared), patience).await;
            Ok(sent.transpose()?.is_some())
        }
        1 => {
            let mut writer = socket.send_stream(message.kind());
            let (one, two) = match payload {
                Payload::Text(text) => {
                    let (one, two) = text.split_at(4);
                    (Payload::Text(one), Payload::Text(two))
                }
                Payload::Binary(bytes) => {
                    let (one, two) = bytes.split_at(bytes.len() / 3);
                    (Payload::Binary(one), Payload::Binary(two))
                }
            };
            for piece in [one, two] {
                let mut written = None;
                while written.is_none() {
                    let patience = dice(seed, 3) as u32;
                    written = impatient(writer.write(piece), patience).await.transpose()?;
                }
            }
            writer.finish().await?;
            Ok(true)
        }
        _ => {
            let sent = impatient(socket.send(message), patience).await;
            Ok(sent.transpose()?.is_some())
        }
    }
}

/// Receives a message, whole or in pieces, or loses patience.
async fn take(socket: &mut WebSocket<Wire>, seed: &Cell<u64>) -> Result<Option<Message>> {
    let patience = dice(seed, 3) as u32;
    if dice(seed, 3) > 0 {
        let got = impatient(socket.receive(), patience).await.transpose()?;
        return Ok(got.flatten());
    }
    let begun = impatient(socket.receive_stream(), patience).await;
    let Some(mut reader) = begun.transpose()?.flatten() else {
        return Ok(None);
    };
    let (kind, mut bytes) = (reader.kind(), Vec::new());
    loop {
        let patience = dice(seed, 3) as u32;
        match impatient(reader.next(), patience).await.transpose()? {
            None => {}
            Some(Some(piece)) => bytes.extend(piece.into_bytes()),
            Some(None) => break,
        }
    }
    Ok(Some(match kind {
        MessageKind::Text => Message::Text(String::from_utf8(bytes).expect("whole characters")),
        MessageKind::Binary => Message::Binary(bytes),
    }))
}

/// Sends and receives numbered messages with futures that are dropped at random.
async fn talk(mut socket: WebSocket<Wire>, seed: u64) -> Result<()> {
    let seed = Cell::new(seed);
    let (mut sent, mut received) = (0, 0);
    while sent < COUNT {
        let patience = dice(&seed, 3) as u32;
        match dice(&seed, 8) {
            0..3 => sent += u32::from(put(&mut socket, &seed, message(sent)).await?),
            3 => drop(impatient(socket.flush(), patience).await.transpose()?),
            4 => drop(
                impatient(socket.ping([7; 20]), patience)
                    .await
                    .transpose()?,
            ),
            _ if received < COUNT => {
                if let Some(got) = take(&mut socket, &seed).await? {
                    assert_eq!(got, message(received), "message {received}");
                    received += 1;
                }
            }
            _ => socket.flush().await?,
        }
    }
    // From here on nothing but a true wake-up helps.
    socket.flush().await?;
    while received < COUNT {
        assert_eq!(
            socket.receive().await?,
            Some(message(received)),
            "message {received}"
        );
        received += 1;
    }
    let mut closed = None;
    for patience in [0, 1, 2, u32::MAX] {
        closed = closed.or(impatient(socket.close(1000, "done"), patience).await);
    }
    let closed = closed.expect("it was waited for")?;
    assert!(closed.is_some_and(|closed| closed.clean));
    Ok(())
}

#[test]
fn futures_that_are_dropped_at_any_await_lose_nothing_and_tear_nothing() {
    for seed in 0..150 {
        let (one, two) = Wire::pair(seed);
        let config = Arc::new(Config {
            deflate: (seed % 2 == 0).then(Deflate::default),
            ..Config::default()
        });
        let url = "ws://a/".parse().unwrap();
        let (server_config, seeds) = (config.clone(), Seed::new([seed as u8; 32]));
        let mut client = Task::new(async move {
            let socket =
                connect(one, &url, ConnectOptions::default().options, config, seeds).await?;
            talk(socket, seed).await
        });
        let mut server = Task::new(async move {
            let socket = receive_request(two, server_config).await?.accept().await?;
            talk(socket, seed + 1000).await
        });
        // Turn by turn: one that waits in steps of its own must not keep the other from its.
        while client.turn() | server.turn() {}
        assert!(
            matches!(client.done, Some(Ok(()))),
            "seed {seed}: {:?}",
            client.done
        );
        assert!(
            matches!(server.done, Some(Ok(()))),
            "seed {seed}: {:?}",
            server.done
        );
    }
}

#[test]
fn halves_in_two_tasks_never_lose_a_wake_up() {
    for seed in 0..100 {
        let (one, two) = Wire::pair(seed);
        let url = "ws://a/".parse().unwrap();
        let opened: Rc<Cell<Option<WebSocket<Wire>>>> = Rc::default();
        let (place, seeds) = (opened.clone(), Seed::new([seed as u8; 32]));
        let mut dialing = Task::new(async move {
            place.set(Some(
                connect(
                    one,
                    &url,
                    ConnectOptions::default().options,
                    Arc::default(),
                    seeds,
                )
                .await
                .unwrap(),
            ))
        });
        let mut server = Task::new(async move {
            let mut socket = receive_request(two, Arc::default()).await?.accept().await?;
            while let Some(message) = socket.receive().await? {
                socket.ping("ping").await?;
                socket.send(message).await?;
            }
            Ok::<(), Error>(())
        });
        while dialing.run() | server.run() {}
        let (mut read, mut write) = opened.take().expect("connected").split();
        let mut writing = Task::new(async move {
            for i in 0..COUNT {
                write.send(message(i)).await.unwrap();
            }
            write
        });
        let mut reading = Task::new(async move {
            for i in 0..COUNT {
                assert_eq!(read.receive().await.unwrap(), Some(message(i)));
            }
            read
        });
        while server.run() | writing.run() | reading.run() {}
        let (read, write) = (
            reading.done.expect("all was read"),
            writing.done.expect("all was written"),
        );
        assert!(read.reunite(write).is_ok());
    }
}

#[test]
fn messages_stream_in_pieces_both_ways() {
    for seed in 0..40 {
        let (one, two) = Wire::pair(seed);
        let url = "ws://a/".parse().unwrap();
        let small = Config {
            limits: Limits {
                message: 1000,
                frame: 1000,
                ..Limits::default()
            },
            ..Config::default()
        };
        let mut client = Task::new(async move {
            let mut socket = connect(
                one,
                &url,
                ConnectOptions::default().options,
                Arc::default(),
                Seed::new([3; 32]),
            )
            .await?;
            for _ in 0..2 {
                let mut writer = socket.send_stream(MessageKind::Text);
                for _ in 0..50 {
                    writer.write("Zeichen für Zeichen ").await?;
                }
                writer.finish().await?;
            }
            socket.send_text("end").await?;
            assert_eq!(socket.receive_text().await?.as_deref(), Some("got it"));
            socket.close(1000, "").await?;
            Ok::<(), Error>(())
        });
        let mut server = Task::new(async move {
            let mut socket = receive_request(two, Arc::new(small))
                .await?
                .accept()
                .await?;
            let mut reader = socket.receive_stream().await?.expect("a message");
            let mut text = String::new();
            while let Some(piece) = reader.next().await? {
                text.push_str(piece.as_text().expect("text"));
            }
            assert_eq!(
                text,
                "Zeichen für Zeichen ".repeat(50),
                "longer than the limit on what is held"
            );
            // The second is left after its first piece: the rest is passed over.
            socket
                .receive_stream()
                .await?
                .expect("a message")
                .next()
                .await?;
            assert_eq!(socket.receive_text().await?.as_deref(), Some("end"));
            socket.send_text("got it").await?;
            while socket.receive().await?.is_some() {}
            Ok::<(), Error>(())
        });
        while client.run() | server.run() {}
        assert!(
            matches!(server.done, Some(Ok(()))),
            "{seed}: {:?}",
            server.done
        );
        assert!(
            matches!(client.done, Some(Ok(()))),
            "{seed}: {:?}",
            client.done
        );
    }
}

#[test]
fn a_dial_that_is_dropped_leaves_part_of_a_request_and_nothing_else() {
    for seed in 0..20 {
        for patience in 0..12 {
            let (one, two) = Wire::pair(seed);
            let url = "ws://a/".parse().unwrap();
            let options = ConnectOptions::default().options;
            let mut dialing = Task::new(async move {
                let dial = connect(one, &url, options, Arc::default(), Seed::new([3; 32]));
                impatient(dial, patience).await.is_none()
            });
            dialing.run();
            assert_eq!(dialing.done, Some(true), "nobody answers");
            let written = two.state().input.make_contiguous().concat();
            let whole = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n";
            let head = &whole.as_bytes()[..whole.len().min(written.len())];
            assert!(written.starts_with(head));
            let ends = written.windows(4).filter(|four| four == b"\r\n\r\n");
            assert!(ends.count() <= 1);
        }
    }
}

#[test]
fn a_message_whose_finish_is_dropped_is_finished_or_closes_the_connection() {
    let (mut finished, mut closed) = (0, 0);
    for room in 0..2 {
        let wire = Wire::default();
        let limits = Limits {
            write_queue: 1000,
            ..Limits::default()
        };
        let config = Config {
            limits,
            ..Config::default()
        };
        wire.push(format!("{}\r\n", support::server::REQUEST));
        let place = wire.clone();
        let mut task = Task::new(async move {
            let upgrade = receive_request(place.clone(), Arc::new(config)).await?;
            let mut socket = upgrade.accept().await?;
            place.take();
            place.state().room = room * 10_000;
            let mut writer = socket.send_stream(MessageKind::Binary);
            writer.write([7; 2000].as_slice()).await?;
            let done = impatient(writer.finish(), 2).await.is_some();
            place.drain();
            socket.flush().await?;
            Ok::<bool, Error>(done)
        });
        task.run();
        let sent = support::frames(&wire.take());
        if task.done.expect("done").expect("no failure") {
            finished += 1;
            assert!(sent[1].fin && sent[1].opcode == 0);
        } else {
            closed += 1;
            assert_eq!(support::server::close_code(&sent), Some(1011));
        }
    }
    assert_eq!((finished, closed), (1, 1));
}
