//! Cases 22.*: how lengths are encoded, what they claim, and where bytes are cut.
//! RFC 6455 sections 5.2 and 10.4.

use std::ops::RangeInclusive;

use super::rules::parsed;
use super::utf8::fragments;
use crate::case::{Case, case};
use crate::frame::{Coding, Frame, binary, close, continuation, ping, text};
use crate::inbox::Event;
use crate::script::{Chop, PROTOCOL, Peer, Script, Seen, Step, Want, echo, millis, seconds};
use crate::verdict::Verdict;

const MINIMAL: &str = "RFC 6455 5.2, of the sender: \"Note that in all cases, the minimal number of bytes MUST be used to encode the length, for example, the length of a 124-byte-long string can't be encoded as the sequence 126, 0, 124.\"";
const TOP_BIT: &str = "RFC 6455 5.2: \"If 127, the following 8 bytes interpreted as a 64-bit unsigned integer (the most significant bit MUST be 0) are the payload length.\"";
const LIMIT: &str = "RFC 6455 10.4: implementations that have limits \"MUST protect themselves against exceeding those limits\", and such an implementation \"SHOULD impose a limit on frame sizes\"; 7.4.1: 1009 is for \"a message that is too big for it to process\".";
const STREAM: &str = concat!(
    parsed!(),
    " RFC 9293 3.9.1: TCP delivers a stream of octets; its pieces mean nothing."
);
const ECHO: &str = concat!(parsed!(), " 5.2: payload lengths of 7, 16 and 64 bits.");

const FAILS: &str = "The connection fails with 1002; letting it pass is non-strict.";
const ECHOES: &str = "The same comes back.";
const TOO_BIG: &[u16] = &[1009, 1002];

/// Frames whose length is encoded in more bytes than needed.
const WASTEFUL: [(&str, usize, Coding, &str); 8] = [
    ("22.1.1", 0, Coding::Sixteen, "0 in 16 bits"),
    ("22.1.2", 5, Coding::Sixteen, "5 in 16 bits"),
    ("22.1.3", 125, Coding::Sixteen, "125 in 16 bits"),
    ("22.1.4", 0, Coding::SixtyFour, "0 in 64 bits"),
    ("22.1.5", 5, Coding::SixtyFour, "5 in 64 bits"),
    ("22.1.6", 125, Coding::SixtyFour, "125 in 64 bits"),
    ("22.1.7", 126, Coding::SixtyFour, "126 in 64 bits"),
    ("22.1.8", 65535, Coding::SixtyFour, "65535 in 64 bits"),
];

/// Claims that nothing follows.
const CLAIMS: [(&str, u64, &str); 5] = [
    ("22.2.3", (1 << 63) - 1, "2^63 - 1"),
    ("22.2.4", 1 << 62, "2^62"),
    ("22.2.5", 1 << 40, "2^40"),
    ("22.2.6", (1 << 32) + 5, "2^32 + 5"),
    ("22.2.7", 8 << 30, "2^33"),
];

/// Where buffers of known libraries, segments of TCP and records of TLS end.
pub(super) const BORDERS: [usize; 10] = [
    512, 1024, 1460, 2048, 4096, 8192, 16_384, 32_768, 65_536, 131_072,
];

/// Lengths of payloads whose frames, or which themselves, end at a border or beside it.
pub(super) const fn around(border: usize) -> RangeInclusive<usize> {
    border - 14..=border + 1
}

