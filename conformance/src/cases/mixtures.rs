//! Cases 29.*: fragments and control frames in orders that the classic suite does not try.
//! RFC 6455 sections 5.4 and 5.5.

use super::rules::validated;
use super::utf8::fragments;
use crate::case::{Case, case};
use crate::frame::{Frame, binary, close, continuation, frame, opcode, ping, pong, text};
use crate::script::{All, NORMAL, PROTOCOL, Script, Step, Want, echo};
use crate::verdict::Verdict;

const INTERLEAVED: &str = "RFC 6455 5.4: \"The fragments of one message MUST NOT be interleaved between the fragments of another message unless an extension has been negotiated that can interpret the interleaving.\"";
const FRAGMENTS: &str = "RFC 6455 5.4: \"Clients and servers MUST support receiving both fragmented and unfragmented messages.\" \"A fragmented message consists of a single frame with the FIN bit clear and an opcode other than 0, followed by zero or more frames with the FIN bit clear and the opcode set to 0, and terminated by a single frame with the FIN bit set and an opcode of 0.\"";
const CONTROL: &str = concat!(
    "RFC 6455 5.5: \"All control frames MUST have a payload length of 125 bytes or less and MUST NOT be fragmented.\" ",
    validated!()
);
const INJECTED: &str = "RFC 6455 5.4: \"Control frames [...] MAY be injected in the middle of a fragmented message. [...] An endpoint MUST be capable of handling control frames in the middle of a fragmented message.\" 5.5.2: it \"SHOULD respond with Pong frame as soon as is practical\".";
const RESERVED: &str = "RFC 6455 5.2: at a reserved bit or an unknown opcode, \"the receiving endpoint MUST _Fail the WebSocket Connection_\", wherever it stands.";

const FAILS: &str = "The connection fails with 1002.";
const ECHOES: &str = "The same comes back.";

/// Frames after which the connection must fail.
type Frames = fn() -> Vec<Frame>;

const BAD: [(&str, &str, &str, Frames); 19] = [
    (
        "29.1.1",
        "Send two first fragments of text, then a continuation.",
        INTERLEAVED,
        || vec![text("one").more(), text("two").more(), continuation("end")],
    ),
    (
        "29.1.2",
        "Send a first fragment of text, then one of binary, then a continuation.",
        INTERLEAVED,
        || {
            vec![
                text("one").more(),
                binary("two").more(),
                continuation("end"),
            ]
        },
    ),
    (
        "29.1.3",
        "Send a first fragment of binary, then whole text.",
        INTERLEAVED,
        || vec![binary("one").more(), text("two")],
    ),
    (
        "29.1.4",
        "Send an empty first fragment of text, then whole text.",
        INTERLEAVED,
        || vec![text("").more(), text("two")],
    ),
    (
        "29.1.5",
        "Send a first fragment and a middle one, then whole binary.",
        INTERLEAVED,
        || {
            vec![
                text("one").more(),
                continuation("two").more(),
                binary("three"),
            ]
        },
    ),
    (
        "29.1.6",
        "Send an empty continuation with FIN 1 that continues nothing.",
        FRAGMENTS,
        || vec![continuation("")],
    ),
    (
        "29.1.7",
        "Send an empty continuation with FIN 0 that continues nothing.",
        FRAGMENTS,
        || vec![continuation("").more()],
    ),
    ("29.2.1", "Send a Close frame with FIN 0.", CONTROL, || {
        vec![close(1000, "").more()]
    }),
    ("29.2.2", "Send an empty ping with FIN 0.", CONTROL, || {
        vec![ping("").more()]
    }),
    ("29.2.3", "Send a pong of 126 octets.", CONTROL, || {
        vec![pong([7; 126])]
    }),
    ("29.2.4", "Send a ping of 65536 octets.", CONTROL, || {
        vec![ping(vec![7; 65536])]
    }),
    (
        "29.2.5",
        "Send a ping of 126 octets between two fragments.",
        CONTROL,
        || vec![text("one").more(), ping([7; 126]), continuation("two")],
    ),
    (
        "29.2.6",
        "Send a ping with FIN 0 between two fragments.",
        CONTROL,
        || vec![text("one").more(), ping("ping").more(), continuation("two")],
    ),
    ("29.2.7", "Send a pong with FIN 0.", CONTROL, || {
        vec![pong("pong").more()]
    }),
    (
        "29.3.1",
        "Send a continuation with RSV 4.",
        RESERVED,
        || vec![text("one").more(), continuation("two").rsv(4)],
    ),
    (
        "29.3.2",
        "Send a continuation with RSV 1.",
        RESERVED,
        || vec![text("one").more(), continuation("two").rsv(1)],
    ),
    (
        "29.3.3",
        "Send a ping with RSV 4 between two fragments.",
        RESERVED,
        || vec![text("one").more(), ping("ping").rsv(4), continuation("two")],
    ),
    (
        "29.3.4",
        "Send opcode 3 between two fragments.",
        RESERVED,
        || vec![text("one").more(), frame(3, "three"), continuation("two")],
    ),
    (
        "29.3.5",
        "Send opcode 11 between two fragments.",
        RESERVED,
        || vec![text("one").more(), frame(11, "eleven"), continuation("two")],
    ),
];

