//! Messages received into the memory of earlier ones. RFC 6455 section 6.2.

use crate::support;

use std::sync::{Arc, Mutex};

use sansws_async::{Error, Result, Upgrade};
use sansws_core::config::Config;
use sansws_core::message::Message;
use support::frame;
use support::server::{KEY, open};
use support::wire::Wire;

/// Messages, and where they lay.
type Seen = Arc<Mutex<Vec<(Message, usize)>>>;

#[test]
fn messages_of_either_kind_lie_in_one_memory() {
    let seen = Seen::default();
    let noted = seen.clone();
    let (wire, mut task, _handle) = open(Config::default(), move |upgrade: Upgrade<Wire>| {
        let noted = noted.clone();
        async move {
            let mut socket = upgrade.accept().await?;
            let mut message = Message::Binary(Vec::with_capacity(64));
            while socket.receive_into(&mut message).await? {
                let place = message.as_bytes().as_ptr() as usize;
                noted.lock().unwrap().push((message.clone(), place));
            }
            Result::Ok(())
        }
    });
    let sent: [(u8, &[u8]); 5] = [
        (0x81, "grüße".as_bytes()),
        (0x82, &[0xff, 0xfe]),
        (0x81, b""),
        (0x82, b""),
        (0x81, &[b'x'; 64]),
    ];
    for (opcode, payload) in sent {
        wire.push(frame(opcode, payload, KEY));
        task.run();
    }
    let seen = seen.lock().unwrap();
    let messages: Vec<_> = seen.iter().map(|(message, _)| message.clone()).collect();
    assert_eq!(
        messages,
        [
            Message::from("grüße"),
            Message::from(&[0xff, 0xfe][..]),
            Message::from(""),
            Message::from(&[][..]),
            Message::from("x".repeat(64)),
        ]
    );
    let first = seen[0].1;
    assert!(seen.iter().all(|(_, place)| *place == first), "{seen:?}");
}

#[test]
fn a_call_that_is_given_up_and_one_that_fails_change_nothing() {
    let outcome = Arc::new(Mutex::new(Vec::new()));
    let noted = outcome.clone();
    let (wire, mut task, _handle) = open(Config::default(), move |upgrade: Upgrade<Wire>| {
        let noted = noted.clone();
        async move {
            let mut socket = upgrade.accept().await?;
            let mut message = Message::from("mine");
            let waker = std::task::Waker::noop();
            let mut cx = std::task::Context::from_waker(waker);
            let polled = std::pin::pin!(socket.receive_into(&mut message)).poll(&mut cx);
            assert!(polled.is_pending());
            noted.lock().unwrap().push(message.clone());
            assert!(socket.receive_into(&mut message).await?);
            noted.lock().unwrap().push(message.clone());
            let failed = socket.receive_into(&mut message).await;
            assert!(matches!(failed, Err(Error::Violation(_))), "{failed:?}");
            noted.lock().unwrap().push(message);
            Result::Ok(())
        }
    });
    task.run();
    wire.push(frame(0x82, b"theirs", KEY));
    task.run();
    // Not UTF-8.
    wire.push(frame(0x81, &[0xff], KEY));
    task.run();
    assert_eq!(
        *outcome.lock().unwrap(),
        [
            Message::from("mine"),
            Message::from(&b"theirs"[..]),
            Message::from(&b"theirs"[..]),
        ]
    );
}

#[test]
fn an_echo_passes_its_memory_to_the_next_message() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    let (wire, mut task, _handle) = open(Config::default(), move |upgrade: Upgrade<Wire>| {
        let noted = Arc::clone(&noted);
        async move {
            let mut socket = upgrade.accept().await?;
            while let Some(message) = socket.receive().await? {
                let capacity = match &message {
                    Message::Text(text) => text.capacity(),
                    Message::Binary(bytes) => bytes.capacity(),
                };
                (noted.lock().unwrap()).push((message.as_bytes().to_vec(), capacity));
                socket.send(message).await?;
            }
            Result::Ok(())
        }
    });
    // Less than half of what there is would be wasted, and an empty message needs none.
    let sent: [(u8, &[u8], usize); 6] = [
        (0x82, b"a message of 21 bytes", 21),
        (0x81, "grüße, alle".as_bytes(), 21),
        (0x82, b"longer than what there is", 25),
        (0x81, b"", 0),
        (0x81, b"short", 5),
        (0x82, b"abcd", 5),
    ];
    let mut batch = Vec::new();
    for (opcode, payload, _) in sent {
        batch.extend(frame(opcode, payload, KEY));
    }
    wire.push(batch);
    task.run();
    let expected = sent.map(|(_, payload, capacity)| (payload.to_vec(), capacity));
    assert_eq!(*seen.lock().unwrap(), expected);
}
