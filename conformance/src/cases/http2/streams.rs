//! Cases 32.1, 32.3 and 32.4: a WebSocket on a stream: its frames in DATA frames, and how it ends.
//! RFC 8441 section 5; RFC 6455 for the frames.

use super::rules::{COMES_BACK, IGNORES};
use super::{key, opened, padded, ping, pinged};
use crate::case::{Case, case};
use crate::cases::rules::{parsed, validated};
use crate::frame::{self, Frame, Masking, binary, close, continuation, frame, opcode, text};
use crate::http2::wire::{self, MAIN, data, error, flag, kind};
use crate::script::{Chop, INVALID, PROTOCOL, Script, Setting, Step, Want, echo, millis};
use crate::verdict::Word;

const AS_TCP: &str = concat!(
    parsed!(),
    " RFC 8441 5: the peers use \"the HTTP/2 stream from the CONNECT transaction as if it were the TCP connection referred to in [RFC6455]\"."
);
const RULES: &str = concat!(
    validated!(),
    " RFC 8441 5: the peers \"proceed with the WebSocket Protocol [RFC6455]\" on the stream."
);
const MASKED: &str = "RFC 6455 5.1: \"The server MUST close the connection upon receiving a frame that is not masked.\" \"A client MUST close a connection if it detects a masked frame.\" RFC 8441 5: that holds on the stream too.";
const UTF8: &str = "RFC 6455 8.1: an endpoint that finds that the byte stream is not valid UTF-8 \"MUST _Fail the WebSocket Connection_\". RFC 8441 5: that holds on the stream too.";
const ENDS: &str = "RFC 6455 5.5.1: \"After both sending and receiving a Close message, an endpoint considers the WebSocket connection closed and MUST close the underlying TCP connection.\" RFC 8441 5: \"Orderly TCP-level closures are represented as END_STREAM flags\".";
const RESET: &str = "RFC 9113 6.4: \"After receiving a RST_STREAM on a stream, the receiver MUST NOT send additional frames for that stream, except for PRIORITY.\" RFC 8441 5: \"RST exceptions are represented with the RST_STREAM frame [...] with the CANCEL error code\".";
const HALF: &str = "RFC 6455 7.1.1: what becomes of a connection whose other side ended without a Close frame is not said; RFC 9113 8.5: \"A client is expected to send a DATA frame with the END_STREAM flag set after receiving a frame with the END_STREAM flag set.\"";
const ONLY_DATA: &str = "RFC 9113 8.5: \"Frame types other than DATA or stream management frames (RST_STREAM, WINDOW_UPDATE, and PRIORITY) MUST NOT be sent on a connected stream and MUST be treated as a stream error (Section 5.4.2) if received.\"";
const PINGS: &str = "RFC 9113 6.7: \"Receivers of a PING frame that does not include an ACK flag MUST send a PING frame with the ACK flag set in response, with an identical frame payload.\"";
const PADDING: &str = concat!(
    parsed!(),
    " RFC 9113 6.1: padding octets \"contain no application semantic value\"."
);

/// The cases.
pub(super) fn cases() -> Vec<Case> {
    let mut all = carried();
    all.extend(beside());
    all.extend(ends());
    all.extend(faults());
    all
}

fn hello(script: Script) -> Script {
    script.send([text("Hello")]).echo_text("Hello").close()
}