/// The cases.
pub fn cases() -> Vec<Case> {
    let mut all: Vec<Case> = BAD
        .into_iter()
        .map(|(id, does, rule, frames)| {
            case(id, does, FAILS, rule, move |_| {
                Script::new().send(frames()).fails(PROTOCOL)
            })
        })
        .collect();
    all.extend([
        case(
            "29.4.1",
            "Send text in 1000 fragments of 10 octets.",
            ECHOES,
            FRAGMENTS,
            |_| {
                let payload = "0123456789".repeat(1000);
                Script::new()
                    .send(fragments(payload.as_bytes(), 10))
                    .echo_text(payload)
                    .close()
            },
        ),
        case(
            "29.4.2",
            "Send a binary message in two fragments; the first is empty.",
            ECHOES,
            FRAGMENTS,
            |_| {
                Script::new()
                    .send([binary("").more(), continuation([0, 1, 2])])
                    .echo_binary([0, 1, 2])
                    .close()
            },
        ),
        case(
            "29.4.3",
            "Send an empty binary message in two empty fragments.",
            "An empty binary message comes back.",
            FRAGMENTS,
            |_| {
                Script::new()
                    .send([binary("").more(), continuation("")])
                    .echo_binary("")
                    .close()
            },
        ),
        case(
            "29.4.4",
            "Send text in fragments with 100 empty ones among them.",
            ECHOES,
            FRAGMENTS,
            |_| {
                let mut frames = vec![text("start").more()];
                frames.extend((0..100).map(|_| continuation("").more()));
                frames.push(continuation("end"));
                Script::new().send(frames).echo_text("startend").close()
            },
        ),
        case(
            "29.4.5",
            "Send fragments that grow from 0 to 200 octets.",
            ECHOES,
            FRAGMENTS,
            |_| {
                let part = |length: usize| vec![b'a' + (length % 26) as u8; length];
                let mut frames = vec![text(part(0)).more()];
                frames.extend((1..200).map(|length| continuation(part(length)).more()));
                frames.push(continuation(part(200)));
                let whole: Vec<u8> = (0..=200).flat_map(part).collect();
                Script::new().send(frames).echo_text(whole).close()
            },
        ),
        case(
            "29.5.1",
            "Send 100 fragments with a ping of 125 octets behind each.",
            "All pongs, then the message; one pong for several pings, and the end of the connection, are told of.",
            INJECTED,
            |_| {
                let payload = |n: u8| [n; 125];
                let mut frames = vec![binary([0; 10]).more()];
                for n in 0..100 {
                    frames.extend([ping(payload(n)), continuation([n; 10]).more()]);
                }
                frames.push(continuation(""));
                let whole = [vec![0; 10], (0..100).flat_map(|n| [n; 10]).collect()].concat();
                let pongs = (0..100).map(|n| Want::Pong(payload(n).to_vec()));
                let wants = pongs.chain([echo(&binary(whole))]).collect();
                Script::new()
                    .send(frames)
                    .step(Step::All(All {
                        wants,
                        late: Verdict::NonStrict,
                        limited: true,
                    }))
                    .close()
            },
        )
        .free("RFC 6455 5.5.3 allows to answer only the newest of several pings, and 10.4 to limit what a peer may ask for at once"),
        case(
            "29.5.2",
            "Send pongs between fragments.",
            ECHOES,
            INJECTED,
            |_| {
                Script::new()
                    .send([
                        text("one").more(),
                        pong(""),
                        continuation("two").more(),
                        pong("pong"),
                        continuation("three"),
                    ])
                    .echo_text("onetwothree")
                    .close()
            },
        ),
        case(
            "29.5.3",
            "Send a Close frame between fragments, and no more.",
            "Close comes back.",
            INJECTED,
            |_| {
                Script::new()
                    .send([text("one").more(), close(1000, "")])
                    .expect(Want::Close(NORMAL))
            },
        )
        .free(
            "RFC 6455 5.5.1 says only that the answer \"typically echos the status code it received\"",
        ),
        case(
            "29.5.4",
            "Send a ping between two fragments, octet by octet.",
            "A pong, then the message; the other order is non-strict.",
            INJECTED,
            |_| {
                Script::new()
                    .send_chopped(
                        [text("one").more(), ping("ping"), continuation("two")],
                        crate::script::Chop::Bytes(1),
                    )
                    .pongs_then(["ping"], Some(echo(&text("onetwo"))))
                    .close()
            },
        ),
        case(
            "29.6.1",
            "Send text, binary and text, whole and in fragments, in one write.",
            "All come back, in order.",
            FRAGMENTS,
            |_| {
                Script::new()
                    .send([
                        text("a"),
                        binary("b").more(),
                        continuation("c"),
                        text("d").more(),
                        continuation("").more(),
                        continuation("e"),
                        binary(""),
                    ])
                    .echo_text("a")
                    .echo_binary("bc")
                    .echo_text("de")
                    .echo_binary("")
                    .close()
            },
        ),
    ]);
    for (at, code) in [opcode::TEXT, opcode::BINARY].into_iter().enumerate() {
        all.push(case(
            format!("29.6.{}", at + 2),
            format!("Send a message with opcode {code} after one that was in fragments."),
            "Both come back.",
            FRAGMENTS,
            move |_| {
                let second = frame(code, "second");
                Script::new()
                    .send([text("fir").more(), continuation("st"), second.clone()])
                    .echo_text("first")
                    .echo(&second)
                    .close()
            },
        ));
    }
    all
}
