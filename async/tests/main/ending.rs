//! How a server ends TCP after the closing handshake: it drops a socket at once, and shuts other streams down first.
//! RFC 6455 sections 5.5.1, 5.5.2 and 7.1.1.

use std::cell::Cell;
use std::future::pending;
use std::rc::Rc;

use sansws_async::{ReadHalf, Result, Upgrade};
use sansws_core::config::Config;

use crate::support;
use support::frame;
use support::server::{KEY, echo, open, output, pass};
use support::wire::{Task, Wire};

fn close() -> Vec<u8> {
    frame(0x88, b"\x03\xe8", KEY)
}

/// Whether the writing side was shut down, and whether the connection is over.
fn state(wire: &Wire, task: &Task<impl Future>) -> (bool, bool) {
    (wire.state().shut, task.done.is_some())
}

#[test]
fn a_socket_is_dropped_at_once_and_another_stream_is_not() {
    for drops in [true, false] {
        let (wire, mut task, handle) = open(Config::default(), echo);
        wire.state().closes_when_dropped = drops;
        wire.push([frame(0x81, b"hello", KEY), close()].concat());
        task.run();
        assert_eq!(output(&wire).len(), 2, "the echo and the Close");
        assert_eq!(state(&wire, &task), (!drops, drops));
        wire.end();
        task.run();
        assert!(task.done.unwrap().closed.unwrap().clean);
        assert_eq!(handle.open(), 0);
    }
}

#[test]
fn a_close_of_ours_ends_alike_once_the_handler_has_returned() {
    for waits in [false, true] {
        let (wire, mut task, _handle) = open(Config::default(), move |upgrade| async move {
            let mut socket = upgrade.accept().await?;
            socket.receive().await?;
            if waits {
                socket.close(1000, "").await?;
            }
            Ok(())
        });
        wire.state().closes_when_dropped = true;
        wire.push(frame(0x81, b"go", KEY));
        task.run();
        assert_eq!(state(&wire, &task), (false, false));
        wire.push(close());
        task.run();
        // The handler that waits for the end may go on after it.
        assert_eq!(state(&wire, &task), (waits, !waits));
        wire.end();
        task.run();
        assert!(task.done.unwrap().closed.unwrap().clean);
    }
}

#[test]
fn input_that_may_follow_is_waited_for() {
    let pinged = Config::default();
    for late in [true, false] {
        let (wire, mut task, _handle) = open(pinged.clone(), echo);
        wire.state().closes_when_dropped = true;
        if late {
            wire.push([close(), frame(0x8a, b"late", KEY)].concat());
        } else {
            // The answer to a ping may be on its way.
            pass(&wire, &mut task, 31);
            assert_eq!(output(&wire)[0].opcode, 9);
            wire.push(close());
        }
        task.run();
        assert_eq!(state(&wire, &task), (true, false), "{late}");
        wire.end();
        task.run();
        assert!(task.done.unwrap().closed.unwrap().clean);
    }
}

#[test]
fn the_writing_side_is_shut_down_while_a_handler_goes_on() {
    let (wire, mut task, _handle) = open(Config::default(), |upgrade| async {
        let mut socket = upgrade.accept().await?;
        assert_eq!(socket.receive().await?, None);
        pending().await
    });
    wire.state().closes_when_dropped = true;
    wire.push(close());
    task.run();
    assert_eq!(state(&wire, &task), (true, false));
}

#[test]
fn the_writing_side_is_shut_down_while_other_tasks_hold_the_connection() {
    let kept: Rc<Cell<Option<ReadHalf<Wire>>>> = Rc::default();
    for (returns, reads) in [(true, false), (false, true)] {
        let slot = kept.clone();
        let (wire, mut task, _handle) = open(
            Config::default(),
            move |upgrade: Upgrade<Wire>| async move {
                let (mut reader, _writer) = upgrade.accept().await?.split();
                reader.receive().await?;
                slot.set(Some(reader));
                if returns { Ok(()) } else { pending().await }
            },
        );
        wire.state().closes_when_dropped = true;
        wire.push(frame(0x81, b"go", KEY));
        task.run();
        let reader = kept.take();
        assert!(reader.is_some());
        let mut other = Task::new(async move {
            let mut reader = reader;
            if let Some(reader) = reader.as_mut().filter(|_| reads) {
                assert_eq!(reader.receive().await?, None);
            }
            pending::<Result<ReadHalf<Wire>>>().await
        });
        other.run();
        wire.push(close());
        for _ in 0..3 {
            other.run();
            task.run();
        }
        assert_eq!(state(&wire, &task), (true, false), "{returns}");
    }
}

/// Nothing is written when the peer answers our Close, but somebody must end the transport.
#[test]
fn a_driver_ends_tcp_after_a_close_of_ours_that_another_task_sees_answered() {
    let kept: Rc<Cell<Option<ReadHalf<Wire>>>> = Rc::default();
    let slot = kept.clone();
    let (wire, mut task, handle) = open(
        Config::default(),
        move |upgrade: Upgrade<Wire>| async move {
            let (mut reader, writer) = upgrade.accept().await?.split();
            reader.receive().await?;
            slot.set(Some(reader));
            let _writer = writer;
            pending().await
        },
    );
    wire.push(frame(0x81, b"go", KEY));
    task.run();
    let mut reader = kept.take().unwrap();
    let mut other = Task::new(async move {
        assert_eq!(reader.receive().await?, None);
        pending::<Result>().await
    });
    other.run();
    handle.close();
    task.run();
    other.run();
    assert_eq!(output(&wire).len(), 1, "our Close");
    // The driver has its turn first, and leaves the input to its reader.
    wire.push(close());
    task.run();
    other.run();
    task.run();
    assert!(wire.state().shut);
}
