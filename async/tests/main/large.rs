//! Large messages, whose payload is read directly into the message. RFC 6455 section 6.2.

use crate::support;

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use sansws_async::{Result, Upgrade, WebSocket};
use sansws_core::config::Config;
use sansws_core::message::Message;
use support::frame;
use support::server::{KEY, close_code, echo, open, output};
use support::wire::Wire;

const LENGTH: usize = 1 << 20;

fn payload() -> Vec<u8> {
    (0..LENGTH).map(|at| (at * 31 % 251) as u8).collect()
}

/// Sends a long message and a short one, in reads of `part` bytes, each of which is followed by a poll of the server.
fn send(wire: &Wire, part: usize, mut poll: impl FnMut()) {
    let mut bytes = frame(0x82, &payload(), KEY);
    bytes.extend(frame(0x81, b"next", KEY));
    for part in bytes.chunks(part) {
        wire.push(part);
        poll();
    }
}

/// Returns the messages that came back.
fn echoed(wire: &Wire) -> Vec<Vec<u8>> {
    let messages = output(wire).into_iter().filter(|frame| frame.opcode < 8);
    messages.map(|frame| frame.payload).collect()
}

/// Receives, but gives up after each poll, as in a `select!` with something that is always ready.
async fn receive_impatiently(socket: &mut WebSocket<Wire>) -> Result<Option<Message>> {
    loop {
        let mut receiving = pin!(socket.receive());
        let tried = poll_fn(|cx| Poll::Ready(receiving.as_mut().poll(cx))).await;
        match tried {
            Poll::Ready(message) => return Ok(message?),
            Poll::Pending => once().await,
        }
    }
}

/// Waits for one poll.
fn once() -> impl Future<Output = ()> {
    let mut polled = false;
    poll_fn(move |_| match std::mem::replace(&mut polled, true) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
}

#[test]
fn a_long_message_is_read_directly_in_few_reads() {
    let (wire, mut task, _handle) = open(Config::default(), echo);
    // The peer is ahead: each read brings as much as there is room for.
    let mut bytes = frame(0x82, &payload(), KEY);
    bytes.extend(frame(0x81, b"next", KEY));
    wire.push(bytes);
    wire.state().reads = 0;
    task.run();
    assert!(echoed(&wire) == [payload(), b"next".to_vec()]);
    let state = wire.state();
    assert_eq!(
        (state.reads, state.appended),
        (4, 2),
        "with the short message"
    );
}

#[test]
fn it_is_whole_however_it_arrives() {
    for part in [1_000, 65_536, 100_000, 300_000, LENGTH] {
        let (wire, mut task, _handle) = open(Config::default(), echo);
        send(&wire, part, || {
            task.run();
        });
        assert!(echoed(&wire) == [payload(), b"next".to_vec()], "{part}");
        assert!(
            part < 100_000 || wire.state().appended > 0 || part == LENGTH,
            "{part}"
        );
    }
}

#[test]
fn receivers_that_give_up_lose_nothing() {
    for part in [20_000, 100_000, 300_000] {
        let (wire, mut task, _handle) = open(Config::default(), |upgrade: Upgrade<Wire>| async {
            let mut socket = upgrade.accept().await?;
            while let Some(message) = receive_impatiently(&mut socket).await? {
                // Sending in between looks for input, too.
                socket.send_text("got").await?;
                socket.send(message).await?;
            }
            Ok(())
        });
        send(&wire, part, || {
            task.wake();
            task.run();
        });
        let want = [
            b"got".to_vec(),
            payload(),
            b"got".to_vec(),
            b"next".to_vec(),
        ];
        assert!(echoed(&wire) == want, "{part}");
    }
}

/// The handler turns to chunks inside a message: what was received is the first one.
#[test]
fn the_rest_can_be_received_in_chunks() {
    for turn in [1, 2, 3] {
        let (wire, mut task, _handle) = open(Config::default(), move |upgrade| async move {
            let mut socket: WebSocket<Wire> = Upgrade::accept(upgrade).await?;
            for _ in 0..turn {
                let mut receiving = pin!(socket.receive());
                let tried = poll_fn(|cx| Poll::Ready(receiving.as_mut().poll(cx))).await;
                assert!(tried.is_pending());
                once().await;
            }
            let mut all = Vec::new();
            let mut reader = socket.receive_stream().await?.expect("a message");
            while let Some(part) = reader.next().await? {
                all.extend(part.into_bytes());
            }
            socket.send(all).await?;
            let next = socket.receive().await?.expect("a message");
            socket.send(next).await?;
            Ok(())
        });
        send(&wire, 150_000, || {
            task.wake();
            task.run();
        });
        assert!(echoed(&wire) == [payload(), b"next".to_vec()], "{turn}");
    }
}

#[test]
fn a_close_inside_it_ends_in_order() {
    let (wire, mut task, _handle) = open(Config::default(), |upgrade: Upgrade<Wire>| async {
        let mut socket = upgrade.accept().await?;
        for _ in 0..3 {
            let mut receiving = pin!(socket.receive());
            let tried = poll_fn(|cx| Poll::Ready(receiving.as_mut().poll(cx))).await;
            assert!(tried.is_pending());
            once().await;
        }
        socket.close(4000, "enough").await?;
        Ok(())
    });
    send(&wire, 150_000, || {
        task.wake();
        task.run();
    });
    assert!(wire.state().appended > 0);
    assert_eq!(close_code(&output(&wire)), Some(4000));
    wire.push(frame(0x88, &4000_u16.to_be_bytes(), KEY));
    wire.end();
    task.run();
    let ended = task.done.expect("it ended");
    assert!(ended.closed.expect("a close").clean);
}
