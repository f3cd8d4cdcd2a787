//! Cases 25.3, 25.4 and 25.8: compressed streams of all shapes.
//! RFC 7692.

use super::rules::{parsed, validated, window_kept};
use crate::case::{Case, case};
use crate::deflate::Params;
use crate::frame::{Frame, close, continuation, ping, pong, text};
use crate::script::{All, Chop, PROTOCOL, Peer, Script, Step, Want, echo, seconds};
use crate::verdict::Verdict;

const RSV1: &str = "RFC 7692 6: \"An endpoint MUST NOT set the \\\"Per-Message Compressed\\\" bit of control frames and non-first fragments of a data message. An endpoint receiving such a frame MUST _Fail the WebSocket Connection_.\"";
const RSV: &str = "RFC 6455 5.2: where nothing gives a reserved bit a meaning, \"the receiving endpoint MUST _Fail the WebSocket Connection_\"; permessage-deflate gives one to RSV1 alone (RFC 7692 6).";
const EXAMPLES: &str = concat!(parsed!(), " RFC 7692 7.2.3: examples.");
pub(super) const INFLATE: &str = concat!(
    validated!(),
    " RFC 7692 7.2.2: \"Decompress the resulting data using DEFLATE.\" What cannot be is a failure (RFC 6455 7.4.1: 1007 for data that is not consistent with its type)."
);
const FRAGMENTS: &str = "RFC 6455 5.4: \"Clients and servers MUST support receiving both fragmented and unfragmented messages.\" RFC 7692 6.1: a compressed message may be split anywhere.";
const KEPT: &str = window_kept!();
const EMPTY: &str = concat!(parsed!(), " RFC 7692 7.2.3.6: an empty message.");

const NO_TAKEOVER: &str = "RFC 7692 7.2.1: with \"server_no_context_takeover\", \"the server MUST start compressing each new message with an empty LZ77 sliding window\"; so must the client with \"client_no_context_takeover\".";

const FAILS: &str = "The connection fails with 1002.";
pub(super) const WRONG: &[u16] = &[1007, 1002];
pub(super) const ECHOES: &str = "The same comes back.";

/// "Hello", compressed (RFC 7692 section 7.2.3.1).
pub(super) const HELLO: [u8; 7] = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];

/// Makes frames.
type Make = fn() -> Vec<Frame>;

/// RSV1.
pub(super) const COMPRESSED: u8 = 4;

pub(super) fn open() -> Script {
    Script::deflate([Params {
        client_max_window_bits: Some(None),
        ..Params::default()
    }])
}

/// A compressed message as it goes over the wire.
pub(super) fn packed(payload: impl Into<Vec<u8>>) -> Frame {
    text(payload).rsv(COMPRESSED)
}

/// The cases.
pub fn cases() -> Vec<Case> {
    let mut all = bits();
    all.extend(shapes());
    all.extend(long());
    all
}

/// RSV1 where it must not stand.
fn bits() -> Vec<Case> {
    let bad: [(&str, &str, &str, Make); 8] = [
        (
            "25.3.1",
            "Send a compressed first fragment, and a continuation with RSV1.",
            RSV1,
            || {
                let [left, right] = [&HELLO[..3], &HELLO[3..]];
                vec![packed(left).more(), continuation(right).rsv(COMPRESSED)]
            },
        ),
        (
            "25.3.2",
            "Send an uncompressed first fragment, and a continuation with RSV1.",
            RSV1,
            || vec![text("Hel").more(), continuation("lo").rsv(COMPRESSED)],
        ),
        ("25.3.3", "Send a ping with RSV1.", RSV1, || {
            vec![ping("Hello").rsv(COMPRESSED)]
        }),
        ("25.3.4", "Send a pong with RSV1.", RSV1, || {
            vec![pong("Hello").rsv(COMPRESSED)]
        }),
        ("25.3.5", "Send a Close frame with RSV1.", RSV1, || {
            vec![close(1000, "").rsv(COMPRESSED)]
        }),
        (
            "25.3.6",
            "Send a compressed message with RSV2.",
            RSV,
            || vec![text(HELLO).rsv(6)],
        ),
        ("25.3.7", "Send a message with RSV3.", RSV, || {
            vec![text("Hello").rsv(1)]
        }),
        (
            "25.3.8",
            "Send a ping with RSV1 between compressed fragments.",
            RSV1,
            || {
                let [left, right] = [&HELLO[..3], &HELLO[3..]];
                vec![
                    packed(left).more(),
                    ping("").rsv(COMPRESSED),
                    continuation(right),
                ]
            },
        ),
    ];
    bad.into_iter()
        .map(|(id, does, rule, frames)| {
            case(id, does, FAILS, rule, move |_| {
                open().send(frames()).fails(PROTOCOL)
            })
        })
        .collect()
}

