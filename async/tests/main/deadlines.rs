//! Deadlines: keepalive, idle timeouts, messages that take too long.
//! RFC 6455 sections 5.5.2, 7.1.1 and 7.4.1.

use crate::support;

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use sansws_async::internal::receive_request;
use sansws_async::{Result, Upgrade};
use sansws_core::close::LossCause;
use sansws_core::config::Config;
use sansws_core::connection::{Connection, Expired, SendProgress, State};
use sansws_core::error::SendError;
use sansws_core::message::{Payload, PreparedMessage};
use support::server::{KEY, REQUEST, close_code, echo, open, output, pass, start};
use support::wire::{Task, Wire};
use support::{End, frame, frames};

const SECOND: Duration = Duration::from_secs(1);

/// Lets time pass, second by second; what expired, and after how many seconds.
fn wait(end: &mut End, seconds: u64) -> Vec<(u64, Expired)> {
    wait_with(end, seconds, None)
}

fn wait_with(end: &mut End, seconds: u64, progress: Option<SendProgress>) -> Vec<(u64, Expired)> {
    let mut all = Vec::new();
    for second in 1..=seconds {
        end.now = end.now + SECOND;
        end.feed(&[]);
        while let Some(expired) = end.connection.tick_with(end.now, progress) {
            all.push((second, expired));
        }
    }
    all
}

#[test]
fn part_of_a_header_that_is_offered_again_is_no_sign_of_life() {
    let mut end = End::new(true, Config::default(), None);
    end.feed(&[0x82]);
    assert_eq!(
        wait(&mut end, 60),
        [(30, Expired::Silence), (50, Expired::Pong)]
    );
    assert_eq!(end.connection.state(), State::Closed { clean: false });

    let mut end = End::new(true, Config::default(), None);
    end.feed(&[0x82]);
    wait(&mut end, 29);
    end.feed(&[0x85]);
    assert_eq!(wait(&mut end, 29), [], "a fresh octet is one");
}

#[test]
fn a_peer_that_answers_at_once_is_pinged_once_a_millisecond_at_most() {
    let mut config = Config::default();
    config.timeouts.ping = Some(Duration::ZERO);
    let mut end = End::new(true, config, None);
    for _ in 0..3 {
        let due = end.connection.deadline().unwrap();
        assert!(due.since(end.now) >= Duration::from_millis(1));
        end.now = due;
        assert_eq!(end.connection.tick(end.now), Some(Expired::Silence));
        end.feed(&frame(0x8a, b"", KEY));
    }
}

#[test]
fn a_peer_that_falls_silent_inside_a_header_gets_one_ping_and_is_dropped() {
    let (wire, mut task, _gate) = open(Config::default(), echo);
    wire.push([0x82]);
    task.run();
    pass(&wire, &mut task, 31);
    let sent = output(&wire);
    assert_eq!((sent.len(), sent[0].opcode), (1, 9));
    pass(&wire, &mut task, 20);
    let closed = task.done.expect("it was dropped").closed;
    let closed = closed.expect("it was open");
    let want = (1006, Some(LossCause::Unresponsive));
    assert_eq!((closed.code(), closed.cause), want);
}

#[test]
fn a_header_that_comes_byte_by_byte_keeps_the_connection_and_costs_nothing() {
    let (wire, mut task, _gate) = open(Config::default(), echo);
    let bytes = frame(0x82, &[7; 200], KEY);
    let (header, payload) = bytes.split_at(8);
    for byte in header {
        pass(&wire, &mut task, 25);
        wire.push([*byte]);
        task.run();
    }
    assert!(wire.take().is_empty(), "no ping was needed");
    wire.push(payload);
    task.run();
    assert_eq!(frames(&wire.take())[0].payload, [7; 200]);
}

#[test]
fn a_peer_that_never_reads_is_given_up_also_while_bytes_wait_in_a_tls_stream() {
    type Handler = fn(Upgrade<Wire>) -> Pin<Box<dyn Future<Output = Result>>>;
    let handlers: [(&str, Handler, u64); 3] = [
        ("silent", |upgrade| Box::pin(echo(upgrade)), 51),
        (
            "closed by the handler",
            |upgrade| {
                Box::pin(async {
                    let mut socket = upgrade.accept().await?;
                    socket.receive().await?;
                    socket.close(1000, "").await?;
                    Ok(())
                })
            },
            6,
        ),
        (
            "closed by its driver",
            |upgrade| {
                Box::pin(async {
                    upgrade.accept().await?.receive().await?;
                    Ok(())
                })
            },
            6,
        ),
    ];
    for (name, handler, seconds) in handlers {
        let (wire, mut task, handle) = open(Config::default(), handler);
        wire.state().stuck = true;
        wire.push(frame(0x81, b"hello", KEY));
        task.run();
        pass(&wire, &mut task, seconds);
        assert!(task.done.is_some(), "{name}");
        assert_eq!(handle.open(), 0, "{name}");
    }
}

