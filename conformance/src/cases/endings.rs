//! Cases 26.*: closing under way of other things, and how TCP ends.
//! RFC 6455 sections 5.5.1 and 7.

use super::rules::{parsed, validated};
use crate::case::{Case, case};
use crate::frame::{Frame, binary, close, ping, text};
use crate::inbox::{End, Event};
use crate::script::{Chop, NORMAL, PROTOCOL, Script, Seen, Step, Want, millis, seconds};
use crate::verdict::{Verdict, Word};

const CODES: &str = "RFC 6455 5.5.1: \"the endpoint MUST send a Close frame in response\". IANA WebSocket Close Code Number Registry, as RFC 6455 11.7 sets it up: 1012 Service Restart, 1013 Try Again Later, 1014 Bad Gateway.";
const RESERVED: &str = "RFC 6455 7.4.1: 1015 \"is a reserved value and MUST NOT be set as a status code in a Close control frame by an endpoint\".";
const RANGE: &str = concat!(
    "RFC 6455 7.4.2: \"Status codes in the range 1000-2999 are reserved for definition by this protocol\": those that nobody defined mean nothing. ",
    validated!()
);
const AFTER: &str = "RFC 6455 5.5.1: \"the endpoint MUST send a Close frame in response\". 1.4: after receiving a Close frame, \"a peer discards any further data received\".";
const SERVER_FIRST: &str = "RFC 6455 5.5.1: \"The server MUST close the underlying TCP connection immediately; the client SHOULD wait for the server to close the connection but MAY close the connection at any time after sending and receiving a Close message\"; 7.1.1: an endpoint \"SHOULD use a method that cleanly closes the TCP connection\".";
const VANISH: &str = "RFC 6455 7.2.1: \"If at any point the underlying transport layer connection is unexpectedly lost, the client MUST _Fail the WebSocket Connection_.\" Of servers it says nothing.";
const WHOLE: &str = "RFC 6455 5.5.1: \"the endpoint MUST send a Close frame in response\". \"An endpoint MAY delay sending a Close frame until its current message is sent.\"";
const STREAM: &str = concat!(
    parsed!(),
    " RFC 9293 3.9.1: TCP delivers a stream of octets; its pieces mean nothing."
);

const TYPICALLY: &str =
    "RFC 6455 5.5.1 says only that the answer \"typically echos the status code it received\"";

const FAILS: &str = "The connection fails with 1002.";
const ONE_CLOSE: &str = "One Close comes back, and nothing else.";

/// Bytes after a Close frame, which must be ignored.
type Frames = fn() -> Vec<Frame>;

const BEHIND: [(&str, &str, Frames); 7] = [
    ("26.2.1", "100 messages", || {
        (0..100).map(|_| text("late")).collect()
    }),
    ("26.2.2", "a frame with a reserved opcode", || {
        vec![crate::frame::frame(3, "late")]
    }),
    ("26.2.3", "text that is not UTF-8", || {
        vec![text(b"\xff\xff")]
    }),
    ("26.2.4", "a fragmented ping", || vec![ping("").more()]),
    ("26.2.5", "another Close frame, with another code", || {
        vec![close(1001, "")]
    }),
    (
        "26.2.6",
        "a Close frame with a code that may not be sent",
        || vec![close(1005, "")],
    ),
    ("26.2.7", "the header of a frame of 2^40 octets", || {
        vec![binary("").claim(1 << 40)]
    }),
];