/// Good streams in odd shapes.
fn shapes() -> Vec<Case> {
    let good: [(&str, &str, &str, Make, &str); 12] = [
        (
            "25.4.1",
            "Send \"Hello\" in one block.",
            EXAMPLES,
            || vec![packed(HELLO)],
            "Hello",
        ),
        (
            "25.4.2",
            "Send \"Hello\" in two fragments of 3 and 4 octets.",
            EXAMPLES,
            || vec![packed(&HELLO[..3]).more(), continuation(&HELLO[3..])],
            "Hello",
        ),
        (
            "25.4.3",
            "Send \"Hello\" in a block without compression.",
            EXAMPLES,
            || {
                vec![packed([
                    0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00,
                ])]
            },
            "Hello",
        ),
        (
            "25.4.4",
            "Send \"Hello\" in a block with BFINAL 1.",
            EXAMPLES,
            || vec![packed([0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00])],
            "Hello",
        ),
        (
            "25.4.5",
            "Send \"Hello\" in two blocks.",
            EXAMPLES,
            || {
                vec![packed([
                    0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00,
                ])]
            },
            "Hello",
        ),
        (
            "25.4.6",
            "Send an empty compressed message: a single zero octet.",
            EMPTY,
            || vec![packed([0])],
            "",
        ),
        (
            "25.4.7",
            "Send \"Hello\" in fragments of one octet.",
            FRAGMENTS,
            || {
                let mut frames = vec![packed(&HELLO[..1]).more()];
                frames.extend(HELLO[1..6].iter().map(|byte| continuation([*byte]).more()));
                frames.push(continuation(&HELLO[6..]));
                frames
            },
            "Hello",
        ),
        (
            "25.4.8",
            "Send \"Hello\" with an empty first fragment.",
            FRAGMENTS,
            || vec![packed("").more(), continuation(HELLO)],
            "Hello",
        ),
        (
            "25.4.9",
            "Send \"Hello\" with an empty last fragment.",
            FRAGMENTS,
            || vec![packed(HELLO).more(), continuation("")],
            "Hello",
        ),
        (
            "25.4.10",
            "Send \"Hello\" with empty fragments in its middle.",
            FRAGMENTS,
            || {
                vec![
                    packed(&HELLO[..3]).more(),
                    continuation("").more(),
                    continuation("").more(),
                    continuation(&HELLO[3..]),
                ]
            },
            "Hello",
        ),
        (
            "25.4.11",
            "Send \"Hello\" without compression, though it was agreed on.",
            KEPT,
            || vec![text("Hello")],
            "Hello",
        ),
        (
            "25.4.12",
            "Send \"Hello\" with empty blocks before it.",
            INFLATE,
            || {
                vec![packed(
                    [
                        &[0x00, 0x00, 0x00, 0xff, 0xff, 0x00, 0x00, 0x00, 0xff, 0xff],
                        HELLO.as_slice(),
                    ]
                    .concat(),
                )]
            },
            "Hello",
        ),
    ];
    let mut all: Vec<Case> = good
        .into_iter()
        .map(|(id, does, rule, frames, back)| {
            case(id, does, ECHOES, rule, move |_| {
                open().send(frames()).echo_text(back).close()
            })
        })
        .collect();
    all.extend([
        case(
            "25.4.13",
            "Send \"Hello\" compressed with pings between its fragments.",
            "Pongs, then the text; one for only the newest is told of.",
            FRAGMENTS,
            |_| {
                open()
                    .send([
                        packed(&HELLO[..3]).more(),
                        ping("1"),
                        continuation(&HELLO[3..5]).more(),
                        ping("2"),
                        continuation(&HELLO[5..]),
                    ])
                    .pongs_then(["1", "2"], Some(echo(&text("Hello"))))
                    .close()
            },
        )
        .free("RFC 6455 5.5.3 allows to answer only the newest of several pings"),
        case(
            "25.4.14",
            "Send compressed text octet by octet.",
            ECHOES,
            FRAGMENTS,
            |_| {
                open()
                    .send_chopped([packed(HELLO)], Chop::Bytes(1))
                    .echo_text("Hello")
                    .close()
            },
        ),
        case(
            "25.4.15",
            "Send a compressed frame without any payload.",
            "An empty message comes back, or the connection fails.",
            INFLATE,
            |_| {
                open()
                    .send([packed("")])
                    .either([
                        (
                            Want::Message {
                                text: true,
                                payload: Vec::new(),
                            },
                            Verdict::Informational,
                            false,
                        ),
                        (Want::Fail(WRONG), Verdict::Informational, true),
                    ])
                    .close()
            },
        )
        .free(
            "RFC 7692 7.2.3.6 names one way to send an empty message, and does not forbid this one",
        ),
        case(
            "25.4.16",
            "Send a block with BFINAL 1, and a block behind it, in one message.",
            "Both are in the message that comes back, or the connection fails.",
            INFLATE,
            |_| {
                let first = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
                open()
                    .send([packed([first.as_slice(), &HELLO].concat())])
                    .either([
                        (
                            Want::Message {
                                text: true,
                                payload: b"HelloHello".to_vec(),
                            },
                            Verdict::Informational,
                            false,
                        ),
                        (
                            Want::Message {
                                text: true,
                                payload: b"Hello".to_vec(),
                            },
                            Verdict::Informational,
                            false,
                        ),
                        (Want::Fail(WRONG), Verdict::Informational, true),
                    ])
                    .close()
            },
        )
        .free("RFC 7692 7.2.3.4 shows such a block at the end; zlib's users stop there"),
    ]);
    all
}