#[test]
fn a_peer_that_is_owed_something_is_pinged_once_it_has_taken_that() {
    let mut end = End::new(true, Config::default(), None);
    end.connection.send(vec![0u8; 2 << 20]).unwrap();
    assert_eq!(end.connection.send_text("more"), Err(SendError::QueueFull));
    assert_eq!(wait(&mut end, 30), [(30, Expired::Silence)]);
    assert_eq!(frames(&end.output()).len(), 1, "no ping behind the message");
    assert_eq!(wait(&mut end, 19), []);
    // All of it was taken: a ping is next.
    assert_eq!(wait(&mut end, 1), []);
    assert_eq!(frames(&end.output())[0].opcode, 9);
    assert_eq!(wait(&mut end, 20), [(20, Expired::Pong)]);
}

/// A second passes, in which the peer acknowledges so many octets of `left`.
fn acknowledge(end: &mut End, left: &mut u64, bytes: u64, total: u64) -> Vec<Expired> {
    *left = left.saturating_sub(bytes);
    let progress = SendProgress {
        acknowledged: total - *left,
        outstanding: *left > 0,
    };
    let all = wait_with(end, 1, Some(progress));
    all.into_iter().map(|(_, what)| what).collect()
}

#[test]
fn a_peer_lives_while_its_kernel_acknowledges_and_not_because_ours_accepts() {
    for server in [true, false] {
        let mut end = End::new(server, Config::default(), None);
        end.connection.send(vec![0u8; 2 << 20]).unwrap();
        // All of it is with our kernel at once; the peer reads 30 kB a second, and says nothing.
        let total = end.output().len() as u64;
        let (mut left, mut expired, mut pinged) = (total, Vec::new(), false);
        while left > 0 {
            expired.extend(acknowledge(&mut end, &mut left, 30_000, total));
            pinged = !end.output().is_empty();
            assert!(!pinged || left == 0, "a ping behind {left} octets");
        }
        assert_eq!(expired, [Expired::Silence]);
        // Then it is pinged, within the time of a pong, and lives when it answers.
        while !pinged {
            acknowledge(&mut end, &mut left, 0, total);
            pinged = !end.output().is_empty();
        }
        assert!(end.connection.is_open());
        end.feed(&frame(0x8a, b"", if server { KEY } else { None }));
        assert!(end.connection.is_open());

        // That the kernel of a peer takes the ping proves nothing.
        let mut silent = Vec::new();
        for second in 0..60 {
            let total = total + second;
            silent.extend(acknowledge(&mut end, &mut left, 0, total));
            end.output();
        }
        assert_eq!(silent, [Expired::Silence, Expired::Pong]);
    }
}

#[test]
fn a_peer_that_takes_nothing_more_is_given_up_in_time() {
    for stops_after in [0, 1, 29, 31, 49, 51, 60] {
        let mut end = End::new(true, Config::default(), None);
        end.connection.send(vec![0u8; 4 << 20]).unwrap();
        let total = end.output().len() as u64;
        let mut left = total;
        for second in 0u64.. {
            let taken = if second < stops_after { 30_000 } else { 0 };
            if acknowledge(&mut end, &mut left, taken, total).contains(&Expired::Pong) {
                let silent = second - stops_after;
                assert!(silent <= 50, "{silent} s after it stopped at {stops_after}");
                break;
            }
        }
    }
}

#[test]
fn a_peer_that_takes_nothing_is_given_up_though_its_input_is_paused() {
    let mut end = End::new(true, Config::default(), None);
    end.connection.send(vec![0u8; 4 << 20]).unwrap();
    let total = end.output().len() as u64;
    let mut left = total;
    end.connection.pause();
    let expired: Vec<_> = (0..60)
        .flat_map(|_| acknowledge(&mut end, &mut left, 0, total))
        .collect();
    assert_eq!(expired, [Expired::Silence, Expired::Pong]);
}

