//! Messages that a handler receives piece by piece: nothing is lost, nothing is held, no end is mistaken for another.
//! RFC 6455 section 5.4.

use crate::support;

use std::future::{Future, poll_fn};
use std::task::Poll;

use sansws_async::{Error, Result, Upgrade};
use sansws_core::config::{Config, Deflate, Limits};
use sansws_core::message::Payload;
use support::server::{KEY, open, output};
use support::wire::Wire;
use support::{End, Got, TAKEOVER, frame};

/// Waits for something else, for so many turns.
fn turns(count: usize) -> impl Future<Output = ()> {
    let mut left = count;
    poll_fn(move |_| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        Poll::Pending
    })
}

/// Takes one piece, is busy, takes the rest, and says what it got.
async fn busy(upgrade: Upgrade<Wire>, busy: usize) -> Result {
    let mut socket = upgrade.accept().await?;
    let mut reader = socket.receive_stream().await?.expect("a message");
    let mut text = String::new();
    while let Some(piece) = reader.next().await? {
        text.push_str(piece.as_text().expect("text"));
        if text.len() == 4 {
            turns(busy).await;
        }
    }
    drop(reader);
    socket.send_text(text).await?;
    let next = socket.receive().await?.expect("a message");
    socket.send(next).await?;
    Ok(())
}

#[test]
fn pieces_that_come_while_the_handler_is_busy_are_kept_and_pings_behind_them_answered() {
    for turns in 0..8 {
        let (wire, mut task, _gate) = open(Config::default(), |upgrade| busy(upgrade, turns));
        let mut sent = Vec::new();
        let parts: [(u8, &[u8]); 7] = [
            (0x01, b"one "),
            (0x00, b"two "),
            (0x89, b"there?"),
            (0x00, b"three "),
            (0x00, b"four "),
            (0x80, b"five"),
            (0x81, b"next"),
        ];
        for (first, payload) in parts {
            wire.push(frame(first, payload, KEY));
            task.run();
            sent.extend(output(&wire));
            if first == 0x89 {
                assert_eq!(sent[0].payload, b"there?", "busy for {turns} turns");
            }
        }
        // Another task has to wake a handler that waits for nothing that we know of.
        for _ in 0..8 {
            wire.push(frame(0x8a, b"", KEY));
            task.run();
        }
        sent.extend(output(&wire));
        assert_eq!(
            sent[1].payload, b"one two three four five",
            "busy for {turns} turns"
        );
        assert_eq!(sent[2].payload, b"next");
    }
}

#[test]
fn memory_of_streams_and_fragments_is_bounded() {
    for streamed in [true, false] {
        let (wire, mut task, _gate) = open(Config::default(), |upgrade| async move {
            let mut socket = upgrade.accept().await?;
            if streamed {
                socket.receive_stream().await?.expect("a message");
            } else {
                socket.receive().await?;
            }
            poll_fn(|_| Poll::<Result>::Pending).await
        });
        wire.push(frame(if streamed { 0x02 } else { 0x82 }, b"go", KEY));
        task.run();
        if !streamed {
            wire.push(frame(0x02, b"first", KEY));
        }
        for _ in 0..100 {
            wire.push(frame(0x00, &[0; 10_000], KEY));
        }
        task.run();
        let left = wire.state().input.len();
        assert!(left > 80, "{left} reads are left, streamed: {streamed}");
    }
}

#[test]
fn a_message_whose_sender_closes_inside_it_never_looks_whole() {
    for close in [&b"\x03\xe8"[..], b"\x03\xe9", b""] {
        let (wire, mut task, _gate) = open(Config::default(), |upgrade| async {
            let mut socket = upgrade.accept().await?;
            let mut reader = socket.receive_stream().await?.expect("a message");
            assert_eq!(reader.next().await?, Some("half of".into()));
            for _ in 0..2 {
                match reader.next().await {
                    Err(Error::Disconnect(closed)) => assert!(closed.clean),
                    other => panic!("{other:?}"),
                }
            }
            Ok(())
        });
        wire.push(frame(0x01, b"half of", KEY));
        task.run();
        wire.push(frame(0x88, close, KEY));
        wire.end();
        task.run();
        assert!(task.done.expect("it ended").result.is_ok());
    }
}

#[test]
fn a_piece_is_bounded_however_well_it_was_compressed() {
    let limits = Limits {
        message: 100_000,
        ..Limits::default()
    };
    let config = Config {
        deflate: Some(Deflate::default()),
        limits,
        ..Config::default()
    };
    let zeros = vec![b'0'; 20 << 20];
    let text = str::from_utf8(&zeros).unwrap();
    for payload in [Payload::Binary(&zeros), Payload::Text(text)] {
        let mut sender = End::new(false, config.clone(), Some(TAKEOVER));
        sender.connection.send_payload(payload).unwrap();
        let bytes = sender.output();
        assert!(bytes.len() < 30_000);
        for step in [bytes.len(), 1000, 1] {
            let mut end = End::new(true, config.clone(), Some(TAKEOVER));
            end.pieces = true;
            let (mut all, mut ended) = (0, false);
            for part in bytes.chunks(step) {
                for got in end.feed(part) {
                    let Got::Piece(bytes, first, last) = got else {
                        panic!("{got:?}")
                    };
                    assert_eq!(first, all == 0);
                    assert!(bytes.len() < 200 << 10, "{}", bytes.len());
                    assert!(bytes.iter().all(|byte| *byte == b'0'));
                    (all, ended) = (all + bytes.len(), last);
                }
            }
            assert!(end.assembly.capacity() < 512 << 10);
            assert_eq!((all, ended), (zeros.len(), true));
        }
    }
}
