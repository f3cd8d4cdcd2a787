//! Payloads that are read directly into their message. RFC 6455 section 6.2.

use crate::support;

use proptest::collection::vec;
use proptest::prelude::*;
use sansws_core::close::CloseCode;
use sansws_core::config::{Config, Limits};
use sansws_core::connection::{Event, Expired};
use sansws_core::error::Violation;
use sansws_core::time::Duration;
use support::{End, Got, frame};

const KEY: Option<[u8; 4]> = Some([1, 2, 3, 4]);

/// Returns a payload that does not repeat with the key or a page.
fn payload(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 % 251) as u8).collect()
}

fn server(limits: Limits) -> End {
    let config = Config {
        limits,
        ..Config::default()
    };
    End::new(true, config, None)
}

/// Starts a message of `length` bytes, of which `arrived` are there.
fn begun(end: &mut End, length: usize, arrived: usize) -> Vec<u8> {
    let mut bytes = frame(0x82, &payload(length), KEY);
    let rest = bytes.split_off(14 + arrived);
    assert_eq!(end.feed(&bytes), []);
    rest
}

/// Feeds bytes as a caller does that reads directly where it can.
fn feed_directly(end: &mut End, mut bytes: &[u8]) -> Vec<Got> {
    let mut all = Vec::new();
    while !bytes.is_empty()
        && end.input.is_empty()
        && let Some(payload) = end.connection.direct_read(&mut end.assembly)
    {
        let spare = payload.capacity() - payload.len();
        let (now, later) = bytes.split_at(spare.min(bytes.len()));
        payload.extend_from_slice(now);
        bytes = later;
        let step = end
            .connection
            .receive_direct(end.now, &mut end.assembly, now.len());
        match step.event {
            Some(Event::Binary(message)) => all.push(Got::Binary(message.into())),
            Some(other) => panic!("{other:?}"),
            None => {}
        }
    }
    all.extend(end.feed(bytes));
    all
}

/// Returns the spare capacity that is lent.
fn lent(end: &mut End) -> Option<usize> {
    let payload = end.connection.direct_read(&mut end.assembly)?;
    Some(payload.capacity() - payload.len())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Messages of several frames with control frames between, in parts of any length, are those of one ordinary read.
    #[test]
    fn direct_reads_change_nothing(
        lengths in vec((0..300_000usize, any::<bool>(), any::<bool>()), 1..6),
        cuts in vec(1..200_000usize, 1..20),
        is_server in any::<bool>(),
    ) {
        let key = KEY.filter(|_| is_server);
        let (mut bytes, mut inside) = (Vec::new(), None);
        for (length, ends, text) in lengths {
            let fin = if ends { 0x80 } else { 0 };
            let kind = if text { 1 } else { 2 };
            let opcode = if inside.is_some() { 0 } else { kind };
            let text = inside.unwrap_or(kind) == 1;
            let content = if text { vec![b'x'; length] } else { payload(length) };
            bytes.extend(frame(fin | opcode, &content, key));
            bytes.extend(frame(0x89, b"between", key));
            inside = (!ends).then_some(inside.unwrap_or(kind));
        }
        bytes.extend(frame(0x88, &[3, 232], key));
        let mut plain = End::new(is_server, Config::default(), None);
        let want = plain.feed(&bytes);
        let mut direct = End::new(is_server, Config::default(), None);
        let (mut got, mut rest, mut cuts) = (Vec::new(), bytes.as_slice(), cuts.into_iter().cycle());
        while !rest.is_empty() {
            let (now, later) = rest.split_at(cuts.next().unwrap_or(1).min(rest.len()));
            got.extend(feed_directly(&mut direct, now));
            rest = later;
        }
        prop_assert!(got == want, "{} events, {} of an ordinary read", got.len(), want.len());
    }
}

#[test]
fn memory_grows_with_what_arrived() {
    let mut end = server(Limits::default());
    let length = 15 << 20;
    let mut rest = begun(&mut end, length, 0);
    assert_eq!(lent(&mut end), None, "nothing has arrived");
    assert_eq!(end.assembly.capacity(), 0);
    let mut received = 0;
    while rest.len() > 60_000 {
        let later = rest.split_off(60_000);
        received += rest.len();
        assert_eq!(feed_directly(&mut end, &rest), []);
        let most = 2 * received + (64 << 10);
        assert!(end.assembly.capacity() <= most, "{received}");
        let _ = lent(&mut end);
        assert!(end.assembly.capacity() <= most, "{received}, lent");
        rest = later;
    }
    assert_eq!(
        feed_directly(&mut end, &rest),
        [Got::Binary(payload(length))]
    );
}