#[test]
fn a_connection_asks_its_transport_how_far_the_peer_is() {
    let (wire, mut task, _gate) = open(Config::default(), |upgrade| async {
        let mut socket = upgrade.accept().await?;
        socket.receive().await?;
        socket.send(vec![0u8; 1 << 20]).await?;
        socket.receive().await?;
        Ok(())
    });
    wire.push(frame(0x81, b"go", KEY));
    task.run();
    for second in 0..300u64 {
        wire.state().progress = Some(SendProgress {
            acknowledged: second * 1_000,
            outstanding: true,
        });
        pass(&wire, &mut task, 1);
        assert!(task.done.is_none(), "dropped after {second} seconds");
    }
    assert_eq!(output(&wire).len(), 1, "and not pinged");
    pass(&wire, &mut task, 51);
    assert!(task.done.is_some());
}

#[test]
fn a_peer_that_takes_what_it_is_owed_lives_and_one_that_does_not_is_dead() {
    let mut config = Config::default();
    config.timeouts.message = Some(Duration::from_secs(40));
    config.timeouts.idle = Some(Duration::from_secs(45));
    let mut end = End::new(true, config, None);
    end.feed(&frame(0x01, b"begun", KEY));
    end.connection.send(vec![0u8; 900_000]).unwrap();
    // 4 kB a second; what the peer says meanwhile is not read.
    let mut expired = Vec::new();
    while !end.connection.wants_input() {
        expired.extend(wait(&mut end, 1).into_iter().map(|(_, what)| what));
        let mut slices: [&[u8]; 4] = [&[]; 4];
        assert!(end.connection.transmit(&mut slices) > 0);
        end.connection.transmitted(4_000);
    }
    assert_eq!(expired, [Expired::Silence], "one ping in all that time");
    // The rest of the message has its full time from here on.
    assert_eq!(wait(&mut end, 19), []);

    let mut end = End::new(true, Config::default(), None);
    end.connection.send(vec![0u8; 900_000]).unwrap();
    assert_eq!(
        wait(&mut end, 60),
        [(30, Expired::Silence), (50, Expired::Pong)]
    );
}

#[test]
fn nothing_runs_out_while_input_is_left_unread_on_purpose() {
    let mut config = Config::default();
    config.timeouts.message = Some(Duration::from_secs(40));
    config.timeouts.idle = Some(Duration::from_secs(45));
    let mut end = End::new(true, config, None);
    end.feed(&frame(0x01, b"begun", KEY));
    end.connection.pause();
    assert_eq!(wait(&mut end, 1000), [(30, Expired::Silence)]);
    end.connection.resume(end.now);
    assert_eq!(
        wait(&mut end, 41),
        [(30, Expired::Silence), (40, Expired::Message)]
    );
}

/// The event that a busy handler awaits.
#[derive(Default)]
struct Free(Cell<bool>, Cell<Option<Waker>>);

