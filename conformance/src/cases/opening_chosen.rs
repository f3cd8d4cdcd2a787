//! Cases 21.*: what a client must choose anew for each connection, responses that it may take or not, and what comes behind a response.
//! RFC 6455 sections 4.1 and 6.2; RFC 9112 for the end of a response.

use super::opening_client::{ACCEPT, Edit, FAILS, OPENS, accept, bad, bytes, opens};
use super::rules::parsed;
use crate::case::{Case, case};
use crate::frame::{close, text};
use crate::http::Head;
use crate::script::{Chop, Script, Step, Want, echo};
use crate::verdict::{Verdict, Word};

const NONCE: &str = "RFC 6455 4.1: \"The nonce MUST be selected randomly for each connection.\"";
const HOST: &str = "RFC 9112 3.2: \"If the target URI includes an authority component, then a client MUST send a field value for Host that is identical to that authority component\"; RFC 6455 4.1: with the port \"when not using the default port\".";
const EXTRA: &str = "RFC 9112 6.3: \"any response with a 1xx (Informational) [...] status code is always terminated by the first empty line after the header fields, regardless of the header fields present in the message\"; what follows are frames, which MUST be parsed (RFC 6455 6.2).";
const TWICE: &str = "RFC 6455 11.3.3: Sec-WebSocket-Accept MUST NOT appear more than once in a response; of a client that gets two nothing is said.";
const LOST: &str = "RFC 6455 7.2.1: \"If at any point the underlying transport layer connection is unexpectedly lost, the client MUST _Fail the WebSocket Connection_.\"";
const STREAM: &str = concat!(
    parsed!(),
    " RFC 9293 3.9.1: TCP delivers a stream of octets; what follows the response belongs to the connection."
);

/// The cases.
pub fn cases() -> Vec<Case> {
    let mut all = streams();
    all.push(
        case(
            "21.1.2",
            "Read the request, as on each of the client's earlier connections.",
            "Its Sec-WebSocket-Key is not that of an earlier connection.",
            NONCE,
            |_| {
                opens(|request| Head::response(request).write(), Chop::Whole)
                    .before_close(Step::NonceIsNew)
            },
        )
        .for_clients(),
    );
    all.push(
        case(
            "21.1.3",
            "Read the request; the port is not 80 or 443.",
            "Host names the port.",
            HOST,
            |_| {
                opens(|request| Head::response(request).write(), Chop::Whole)
                    .before_close(Step::HostNamesPort)
            },
        )
        .for_clients(),
    );
    all.push(bad(
        "21.4.7",
        "Answer 101 with two Sec-WebSocket-Accept, the right one and a wrong one.",
        ACCEPT,
        |head| head.with("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
    ));
    all.push(bad(
        "21.4.8",
        "Answer 101 with two Sec-WebSocket-Accept, a wrong one and the right one.",
        ACCEPT,
        |head| {
            let right = head
                .field("Sec-WebSocket-Accept")
                .unwrap_or_default()
                .to_owned();
            accept(head, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=").with("Sec-WebSocket-Accept", &right)
        },
    ));
    all.push(either(
        "21.4.9",
        "Answer 101 with the right Sec-WebSocket-Accept twice.",
        TWICE,
        Word::Unsaid,
        "RFC 6455 4.1 does not say what a client makes of it",
        |head| {
            let right = head
                .field("Sec-WebSocket-Accept")
                .unwrap_or_default()
                .to_owned();
            head.with("Sec-WebSocket-Accept", &right)
        },
    ));
    let extra =
        "RFC 9112 6.3 lets a client skip the field, and a server that sends it breaks a rule";
    all.push(either(
        "21.8.1",
        "Answer 101 with a Content-Length of 7, and text behind it.",
        EXTRA,
        Word::Must,
        extra,
        |head| head.with("Content-Length", "7"),
    ));
    all.push(either(
        "21.8.2",
        "Answer 101 with `Transfer-Encoding: chunked`, and text behind it.",
        EXTRA,
        Word::Must,
        extra,
        |head| head.with("Transfer-Encoding", "chunked"),
    ));
    all
}

/// A response that the client may take or not; if it does, the text behind it comes back.
fn either(
    id: &'static str,
    does: &'static str,
    rule: &'static str,
    word: Word,
    why: &'static str,
    edit: Edit,
) -> Case {
    let expects = "The client ends the connection; or it is open, and text comes back.";
    case(id, does, expects, rule, move |_| {
        let make = move |request: &Head| {
            [edit(Head::response(request)).write(), bytes(&text("Hello"))].concat()
        };
        Script::raw()
            .step(Step::Respond {
                make: Box::new(make),
                opens: true,
                chop: Chop::Whole,
            })
            .either([
                (echo(&text("Hello")), Verdict::Informational, false),
                (Want::Fail(&[]), Verdict::Informational, true),
            ])
            .close()
    })
    .for_clients()
    .stands_on(word)
    .free(why)
}

fn streams() -> Vec<Case> {
    vec![
        case("21.7.1", "Answer octet by octet.", OPENS, STREAM, |_| {
            opens(|request| Head::response(request).write(), Chop::Bytes(1))
        })
        .for_clients(),
        case(
            "21.7.2",
            "Answer 101 and a message in one write.",
            "The message comes back.",
            STREAM,
            |_| {
                Script::raw()
                    .step(Step::Respond {
                        make: Box::new(|request| {
                            [Head::response(request).write(), bytes(&text("glued"))].concat()
                        }),
                        opens: true,
                        chop: Chop::Whole,
                    })
                    .echo_text("glued")
                    .close()
            },
        )
        .for_clients(),
        case(
            "21.7.3",
            "Answer 101, a message and a Close frame in one write.",
            "The message may come back; then Close.",
            STREAM,
            |_| {
                Script::raw()
                    .step(Step::Respond {
                        make: Box::new(|request| {
                            [
                                Head::response(request).write(),
                                bytes(&text("glued")),
                                bytes(&close(1000, "")),
                            ]
                            .concat()
                        }),
                        opens: true,
                        chop: Chop::Whole,
                    })
                    .either([
                        (
                            Want::Message {
                                text: true,
                                payload: b"glued".to_vec(),
                            },
                            Verdict::Ok,
                            false,
                        ),
                        (Want::Close(&[]), Verdict::Informational, true),
                    ])
                    .expect(Want::Close(&[]))
            },
        )
        .for_clients()
        .free("RFC 6455 does not say whether a message is answered once Close has come"),
        case(
            "21.7.4",
            "Answer half of a 101, then end TCP.",
            FAILS,
            LOST,
            |_| {
                Script::raw()
                    .step(Step::Respond {
                        make: Box::new(|request| {
                            let mut bytes = Head::response(request).write();
                            bytes.truncate(40);
                            bytes
                        }),
                        opens: false,
                        chop: Chop::Whole,
                    })
                    .step(Step::Shutdown)
                    .expect(Want::End)
            },
        )
        .for_clients(),
        case("21.7.5", "End TCP without an answer.", FAILS, LOST, |_| {
            Script::raw()
                .step(Step::Respond {
                    make: Box::new(|_| Vec::new()),
                    opens: false,
                    chop: Chop::Whole,
                })
                .step(Step::Shutdown)
                .expect(Want::End)
        })
        .for_clients(),
    ]
}