/// The cases.
pub fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    static ASSIGNED: [[u16; 2]; 3] = [[1012, 1000], [1013, 1000], [1014, 1000]];
    for (at, codes) in ASSIGNED.iter().enumerate() {
        let [code, _] = *codes;
        all.push(
            case(
                format!("26.1.{}", at + 1),
                format!("Send a Close frame with the code {code}, which IANA assigned."),
                "Close comes back, and TCP ends; another code than the one sent is told of.",
                CODES,
                move |_| Script::new().close_with(close(code, ""), codes),
            )
            .free(TYPICALLY),
        );
    }
    for (at, code) in [1015_u16, 1017, 1999].into_iter().enumerate() {
        let rule = if code == 1015 { RESERVED } else { RANGE };
        all.push(case(
            format!("26.1.{}", at + 4),
            format!("Send a Close frame with the code {code}."),
            FAILS,
            rule,
            move |_| Script::new().send([close(code, "")]).fails(PROTOCOL),
        ));
    }
    for (id, what, frames) in BEHIND {
        all.push(
            case(
                id,
                format!("Send a Close frame, and {what} behind it, in one write."),
                ONE_CLOSE,
                AFTER,
                move |_| {
                    let mut all = vec![close(1000, "")];
                    all.extend(frames());
                    Script::new().send(all).expect(Want::Close(NORMAL))
                },
            )
            .free(TYPICALLY),
        );
    }
    all.extend(orders());
    all.extend(vanishing());
    all
}

/// Closing under way of other things, and whose turn it is to end TCP.
fn orders() -> Vec<Case> {
    vec![
        case(
            "26.3.1",
            "Send a message of 4 MiB and a Close frame behind it, in one write.",
            "The message may come back; then Close.",
            WHOLE,
            |_| {
                let message = binary(vec![7; 4 << 20]);
                Script::new()
                    .send([message.clone(), close(1000, "")])
                    .either([
                        (
                            Want::Message {
                                text: false,
                                payload: message.payload,
                            },
                            Verdict::Informational,
                            false,
                        ),
                        (Want::Close(NORMAL), Verdict::Informational, true),
                    ])
                    .expect(Want::Close(NORMAL))
            },
        )
        .free("RFC 6455 5.5.1 lets an endpoint finish its message first, or not"),
        case(
            "26.3.2",
            "Send a Close frame octet by octet.",
            "Close comes back.",
            STREAM,
            |_| {
                Script::new()
                    .send_chopped([close(1000, "bye")], Chop::Bytes(1))
                    .expect(Want::Close(&[]))
            },
        ),
        case(
            "26.3.3",
            "Send a ping and a Close frame in one write.",
            "The pong may come; then Close.",
            "RFC 6455 5.5.2: \"Upon receipt of a Ping frame, an endpoint MUST send a Pong frame in response, unless it already received a Close frame.\"",
            |_| {
                Script::new()
                    .send([ping("last"), close(1000, "")])
                    .either([
                        (Want::Pong(b"last".to_vec()), Verdict::Ok, false),
                        (Want::Close(&[]), Verdict::Ok, true),
                    ])
                    .expect(Want::Close(&[]))
            },
        ),
        case(
            "26.3.4",
            "Send the first half of a fragmented message, then a Close frame; nothing more.",
            "Close comes back.",
            "RFC 6455 5.4: \"An endpoint MUST be capable of handling control frames in the middle of a fragmented message.\"",
            |_| {
                Script::new()
                    .send([text("half").more(), close(1001, "")])
                    .expect(Want::Close(&[1001, 1000]))
            },
        )
        .free(TYPICALLY),
        case(
            "26.4.1",
            "Complete the closing handshake, and wait for the end of TCP.",
            "The server ends TCP; by a reset is non-strict.",
            SERVER_FIRST,
            |_| {
                Script::new()
                    .send([close(1000, "")])
                    .expect(Want::Close(&[]))
                    .step(ends_in_order())
            },
        )
        .for_servers(),
        case(
            "26.4.2",
            "Complete the closing handshake, and end TCP only 500 ms later.",
            "The client waits for it; one that ends TCP itself before is non-strict.",
            SERVER_FIRST,
            |_| {
                Script::new()
                    .send([close(1000, "")])
                    .expect(Want::Close(&[]))
                    .step(Step::EndsNot(millis(500)))
            },
        )
        .for_clients()
        .waits(),
        case(
            "26.4.3",
            "Send text, and complete the closing handshake once it came back.",
            "The text comes back, then Close; TCP ends, by a reset is non-strict.",
            SERVER_FIRST,
            |_| {
                Script::new()
                    .send([text("last words")])
                    .echo_text("last words")
                    .send([close(1000, "")])
                    .expect(Want::Close(&[]))
                    .step(ends_in_order())
            },
        )
        .for_servers(),
        case(
            "26.4.4",
            "Break the protocol with 1 MiB of other octets behind the fault, in one write.",
            "A Close frame with 1002 comes; that a reset destroys it is non-strict.",
            "RFC 6455 5.2: \"If an unknown opcode is received, the receiving endpoint MUST _Fail the WebSocket Connection_.\" 7.1.7: it \"SHOULD send a Close frame with an appropriate status code\".",
            |_| {
                let mut frames = vec![crate::frame::frame(3, "bad")];
                frames.extend((0..64).map(|_| binary(vec![7; 16 << 10])));
                Script::new().send(frames).either([
                    (Want::Close(PROTOCOL), Verdict::Ok, true),
                    (Want::End, Verdict::NonStrict, true),
                ])
            },
        ),
    ]
}