/// A handler that receives one message, is busy until it is told, and then receives on.
async fn busy(upgrade: Upgrade<Wire>, free: Rc<Free>) -> Result {
    let mut socket = upgrade.accept().await?;
    socket.receive().await?;
    poll_fn(|cx| {
        free.1.set(Some(cx.waker().clone()));
        if free.0.get() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    while let Some(message) = socket.receive().await? {
        socket.send(message).await?;
    }
    Ok(())
}

#[test]
fn a_peer_whose_messages_wait_for_a_busy_handler_is_not_dead() {
    let free = Rc::<Free>::default();
    let (wire, mut task, _gate) = open(Config::default(), |upgrade| busy(upgrade, free.clone()));
    wire.push(frame(0x81, b"go", KEY));
    wire.push(frame(0x82, &[1; 70_000], KEY));
    task.run();
    // Its pongs wait behind the message.
    for _ in 0..300 {
        let pings = output(&wire).into_iter().filter(|frame| frame.opcode == 9);
        pings.for_each(|ping| wire.push(frame(0x8a, &ping.payload, KEY)));
        pass(&wire, &mut task, 1);
    }
    free.0.set(true);
    free.1.take().expect("it waits").wake();
    wire.push(frame(0x81, b"still here", KEY));
    task.run();
    let echoed = output(&wire);
    assert_eq!(echoed[0].payload, [1; 70_000]);
    assert_eq!(echoed[1].payload, b"still here");
    // From then on silence counts again.
    pass(&wire, &mut task, 51);
    assert!(task.done.is_some());
}

#[test]
fn a_peer_that_reads_slowly_is_not_dead() {
    let (wire, mut task, _gate) = open(Config::default(), |upgrade| async {
        let mut socket = upgrade.accept().await?;
        socket.receive().await?;
        loop {
            socket.send(vec![0u8; 60_000]).await?;
        }
    });
    wire.state().room = 0;
    wire.push(frame(0x81, b"go", KEY));
    task.run();
    for second in 0..300 {
        wire.drain();
        wire.state().room = 10_000;
        task.run();
        pass(&wire, &mut task, 1);
        assert!(task.done.is_none(), "dropped after {second} seconds");
    }
    // It stops reading.
    pass(&wire, &mut task, 71);
    assert!(task.done.is_some());
}

#[test]
fn a_peer_of_halves_whose_reader_is_busy_is_not_dead() {
    let wire = Wire::default();
    wire.push(format!("{REQUEST}\r\n"));
    let (halves, place) = (Rc::new(Cell::new(None)), wire.clone());
    let slot = halves.clone();
    let mut opening = Task::new(async move {
        let upgrade = receive_request(place, Arc::default()).await.unwrap();
        slot.set(Some(upgrade.accept().await.unwrap().split()));
    });
    opening.run();
    wire.take();
    let (mut read, mut write) = halves.take().expect("it is open");
    // The writer waits for a peer that takes a little now and then, the reader for something else.
    wire.state().room = 0;
    let mut writing = Task::new(async move {
        write.send(vec![0u8; 50_000]).await.unwrap();
        write.flush().await.unwrap();
        write
    });
    writing.run();
    for second in 0..300 {
        if second % 10 == 0 {
            wire.push(frame(0x8a, b"", KEY));
        }
        pass(&wire, &mut writing, 1);
    }
    wire.push(frame(0x81, b"alive", KEY));
    let mut reading = Task::new(async move { read.receive().await });
    reading.run();
    assert!(
        matches!(reading.done, Some(Ok(Some(_)))),
        "{:?}",
        reading.done
    );
}

#[test]
fn a_message_that_was_not_read_on_has_its_full_time_again() {
    let mut config = Config::default();
    config.timeouts.ping = None;
    config.timeouts.message = Some(Duration::from_secs(40));
    let free = Rc::<Free>::default();
    let (wire, mut task, _gate) = open(config, |upgrade| busy(upgrade, free.clone()));
    wire.push(frame(0x81, b"go", KEY));
    wire.push(frame(0x02, &[1; 60_000], KEY));
    wire.push(frame(0x00, &[1; 10_000], KEY));
    task.run();
    pass(&wire, &mut task, 39);
    free.0.set(true);
    free.1.take().expect("it waits").wake();
    task.run();
    pass(&wire, &mut task, 20);
    wire.push(frame(0x80, b"end", KEY));
    task.run();
    assert_eq!(output(&wire)[0].payload.len(), 70_003);
}

#[test]
fn input_without_end_lets_others_run_and_stops_no_clock() {
    let pongs = frame(0x8a, b"x", KEY).repeat(1000);
    let cases: [(&str, Vec<u8>, &[u8], u64); 4] = [
        ("pongs of an idle peer", pongs.clone(), b"", 12),
        ("messages", frame(0x81, b"x", KEY).repeat(1000), b"", 0),
        ("a fault, and no end", pongs.clone(), b"\x81\x01x", 6),
        ("after the peer's Close", pongs, b"\x88\x80\0\0\0\0", 6),
    ];
    for (name, flood, first, seconds) in cases {
        let mut config = Config::default();
        config.timeouts.idle = Some(5 * SECOND);
        let (wire, mut task, _gate) = open(config, |upgrade| async {
            let mut socket = upgrade.accept().await?;
            while socket.receive().await?.is_some() {}
            Ok(())
        });
        wire.push([first, &flood].concat());
        wire.state().flood = Some(flood);
        for _ in 0..seconds * 10 + 10 {
            let before = wire.state().reads;
            task.turn();
            assert!(wire.state().reads - before <= 130, "{name}");
            wire.pass(SECOND / 10);
        }
        assert_eq!(task.done.is_some(), seconds > 0, "{name}");
    }
    // So it is for a refused client that does not stop.
    let (wire, mut task, _gate) = start(Config::default(), echo);
    wire.push("nonsense\r\n\r\n");
    wire.state().flood = Some(vec![0; 1000]);
    for _ in 0..60 {
        let before = wire.state().reads;
        task.turn();
        assert!(wire.state().reads - before <= 65);
        wire.pass(SECOND / 10);
    }
    assert!(task.done.is_some());
}

#[test]
fn a_connection_on_which_messages_are_sent_is_not_idle() {
    let mut config = Config::default();
    config.timeouts.idle = Some(60 * SECOND);
    config.timeouts.ping = None;
    let prepared = PreparedMessage::new("tick");
    type Send = fn(&mut Connection, &PreparedMessage) -> Result<(), SendError>;
    let sends: [Send; 4] = [
        |connection, _| connection.send_text("tick"),
        |connection, _| connection.send(vec![0; 20_000]),
        |connection, prepared| connection.send_prepared(prepared),
        |connection, _| connection.send_piece(Payload::Text("tick"), false),
    ];
    for (at, send) in sends.into_iter().enumerate() {
        let mut end = End::new(true, config.clone(), None);
        for _ in 0..10 {
            assert_eq!(wait(&mut end, 40), [], "{at}");
            send(&mut end.connection, &prepared).unwrap();
            end.output();
        }
        // A ping is not a message.
        wait(&mut end, 40);
        end.connection.ping(b"").unwrap();
        assert_eq!(wait(&mut end, 25), [(21, Expired::Idle)], "{at}");
    }

    // So it is for a handler that only sends, at moments of its own.
    let free = Rc::<Free>::default();
    let told = free.clone();
    let (wire, mut task, _gate) = open(config, |upgrade| async move {
        let mut socket = upgrade.accept().await?;
        socket.receive().await?;
        loop {
            socket.send_text("tick").await?;
            let mut turns = 0;
            poll_fn(|cx| {
                turns += 1;
                told.1.set(Some(cx.waker().clone()));
                if turns > 1 && told.0.take() {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            })
            .await;
        }
    });
    wire.push(frame(0x81, b"go", KEY));
    task.run();
    for _ in 0..10 {
        pass(&wire, &mut task, 40);
        free.0.set(true);
        free.1.take().expect("it waits").wake();
        task.run();
        assert_eq!(output(&wire).last().unwrap().payload, b"tick");
    }
    pass(&wire, &mut task, 59);
    assert!(output(&wire).is_empty());
    pass(&wire, &mut task, 2);
    assert_eq!(close_code(&output(&wire)), Some(1001));
}

#[test]
fn a_wait_begins_when_its_cause_is_found_and_not_when_it_was_read() {
    // The peer's Close, a fault, and a message that is not whole, each behind a message that takes long.
    let cases: [(&[u8], u64); 3] = [
        (b"\x88\x80\0\0\0\0", 5),
        (b"\x81\x01x", 5),
        (b"\x81\x85\0\0\0\0he", 20),
    ];
    for (behind, seconds) in cases {
        let mut config = Config::default();
        config.timeouts.ping = None;
        config.timeouts.message = Some(15 * SECOND);
        let wire = Wire::default();
        wire.push(format!("{REQUEST}\r\n"));
        wire.push([&frame(0x81, b"work", KEY), behind].concat());
        let working = wire.clone();
        let mut task = Task::new(async move {
            let upgrade = receive_request(working.clone(), Arc::new(config)).await?;
            let mut socket = upgrade.accept().await?;
            socket.receive().await?;
            working.pass(100 * SECOND);
            let _ = socket.receive().await;
            socket.close(1000, "").await
        });
        task.run();
        pass(&wire, &mut task, seconds - 1);
        assert!(task.done.is_none(), "{behind:?}");
        pass(&wire, &mut task, 2);
        assert!(task.done.is_some(), "{behind:?}");
    }
}

#[test]
fn a_message_that_drags_on_and_a_peer_that_idles_are_closed_on() {
    for (first, code) in [(&frame(0x01, b"begun", KEY)[..], 1008), (b"", 1001)] {
        let mut config = Config::default();
        config.timeouts.message = Some(40 * SECOND);
        config.timeouts.idle = Some(60 * SECOND);
        let (wire, mut task, _gate) = open(config, echo);
        if !first.is_empty() {
            wire.push(first);
        }
        let seconds = if code == 1008 { 40 } else { 60 };
        // Part of the message, or a pong, every nine seconds.
        for second in 0..seconds - 1 {
            if second % 9 == 0 {
                let more = if code == 1008 { 0x00 } else { 0x8a };
                wire.push(frame(more, b"x", KEY));
            }
            pass(&wire, &mut task, 1);
        }
        assert_eq!(close_code(&output(&wire)), None, "{code}");
        pass(&wire, &mut task, 2);
        assert_eq!(close_code(&output(&wire)), Some(code));
    }
}
