//! Cases 25.*: what is offered and answered for permessage-deflate, and compressed streams of all shapes.
//! RFC 7692.

use crate::case::{Case, case};
use crate::deflate::{Deflater, Params};
use crate::frame::{Frame, binary, close, continuation, ping, pong, text};
use crate::http::Head;
use crate::opening;
use crate::script::{
    Chop, INVALID, KEY, PROTOCOL, Peer, Script, Setting, Step, Trips, Want, seconds,
};
use crate::verdict::Verdict;

const DECLINE: &str = "RFC 7692 5.1 and 7.1: \"A server MUST decline an extension negotiation offer for this extension if any of the following conditions are met: the negotiation offer contains an extension parameter not defined for use in an offer; [...] with an invalid value; [...] multiple extension parameters with the same name.\"";
const WINDOW: &str = "RFC 7692 7.1.2.1: \"By including this extension parameter in a negotiation response, a server limits the LZ77 sliding window size\"; the answer is \"the same or smaller value as the offer\".";
const CLIENT_WINDOW: &str = "RFC 7692 7.1.2.2: \"If a received extension negotiation offer doesn't have the \\\"client_max_window_bits\\\" extension parameter, the corresponding extension negotiation response to the offer MUST NOT include\" it.";
const RSV1: &str = "RFC 7692 6: \"An endpoint MUST NOT set the \\\"Per-Message Compressed\\\" bit of control frames and non-first fragments of a data message. An endpoint receiving such a frame MUST _Fail the WebSocket Connection_.\"";
const RSV: &str = "RFC 6455 5.2: permessage-deflate gives a meaning to RSV1 alone (RFC 7692 6).";
const EXAMPLES: &str = "RFC 7692 7.2.3: examples.";
const INFLATE: &str = "RFC 7692 7.2.2: \"Decompress the resulting data using DEFLATE.\" What cannot be is a failure (RFC 6455 7.4.1: 1007 for data that is not consistent with its type).";
const TEXT: &str = "RFC 6455 8.1: text is judged when it is decompressed; a bad one MUST _Fail the WebSocket Connection_.";
const FRAGMENTS: &str =
    "RFC 7692 7.2.1: a compressed message may be split into fragments anywhere; RFC 6455 5.4.";
const KEPT: &str = "RFC 7692 7.1.1: a window that is kept goes from one compressed message to the next; 6: a message may also be sent without compression.";
const BOMB: &str = "RFC 6455 10.4: implementations \"MUST protect themselves\" against messages that exceed their limits: also while they inflate.";

const FAILS: &str = "The connection fails with 1002.";
const WRONG: &[u16] = &[1007, 1002];
const ECHOES: &str = "The same comes back.";

/// "Hello", compressed (RFC 7692 section 7.2.3.1).
const HELLO: [u8; 7] = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];

/// RSV1.
const COMPRESSED: u8 = 4;

fn open() -> Script {
    Script::deflate([Params {
        client_max_window_bits: Some(None),
        ..Params::default()
    }])
}

/// A compressed message as it goes over the wire.
fn packed(payload: impl Into<Vec<u8>>) -> Frame {
    text(payload).rsv(COMPRESSED)
}

/// The cases.
pub fn cases() -> Vec<Case> {
    let mut all = offers();
    all.extend(bits());
    all.extend(shapes());
    all.extend(broken());
    all.extend(windows());
    all.extend(long());
    all
}