/// Frames of the WebSocket, in DATA frames of all kinds.
fn carried() -> Vec<Case> {
    let large = |id: &'static str, size: usize, does: &'static str| {
        case(id, does, "It comes back.", AS_TCP, move |setting| {
            let message = binary(vec![0xfe; size]);
            opened(setting)
                .send([message.clone()])
                .expect(echo(&message))
                .close()
        })
    };
    vec![
        case("32.1.1", "Send text.", COMES_BACK, AS_TCP, |setting| {
            hello(opened(setting))
        }),
        case(
            "32.1.2",
            "Send an empty binary message, and one of 65536 octets.",
            "They come back.",
            AS_TCP,
            |setting| {
                let messages = [binary(""), binary(vec![1; 65_536])];
                opened(setting)
                    .send(messages.clone())
                    .expect(echo(&messages[0]))
                    .expect(echo(&messages[1]))
                    .close()
            },
        ),
        case(
            "32.1.3",
            "Send text in two fragments with a ping between, frame by frame.",
            "A pong, then the text.",
            AS_TCP,
            |setting| {
                let whole = Want::Message {
                    text: true,
                    payload: b"Hello".to_vec(),
                };
                opened(setting)
                    .send_chopped(
                        [text("Hel").more(), frame::ping("now"), continuation("lo")],
                        Chop::Frames,
                    )
                    .pongs_then(["now"], Some(whole))
                    .close()
            },
        ),
        case(
            "32.1.4",
            "Send text octet by octet, each in a DATA frame of its own.",
            COMES_BACK,
            AS_TCP,
            |setting| {
                opened(setting)
                    .send_chopped([text("Hello")], Chop::Bytes(1))
                    .echo_text("Hello")
                    .close()
            },
        ),
        case(
            "32.1.5",
            "Send 500 messages in as few DATA frames as they fit.",
            "All come back.",
            AS_TCP,
            |setting| {
                let all: Vec<Frame> = (0..500).map(|at| text(format!("message {at}"))).collect();
                let back = all.iter().map(echo).collect::<Vec<_>>();
                let script = opened(setting).send(all);
                { back.into_iter() }.fold(script, Script::expect).close()
            },
        ),
        case(
            "32.1.6",
            "Send empty DATA frames before, inside and behind text.",
            COMES_BACK,
            AS_TCP,
            |setting| {
                let empty = || vec![data(MAIN, ""); 3];
                opened(setting)
                    .frames(empty())
                    .send([text("Hel").more()])
                    .frames(empty())
                    .send([continuation("lo")])
                    .frames(empty())
                    .echo_text("Hello")
                    .close()
            },
        ),
        case(
            "32.1.7",
            "Send text in a padded DATA frame.",
            COMES_BACK,
            PADDING,
            |setting| {
                let mut bytes = Vec::new();
                text("Hello").write(key(setting), &mut bytes);
                let frame = data(MAIN, padded(&bytes, 200)).flags(flag::PADDED);
                opened(setting).frames([frame]).echo_text("Hello").close()
            },
        ),
        large("32.1.8", 1 << 20, "Send a binary message of 1 MiB."),
        large("32.1.9", 8 << 20, "Send a binary message of 8 MiB."),
    ]
}

/// Other events on the connection.
fn beside() -> Vec<Case> {
    vec![
        case(
            "32.3.1",
            "Send a PING of HTTP/2.",
            "It is acknowledged, and text comes back.",
            PINGS,
            |setting| hello(opened(setting).frames([ping()]).act(pinged(1))),
        ),
        case(
            "32.3.2",
            "Send frames of an unknown type, on the stream and beside it.",
            COMES_BACK,
            IGNORES,
            |setting| {
                let odd = |stream| wire::frame(0xfa, 0xff, stream, "what?");
                hello(opened(setting).frames([odd(MAIN), odd(0)]))
            },
        ),
        case(
            "32.3.3",
            "Send a PRIORITY frame for the stream.",
            COMES_BACK,
            "RFC 9113 6.3: \"The PRIORITY frame can be sent on a stream in any state\"; 6.4: RST_STREAM ends what is sent, \"except for PRIORITY\", and 8.5: a stream management frame is no error. RFC 6455 6.2: \"Incoming data MUST be parsed\".",
            |setting| {
                let priority = wire::frame(kind::PRIORITY, 0, MAIN, [0, 0, 0, 0, 15]);
                hello(opened(setting).frames([priority]))
            },
        ),
        case(
            "32.3.4",
            "Announce by GOAWAY and NO_ERROR that no more streams are taken.",
            "The WebSocket goes on: text comes back.",
            "RFC 9113 6.8: GOAWAY \"allows an endpoint to gracefully stop accepting new streams while still finishing processing of previously established streams\".",
            |setting| hello(opened(setting).frames([wire::goaway(MAIN, error::NO_ERROR)])),
        )
        .stands_on(Word::Unsaid)
        .free("the RFC allows to finish streams, and requires it of nobody"),
    ]
}

