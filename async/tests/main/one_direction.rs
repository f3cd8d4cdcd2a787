//! A connection one direction of which fails, or is all that is used: what arrived is delivered, and who only sends sees the rest.
//! RFC 6455 sections 5.5 and 7.1.

use crate::support;

use std::cell::Cell;
use std::future::poll_fn;
use std::io::ErrorKind;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_sink::Sink;
use sansws_async::internal::connect;
use sansws_async::{Error, Outbox, Payload, Result, WebSocket};
use sansws_core::close::LossCause;
use sansws_core::config::{Config, Timeouts};
use sansws_core::error::{SendError, Violation};
use sansws_core::http::Url;
use sansws_core::message::Message;
use sansws_core::random::Seed;
use support::server::{KEY, close_code, open, output, pass};
use support::wire::{Task, Wire};
use support::{frame, frames};

/// A client whose handshake is done.
fn client(config: Config) -> (Wire, WebSocket<Wire>) {
    let wire = Wire::default();
    let url: Url = "ws://a/".parse().unwrap();
    let (place, config) = (wire.clone(), Arc::new(config));
    let seed = Seed::new([7; 32]);
    let mut task = Task::new(async move {
        let options = sansws_async::ConnectOptions::default().options;
        connect(place, &url, options, config, seed).await
    });
    task.run();
    let request = String::from_utf8(wire.take()).unwrap();
    let key = request
        .lines()
        .find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
    let accept = sansws_core::handshake::accept_key(key.unwrap().trim().as_bytes());
    wire.push(format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    ));
    task.run();
    (wire, task.done.unwrap().unwrap())
}

fn done<T>(future: impl Future<Output = T>) -> T {
    let mut task = Task::new(future);
    task.run();
    task.done.expect("it waits for nothing")
}

/// All that is received, and how it ended.
async fn rest(socket: &mut WebSocket<Wire>) -> (usize, Result<Option<Message>, Error>) {
    let mut received = 0;
    loop {
        match socket.receive().await {
            Ok(Some(_)) => received += 1,
            end => return (received, end),
        }
    }
}

fn code(end: &Result<impl Sized, Error>) -> u16 {
    match end {
        Err(Error::Disconnect(closed)) => closed.code(),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it did not end"),
    }
}

/// `SinkExt::buffer` asks with each poll of its end.
#[test]
fn a_sink_that_closes_may_be_asked_whether_it_is_ready() {
    let (wire, mut socket) = client(Config::default());
    let (mut sink, cx) = (
        Pin::new(&mut socket),
        &mut Context::from_waker(Waker::noop()),
    );
    assert!(sink.as_mut().poll_close(cx).is_pending());
    for _ in 0..2 {
        let ready = sink.as_mut().poll_ready(cx);
        assert!(matches!(ready, Poll::Ready(Ok(()))), "{ready:?}");
        let sent = sink.as_mut().start_send("late".into());
        assert!(
            matches!(sent, Err(Error::NotSent(SendError::Closing))),
            "{sent:?}"
        );
        wire.push([0x88, 2, 3, 0xe8]);
        wire.end();
        let closed = sink.as_mut().poll_close(cx);
        assert!(matches!(closed, Poll::Ready(Ok(()))), "{closed:?}");
    }
}

#[test]
fn a_handler_that_answers_receives_all_that_was_sent_before_the_peer_left() {
    let ends = [(1000, true), (4001, true), (4001, false)];
    let all = ends.map(|end| [(end, false), (end, true)]).into_iter();
    for ((code, ends), lends) in all.flatten() {
        let received = Rc::<Cell<usize>>::default();
        let counted = received.clone();
        let (wire, mut task, _gate) = open(Config::default(), |upgrade| async move {
            let mut socket = upgrade.accept().await?;
            if lends {
                let answer = |message: Payload<'_>, out: &mut Outbox<'_>| {
                    counted.set(counted.get() + 1);
                    out.send(message)
                };
                return Ok(socket.receive_each(answer).await?);
            }
            while let Some(message) = socket.receive().await? {
                counted.set(counted.get() + 1);
                socket.send(message).await?;
            }
            Ok(())
        });
        wire.state().write_fault = Some(ErrorKind::BrokenPipe);
        for _ in 0..40 {
            wire.push(frame(0x82, &[1; 20_000], KEY));
        }
        wire.push(frame(0x88, &u16::to_be_bytes(code), KEY));
        if ends {
            wire.end();
        } else {
            wire.fail(ErrorKind::ConnectionReset);
        }
        task.run();
        let outcome = task.done.expect("it ended");
        assert_eq!(received.get(), 40);
        assert_eq!(outcome.closed.unwrap().code(), code);
        assert!(outcome.result.is_ok(), "{:?}", outcome.result);
    }
}