/// The cases.
pub fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for (id, length, coding, what) in WASTEFUL {
        all.push(case(
            id,
            format!("Send text whose length is written as {what}."),
            FAILS,
            MINIMAL,
            move |_| {
                wasteful(
                    text(vec![b'*'; length]).coding(coding),
                    echo(&text(vec![b'*'; length])),
                )
            },
        ));
    }
    all.push(case(
        "22.1.9",
        "Send a ping whose length, 5, is written in 16 bits.",
        FAILS,
        MINIMAL,
        |_| {
            wasteful(
                ping("Hello").coding(Coding::Sixteen),
                Want::Pong(b"Hello".to_vec()),
            )
        },
    ));
    all.push(case(
        "22.1.10",
        "Send a Close frame whose length, 2, is written in 64 bits.",
        FAILS,
        MINIMAL,
        |_| {
            Script::new()
                .send([close(1000, "").coding(Coding::SixtyFour)])
                .either([
                    (Want::Refusal(PROTOCOL), Verdict::Ok, true),
                    (Want::End, Verdict::Ok, true),
                    (Want::Close(&[]), Verdict::NonStrict, true),
                ])
        },
    ));
    let top = |id, claim: u64, what: &str| {
        let does = format!(
            "Send the header of a binary frame of {what} octets: the top bit of its length is 1."
        );
        case(
            id,
            does,
            "The connection fails with 1002, or 1009, at once.",
            TOP_BIT,
            move |_| {
                Script::new()
                    .send([binary("").claim(claim).coding(Coding::SixtyFour)])
                    .fails(&[1002, 1009])
            },
        )
    };
    all.push(top("22.2.1", 1 << 63, "2^63"));
    all.push(top("22.2.2", u64::MAX, "2^64 - 1"));
    for (id, claim, what) in CLAIMS {
        let does = format!("Send the header of a binary frame of {what} octets, and 5 of them.");
        let expects =
            "The connection fails with 1009 before the payload; waiting for it is non-strict.";
        all.push(
            case(id, does, expects, LIMIT, move |_| {
                let mut frame = binary("Hello").claim(claim);
                frame.coding = Coding::SixtyFour;
                Script::new()
                    .send([frame])
                    .step(Step::FailsWithin(seconds(2), TOO_BIG))
                    .step(Step::Leave)
            })
            .waits(),
        );
    }
    all.push(
        case(
            "22.2.8",
            "Send a fragment of 16 octets, then the header of one of 2^40.",
            "The connection fails with 1009 before the payload; waiting for it is non-strict.",
            LIMIT,
            |_| {
                let mut second = continuation("").claim(1 << 40);
                second.coding = Coding::SixtyFour;
                Script::new()
                    .send([binary([0; 16]).more(), second])
                    .step(Step::FailsWithin(seconds(2), TOO_BIG))
                    .step(Step::Leave)
            },
        )
        .waits(),
    );

    let cut = |id, length: usize, chop, what: &'static str| {
        let does = format!("Send a binary message of {length} octets, {what}.");
        case(id, does, ECHOES, STREAM, move |_| {
            let message = binary(vec![7; length]);
            Script::new()
                .send_chopped([message.clone()], chop)
                .echo(&message)
                .close()
        })
    };
    all.push(cut("22.3.1", 5, Chop::Bytes(1), "octet by octet"));
    all.push(cut("22.3.2", 126, Chop::Bytes(1), "octet by octet"));
    all.push(cut("22.3.3", 65536, Chop::Bytes(3), "3 octets at a time"));
    all.push(cut(
        "22.3.4",
        70000,
        Chop::Bytes(65535),
        "65535 octets at a time",
    ));
    all.push(cut("22.3.5", 1, Chop::Bytes(2), "2 octets at a time"));
    for (at, length) in [124_usize, 65534, 65537, 131_072].into_iter().enumerate() {
        let does = format!("Send a binary message of {length} octets.");
        all.push(case(
            format!("22.4.{}", at + 1),
            does,
            ECHOES,
            ECHO,
            move |_| {
                let message = binary((0..length).map(|n| n as u8).collect::<Vec<_>>());
                Script::new().send([message.clone()]).echo(&message).close()
            },
        ));
    }
    all.push(case(
        "22.4.5",
        "Send messages of each length from 0 to 300, in one write.",
        "All come back, in order.",
        ECHO,
        |_| {
            let frames: Vec<Frame> = (0..=300).map(|length| text(vec![b'a'; length])).collect();
            let script = Script::new().send(frames.clone());
            frames
                .iter()
                .fold(script, |script, frame| script.echo(frame))
                .close()
        },
    ));
    for (at, border) in BORDERS.into_iter().enumerate() {
        let lengths = around(border);
        let does = format!(
            "Send binary messages of each length from {} to {} octets, in one write.",
            lengths.start(),
            lengths.end()
        );
        let expects = "All come back, in order.";
        all.push(case(
            format!("22.6.{}", at + 1),
            does,
            expects,
            ECHO,
            move |_| {
                let message = |length| {
                    binary(
                        (0..length)
                            .map(|n| (n * 7 + n / 251) as u8)
                            .collect::<Vec<_>>(),
                    )
                };
                let frames: Vec<Frame> = lengths.clone().map(message).collect();
                let script = Script::new().send(frames.clone());
                frames
                    .iter()
                    .fold(script, |script, frame| script.echo(frame))
                    .close()
            },
        ));
        let does = format!(
            "Send text of {} octets in fragments of {}, {border} and {} octets.",
            3 * border,
            border - 1,
            border + 1
        );
        all.push(case(
            format!("22.7.{}", at + 1),
            does,
            ECHOES,
            ECHO,
            move |_| {
                let part = |letter, length| vec![letter; length];
                let parts = [
                    part(b'a', border - 1),
                    part(b'b', border),
                    part(b'c', border + 1),
                ];
                let [first, second, third] = parts.clone();
                Script::new()
                    .send([
                        text(first).more(),
                        continuation(second).more(),
                        continuation(third),
                    ])
                    .echo_text(parts.concat())
                    .close()
            },
        ));
    }
    all.push(case(
        "22.5.1",
        "Send a message and the first octet of the next one in one write; after 100 ms its rest.",
        "Both come back.",
        STREAM,
        |setting| {
            let [first, second] = [text("first"), text("second")];
            let key = (setting.peer == Peer::Server).then_some([0; 4]);
            let mut bytes = Vec::new();
            first.write(key, &mut bytes);
            let cut = bytes.len() + 1;
            second.write(key, &mut bytes);
            let rest = bytes.split_off(cut);
            Script::new()
                .bytes(bytes)
                .pause(millis(100))
                .bytes(rest)
                .echo(&first)
                .echo(&second)
                .close()
        },
    ).waits());
    all.push(case(
        "22.5.2",
        "Send 10 000 messages of 3 octets in one write.",
        "All come back, in order.",
        STREAM,
        |_| many(10_000, 3),
    ));
    all.push(case(
        "22.5.3",
        "Send 10 000 empty messages in one write.",
        "All come back.",
        STREAM,
        |_| many(10_000, 0),
    ));
    all.push(case(
        "22.5.4",
        "Send 200 messages in fragments of 1 octet in one write.",
        "All come back, in order.",
        STREAM,
        |_| {
            let frames: Vec<Frame> = (0..200)
                .flat_map(|n| fragments(format!("message {n}").as_bytes(), 1))
                .collect();
            let script = Script::new().send(frames);
            (0..200)
                .fold(script, |script, n| script.echo_text(format!("message {n}")))
                .close()
        },
    ));
    all
}

/// A frame that wastes bytes: the rule binds its sender, and does not require the receiver to fail.
fn wasteful(frame: Frame, answer: Want) -> Script {
    Script::new()
        .send([frame])
        .either([
            (Want::Fail(PROTOCOL), Verdict::Ok, true),
            (answer, Verdict::NonStrict, false),
        ])
        .close()
}

/// Sends `count` numbered messages at once, and expects all of them back.
fn many(count: usize, length: usize) -> Script {
    let payload = move |n: usize| {
        let mut digits = format!("{n:04}").into_bytes();
        digits.truncate(length);
        digits
    };
    let frames: Vec<Frame> = (0..count).map(|n| binary(payload(n))).collect();
    let mut seen = 0;
    Script::new()
        .send(frames)
        .step(Step::Until(
            format!("all {count} messages"),
            Box::new(move |event| match event {
                Event::Message {
                    text: false,
                    payload: got,
                    ..
                } if *got == payload(seen) => {
                    seen += 1;
                    Ok(if seen == count {
                        Seen::Last
                    } else {
                        Seen::More
                    })
                }
                _ => Err(format!("message {} did not come back", seen + 1)),
            }),
        ))
        .close()
}