/// How the WebSocket ends.
fn ends() -> Vec<Case> {
    vec![
        case(
            "32.4.1",
            "Complete the closing handshake.",
            "The peer ends the stream.",
            ENDS,
            |setting| opened(setting).close(),
        ),
        case(
            "32.4.2",
            "Send a message of 256 KiB, and a Close frame behind it.",
            "The message comes back, then Close; the peer ends the stream.",
            ENDS,
            |setting| {
                let message = binary(vec![5; 256 << 10]);
                opened(setting)
                    .send([message.clone()])
                    .expect(echo(&message))
                    .close()
            },
        ),
        case(
            "32.4.3",
            "End our side of the stream without a Close frame.",
            "The peer ends its side, with or without a Close frame.",
            HALF,
            |setting| {
                opened(setting)
                    .send([text("Hello")])
                    .echo_text("Hello")
                    .step(Step::Shutdown)
                    .expect(Want::Fail(&[]))
            },
        )
        .stands_on(Word::Unsaid)
        .free("no RFC says what an endpoint does then"),
        case(
            "32.4.4",
            "Reset the stream in the middle of a message, with RST_STREAM and CANCEL, and wait for 200 ms.",
            "Nothing more comes on the stream; a PING of HTTP/2 is acknowledged.",
            RESET,
            |setting| {
                opened(setting)
                    .send([text("Hello")])
                    .echo_text("Hello")
                    .send([text("Hel").more()])
                    .frames([wire::reset(MAIN, error::CANCEL), ping()])
                    .act(pinged(1))
                    .quiet(millis(200))
                    .step(Step::Leave)
            },
        )
        .waits()
        .for_servers(),
        case(
            "32.4.5",
            "Send HEADERS on the stream of an open WebSocket.",
            "The stream ends, or the connection.",
            ONLY_DATA,
            |setting| {
                let trailers = [super::field("x-trailer", "1")];
                let mut frame = super::head_frame(MAIN, &trailers);
                frame.flags |= flag::END_STREAM;
                opened(setting)
                    .send([text("Hello")])
                    .echo_text("Hello")
                    .frames([frame])
                    .expect(Want::Fail(&[]))
            },
        ),
    ]
}

/// The rules of RFC 6455 hold on a stream.
fn faults() -> Vec<Case> {
    let mut all = Vec::new();
    let mut bad =
        |id: &'static str, does: &'static str, rule, codes, frames: fn() -> Vec<Frame>| {
            let expects = "The WebSocket fails, and the stream ends.";
            all.push(case(id, does, expects, rule, move |setting: &Setting| {
                opened(setting)
                    .send([text("Hello")])
                    .echo_text("Hello")
                    .send(frames())
                    .fails(codes)
            }));
        };
    bad(
        "32.5.1",
        "Send text that is masked where it must not be, or is not where it must be.",
        MASKED,
        PROTOCOL,
        || vec![text("odd").masking(Masking::AgainstRole)],
    );
    bad("32.5.2", "Send text with RSV2.", RULES, PROTOCOL, || {
        vec![text("odd").rsv(2)]
    });
    bad("32.5.3", "Send a reserved opcode.", RULES, PROTOCOL, || {
        vec![frame(11, "odd")]
    });
    bad("32.5.4", "Send a fragmented ping.", RULES, PROTOCOL, || {
        vec![frame::ping("odd").more()]
    });
    bad(
        "32.5.5",
        "Send a ping of 126 octets.",
        RULES,
        PROTOCOL,
        || vec![frame::ping(vec![1; 126])],
    );
    bad(
        "32.5.6",
        "Send a continuation that continues nothing.",
        RULES,
        PROTOCOL,
        || vec![continuation("odd")],
    );
    bad(
        "32.5.7",
        "Send a message inside a message.",
        RULES,
        PROTOCOL,
        || vec![text("one").more(), text("two")],
    );
    bad(
        "32.5.8",
        "Send text that is not UTF-8.",
        UTF8,
        INVALID,
        || vec![frame(opcode::TEXT, *b"\xce\xba\xed\xa0\x80")],
    );
    bad(
        "32.5.9",
        "Send a Close frame with half a code.",
        RULES,
        PROTOCOL,
        || vec![frame(opcode::CLOSE, "1")],
    );
    bad(
        "32.5.10",
        "Send a Close frame with the code 1005.",
        RULES,
        PROTOCOL,
        || vec![close(1005, "")],
    );
    all.push(case(
        "32.5.11",
        "Send text, and behind it a fault, in one DATA frame.",
        "The text comes back, then the WebSocket fails.",
        RULES,
        |setting| {
            opened(setting)
                .send([text("Hello"), text("odd").rsv(1)])
                .echo_before_failing(&text("Hello"), PROTOCOL)
                .fails(PROTOCOL)
        },
    ));
    all
}