#[test]
fn a_handler_that_was_busy_answers_all_that_came_before_the_peer_left() {
    // The messages read ahead, and the Close behind them, while the handler waited for something else.
    let (free, received) = (Rc::<Cell<Option<Waker>>>::default(), Rc::new(Cell::new(0)));
    let (told, counted) = (free.clone(), received.clone());
    let (wire, mut task, _gate) = open(Config::default(), |upgrade| async move {
        let mut socket = upgrade.accept().await?;
        let mut waited = false;
        poll_fn(|cx| {
            told.set(Some(cx.waker().clone()));
            if std::mem::replace(&mut waited, true) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        while let Some(message) = socket.receive().await? {
            counted.set(counted.get() + 1);
            socket.send(message).await?;
            socket.send("and another").await?;
        }
        Ok(())
    });
    for _ in 0..40 {
        wire.push(frame(0x81, b"short", KEY));
    }
    wire.push(frame(0x88, b"\x0f\xa1", KEY));
    // The handler's first turn is over; its driver reads.
    task.turn();
    free.take().expect("it waits").wake();
    wire.end();
    task.run();
    let outcome = task.done.expect("it ended");
    assert_eq!((received.get(), outcome.closed.unwrap().code()), (40, 4001));
    assert!(outcome.result.is_ok(), "{:?}", outcome.result);
}

#[test]
fn a_client_that_writes_receives_all_that_the_server_sent_before_it_left() {
    for (split, fault) in [
        (false, ErrorKind::BrokenPipe),
        (false, ErrorKind::ConnectionReset),
        (true, ErrorKind::BrokenPipe),
    ] {
        let (wire, mut socket) = client(Config::default());
        wire.state().write_fault = Some(fault);
        for _ in 0..100 {
            wire.push(frame(0x82, &[1; 5_000], None));
        }
        wire.push(frame(0x88, b"\x0f\xa1", None));
        wire.end();
        let mut received = 0;
        if split {
            let (mut read, mut write) = socket.split();
            // It only sends: the failed write is told, and the messages are the reader's.
            let first = done(write.send("into the void"));
            assert!(first.is_ok(), "it was queued: {first:?}");
            let second = done(write.send("into the void"));
            assert_eq!(
                code(&second),
                1006,
                "how it ended lies behind more than is read ahead"
            );
            while let Some(Ok(Some(_))) = Some(done(read.receive())) {
                received += 1;
            }
            assert_eq!(code(&done(read.receive())), 4001);
            assert_eq!(code(&done(write.send("late"))), 4001);
        } else {
            while done(socket.receive()).ok().flatten().is_some() {
                received += 1;
                done(socket.send("answer")).unwrap();
            }
            assert_eq!(code(&done(socket.receive())), 4001);
            assert_eq!(code(&done(socket.send("late"))), 4001);
        }
        assert_eq!(received, 100);
    }
}

#[test]
fn after_a_failed_write_silence_ends_the_connection_within_the_time_of_a_close() {
    let (wire, mut task, _gate) = open(Config::default(), |upgrade| async {
        let mut socket = upgrade.accept().await?;
        assert!(socket.receive().await?.is_some());
        socket.send("hello").await?;
        assert!(socket.receive().await?.is_some());
        match socket.receive().await {
            Err(Error::Io(error)) => assert_eq!(error.kind(), ErrorKind::PermissionDenied),
            other => panic!("{other:?}"),
        }
        assert_eq!(code(&socket.receive().await), 1006);
        Ok(())
    });
    wire.state().write_fault = Some(ErrorKind::PermissionDenied);
    wire.push(frame(0x81, b"go", KEY));
    pass(&wire, &mut task, 1);
    wire.push(frame(0x81, b"still on its way", KEY));
    pass(&wire, &mut task, 4);
    assert!(task.done.is_none(), "five seconds from what came last");
    pass(&wire, &mut task, 2);
    let closed = task.done.expect("it ended").closed.unwrap();
    let want = (1006, Some(LossCause::Transport));
    assert_eq!((closed.code(), closed.cause), want);
}

#[test]
fn a_flush_after_a_failed_write_fails_with_the_end() {
    let (wire, mut socket) = client(Config::default());
    wire.state().write_fault = Some(ErrorKind::BrokenPipe);
    let _ = done(socket.send("lost"));
    wire.push(frame(0x81, b"hello", None));
    wire.push(frame(0x88, b"\x03\xf0", None));
    wire.end();
    assert_eq!(code(&done(socket.flush())), 1008);
    assert_eq!(done(rest(&mut socket)).0, 1);
}

/// Sends until the time for a look has come.
fn send_later(wire: &Wire, socket: &mut WebSocket<Wire>, text: &str) -> Result<(), Error> {
    wire.pass(Duration::from_millis(2));
    done(socket.send(text))
}

#[test]
fn a_client_that_only_sends_answers_pings_and_notices_a_close() {
    let (wire, mut socket) = client(Config::default());
    send_later(&wire, &mut socket, "one").unwrap();
    wire.take();
    wire.push(frame(0x89, b"there?", None));
    wire.push(frame(0x81, b"a text", None));
    send_later(&wire, &mut socket, "two").unwrap();
    let sent = frames(&wire.take());
    assert_eq!(
        sent.iter().map(|frame| frame.opcode).collect::<Vec<_>>(),
        [10, 1],
        "the pong goes out with the message"
    );
    wire.push(frame(0x81, b"goodbye", None));
    wire.push(frame(0x88, b"\x03\xf0enough", None));
    let refused = send_later(&wire, &mut socket, "three");
    assert_eq!(code(&refused), 1008);
    assert_eq!(code(&done(socket.send("four"))), 1008);
    // The Close is answered by whoever uses the connection next.
    let (received, end) = done(rest(&mut socket));
    assert_eq!((received, code(&end)), (2, 1008));
    assert_eq!(close_code(&frames(&wire.take())), Some(1008));
    assert_eq!(code(&done(socket.send("five"))), 1008);
}

#[test]
fn an_answer_is_sent_although_the_protocol_is_broken_behind_the_message() {
    let (wire, mut socket) = client(Config::default());
    wire.push(frame(0x81, b"question", None));
    assert_eq!(
        done(socket.receive()).unwrap(),
        Some(Message::from("question"))
    );
    wire.push(b"\xff\xff".to_vec());
    send_later(&wire, &mut socket, "answer").unwrap();
    let end = done(socket.receive());
    assert!(
        matches!(end, Err(Error::Violation(Violation::ReservedBit))),
        "{end:?}"
    );
    let sent = frames(&wire.take());
    assert_eq!(
        sent.iter().map(|frame| frame.opcode).collect::<Vec<_>>(),
        [1, 8],
        "the answer, then Close"
    );
    assert_eq!(close_code(&sent), Some(1002));
}

#[test]
fn a_normal_close_and_a_broken_protocol_are_told_to_who_sends_too() {
    let (wire, mut socket) = client(Config::default());
    wire.push(frame(0x88, b"\x03\xe8", None));
    assert_eq!(code(&send_later(&wire, &mut socket, "late")), 1000);
    assert_eq!(done(socket.receive()).unwrap(), None);

    let (wire, mut socket) = client(Config::default());
    wire.push(b"\xff\xff".to_vec());
    let refused = send_later(&wire, &mut socket, "late");
    assert!(
        matches!(refused, Err(Error::Violation(Violation::ReservedBit))),
        "{refused:?}"
    );

    // The side that closes first knows why.
    let (_wire, mut socket) = client(Config::default());
    socket.start_close(None, "");
    let refused = done(socket.send("late"));
    assert!(matches!(refused, Err(Error::NotSent(SendError::Closing))));
}

#[test]
fn a_close_that_is_started_is_written_before_the_next_call() {
    let (wire, mut socket) = client(Config::default());
    socket.start_close(None, "");
    assert_eq!(frames(&wire.take())[0].opcode, 8);

    // The rest of what a full transport did not take follows with the next call.
    let (wire, mut socket) = client(Config::default());
    wire.state().room = 0;
    socket.start_close(None, "");
    assert!(wire.take().is_empty());
    wire.state().room = usize::MAX;
    let mut receiving = Task::new(async move { socket.receive().await });
    receiving.run();
    assert_eq!(frames(&wire.take())[0].opcode, 8);
}

#[test]
fn a_send_that_is_blocked_answers_pings_and_notices_a_close() {
    for split in [false, true] {
        let (wire, socket) = client(Config::default());
        wire.state().room = 0;
        let mut halves = None;
        let mut whole = None;
        if split {
            halves = Some(socket.split());
        } else {
            whole = Some(socket);
        }
        let mut sending = Task::new(async {
            for _ in 0..100 {
                match (&mut whole, &mut halves) {
                    (Some(socket), _) => socket.send(vec![0; 50_000]).await?,
                    (_, Some((_, write))) => write.send(vec![0; 50_000]).await?,
                    _ => unreachable!(),
                }
            }
            Ok(())
        });
        sending.run();
        assert!(sending.done.is_none(), "it is blocked");
        wire.push(frame(0x89, b"there?", None));
        wire.push(frame(0x81, b"a text", None));
        sending.run();
        wire.push(frame(0x88, b"\x03\xf0enough", None));
        sending.run();
        assert_eq!(code(&sending.done.take().expect("it failed")), 1008);
        drop(sending);
        let mut socket = match (whole, halves) {
            (Some(socket), _) => socket,
            (_, Some((read, write))) => read.reunite(write).unwrap(),
            _ => unreachable!(),
        };
        wire.drain();
        let (received, end) = done(rest(&mut socket));
        assert_eq!((received, code(&end)), (1, 1008));
    }
}

#[test]
fn a_task_that_only_sends_reads_ahead_within_the_limit() {
    let (wire, mut socket) = client(Config::default());
    for _ in 0..100 {
        wire.push(frame(0x82, &[1; 10_000], None));
    }
    for _ in 0..100 {
        send_later(&wire, &mut socket, "x").unwrap();
    }
    assert!(
        wire.state().input.len() > 90,
        "{}",
        wire.state().input.len()
    );
    // A server that speaks on is not taken for dead, though what it says lies unread.
    let mut flushing = Task::new(async {
        for _ in 0..100 {
            wire.pass(Duration::from_secs(1));
            socket.send("x").await.unwrap();
        }
    });
    flushing.run();
    assert!(flushing.done.is_some());
    drop(flushing);
    wire.end();
    let (received, end) = done(rest(&mut socket));
    assert_eq!((received, code(&end)), (100, 1006));
}

#[test]
fn sending_reads_no_more_often_than_it_must() {
    let (wire, mut socket) = client(Config::default());
    // Time stands still: one look for so many sends, whatever is there.
    for _ in 0..100 {
        wire.push(frame(0x81, b"x", None));
    }
    let before = wire.state().polled;
    for _ in 0..320 {
        done(socket.send("x")).unwrap();
    }
    let looks = wire.state().polled - before;
    // Each reads what is there, and once more to find that there is nothing.
    assert!(looks <= 100 + 2 * 11, "{looks} reads");
    let before = wire.state().polled;
    for _ in 0..320 {
        done(socket.send("x")).unwrap();
    }
    let looks = wire.state().polled - before;
    assert!(looks <= 11, "{looks} reads, though nothing came");
}

#[test]
fn a_server_task_looks_by_itself() {
    let (wire, mut task, _gate) = open(Config::default(), |upgrade| async {
        let mut socket = upgrade.accept().await?;
        socket.receive().await?;
        loop {
            socket.send(vec![0u8; 60_000]).await?;
        }
    });
    wire.state().room = 100_000;
    wire.push(frame(0x81, b"go", KEY));
    task.run();
    wire.push(frame(0x88, b"\x03\xf0", KEY));
    task.run();
    wire.drain();
    wire.end();
    task.run();
    let outcome = task.done.expect("the handler was told");
    assert_eq!(outcome.closed.unwrap().code(), 1008);
    assert!(outcome.result.is_ok(), "{:?}", outcome.result);
    let _ = output(&wire);
}

#[test]
fn a_client_that_is_lent_messages_answers_them_at_once() {
    let (wire, mut socket) = client(Config::default());
    let mut each = pin!(socket.receive_each(|message, out| out.send(message)));
    let cx = &mut Context::from_waker(Waker::noop());
    // More than may be handled in one turn.
    wire.push(frame(0x81, b"hello", None).repeat(10_000));
    let mut answers = 0;
    while answers < 10_000 {
        let polled: Poll<Result<(), Error>> = each.as_mut().poll(cx);
        assert!(polled.is_pending());
        let more = frames(&wire.take()).len();
        assert!(more > 0);
        answers += more;
    }
}

/// Both ends have much to say, and neither reads before it was heard.
#[test]
fn a_client_with_unsent_output_is_lent_messages_all_the_same() {
    let mut config = Config::default();
    config.limits.write_queue = 10_000;
    config.limits.read_ahead = 10_000;
    let (wire, mut socket) = client(config);
    wire.allow(0);
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(pin!(socket.send(vec![1; 50_000])).poll(cx).is_ready());
    let mut lent = 0;
    let mut refused = 0;
    {
        let mut each = pin!(socket.receive_each(|_, out| {
            lent += 1;
            refused += usize::from(out.send("no room").is_err());
            Ok::<(), Error>(())
        }));
        for _ in 0..100 {
            wire.push(frame(0x82, &[7; 1_000], None));
            assert!(each.as_mut().poll(cx).is_pending());
        }
    }
    assert!(
        lent >= 80 && refused == lent,
        "{lent} were lent, {refused} refused"
    );
}

#[test]
fn messages_read_ahead_are_handled_after_a_timeout() {
    let idle = |timeouts: &mut Timeouts| timeouts.idle = Some(Duration::from_secs(5));
    let message = |timeouts: &mut Timeouts| timeouts.message = Some(Duration::from_secs(5));
    let cases: [(fn(&mut Timeouts), &[u8]); 2] = [(idle, b""), (message, b"\x81\x82\0\0\0\0h")];
    for (set, half) in cases {
        let mut config = Config::default();
        set(&mut config.timeouts);
        let handled = Rc::new(Cell::new(0));
        let (count, busy) = (Rc::clone(&handled), Rc::new(Cell::new(true)));
        let (is_busy, waits) = (Rc::clone(&busy), Rc::<Cell<Option<Waker>>>::default());
        let waker = Rc::clone(&waits);
        let (wire, mut task, _gate) = open(config, |upgrade| async move {
            let mut socket = upgrade.accept().await?;
            while let Some(message) = socket.receive().await? {
                // It is busy with the first one for longer than that.
                poll_fn(|cx| {
                    waker.set(Some(cx.waker().clone()));
                    match is_busy.get() {
                        true => Poll::Pending,
                        false => Poll::Ready(()),
                    }
                })
                .await;
                socket.send(message).await?;
                count.set(count.get() + 1);
            }
            Ok(())
        });
        for text in ["one", "two", "three"] {
            wire.push(frame(0x81, text.as_bytes(), KEY));
        }
        wire.push(half.to_vec());
        task.turn();
        pass(&wire, &mut task, 8);
        busy.set(false);
        waits.take().expect("it waits").wake();
        task.run();
        assert_eq!(handled.get(), 3, "{half:?}");
    }
}