/// A caller never reads more than the frame has.
#[test]
fn the_room_ends_with_the_frame() {
    for left in [64 << 10, 70_000, 200_000] {
        let mut end = server(Limits::default());
        let arrived = 300_000;
        let mut rest = begun(&mut end, arrived + left, arrived);
        assert_eq!(lent(&mut end), Some(left));
        rest.extend(frame(0x82, b"next", KEY));
        let got = feed_directly(&mut end, &rest);
        assert_eq!(
            got,
            [
                Got::Binary(payload(arrived + left)),
                Got::Binary(b"next".into())
            ]
        );
    }
}

#[test]
fn the_end_of_a_long_message_is_one_read() {
    let mut end = server(Limits::default());
    let mut rest = begun(&mut end, 1 << 20, 266_226);
    let mut reads = 0;
    while let Some(room) = lent(&mut end) {
        let part: Vec<u8> = rest.drain(..room.min(rest.len())).collect();
        feed_directly(&mut end, &part);
        reads += 1;
    }
    assert_eq!((reads, rest.len()), (2, 0));
}

#[test]
fn limits_hold() {
    let limits = Limits {
        message: 200_000,
        ..Limits::default()
    };
    let mut end = server(limits.clone());
    let first = frame(0x02, &payload(100_000), KEY);
    assert_eq!(end.feed(&first), []);
    let second = frame(0x80, &payload(100_001), KEY);
    let wrong = Got::Wrong(Violation::MessageTooLarge);
    assert_eq!(feed_directly(&mut end, &second), [wrong]);

    let mut end = server(limits);
    let rest = begun(&mut end, 200_000, 70_000);
    assert_eq!(
        feed_directly(&mut end, &rest),
        [Got::Binary(payload(200_000))]
    );
}

#[test]
fn nothing_is_lent_for_other_input() {
    let mut text = server(Limits::default());
    let mut bytes = frame(0x81, &vec![b'x'; 300_000], KEY);
    bytes.truncate(150_000);
    assert_eq!(text.feed(&bytes), []);
    assert_eq!(lent(&mut text), None, "text");

    let mut end = server(Limits::default());
    end.pieces = true;
    let bytes = frame(0x82, &payload(300_000), KEY);
    end.feed(&bytes[..150_000]);
    assert_eq!(lent(&mut end), None, "chunks");

    let mut end = server(Limits::default());
    assert_eq!(lent(&mut end), None, "between messages");
    let rest = begun(&mut end, 300_000, 299_000);
    assert_eq!(lent(&mut end), None, "little is missing");
    assert_eq!(feed_directly(&mut end, &rest).len(), 1);
    assert_eq!(lent(&mut end), None, "after a message");
}

/// The connection may begin to close while a read is under way.
#[test]
fn a_payload_that_was_lent_before_a_close_is_skipped() {
    let mut end = server(Limits::default());
    let rest = begun(&mut end, 300_000, 150_000);
    let room = end.connection.direct_read(&mut end.assembly).unwrap();
    room.extend_from_slice(&rest[..100_000]);
    end.connection
        .close(end.now, Some(CloseCode::NORMAL), "")
        .unwrap();
    let step = end
        .connection
        .receive_direct(end.now, &mut end.assembly, 100_000);
    assert_eq!(step.event, None);
    assert_eq!(lent(&mut end), None);
    let close = frame(0x88, &[3, 232], KEY);
    let got = feed_directly(&mut end, &[&rest[100_000..], &close].concat());
    assert_eq!(got, [Got::Close(Some(1000), String::new())]);
}

/// Bytes that are read directly are a sign of life, and their message has a deadline.
#[test]
fn time_counts_as_for_other_input() {
    let mut config = Config::default();
    config.timeouts.ping = Some(Duration::from_secs(10));
    config.timeouts.message = Some(Duration::from_secs(60));
    config.timeouts.idle = None;
    let mut end = End::new(true, config, None);
    let rest = begun(&mut end, 300_000, 150_000);
    let start = end.now;
    end.now = start + Duration::from_secs(9);
    assert_eq!(feed_directly(&mut end, &rest[..70_000]), []);
    assert_eq!(
        end.connection.deadline(),
        Some(end.now + Duration::from_secs(10))
    );
    end.now = start + Duration::from_secs(60);
    let expired = std::iter::from_fn(|| end.connection.tick(end.now));
    assert!(
        expired
            .into_iter()
            .any(|expired| expired == Expired::Message)
    );
}