/// The server ends TCP, and does not reset it.
fn ends_in_order() -> Step {
    let check = |event: &Event| match event {
        Event::End(End::Fin) => Ok(Seen::Last),
        Event::End(End::Reset) => Ok(Seen::Lax),
        _ => Err("something came after the Close frame".into()),
    };
    Step::Until("the end of TCP".into(), Box::new(check))
}

const HALF: &str = "RFC 6455 says nothing of a server whose client ends its side of TCP";

/// TCP ends without a Close frame.
fn vanishing() -> Vec<Case> {
    let expects = "It ends its side too, with or without a Close frame.";
    type Begin = fn(Script) -> Script;
    let cut: [(&str, &str, Begin); 5] = [
        (
            "26.5.1",
            "End our side of TCP right after the handshake.",
            |script| script,
        ),
        (
            "26.5.2",
            "End our side of TCP in the middle of a frame.",
            |script| script.send([binary([1, 2, 3]).claim(100)]),
        ),
        (
            "26.5.3",
            "End our side of TCP in the middle of a header.",
            |script| script.bytes([0x82]),
        ),
        (
            "26.5.4",
            "End our side of TCP between two fragments.",
            |script| script.send([text("half").more()]),
        ),
        (
            "26.5.5",
            "End our side of TCP in the middle of a Close frame.",
            |script| script.send([close(1000, "bye").claim(20)]),
        ),
    ];
    let mut all: Vec<Case> = cut
        .into_iter()
        .map(|(id, does, begin)| {
            case(id, does, expects, VANISH, move |_| {
                begin(Script::new())
                    .pause(millis(20))
                    .step(Step::Shutdown)
                    .fails(&[])
            })
            .servers_stand_on(Word::Unsaid)
            .free(HALF)
        })
        .collect();
    all.push(
        case(
            "26.5.6",
            "Send text, and end our side of TCP right behind it.",
            "The text may come back; then it ends its side too.",
            VANISH,
            |_| {
                Script::new()
                    .send([text("last words")])
                    .step(Step::Shutdown)
                    .either([
                        (
                            Want::Message {
                                text: true,
                                payload: b"last words".to_vec(),
                            },
                            Verdict::Ok,
                            false,
                        ),
                        (Want::Fail(&[]), Verdict::Ok, true),
                    ])
                    .fails(&[])
            },
        )
        .servers_stand_on(Word::Unsaid)
        .free(HALF),
    );
    all.push(case("26.5.7", "Send nothing for 2 s.", "The connection stays open; pings of the peer are answered.", "RFC 6455 7.3: \"Servers MAY close the WebSocket connection whenever desired. Clients SHOULD NOT close the WebSocket connection arbitrarily.\"", |_| {
        Script::new()
            .quiet(seconds(2))
            .send([text("still here")])
            .echo_text("still here")
            .close()
    }).waits().stands_on(Word::Should).servers_stand_on(Word::May).free("RFC 6455 7.3 lets a server close whenever it likes"));
    all
}