/// Offers that a server must decline, and how it may answer others.
fn offers() -> Vec<Case> {
    let declined = "101 without permessage-deflate.";
    let bad: [(&str, &str, &str); 11] = [
        (
            "25.1.1",
            "an unknown parameter",
            "permessage-deflate; x-nobody",
        ),
        (
            "25.1.2",
            "a parameter twice",
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        ),
        (
            "25.1.3",
            "`server_max_window_bits=7`",
            "permessage-deflate; server_max_window_bits=7",
        ),
        (
            "25.1.4",
            "`server_max_window_bits=16`",
            "permessage-deflate; server_max_window_bits=16",
        ),
        (
            "25.1.5",
            "`server_max_window_bits=08`",
            "permessage-deflate; server_max_window_bits=08",
        ),
        (
            "25.1.6",
            "`server_max_window_bits` without a value",
            "permessage-deflate; server_max_window_bits",
        ),
        (
            "25.1.7",
            "`client_max_window_bits=0`",
            "permessage-deflate; client_max_window_bits=0",
        ),
        (
            "25.1.8",
            "`client_max_window_bits=ten`",
            "permessage-deflate; client_max_window_bits=ten",
        ),
        (
            "25.1.9",
            "`server_no_context_takeover=1`",
            "permessage-deflate; server_no_context_takeover=1",
        ),
        (
            "25.1.10",
            "`client_no_context_takeover=true`",
            "permessage-deflate; client_no_context_takeover=true",
        ),
        (
            "25.1.11",
            "a name that is not permessage-deflate",
            "permessage-deflated; server_no_context_takeover",
        ),
    ];
    let mut all: Vec<Case> = bad
        .into_iter()
        .map(|(id, what, offer)| {
            case(
                id,
                format!("Offer permessage-deflate with {what}."),
                declined,
                DECLINE,
                move |setting| {
                    // Answers that fit no offer are faults; so is any answer to an offer that must be declined.
                    offered(setting, offer, Vec::new())
                },
            )
            .for_servers()
        })
        .collect();
    let server_bits = |bits| Params {
        server_max_window_bits: Some(bits),
        ..Params::default()
    };
    let fair: [(&str, &str, &str, Vec<Params>); 6] = [
        (
            "25.2.1",
            "permessage-deflate; server_max_window_bits=8",
            WINDOW,
            vec![server_bits(8)],
        ),
        (
            "25.2.2",
            "permessage-deflate; server_max_window_bits=9",
            WINDOW,
            vec![server_bits(9)],
        ),
        (
            "25.2.3",
            "permessage-deflate; server_max_window_bits=\"10\"",
            WINDOW,
            vec![server_bits(10)],
        ),
        (
            "25.2.4",
            "permessage-deflate",
            CLIENT_WINDOW,
            vec![Params::default()],
        ),
        (
            "25.2.5",
            "permessage-deflate; x-nobody, permessage-deflate; server_no_context_takeover",
            DECLINE,
            vec![Params {
                server_no_context_takeover: true,
                ..Params::default()
            }],
        ),
        (
            "25.2.6",
            "x-nobody; a=\"b\", permessage-deflate",
            DECLINE,
            vec![Params::default()],
        ),
    ];
    all.extend(fair.into_iter().map(|(id, offer, rule, params)| {
        case(
            id,
            format!("Offer `{offer}`."),
            "101 with an answer that fits the offer, or without the extension.",
            rule,
            move |setting| offered(setting, offer, params.clone()),
        )
        .for_servers()
    }));
    all
}

/// An offer as it stands, and what answers may fit.
fn offered(setting: &Setting, offer: &str, params: Vec<Params>) -> Script {
    let head = setting.request().with("Sec-WebSocket-Extensions", offer);
    let fits = move |head: &Head| opening::check_response(head, KEY, &params).map(drop);
    Script::raw()
        .octets(head.write())
        .expect(Want::Head("101", Box::new(fits)))
        .send([text("Hello")])
        // The answer may come compressed: it is not looked at.
        .step(Step::Leave)
}