/// Streams of several messages.
fn long() -> Vec<Case> {
    let long = "the same words again and again, the same words ";
    let both = Params {
        server_no_context_takeover: true,
        client_no_context_takeover: true,
        ..Params::default()
    };
    let mut all = vec![
        case(
            "25.8.1",
            "Send the same text 50 times, with windows kept.",
            "Each comes back.",
            KEPT,
            move |_| {
                (0..50)
                    .fold(open(), |script, _| {
                        script.message(true, long).echo_text(long)
                    })
                    .close()
            },
        ),
        case(
            "25.8.2",
            "Send compressed and uncompressed messages by turns, with windows kept.",
            "Each comes back.",
            KEPT,
            move |_| {
                (0..20)
                    .fold(open(), |script, turn| match turn % 2 {
                        0 => script.message(true, long).echo_text(long),
                        _ => script.send([text(long)]).echo_text(long),
                    })
                    .close()
            },
        ),
        case(
            "25.8.3",
            "Send 20 messages in fragments of 7 octets, compressed, with a ping behind each, with windows kept.",
            "The message and a pong each time, in either order.",
            KEPT,
            move |_| {
                (0..20)
                    .fold(open(), |script, _| {
                        script
                            .step(Step::Message(true, long.into(), Some(7)))
                            .send([ping("behind")])
                            .step(Step::All(All {
                                wants: vec![echo(&text(long)), Want::Pong(b"behind".to_vec())],
                                late: Verdict::Ok,
                                limited: false,
                            }))
                    })
                    .close()
            },
        ),
        case(
            "25.8.4",
            "Send the same text 50 times, without windows kept on either side.",
            "Each comes back.",
            NO_TAKEOVER,
            move |_| {
                (0..50)
                    .fold(Script::deflate([both]), |script, _| {
                        script.message(true, long).echo_text(long)
                    })
                    .close()
            },
        ),
        case(
            "25.8.5",
            "Send octets that cannot be compressed.",
            "They come back.",
            KEPT,
            |_| {
                let mut state = 7_u64;
                let bytes: Vec<u8> = (0..100_000)
                    .map(|_| {
                        state = state
                            .wrapping_mul(6_364_136_223_846_793_005)
                            .wrapping_add(1);
                        (state >> 56) as u8
                    })
                    .collect();
                open()
                    .message(false, bytes.clone())
                    .echo_binary(bytes)
                    .close()
            },
        ),
        case(
            "25.8.6",
            "Send empty messages, compressed, 20 times.",
            "Each comes back.",
            EMPTY,
            |_| {
                (0..20)
                    .fold(open(), |script, _| script.message(true, "").echo_text(""))
                    .close()
            },
        ),
        case(
            "25.8.7",
            "Send 1000 compressed messages, without waiting for any to come back.",
            "All come back, in order.",
            KEPT,
            |_| {
                let script = (0..1000).fold(open(), |script, turn| {
                    script.message(true, format!("message {turn}"))
                });
                (0..1000)
                    .fold(script, |script, turn| {
                        script.echo_text(format!("message {turn}"))
                    })
                    .close()
            },
        ),
        case(
            "25.8.8",
            "Send a compressed message, then nothing for 1 s, then another, with windows kept.",
            "Each comes back.",
            KEPT,
            move |_| {
                open()
                    .message(true, long)
                    .echo_text(long)
                    .quiet(seconds(1))
                    .message(true, long)
                    .echo_text(long)
                    .close()
            },
        )
        .waits(),
    ];
    all.push(case(
        "25.8.9",
        "Read what a peer compresses without context takeover: the same text twice.",
        "The second refers to nothing in the first.",
        NO_TAKEOVER,
        move |setting| {
            let params = Params {
                server_no_context_takeover: true,
                client_no_context_takeover: setting.peer == Peer::Client,
                client_max_window_bits: Some(None),
                ..Params::default()
            };
            (0..5)
                .fold(Script::deflate([params]), |script, _| {
                    script.message(true, long).echo_text(long)
                })
                .close()
        },
    ));
    all
}