/// RSV1 where it must not stand.
fn bits() -> Vec<Case> {
    let bad: [(&str, &str, &str, fn() -> Vec<Frame>); 8] = [
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
    let good: [(&str, &str, &str, fn() -> Vec<Frame>, &str); 12] = [
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
            "RFC 7692 7.2.3.6: an empty message.",
            || vec![packed([0])],
            "",
        ),
        (
            "25.4.7",
            "Send \"Hello\" in fragments of one octet.",
            FRAGMENTS,
            || {
                let mut frames = vec![packed(&HELLO[..1]).more()];
                frames.extend(
                    HELLO[1..6]
                        .iter()
                        .map(|octet| continuation([*octet]).more()),
                );
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
            "Pongs, then the text.",
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
                    .pong("1")
                    .pong("2")
                    .echo_text("Hello")
                    .close()
            },
        ),
        case(
            "25.4.14",
            "Send compressed text octet by octet.",
            ECHOES,
            FRAGMENTS,
            |_| {
                open()
                    .send_chopped([packed(HELLO)], Chop::Octets(1))
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

/// Streams that cannot be inflated.
fn broken() -> Vec<Case> {
    let bad: [(&str, &str, &[u8]); 6] = [
        (
            "25.5.1",
            "Send octets that are not deflate data.",
            &[0xff, 0xff, 0xff, 0xff],
        ),
        (
            "25.5.2",
            "Send a block of the reserved type 3.",
            &[0x06, 0x00],
        ),
        (
            "25.5.3",
            "Send a block without compression whose lengths do not fit each other.",
            &[0x00, 0x05, 0x00, 0x00, 0x00, 0x48, 0x65, 0x6c, 0x6c, 0x6f],
        ),
        (
            "25.5.4",
            "Send a reference to what lies before the first message.",
            &[0x03, 0x12, 0x00],
        ),
        (
            "25.5.5",
            "Send a block without compression that ends before its octets.",
            &[0x00, 0xff, 0x00, 0x00, 0xff, 0x48],
        ),
        (
            "25.5.6",
            "Send a block with dynamic codes of which there are too many.",
            &[0x04, 0x00, 0x92, 0x04],
        ),
    ];
    let mut all: Vec<Case> = bad
        .into_iter()
        .map(|(id, does, octets)| {
            case(
                id,
                does,
                "The connection fails with 1007 or 1002.",
                INFLATE,
                move |_| open().send([packed(octets)]).fails(WRONG),
            )
        })
        .collect();
    let deflated = |octets: &[u8]| Deflater::new(15, false).message(octets);
    all.extend([
        case(
            "25.5.7",
            "Send a compressed message that ends in the middle of a block.",
            "The connection fails with 1007 or 1002; a peer that takes it for whole is told of.",
            INFLATE,
            |_| {
                open()
                    .send([packed(&HELLO[..3])])
                    .either([
                        (Want::Fail(WRONG), Verdict::Ok, true),
                        (
                            Want::Message {
                                text: true,
                                payload: b"Heh".to_vec(),
                            },
                            Verdict::NonStrict,
                            false,
                        ),
                        (
                            Want::Message {
                                text: true,
                                payload: b"He".to_vec(),
                            },
                            Verdict::NonStrict,
                            false,
                        ),
                    ])
                    .close()
            },
        ),
        case(
            "25.5.8",
            "Send compressed text that is not UTF-8.",
            "The connection fails with 1007.",
            TEXT,
            move |_| {
                open()
                    .send([packed(deflated(b"ab\xff\xfe"))])
                    .fails(INVALID)
            },
        ),
        case(
            "25.5.9",
            "Send compressed text that ends inside a character.",
            "The connection fails with 1007.",
            TEXT,
            move |_| {
                open()
                    .send([packed(deflated(b"ab\xe2\x82"))])
                    .fails(INVALID)
            },
        ),
        case(
            "25.5.10",
            "Send compressed text in fragments, split inside a character of its compressed octets.",
            ECHOES,
            TEXT,
            move |_| {
                let whole = "\u{20ac}\u{1f600}".repeat(50);
                let octets = deflated(whole.as_bytes());
                let (left, right) = octets.split_at(octets.len() / 2);
                open()
                    .send([packed(left).more(), continuation(right)])
                    .echo_text(whole)
                    .close()
            },
        ),
        case(
            "25.5.11",
            "Send binary, compressed, that is not UTF-8.",
            ECHOES,
            "RFC 7692 7.2: binary messages are compressed as text is.",
            move |_| {
                let octets: Vec<u8> = (0..=255).collect();
                let packed = deflated(&octets);
                open()
                    .send([binary(packed).rsv(COMPRESSED)])
                    .echo_binary(octets)
                    .close()
            },
        ),
        case(
            "25.5.12",
            "Send a message of 1 MiB that inflates to 1 GiB.",
            "The connection fails with 1009.",
            BOMB,
            |_| {
                let block = Deflater::new(15, false).message(&vec![0; 1 << 20]);
                let joined: Vec<u8> = [block.as_slice(), &[0, 0, 0xff, 0xff]].concat();
                let mut octets = joined.repeat(1024);
                octets.truncate(octets.len() - 4);
                open()
                    .send([binary(octets).rsv(COMPRESSED)])
                    .fails(&[1009, 1008])
            },
        ),
        case(
            "25.5.13",
            "Send the same in fragments of 1 KiB.",
            "The connection fails with 1009.",
            BOMB,
            |_| {
                let block = Deflater::new(15, false).message(&vec![0; 1 << 20]);
                let joined: Vec<u8> = [block.as_slice(), &[0, 0, 0xff, 0xff]].concat();
                let octets = joined.repeat(1024);
                let mut frames: Vec<Frame> = octets
                    .chunks(1024)
                    .map(|part| continuation(part).more())
                    .collect();
                if let Some(first) = frames.first_mut() {
                    *first = binary(first.payload.clone()).rsv(COMPRESSED).more();
                }
                if let Some(last) = frames.last_mut() {
                    last.fin = true;
                }
                open().send(frames).fails(&[1009, 1008])
            },
        ),
    ]);
    all
}

/// A window of each size, both ways.
fn windows() -> Vec<Case> {
    let mut all = Vec::new();
    for bits in 9..=15_u8 {
        let does = format!(
            "Agree on a window of {bits} bits for the peer; 20 messages whose parts repeat at all distances."
        );
        all.push(case(
            format!("25.6.{}", bits - 8),
            does,
            "Each comes back, without references beyond the window.",
            WINDOW,
            move |setting| {
                let params = Params {
                    server_max_window_bits: Some(bits),
                    client_max_window_bits: Some(None),
                    ..Params::default()
                };
                Script::deflate([params]).step(distances(setting)).close()
            },
        ));
        let does = format!(
            "Offer a window of at most {bits} bits for the suite; 20 messages whose parts repeat at all distances."
        );
        all.push(
            case(
                format!("25.7.{}", bits - 8),
                does,
                "Each comes back.",
                CLIENT_WINDOW,
                move |setting| {
                    let params = Params {
                        client_max_window_bits: Some(Some(bits)),
                        client_no_context_takeover: true,
                        ..Params::default()
                    };
                    Script::deflate([params]).step(distances(setting)).close()
                },
            )
            .for_servers(),
        );
    }
    all
}

/// Messages that hold the same noise again after each power of two.
fn distances(_: &Setting) -> Step {
    let message = |turn: usize| {
        let mut seed = turn as u32;
        let noise = |seed: &mut u32| {
            *seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (*seed >> 24) as u8
        };
        let mark: Vec<u8> = (0..64).map(|_| noise(&mut seed)).collect();
        let mut octets = Vec::new();
        for power in 7..=15 {
            octets.extend_from_slice(&mark);
            octets.extend((0..(1 << power) - 64).map(|_| noise(&mut seed)));
        }
        octets.extend_from_slice(&mark);
        octets
    };
    Step::Trips(Trips {
        count: 20,
        message: Box::new(message),
        text: false,
        fragment: None,
        repeats: 0,
    })
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
            "Send 20 messages in fragments of 7 octets with pings between them, with windows kept.",
            "Pongs, and each message.",
            KEPT,
            move |_| {
                (0..20)
                    .fold(open(), |script, _| {
                        script
                            .step(Step::Message(true, long.into(), Some(7)))
                            .send([ping("between")])
                            .echo_text(long)
                            .pong("between")
                    })
                    .close()
            },
        ),
        case(
            "25.8.4",
            "Send the same text 50 times, without windows kept on either side.",
            "Each comes back.",
            "RFC 7692 7.1.1.1 and 7.1.1.2: without context takeover, each message is compressed with an empty window.",
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
                let octets: Vec<u8> = (0..100_000)
                    .map(|_| {
                        state = state
                            .wrapping_mul(6_364_136_223_846_793_005)
                            .wrapping_add(1);
                        (state >> 56) as u8
                    })
                    .collect();
                open()
                    .message(false, octets.clone())
                    .echo_binary(octets)
                    .close()
            },
        ),
        case(
            "25.8.6",
            "Send empty messages, compressed, 20 times.",
            "Each comes back.",
            "RFC 7692 7.2.3.6: an empty message.",
            |_| {
                (0..20)
                    .fold(open(), |script, _| script.message(true, "").echo_text(""))
                    .close()
            },
        ),
        case(
            "25.8.7",
            "Send 1000 compressed messages in one write.",
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
    all.push(case("25.8.9", "Read what a peer compresses without context takeover: the same text twice.", "The second refers to nothing in the first.", "RFC 7692 7.1.1.1: \"server_no_context_takeover\" \"prevents the peer server from using context takeover\".", move |setting| {
        let params = Params {
            server_no_context_takeover: true,
            client_no_context_takeover: setting.peer == Peer::Client,
            client_max_window_bits: Some(None),
            ..Params::default()
        };
        (0..5).fold(Script::deflate([params]), |script, _| script.message(true, long).echo_text(long)).close()
    }));
    all
}
